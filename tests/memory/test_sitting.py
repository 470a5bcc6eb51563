"""Sitting an exam: what is kept of the answers, what a memory weighed when they were given, and what an error does."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from memory.agent import Answer, Asked, MemoryAgent
from memory.agents import Candidate, Spec, make_agent
from memory.chunks import Chunk
from memory.exam import Exam
from memory.notes import write_memory
from memory.read_exam import exam_tokens, read_exam
from memory.replay import Limits
from memory.sitting import accuracy_of, memory_of, sit_exam
from schemas.errors import InputError, SubtextError
from schemas.exam import ExamAnswer
from schemas.memory import Memory, MemoryLine


@pytest.fixture(scope="module")
def exam(published: Path) -> Exam:
    return read_exam(published, "train", 12_000)


class First:
    """Remembers the day of each chunk, and always takes the first option."""

    name = "first"

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        day = chunk.turns[-1].started_at.date()
        line = MemoryLine(owner="self", text=f"read {len(chunk.turns)}", first_seen=day, last_seen=day, session_ids=(), status="active")
        return Memory(lines=(*memory.lines, line))

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        return Answer(choice=0)


def everybody(agent: MemoryAgent, **more: object) -> Candidate:
    @asynccontextmanager
    async def the_same(user: str) -> AsyncIterator[MemoryAgent]:
        yield agent

    return replace(Candidate("extractive", agent.name, the_same), **more)  # type: ignore[arg-type]


def sat(exam: Exam, candidate: Candidate, budget: int = 512) -> dict[str, Sequence[ExamAnswer]]:
    found: dict[str, Sequence[ExamAnswer]] = {}
    limits = Limits(budget, exam_tokens().count, candidate.chunk_tokens)
    asyncio.run(sit_exam(exam.sheets, candidate, limits, found.__setitem__))
    return found


def test_who_always_takes_the_first_option_is_right_in_one_rotation_of_each_question(exam: Exam) -> None:
    found = sat(exam, everybody(First()))
    assert list(found) == [sheet.persona.persona_id for sheet in exam.sheets]
    for sheet in exam.sheets:
        rows = found[sheet.persona.persona_id]
        assert [row.question_id for row in rows] == [put.question.question_id for put in sheet.questions]
        for row, put in zip(rows, sheet.questions, strict=True):
            assert (row.choices, row.correct, row.shares) == ((0, 1, 2, 3), 0.25, ())
            assert (row.gold, row.kind) == (put.question.gold_index, put.question.kind)
    answers = [row for rows in found.values() for row in rows]
    assert accuracy_of(answers).model_dump() == {"value": 0.25, "low": 0.25, "high": 0.25, "unread": 0}


def test_a_memory_is_weighed_as_it_was_at_each_question(exam: Exam) -> None:
    (sheet, *_) = exam.sheets
    rows = sat(Exam("one", (sheet,)), everybody(First()))[sheet.persona.persona_id]
    for row, put in zip(rows, sheet.questions, strict=True):
        lines, tokens, read = 0, 0, 0
        for turn in sheet.turns[: put.turns]:
            if not read or tokens + turn.tokens > 5000:
                lines, tokens = lines + 1, 0
            read, tokens = read + 1, tokens + turn.tokens
        day = date(2025, 1, 1)
        line = write_memory(
            Memory(lines=(MemoryLine(owner="self", text="read 9", first_seen=day, last_seen=day, session_ids=(), status="active"),))
        )
        assert row.memory_tokens == lines * exam_tokens().count([line])[0]
    used = memory_of(rows, 10)
    assert (used.most_tokens, used.hidden, used.over_budget) == (
        max(row.memory_tokens or 0 for row in rows), 0, sum((row.memory_tokens or 0) > 10 for row in rows),
    )  # fmt: skip
    assert 0 < used.over_budget <= len(rows)
    cut = memory_of(sat(Exam("one", (sheet,)), everybody(First()), 20)[sheet.persona.persona_id], 20)
    assert (cut.most_tokens, cut.over_budget) == (18, 0)


def test_shares_are_averaged_in_the_questions_own_order_and_no_choice_counts_as_wrong(exam: Exam) -> None:
    class Longest(First):
        async def answer(self, memory: Memory, asked: Asked) -> Answer:
            longest = max(asked.options, key=len)
            return Answer(shares=tuple(0.7 if text == longest else 0.1 for text in asked.options))

    class Wavering(First):
        async def answer(self, memory: Memory, asked: Asked) -> Answer:
            return Answer(shares=(0.7, 0.1, 0.1, 0.1))

    class Silent(First):
        async def answer(self, memory: Memory, asked: Asked) -> Answer:
            return Answer()

    (sheet, *_) = exam.sheets
    one = Exam("one", (sheet,))
    for row, put in zip(sat(one, everybody(Longest()))[sheet.persona.persona_id], sheet.questions, strict=True):
        texts = [option.text for option in put.question.options]
        place = texts.index(max(texts, key=len))
        assert row.choices == (place,) * 4
        assert row.shares == tuple(0.7 if at == place else 0.1 for at in range(4))
        assert row.correct == (place == row.gold)
    for row in sat(one, everybody(Wavering()))[sheet.persona.persona_id]:
        assert (row.choices, row.shares) == ((0, 1, 2, 3), (0.25,) * 4)
    rows = sat(one, everybody(Silent()))[sheet.persona.persona_id]
    assert {row.choices for row in rows} == {(-1,) * 4} and {row.correct for row in rows} == {0}
    assert accuracy_of(rows).unread == 4 * len(rows)


def test_no_more_users_sit_at_once_than_may(exam: Exam) -> None:
    inside, most = 0, 0

    @asynccontextmanager
    async def counted(user: str) -> AsyncIterator[MemoryAgent]:
        nonlocal inside, most
        inside, most = inside + 1, max(most, inside + 1)
        await asyncio.sleep(0)
        yield First()
        inside -= 1

    for at_once in (1, 2, 3):
        most = 0
        sat(exam, Candidate("extractive", "first", counted, at_once=at_once))
        assert most == at_once


def test_the_first_error_ends_the_exam_with_the_agents_own_words_and_the_others_with_it(exam: Exam) -> None:
    ended: list[str] = []

    def for_user(user: str) -> AbstractAsyncContextManager[MemoryAgent]:
        @asynccontextmanager
        async def entered() -> AsyncIterator[MemoryAgent]:
            try:
                if user == exam.sheets[1].persona.persona_id:
                    raise SubtextError("the index is gone")
                await asyncio.sleep(0 if user == exam.sheets[0].persona.persona_id else 600)
                yield First()
            finally:
                ended.append(user)

        return entered()

    with pytest.raises(SubtextError, match=r"^the index is gone$"):
        sat(exam, Candidate("command", "broken", for_user, at_once=3))
    assert len(ended) == 3


RECORDER = """
import json, sys
seen, said = 0, []
for line in sys.stdin:
    message = json.loads(line)
    said.append(message["type"])
    if message["type"] == "session":
        seen += 1
    reply = {"memory": {"text": "word " * seen} if sys.argv[2] == "shows" else None, "question": {"choice": 0}}.get(message["type"])
    print(json.dumps(reply), flush=True)
open(sys.argv[1] + "/" + message["user"], "w").write(json.dumps(said))
"""


@pytest.mark.parametrize("shows", [True, False])
def test_an_agent_that_keeps_its_memory_is_asked_for_it_at_each_moment(exam: Exam, tmp_path: Path, shows: bool) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(RECORDER, encoding="utf-8")
    (tmp_path / "said").mkdir()
    spec = Spec.of(f"command:{sys.executable} {agent} {tmp_path / 'said'} {'shows' if shows else 'hides'}")
    assert (spec.kind, spec.name) == (
        "command",
        f"python agent.py said {'shows' if shows else 'hides'}".replace("python", Path(sys.executable).name),
    )
    with make_agent(spec, 20, tmp_path / "calls") as candidate:
        found = sat(exam, candidate, 20)
    for sheet in exam.sheets:
        rows = found[sheet.persona.persona_id]
        assert [row.memory_tokens for row in rows] == [put.sessions if shows else None for put in sheet.questions]
        said = " ".join((tmp_path / "said" / sheet.persona.persona_id).read_text().strip('[]"').split('", "'))
        assert said.startswith("start ") and said.count("session") == len(sheet.sessions)
        assert said.count("memory") == len({put.turns for put in sheet.questions})
        assert "question memory" not in said and "session question" not in said
    used = memory_of([row for rows in found.values() for row in rows], 20)
    assert (used.hidden == 0, used.most_tokens is not None, used.over_budget > 0) == (shows, shows, shows)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("llm:Qwen/Qwen3-4B@http://gpu1:8000/v1", "llm", "Qwen/Qwen3-4B"),
        ("llm:/models/memory@v2@https://host/v1", "llm", "memory@v2"),
        ("command:python3 -u /home/me/agent.py --fast", "command", "python3 -u agent.py --fast"),
        ("http://127.0.0.1:9000/memory?token=secret", "service", "127.0.0.1/memory"),
        ("extractive", "extractive", "extractive"),
    ],
)
def test_what_agent_says_is_read_and_results_call_it_without_addresses(text: str, kind: str, name: str) -> None:
    assert (Spec.of(text).kind, Spec.of(text).name) == (kind, name)


@pytest.mark.parametrize("text", ["", "gpt-5", "llm:model", "llm:@http://x/v1", "command:", "ftp://host/x", "./nowhere"])
def test_what_names_no_agent_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"no such agent; give|not an outside agent"):
        Spec.of(text)
