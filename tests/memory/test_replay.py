"""A history is handed over as it happened: nothing of a question or of what comes later can reach a write."""

import asyncio
from datetime import UTC, date, datetime

from memory.agent import Answer, Asked
from memory.chunks import Chunk, Turn
from memory.replay import Limits, Sitting, Stop, sit
from schemas.memory import Memory, MemoryLine
from schemas.session import Message

AT = datetime(2025, 1, 1, tzinfo=UTC)


class Parrot:
    """Remembers every message word for word, and answers with how many it remembers."""

    name = "parrot"

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[str]]] = []

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        said = [turn.message.content for turn in chunk.turns]
        self.calls.append((len(memory.lines), said))
        day = date(2025, 1, 1)
        lines = [
            MemoryLine(owner="self", text=text, first_seen=day, last_seen=day, session_ids=(), status="active") for text in said
        ]  # fmt: skip
        return Memory(lines=(*memory.lines, *lines))

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        del asked
        return Answer(text=" ".join(line.text for line in memory.lines))


def replayed(messages: int, stops: dict[int, str], most: int, budget: int = 10_000) -> tuple[Parrot, Sitting]:
    agent = Parrot()
    turns = [Turn("s", AT, Message(role="user", content=f"m{number}"), 1) for number in range(messages)]
    asked = [Stop(at, {name: Asked(AT, f"secret question {name}", ("a", "b"))}) for at, name in stops.items()]
    limits = Limits(memory_tokens=budget, count=lambda texts: [1] * len(texts), chunk_tokens=most)
    return agent, asyncio.run(sit(agent, turns, asked, limits))


def test_each_question_is_answered_from_what_came_before_it() -> None:
    _, sitting = replayed(7, {0: "none", 2: "two", 3: "three", 4: "four", 7: "all"}, most=3)
    assert {name: answer.text for name, answer in sitting.answers.items()} == {
        "none": "", "two": "m0 m1", "three": "m0 m1 m2", "four": "m0 m1 m2 m3", "all": "m0 m1 m2 m3 m4 m5 m6",
    }  # fmt: skip


def test_asking_changes_nothing() -> None:
    asked, with_questions = replayed(7, {2: "two", 4: "four"}, most=3)
    quiet, without = replayed(7, {}, most=3)
    assert with_questions.memories == without.memories
    assert quiet.calls == [(0, ["m0", "m1", "m2"]), (3, ["m3", "m4", "m5"]), (6, ["m6"])]
    assert [call for call in asked.calls if call not in quiet.calls] == [(0, ["m0", "m1"]), (3, ["m3"])]


def test_no_question_and_nothing_later_reaches_a_write() -> None:
    for at in range(8):
        agent, sitting = replayed(7, {at: "q"}, most=3)
        assert not any("question" in text for _, said in agent.calls for text in said)
        assert sitting.answers["q"].text == " ".join(f"m{number}" for number in range(at))


def test_a_memory_over_its_budget_is_cut_before_it_is_used() -> None:
    _, sitting = replayed(7, {7: "all"}, most=3, budget=4)
    assert [len(memory.lines) for memory in sitting.memories] == [3, 4, 4]
    assert sitting.answers["all"].text == "m0 m1 m2 m3"


def test_the_choice_of_an_answer() -> None:
    assert Answer(shares=(0.1, 0.7, 0.2)).chosen == 1
    assert Answer(choice=0).chosen == 0
    assert Answer().chosen is None
