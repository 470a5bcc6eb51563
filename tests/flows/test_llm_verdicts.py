"""Drafts with a planted flaw, written by a scripted model: each becomes a reject, and what every validator said of it is kept."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas.config import Config
from schemas.stage import StageName
from tests.llm import content_hash, fields, kind_of, rejects, root
from tests.runs import run_here
from tests.servers.model import ScriptedModel
from tests.willing import willing

FLAWS: dict[str, tuple[StageName, str, str, str]] = {
    "synthetic": ("converse", "converse", "exchanges", " Write to ann.k@gmail.com."),
    "meta_talk": ("distract", "distract", "exchanges", " This shows the hidden preference."),
    "option_balance": ("ask", "items", "answers", " And then some more of it, at length." * 3),
}
"""Of each validator: the stage to run to, the stage whose drafts are spoiled, where in them, and the words that spoil them."""
PROMPTS = {"converse": "converse/", "distract": "distract/", "items": "ask/item"}


def verdicts(folder: Path, stage: str) -> dict[str, list[tuple[Any, ...]]]:
    """What was said of each record of a stage, in order."""
    said: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for record, *verdict in duckdb.execute(
        f"SELECT record_id, validator, passed, reason, judge FROM '{folder}/verdicts/{stage}/*.parquet'"
    ).fetchall():
        said[record].append(tuple(verdict))
    return said


def spoiling(stage: str, where: str, words: str) -> Callable[[dict[str, Any]], Any]:
    """A willing model that spoils a third of its drafts for a stage, by content."""

    def reply(request: dict[str, Any]) -> Any:
        made = willing(request)
        if kind_of(request).startswith(PROMPTS[stage]) and content_hash(request["messages"][1]["content"]) % 3 == 0:
            made[where][0]["assistant" if where == "exchanges" else "text"] += words
        return made

    return reply


@pytest.mark.parametrize("validator", FLAWS)
def test_a_planted_flaw_is_a_reject_whose_verdicts_are_kept(tmp_path: Path, validator: str) -> None:
    until, stage, where, words = FLAWS[validator]
    with ScriptedModel(reply=spoiling(stage, where, words)) as model:
        run_here(Config.model_validate(fields(model)), tmp_path / "output", until)
    folder = root(tmp_path)
    refused = rejects(folder, stage, "record_id, reason, detail, raw IS NOT NULL, retry")
    planted = [one for one in refused if one[1] == validator]
    assert planted
    said = verdicts(folder, stage)
    for record, _, detail, has_draft, retry in planted:
        assert said[record][-1] == (validator, False, detail, "rule")
        assert all(passed for _, passed, _, _ in said[record][:-1])
        assert has_draft
        assert retry == record
    kept = duckdb.execute(f"SELECT {'item_id' if stage == 'items' else 'session_id'} FROM '{folder}/stages/{stage}/*.parquet'").fetchall()
    assert kept
    for (record,) in kept:
        assert said[record]
        assert all(passed for _, passed, _, _ in said[record])
    assert {record for record, given in said.items() if not given[-1][1]} <= {record for record, *_ in refused}
