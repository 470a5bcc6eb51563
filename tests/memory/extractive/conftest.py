"""One small dataset, and one agent trained on it, for all tests of the extractive agent."""

from pathlib import Path

import pytest

from flows.extractive import sheets_of
from memory.extractive.desk import Desk
from memory.extractive.learn import Learned, School, learn
from memory.extractive.training import Schedule
from memory.read_exam import exam_tokens
from schemas.fact import Fact
from store.dataset import read_published
from tests.runs import run_here, tiny

SCHEDULE = Schedule(epochs=2, users=12, group=4)
BUDGET = 256


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published dataset of 20 people."""
    config = tiny(seeds={"builtin_count": 20}, expand={"facts_per_persona": 8}, ask={"questions_per_persona": 16})
    return run_here(config, tmp_path_factory.mktemp("people")).folder.root


@pytest.fixture(scope="session")
def facts(people: Path) -> dict[str, Fact]:
    return {fact.fact_id: fact for fact in read_published(people / "data", "facts", Fact)}


@pytest.fixture(scope="session")
def school(people: Path, facts: dict[str, Fact]) -> School:
    return School(sheets_of(people, "train", 12_000), sheets_of(people, "validation", 12_000), facts)


@pytest.fixture(scope="session")
def learned(school: School) -> Learned:
    return learn(school, exam_tokens().count, BUDGET, SCHEDULE)


@pytest.fixture(scope="session")
def desk(learned: Learned) -> Desk:
    return learned.agent.desk
