import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai import OpenAI, OpenAIError

from author.serving import local
from author.serving.server import Patience, Server
from schemas.errors import InputError, SubtextError
from tests.author.serving.processes import running, until

TINY = str(Path(__file__).with_name("tiny_server.py"))
QUICK = Patience(pause_s=0.05)


def tiny(*arguments: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, TINY, str(port), *arguments]


def port_of(server: Server) -> str:
    return server.url.split(":")[2].removesuffix("/v1")


def answer(server: Server) -> str:
    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
        reply = client.chat.completions.create(model=server.model, messages=[{"role": "user", "content": "Say yes."}], max_tokens=4)
    return reply.choices[0].message.content or ""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The small real model."""
    with Server(local.command, local.MODEL, tmp_path_factory.mktemp("small") / "server.log", patience=QUICK) as server:
        yield server
    assert running(port_of(server)) == []


def test_a_real_model_answers(small: Server) -> None:
    assert answer(small)
    assert small.problem is None


def test_a_killed_server_comes_back_at_the_same_address(small: Server) -> None:
    url = small.url
    until(lambda: len(running(port_of(small))) == 2, "the leash and the server")
    for life in (1, 2):
        os.kill(running(port_of(small))[-1], signal.SIGKILL)
        until(lambda: small.restarts == life, "a restart")  # noqa: B023 (used before the next turn)
        until(lambda: comes_back(small), "an answer after the restart")
    assert small.url == url
    assert small.problem is None


def comes_back(server: Server) -> bool:
    try:
        return answer(server) != ""
    except OpenAIError:
        return False


def test_it_tells_of_deaths_and_of_answering_again(tmp_path: Path) -> None:
    told: list[str] = []
    with Server(tiny(), "tiny", tmp_path / "log", patience=QUICK, notice=told.append) as server:
        os.kill(running(port_of(server))[-1], signal.SIGKILL)
        until(lambda: len(told) == 2, "both lines")
        assert told[0] == "the server of tiny died (status 137); starting it again in 0.05 s"
        assert told[1] == f"the server of tiny answers again at {server.url}"


def test_close_waits_until_everybody_is_gone(tmp_path: Path) -> None:
    server = Server(tiny(), "tiny", tmp_path / "log")
    assert len(running(port_of(server))) == 2
    server.close()
    assert running(port_of(server)) == []
    server.close()
    server.wait()
    assert server.restarts == 0


def test_nothing_survives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from author.serving.server import Server\n"
        f"server = Server(lambda port: [sys.executable, {TINY!r}, str(port)], 'tiny', Path({str(tmp_path / 'log')!r}))\n"
        "sys.stdout.write(server.url + '\\n'); sys.stdout.flush(); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = parent.stdout.readline().split(":")[2].removesuffix("/v1\n")
        assert len(running(port)) == 2
        parent.kill()
        parent.wait()
    until(lambda: not running(port), "the end of the server")


def test_a_server_that_dies_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    script = "for i in $(seq 30); do echo line $i; done; echo the cause; exit 3"
    with pytest.raises(SubtextError) as caught:
        Server(lambda _: ["sh", "-c", script], "doomed", tmp_path / "deep" / "log")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the server of doomed ended with status 3 before it answered. Its log is ")
    assert lines[-1] == "  | the cause"
    assert len(lines) == 16
    assert "line 1\n" in (tmp_path / "deep" / "log").read_text()


def test_a_server_that_never_answers_is_ended_at_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(SubtextError, match=r"did not answer within 0\.3 s"):
        Server(
            lambda port: ["sh", "-c", "sleep 600; :", str(port), str(tmp_path)], "silent", tmp_path / "log", patience=Patience(start_s=0.3)
        )
    assert running(str(tmp_path)) == []


def test_a_start_can_be_given_up_from_another_thread(tmp_path: Path) -> None:
    closing = threading.Event()
    threading.Timer(0.2, closing.set).start()
    with pytest.raises(SubtextError, match="was closed before it answered"):
        Server(lambda _: ["sh", "-c", "sleep 600; :", str(tmp_path)], "silent", tmp_path / "log", closing=closing)
    assert running(str(tmp_path)) == []


def test_a_server_that_refuses_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SubtextError, match=r"refuses to answer \(HTTP 400: .*no chat template"):
        Server(tiny("400"), "tiny", tmp_path / "log")


def test_a_server_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    with Server(tiny("200", "1"), "tiny", tmp_path / "log", patience=Patience(pause_s=0.01, restarts=2)) as server:
        with pytest.raises(SubtextError, match=r"died 3 times .*given up"):
            server.wait()
        assert server.restarts == 2
        assert server.problem is not None
    assert running(port_of(server)) == []


def test_a_taken_port_is_the_users_mistake(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used"):
            Server(tiny(), "tiny", tmp_path / "log", port=port)
