"""The embedded agent from end to end: read a finished dataset, train on it, evaluate on its test split, write what was found."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from memory.evaluation import Answered, add_agent, add_contexts, add_rules
from memory.exam import Exam, Sheet
from memory.extractive.agent import ExtractiveAgent
from memory.extractive.files import load_agent, save_agent
from memory.extractive.learn import Learned, School, learn
from memory.extractive.training import Schedule
from memory.measures.holding import span_text
from memory.measures.results import Evidence, measure
from memory.read_exam import exam_tokens, read_exam
from schemas.arrow import to_table
from schemas.base import Record
from schemas.errors import InputError
from schemas.fact import Fact
from schemas.results import AnswerRow, MemoryRow, MomentRow, Results
from schemas.seed import Split
from schemas.session import Session
from store.dataset import read_manifest, read_rows, table_files
from store.folder import write_text
from store.parts import write_table

MODEL, RESULTS = Path("agent") / "extractive", Path("agent") / "results.json"
RecordT = TypeVar("RecordT", bound=Record)
Say = Callable[[str], None]


def history_budget(root: Path, wanted: int | None = None) -> int:
    """The budget of the histories that agents read: the one that is wanted, else the dataset's first."""
    budgets = read_manifest(root).get("config", {}).get("assemble", {}).get("budgets") or [32_000]
    return int(wanted or budgets[0])


def train_extractive(root: Path, budget: int, seed: int, say: Say) -> Learned:
    """Train on the train split of the dataset `root` for memories of `budget` tokens, and keep the agent in it."""
    histories = history_budget(root)
    train = read_exam(root, "train", histories).sheets
    validation = sheets_of(root, "validation", histories)
    facts = {fact.fact_id: fact for fact in (*_rows(root, "facts", "train", Fact), *_rows(root, "facts", "validation", Fact))}
    say(f"training the extractive agent on {len(train)} people")
    learned = learn(School(train, validation, facts), exam_tokens().count, budget, Schedule(seed=seed))
    save_agent(learned.agent, root / MODEL, budget=budget, seed=seed, people=len(train), rewards=[round(one, 4) for one in learned.rewards])
    return learned


def sheets_of(root: Path, split: Split, histories: int) -> tuple[Sheet, ...]:
    """The sheets of a split; none where a small dataset asks nothing there."""
    try:
        return read_exam(root, split, histories).sheets
    except InputError:
        return ()


def evaluate_extractive(root: Path, budgets: Sequence[int], budget: int, say: Say, split: Split = "test") -> Results:
    """Let every arm sit the exam of `split`, and write agent/results.json and the Parquet beside it. Raises InputError where no agent has
    been trained.
    """
    count = exam_tokens().count
    agent = load_agent(root / MODEL, count, budget)
    seed = int(json.loads((root / MODEL / "model.json").read_text(encoding="utf-8"))["seed"])
    exam = read_exam(root, split, history_budget(root))
    facts = {fact.fact_id: fact for fact in _rows(root, "facts", split, Fact)}
    answered = asyncio.run(_all_arms(exam, (agent, agent.untrained(seed)), facts, budgets, say))
    spans = [span_text(session, span) for session in _rows(root, "sessions", "train", Session) for span in session.evidence]
    evidence = Evidence(exam, facts, spans, answered.answers, answered.memories, answered.moments, answered.costs, count)
    results = measure(evidence, headline_budget=budget)
    tables: list[tuple[str, Sequence[Record], type[Record]]] = [
        ("answers", answered.answers, AnswerRow), ("memories", answered.memories, MemoryRow), ("moments", answered.moments, MomentRow),
    ]  # fmt: skip
    for name, rows, record in tables:
        write_table(root / "agent" / f"{name}.parquet", to_table(rows, record))
    write_text(root / RESULTS, results.model_dump_json(indent=1) + "\n")
    return results


async def _all_arms(
    exam: Exam, agents: tuple[ExtractiveAgent, ExtractiveAgent], facts: dict[str, Fact], budgets: Sequence[int], say: Say
) -> Answered:
    answered = Answered(exam, exam_tokens().count)
    add_rules(answered)
    say(f"asking {sum(1 for _ in exam.questions)} questions of {len(exam.sheets)} people")
    trained, untrained = agents
    await add_contexts(answered, trained, facts, budgets)
    for budget in budgets:
        say(f"reading their histories with {budget} tokens of memory")
        await add_agent(answered, "trained_memory", replace(trained, budget=budget), budget, other="other_memory")
        await add_agent(answered, "untrained_memory", replace(untrained, budget=budget), budget)
    return answered


def found_results(root: Path, budgets: Sequence[int], budget: int) -> Results | None:
    """The results that lie in the dataset already, where they are of its test exam, at these budgets."""
    try:
        results = Results.model_validate_json((root / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = {str(one) for one in budgets} == set(results.budgets) and results.headline_budget == budget
    return results if same and results.exam.seal == read_exam(root, "test", history_budget(root)).seal else None


def _rows(root: Path, table: str, split: Split, record: type[RecordT]) -> list[RecordT]:
    return read_rows(table_files(root / "data", table, split), record)
