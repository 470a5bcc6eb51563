"""Part of `make verify`: the embedded agent on the small config, for three seeds of its training, and on histories without evidence."""

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from flows.extractive import MODEL, evaluate_extractive, train_extractive
from memory.chunks import turns_of
from memory.evaluation import Answered, add_agent, add_contexts
from memory.exam import Exam, Put, Sheet
from memory.extractive.files import load_agent
from memory.intervals import Scores
from memory.read_exam import exam_tokens, read_exam
from schemas.fact import Fact
from schemas.results import Results
from store.dataset import read_published
from tests.flows.test_scale import note
from tests.runs import REPO, command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
WITHOUT_HISTORY = ("chance", "longest_option", "no_context", "profile_only", "other_memory")
BUDGET = 512


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published `configs/small.yaml`."""
    out = tmp_path_factory.mktemp("small")
    done = subprocess.run(
        command("run", str(REPO / "configs" / "small.yaml"), "--no-prefect", "--out", str(out)), cwd=REPO, check=False,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.returncode == 0
    return out / "small" / "0.1.0"


def quiet(text: str) -> None:
    del text


def figures(results: Results) -> dict[str, object]:
    memory = results.memory[str(BUDGET)]
    return {
        "gap_closed": results.gap_closed,
        "accuracy": {arm: found.accuracy for arm, found in sorted(results.arms.items())},
        "ahead": {one.other: (one.difference, one.ci95) for one in results.comparisons if one.budget == BUDGET},
        "memory": {arm: {"recall": memory[arm].recall.value, "precision": memory[arm].precision.value} for arm in sorted(memory)},
    }


def test_the_agent_learns_what_to_keep_whatever_the_seed(small: Path) -> None:
    """What is certain with 40 users is held; the differences between arms are written down, certain or not."""
    found = {}
    for seed in (1, 2, 3):
        train_extractive(small, BUDGET, seed, quiet)
        found[seed] = evaluate_extractive(small, [BUDGET], BUDGET, quiet)
    note("agent", **{f"seed_{seed}": figures(results) for seed, results in found.items()})
    for results in found.values():
        trained, untrained = (results.memory[str(BUDGET)][arm] for arm in ("trained_memory", "untrained_memory"))
        for kept, by_chance in ((trained.recall, untrained.recall), (trained.precision, untrained.precision)):
            assert kept.ci95 is not None and by_chance.ci95 is not None
            assert kept.ci95[0] > by_chance.ci95[1]
        assert results.arms["trained_memory"].accuracy > results.arms["untrained_memory"].accuracy
        assert results.arms["oracle_evidence"].ci95[0] > results.arms["no_context"].ci95[1]
        assert all(results.arms[arm].ci95[0] <= 0.25 for arm in WITHOUT_HISTORY)
        assert set(results.arms["trained_memory"].by["cue"]) <= {"unseen", "none"}


def without_evidence(sheet: Sheet) -> Sheet:
    """The sheet as if nothing had ever been shown: only noise is left, and the questions stand where they stood."""
    left = tuple(session for session in sheet.sessions if session.role == "noise")
    counts = exam_tokens().count
    turns = turns_of(left, [counts([message.content for message in session.messages]) for session in left])
    puts = []
    for put in sheet.questions:
        before = [session for session in sheet.sessions[: put.sessions] if session.role == "noise"]
        puts.append(Put(put.question, sum(len(session.messages) for session in before), len(before), None))
    return replace(sheet, sessions=left, turns=tuple(turns), questions=tuple(puts))


def test_without_evidence_nobody_who_reads_is_above_chance(small: Path) -> None:
    """The planted control: where the same questions have nothing to be answered from, no arm finds anything."""
    if not (small / MODEL).exists():
        train_extractive(small, BUDGET, 1, quiet)
    agent = load_agent(small / MODEL, exam_tokens().count, BUDGET)
    exam = read_exam(small, "test", 32_000)
    answered = Answered(Exam("control", tuple(without_evidence(sheet) for sheet in exam.sheets)), exam_tokens().count)

    facts = {fact.fact_id: fact for fact in read_published(small / "data", "facts", Fact)}

    async def sit_it() -> None:
        await add_contexts(answered, agent, facts, [BUDGET])
        await add_agent(answered, "trained_memory", agent, BUDGET)

    asyncio.run(sit_it())
    gold = {put.question.question_id: put.question.gold_index for _, put in exam.questions}
    readers = ("trained_memory", "recent_window", "every_sentence", "random_lines", "bm25", "dense", "full_context", "oracle_evidence")
    seen = {}
    for arm in readers:
        rows = [row for row in answered.answers if row.arm == arm]
        right = [sum(choice == gold[row.question_id] for choice in row.choices) / len(row.choices) for row in rows]
        scores = Scores.of([row.persona_id for row in rows], {arm: right})
        seen[arm] = (round(scores.mean(arm), 4), round(scores.interval(arm)[0], 4), round(scores.interval(arm)[1], 4))
    note("agent_control", **seen)
    assert all(low <= 0.25 for _, low, _ in seen.values()), seen
