"""A published dataset as the audit reads it: the Parquet of `data/` and the config in the manifest, nothing of the run behind them.

Whoever has downloaded a dataset can therefore audit it. All tables are held in memory, as dedup holds the sessions of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.config import AskConfig, ConverseConfig, DedupConfig, DistractConfig, ExpandConfig
from schemas.errors import InputError
from schemas.fact import Fact
from schemas.history import History, Placement
from schemas.persona import Persona
from schemas.question import Question
from schemas.seed import SPLITS, Split
from schemas.session import Session
from store.dataset import read_manifest, read_rows, table_files, unreadable_manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """What the config asked for, as far as figures compare with it."""

    ask: AskConfig
    expand: ExpandConfig
    converse: ConverseConfig
    distract: DistractConfig
    dedup: DedupConfig

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Plan":
        """The plan in a config as the manifest stores it."""
        return cls(
            AskConfig.model_validate(config["ask"]),
            ExpandConfig.model_validate({"graded": 0, **config["expand"]}),  # an older config does not know faint facts
            ConverseConfig.model_validate(config["converse"]),
            DistractConfig.model_validate(config["distract"]),
            DedupConfig.model_validate(config["dedup"]),
        )


@dataclass(frozen=True, slots=True)
class SplitTables:
    """The tables of one split, in the order of the files."""

    personas: Sequence[Persona]
    facts: Sequence[Fact]
    sessions: Sequence[Session]
    questions: Sequence[Question]
    histories: Sequence[History]


@dataclass(frozen=True, slots=True)
class Placed:
    """A question at its place in one history."""

    question: Question
    history: History
    placement: Placement


@dataclass(frozen=True)
class Published:
    """A dataset: its tables by split, and what was planned."""

    plan: Plan
    splits: Mapping[Split, SplitTables]

    @cached_property
    def personas(self) -> Sequence[Persona]:
        """The personas of all splits."""
        return [row for tables in self.splits.values() for row in tables.personas]

    @cached_property
    def sessions(self) -> Sequence[Session]:
        """The sessions of all splits."""
        return [row for tables in self.splits.values() for row in tables.sessions]

    @cached_property
    def questions(self) -> Sequence[Question]:
        """The questions of all splits."""
        return [row for tables in self.splits.values() for row in tables.questions]

    @cached_property
    def facts(self) -> Mapping[str, Fact]:
        """The facts of all splits, by id."""
        return {row.fact_id: row for tables in self.splits.values() for row in tables.facts}

    @cached_property
    def session(self) -> Mapping[str, Session]:
        """The sessions by id."""
        return {row.session_id: row for row in self.sessions}

    @cached_property
    def placed(self) -> Sequence[Placed]:
        """Every question in every history that holds it."""
        questions = {row.question_id: row for row in self.questions}
        histories = [row for tables in self.splits.values() for row in tables.histories]
        return [
            Placed(questions[placement.question_id], history, placement)
            for history in histories
            for placement in history.questions
            if placement.question_id in questions
        ]


def read_published(root: Path) -> Published:
    """The finished dataset in `root`; raises InputError where there is none."""
    manifest = read_manifest(root)
    try:
        plan = Plan.of(manifest["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable_manifest(root, error) from error
    return read_tables(root / "data", plan)


def read_tables(data: Path, plan: Plan) -> Published:
    """The tables in the folder `data`, as planned by `plan`."""
    budgets = sorted(path.name for path in data.glob("histories_*"))
    missing = [name for name in ("personas", "facts", "sessions", "questions") if not (data / name).is_dir()]
    if missing or not budgets:
        lacking = ", ".join([*missing, *(["histories"] if not budgets else [])])
        raise InputError(f"{data} lacks {lacking}: not a dataset, or one that was copied in part")
    splits = {
        split: SplitTables(
            read_rows(table_files(data, "personas", split), Persona),
            read_rows(table_files(data, "facts", split), Fact),
            read_rows(table_files(data, "sessions", split), Session),
            read_rows(table_files(data, "questions", split), Question),
            [history for name in budgets for history in read_rows(table_files(data, name, split), History)],
        )
        for split in SPLITS
    }
    for tables in splits.values():
        for question in tables.questions:
            if not 0 <= question.gold_index < len(question.options):
                raise InputError(f"{question.question_id}: gold_index is {question.gold_index}, of {len(question.options)} options")
    return Published(plan, splits)
