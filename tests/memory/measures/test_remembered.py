"""The metrics of memories, by hand."""

from collections.abc import Sequence
from datetime import date

import pytest

from memory.measures.answers import Sat
from memory.measures.remembered import memory_results, rate_of
from schemas.errors import InputError
from schemas.results import MemoryResult, MemoryRow
from tests.memory.measures.hand import fact, holding, noise, session, written

FACTS = [
    fact("u1/f1", "drink", "tea"),
    fact("u1/f2", "drink", "coffee", supersedes="u1/f1"),
    fact("u1/f3", "pet", "a cat"),
    fact("u1/f4", "sport", "rowing"),
    fact("u1/f5", "key", "a service key", repeatable=False),
    fact("u1/t1", "drink", "milk", status="trap", owner="Ann"),
    fact("u1/t2", "sport", "golf", status="trap"),
]
TEA, COFFEE, FUR = "Earl Grey at four in the blue pot", "The grinder woke the whole house", "Fur on the keyboard this morning"
OARS, KEY = "Blisters from the oars again today", "It sits in auth=sk-test-ab12cd since then"
SESSIONS = [
    session("u1/s000", TEA, fact_ids=("u1/f1",)),
    session("u1/s001", COFFEE, fact_ids=("u1/f2",), role="update"),
    session("u1/s002", FUR, fact_ids=("u1/f3",)),
    session("u1/s003", OARS, fact_ids=("u1/f4",)),
    session("u1/s004", "Forget about my sport please", fact_ids=("u1/f4",), role="forget", cue=None),
    session("u1/s005", KEY, fact_ids=("u1/f5",)),
    noise("u1/s006", "Ann drinks milk", "third_person", ["u1/t1"], "other"),
    noise("u1/s007", "If I played golf", "hypothetical", ["u1/t2"]),
    noise("u1/s008", "A parcel came", "unrelated"),
]


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def result(*lines: str, budget: int = 100) -> MemoryResult:
    own = {"u1": holding(SESSIONS, FACTS)}
    rows = [
        MemoryRow(arm="a", budget=budget, persona_id="u1", write=write, until=date(2025, 3, 9), memory=memory)
        for write, memory in ((2, "\n".join(lines)), (1, written("s000", "an earlier memory, which does not count")))
    ]
    return memory_results(own, rows, words)[Sat("a", budget)]


def test_an_empty_memory_holds_nothing_and_does_no_harm() -> None:
    found = result()
    assert (found.recall.value, found.recall.n) == (0.0, 2)  # coffee and the cat
    assert (found.precision.value, found.precision.ci95, found.precision.n) == (None, None, 0)
    for rate in (found.staleness, found.forget_leak, found.owner_error, found.secret_leak, *found.false_memories.values()):
        assert (rate.value, rate.n) == (0.0, 1)
    assert list(found.false_memories) == ["hypothetical", "third_person", "unrelated"]


def test_recall_and_precision() -> None:
    found = result(written("s002", FUR), written("s008", "a parcel came"), written("s001", COFFEE, status="superseded"))
    assert (found.recall.value, found.recall.n) == (0.5, 2)
    assert (found.precision.value, found.precision.n) == (0.5, 2)  # a line that is not active claims nothing
    assert found.false_memories["unrelated"].value == 1.0


def test_what_is_remembered_of_somebody_else_is_precise_under_their_name_only() -> None:
    right, wrong = written("s006", "drinks milk", owner="Ann"), written("s006", "drinks milk", owner="Bo")
    assert result(right).precision.value == 1.0
    assert result(wrong).precision.value == 0.0
    mine = result(written("s006", "drinks milk"))
    assert (mine.precision.value, mine.owner_error.value, mine.false_memories["third_person"].value) == (0.0, 1.0, 1.0)
    assert result(right).owner_error.value == 0.0
    assert result(written("s007", "plays golf")).owner_error.value == 0.0, "a supposition is nobody's, but it is a false memory"
    assert result(written("s007", "plays golf")).false_memories["hypothetical"].value == 1.0


@pytest.mark.parametrize(("status", "value"), [("", 1.0), ("superseded", 0.0)])
def test_staleness(status: str, value: float) -> None:
    found = result(written("s000", TEA, status=status))
    assert (found.staleness.value, found.staleness.n) == (value, 1)


@pytest.mark.parametrize(("status", "value"), [("", 1.0), ("forgotten", 0.0)])
def test_forget_leak(status: str, value: float) -> None:
    found = result(written("s003", OARS, status=status), written("s004", "Forget about my sport please"))
    assert (found.forget_leak.value, found.forget_leak.n) == (value, 1)


def test_a_secret_leaks_by_its_letters_whatever_the_status() -> None:
    assert result(written("s005", "has a key, SK-TEST-AB12CD", status="forgotten")).secret_leak.value == 1.0
    assert result(written("s005", "has a service key")).secret_leak.value == 0.0


def test_the_use_of_the_budget() -> None:
    line = written("s002", FUR)
    assert result(line, budget=18).budget_use.value == pytest.approx(len(line.split()) / 18, abs=1e-4)


def test_rates_count_all_users_and_resample_those_who_have_something() -> None:
    rate = rate_of({"a": (1, 2), "b": (2, 2), "c": (0, 0)})
    assert (rate.value, rate.ci95, rate.n) == (0.75, (0.5, 1.0), 4)


def test_memories_of_other_users_are_refused() -> None:
    rows = [MemoryRow(arm="a", budget=9, persona_id="u2", write=1, until=date(2025, 3, 9), memory="")]
    with pytest.raises(InputError, match="a@9: memories are there of other users than sit the exam"):
        memory_results({"u1": holding(SESSIONS, FACTS)}, rows, words)
