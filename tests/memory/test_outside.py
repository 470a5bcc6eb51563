"""Outside agents over real pipes and real sockets: what reaches them when, what they may reply, and what is said when they fail."""

import asyncio
import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from memory.agent import Answer, Asked
from memory.chunks import Chunk
from memory.exam import Sheet, chosen_option, make_sheet
from memory.outside import Outside, OutsideAgent
from memory.replay import Limits, Sitting, Stop, sit
from schemas.errors import InputError, SubtextError
from schemas.history import History
from schemas.memory import Memory
from schemas.persona import Persona
from schemas.question import Question
from schemas.session import Session
from store.dataset import read_published
from tests.author.serving.processes import running, until
from tests.memory.asked import ASKED, OPEN, TURNS
from tests.runs import REPO
from tests.servers.http import HttpServer, Raw, Reply, hang_up
from text.tokenizer import token_counter

EXAMPLE = REPO / "docs" / "agent_example.py"
WHOLE = Limits(memory_tokens=100, count=lambda texts: [1] * len(texts), chunk_tokens=None)
RECORDER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    with open(sys.argv[1], "a") as file:
        file.write(line)
    answer = {"choice": 1} if message.get("options") else {"text": "a tent"}
    print(json.dumps(answer if message["type"] == "question" else None), flush=True)
"""


def command(*words: str) -> Outside:
    return Outside(command=(sys.executable, *words), timeout_s=30)


def with_agent(outside: Outside, work: Callable[[OutsideAgent], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with outside.for_user("p1", 512) as agent:
            return await work(agent)

    return asyncio.run(run())


def sitting(outside: Outside, stops: Mapping[int, Asked]) -> Sitting:
    placed = [Stop(turns, {str(turns): asked}) for turns, asked in stops.items()]
    found: Sitting = with_agent(outside, lambda agent: sit(agent, TURNS, placed, WHOLE))
    return found


def replying(tmp_path: Path, body: str) -> Outside:
    """An agent whose reply to each `message` after the start is what `body` does."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import json, os, sys, time\nfor line in sys.stdin:\n    message = json.loads(line)\n    if message['type'] == 'start':\n"
        f"        print('{{}}', flush=True)\n        continue\n    {body}\n    sys.stdout.flush()\n",
        encoding="utf-8",
    )
    return command(str(script))


def failure(outside: Outside, work: Callable[[OutsideAgent], Awaitable[Any]]) -> str:
    """The one line in which it fails."""
    with pytest.raises(SubtextError) as caught:
        with_agent(outside, work)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def ask(agent: OutsideAgent) -> Answer:
    return await agent.answer(Memory(), ASKED)


def test_sessions_come_whole_and_questions_only_at_their_moment(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    found = sitting(command("-c", RECORDER, str(log)), {0: ASKED, 3: ASKED, 5: OPEN})
    assert found.answers == {"0": Answer(choice=1), "3": Answer(choice=1), "5": Answer(text="a tent")}
    messages = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [message["type"] for message in messages] == ["start", "question", "session", "question", "session", "question"]
    assert messages[0] == {"type": "start", "user": "p1", "memory_tokens": 512}
    assert messages[2] == {
        "type": "session", "user": "p1", "session_id": "p1/s003", "started_at": "2025-03-02T18:30:00+00:00",
        "messages": [{"role": turn.message.role, "content": turn.message.content} for turn in TURNS[:3]],
    }  # fmt: skip
    assert messages[3] == {
        "type": "question", "user": "p1", "asked_at": "2025-08-03T00:00:00+00:00", "text": "What shall I pack?",
        "options": ["a bike", "a tent", "a book", "a map"],
    }  # fmt: skip
    assert len(messages[4]["messages"]) == 2


def test_a_question_inside_a_session_that_comes_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="after message 2 of a session"):
        sitting(command("-c", RECORDER, str(tmp_path / "log")), {2: ASKED})
    with pytest.raises(ValueError, match="one session at a time"):
        with_agent(command("-c", RECORDER, str(tmp_path / "log")), lambda agent: agent.write(Memory(), Chunk(TURNS)))


def test_every_user_gets_a_fresh_process_and_none_is_left(tmp_path: Path) -> None:
    word = str(tmp_path / "only-here")
    outside = command("-c", 'import os, sys\nfor line in sys.stdin: print(\'{"text": "%d"}\' % os.getpid(), flush=True)', word)
    pids = {with_agent(outside, lambda agent: agent.remembered()) for _ in range(2)}
    assert len(pids) == 2
    until(lambda: not running(word), "agents to end")


def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.channels._PATIENCE_S", 0.2)
    word = str(tmp_path / "only-here")
    code = (
        "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])\n"
        "sys.stdin.readline()\nprint('{}', flush=True)\ntime.sleep(600)"
    )

    async def look(_: OutsideAgent) -> None:
        until(lambda: len(running(word)) == 2, "the child to be seen")

    with_agent(command("-c", code, word), look)
    until(lambda: not running(word), "the agent and its child to end")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ({"choice": 3}, Answer(choice=3)),
        ({"choice": None, "why": "no idea"}, Answer()),
        ({"shares": [1, 1, 0, 2]}, Answer(shares=(0.25, 0.25, 0.0, 0.5))),
        ({"text": "a tent"}, Answer(text="a tent")),
    ],
)
def test_what_may_be_answered(tmp_path: Path, reply: Any, answer: Answer) -> None:
    assert with_agent(replying(tmp_path, f"print(json.dumps({reply!r}))"), ask) == answer


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"choice": 4}, "a whole number from 0 to 3"),
        ({"choice": -1}, "a whole number from 0 to 3"),
        ({"choice": True}, "a whole number from 0 to 3"),
        ({"choice": "B"}, "a whole number from 0 to 3"),
        ({"shares": [0.5, 0.5]}, "4 numbers of 0 or more"),
        ({"shares": [1, 1, 1, -1]}, "4 numbers of 0 or more"),
        ({"shares": [0, 0, 0, 0]}, "not all 0"),
        ({"shares": [float("nan"), 1, 1, 1]}, "4 numbers of 0 or more"),
        ({"shares": [float("inf"), 1, 1, 1]}, "4 numbers of 0 or more"),
        ({"shares": 1}, "4 numbers of 0 or more"),
        ({"text": 3}, "a text is a string"),
        ({"choice": 1, "text": "b"}, "want one of"),
        ({}, "want one of"),
        ([1], "want one of"),
        ({"error": "no embedding\nserver"}, "`question` failed: no embedding server"),
    ],
)
def test_an_answer_of_a_wrong_shape_is_named(tmp_path: Path, reply: Any, said: str) -> None:
    line = failure(replying(tmp_path, f"print({json.dumps(reply)!r})"), ask)
    assert "agent.py" in line and "question" in line and said in line
    assert str(tmp_path) not in line


def test_what_is_remembered_is_text_or_nothing(tmp_path: Path) -> None:
    for reply, text in [(None, None), ({"text": None}, None), ({"text": "likes tea"}, "likes tea")]:
        assert with_agent(replying(tmp_path, f"print(json.dumps({reply!r}))"), lambda agent: agent.remembered()) == text
    assert "want null or" in failure(replying(tmp_path, "print('{\"text\": 1}')"), lambda agent: agent.remembered())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('Loading model…')", r"the reply to `question` is not JSON but 'Loading model…'; write logs to stderr"),
        ("print()", "is not JSON but ''"),
        ("sys.stderr.write('starting\\n\\nKeyError: tent\\n'); sys.exit(3)", "status 3 before .* `question`; its last words: KeyError"),
        ("sys.stdout.write('{\"choice\": 1}'); sys.stdout.flush(); os._exit(0)", "ended with status 0 before .*its last words: none"),
        ("time.sleep(60)", "no reply to `question` in 0.5 s"),
        ("print('[' + '1, ' * 6_000_000 + '1]')", "longer than 16,777,216 bytes"),
    ],
)  # fmt: skip
def test_a_process_that_fails_is_told_in_a_line(tmp_path: Path, body: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.channels._PATIENCE_S", 0.5)
    outside = replying(tmp_path, body)
    if "sleep" in body:

        async def impatient(agent: OutsideAgent) -> Answer:
            agent._channel._timeout_s = 0.5  # type: ignore[attr-defined]  # only now: the interpreter takes its time to start
            return await ask(agent)

        line = failure(outside, impatient)
    else:
        line = failure(outside, ask)
    assert re.search(said, line)


def test_one_that_dies_at_once_says_why() -> None:
    line = failure(command("-c", "raise SystemExit('no module mem0')"), ask)
    assert "ended with status 1 before it replied to `start`; its last words: no module mem0" in line


def test_much_on_stderr_does_not_block(tmp_path: Path) -> None:
    assert with_agent(replying(tmp_path, "sys.stderr.write('x' * 3_000_000); print('{\"choice\": 0}')"), ask) == Answer(choice=0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("command:", "not an outside agent"),
        ("command:python 'half", "not a command line"),
        ("http://", "not an outside agent"),
        ("http://me:pass@host/x", "without a password"),
        ("http://host:99999/", "not an outside agent"),
        ("mem0", "not an outside agent"),
    ],
)
def test_a_spec_that_is_none_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Outside.of(spec)


def test_a_spec_is_read_as_in_a_shell() -> None:
    outside = Outside.of("command:/usr/bin/python3 'my agent.py' --k 5")
    assert outside.command == ("/usr/bin/python3", "my agent.py", "--k", "5")
    assert outside.name == "python3 my agent.py --k 5"
    assert Outside.of("https://host:8080/memory").name == "https://host:8080/memory"


@pytest.mark.parametrize("word", ["no-such-command-here", "/etc/hostname", "/etc/hostname/x"])
def test_a_command_that_is_not_there_is_the_users_mistake(word: str) -> None:
    with pytest.raises(InputError, match=f"{word}: cannot be started"):
        with_agent(Outside(command=(word,)), ask)


def served(reply: Callable[[dict[str, Any]], Reply | Raw]) -> tuple[HttpServer, list[dict[str, Any]]]:
    """A service that replies to what follows `start`, and the messages that it got."""
    got: list[dict[str, Any]] = []

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Raw:
        assert (method, path, headers["content-type"]) == ("POST", "/memory", "application/json")
        got.append(json.loads(body))
        return Reply.json(None) if got[-1]["type"] == "start" else reply(got[-1])

    return HttpServer(handle), got


def test_a_service_is_asked_as_a_command_is(tmp_path: Path) -> None:
    server, got = served(lambda message: Reply.json({"shares": [0, 0, 1, 1]} if message["type"] == "question" else {}))
    with server:
        found = sitting(Outside.of(f"{server.url}/memory"), {3: ASKED})
    log = tmp_path / "log.jsonl"
    sitting(command("-c", RECORDER, str(log)), {3: ASKED})
    assert found.answers == {"3": Answer(shares=(0.0, 0.0, 0.5, 0.5))}
    assert got == [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert not server.errors


async def _never() -> Reply:
    await asyncio.sleep(60)
    return Reply()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply.error(503, "index is rebuilt"), r"answered `question` with status 503: .*index is rebuilt"),
        (Reply(500), "with status 500: no words"),
        (Reply(200, {}, b"<html>hello</html>"), "is not JSON but '<html>hello</html>'; reply with a body of JSON"),
        (Reply(200, {}, b"\xff\xfe"), "is not JSON but"),
        (hang_up(), r"`question` could not be sent \(.+\); is the service up\?"),
        (Reply.json({"choice": 9}), "a whole number from 0 to 3"),
    ],
)
def test_a_service_that_fails_is_told_in_a_line(reply: Reply | Raw, said: str) -> None:
    server, _ = served(lambda _: reply)
    with server:
        assert re.search(said, failure(Outside.of(f"{server.url}/memory"), ask))


def test_a_service_that_is_not_there_or_never_replies_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/memory"
        assert "no reply to `start` in 0.3 s" in failure(Outside(url=url, timeout_s=0.3), ask)
    assert "`start` could not be sent" in failure(Outside.of(url), ask)


def a_sheet(data: Path) -> Sheet:
    """The user of a dataset who is asked most."""
    history = max(read_published(data, "histories_12k", History), key=lambda history: len(history.questions))
    only = ("persona_id", [history.persona_id])
    (persona,) = read_published(data, "personas", Persona, only)
    sessions = {session.session_id: session for session in read_published(data, "sessions", Session, only)}
    questions = {question.question_id: question for question in read_published(data, "questions", Question, only)}
    return make_sheet(persona, history, sessions, questions, token_counter("minilm").count)


def test_the_worked_example_sits_an_exam(published: Path) -> None:
    sheet = a_sheet(published / "data")
    limits = Limits(memory_tokens=512, count=token_counter("minilm").count, chunk_tokens=None)

    async def run() -> tuple[Sitting, str | None]:
        async with command(str(EXAMPLE)).for_user(sheet.persona.persona_id, limits.memory_tokens) as agent:
            return await sit(agent, sheet.turns, sheet.stops(), limits), await agent.remembered()

    found, remembered = asyncio.run(run())
    questions = [put.question for put in sheet.questions]
    assert questions
    assert len(found.answers) == sum(len(question.options) for question in questions)
    for question in questions:
        chosen = [chosen_option(question, rotation, found.answers[f"{question.question_id}@{rotation}"]) for rotation in range(4)]
        assert None not in chosen
    assert remembered is not None
    said = " ".join(" ".join(turn.message.content.split()) for turn in sheet.turns if turn.message.role == "user")
    kept = [line.partition(" ")[2] for line in remembered.splitlines()]
    assert kept and all(sentence in said for sentence in kept)
    assert 0.5 * limits.memory_tokens < limits.count([remembered])[0] <= limits.memory_tokens


def test_the_example_prefers_what_it_knows_and_replies_where_nothing_is_offered() -> None:
    known = sitting(command(str(EXAMPLE)), {0: ASKED, 5: OPEN}).answers
    assert known["5"].text.startswith("2025-")
    tent = Asked(ASKED.asked_at, ASKED.text, ("a bike", "a book", "take a tent", "a map"))
    assert sitting(command(str(EXAMPLE)), {3: tent, 5: tent}).answers == {"3": Answer(choice=0), "5": Answer(choice=2)}


def test_the_example_is_short_and_needs_nothing() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) == {"json", "re", "sys", "typing"}
