"""Training a language model as memory agent: from a finished dataset and a config to `agent/training/<name>/`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory.exam import Sheet, make_sheet
from memory.replay import Limits
from schemas.errors import InputError, SubtextError
from schemas.history import History
from schemas.persona import Persona
from schemas.question import Question
from schemas.session import Session
from schemas.training import LlmTraining
from store.dataset import read_rows, table_files
from text.tokenizer import token_counter


def train_llm(root: Path, config: LlmTraining, say: Callable[[str], None]) -> dict[str, Any]:
    """Train on the train split of the dataset in `root`; a training that was killed goes on. Returns what was done, by stage.

    InputError where there is no finished dataset or not that history; SubtextError where the packages for training are not installed.
    """
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise SubtextError(f"training needs more packages ({error.name} is missing): pip install -e '.[train]'") from error
    from memory.training.run import train
    from memory.training.stage import Work

    folder = root / "agent" / "training" / config.run.name
    count = token_counter("minilm").count
    limits = Limits(config.memory.tokens, count, config.memory.chunk_tokens)
    return train(Work(config, train_sheets(root, config.run.history), folder, limits, say))


def train_sheets(root: Path, history: int | None) -> list[Sheet]:
    """What the users of the train split read and are asked, at one history budget (None: the smallest)."""
    try:
        budgets = json.loads((root / "manifest.json").read_text(encoding="utf-8"))["config"]["assemble"]["budgets"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{root} is not a finished dataset: it has no manifest.json (run the pipeline to its end first)") from error
    budget = min(budgets) if history is None else history
    if budget not in budgets:
        raise InputError(f"run.history: {root} has histories of {', '.join(map(str, budgets))} tokens (given: {budget})")

    def rows(table: str, record: Any) -> list[Any]:
        return read_rows(table_files(root / "data", table, "train"), record)

    personas = {row.persona_id: row for row in rows("personas", Persona)}
    sessions = {row.session_id: row for row in rows("sessions", Session)}
    questions = {row.question_id: row for row in rows("questions", Question)}
    count = token_counter("minilm").count
    return [
        make_sheet(personas[history.persona_id], history, sessions, questions, count)
        for history in rows(f"histories_{budget // 1000}k", History)
    ]
