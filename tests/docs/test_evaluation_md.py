"""`docs/evaluation.md` and the page on `agent/results.json` against the records: every figure and every key is explained."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from memory.measures.failures import CAUSES
from memory.measures.groups import groups_of
from schemas.results import ArmResult, Comparison, CostResult, FailureResult, MemoryResult, Results
from tests.memory.measures.test_groups import EXAM, FACTS
from tests.runs import REPO

TEXT = (REPO / "docs" / "evaluation.md").read_text(encoding="utf-8")
DATA = (REPO / "docs" / "data.md").read_text(encoding="utf-8")
KEYS = DATA.split("### agent/results.json")[1]


def records(annotation: Any) -> Iterator[type[BaseModel]]:
    """The records in an annotation, and those in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from records(info.annotation)
    for inner in get_args(annotation):
        yield from records(inner)


def test_every_key_stands_in_the_data_page_and_no_other_does() -> None:
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", KEYS, re.MULTILINE)
    explained = {part for key, _ in rows for part in re.findall(r"\w+", re.sub(r"<.*?>", "", key))}
    explained |= {name for _, meaning in rows for name in re.findall(r"`(\w+)`", meaning)}
    wanted = {name for record in records(Results) for name in record.model_fields}
    arms = {"trained_memory", "full_context", "n"}
    assert explained - arms == wanted - arms


@pytest.mark.parametrize(
    "name",
    sorted(
        {*ArmResult.model_fields, *Comparison.model_fields, *MemoryResult.model_fields, *FailureResult.model_fields, *CAUSES}
        - {"arm", "other", "budget"} | {"cheaper_from"} | set(groups_of(EXAM, FACTS, bool))
    ),
)  # fmt: skip
def test_every_figure_and_every_dimension_is_explained(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_causes_are_those_of_the_record() -> None:
    assert {*CAUSES, "wrong"} == set(FailureResult.model_fields)
    assert {"cheaper_from", "tokens", "usd"} < set(CostResult.model_fields)


def test_links_lead_to_headings() -> None:
    for page, anchor in re.findall(r"\]\((\w+\.md)?#([^)]+)\)", TEXT):
        target = (REPO / "docs" / page).read_text(encoding="utf-8") if page else TEXT
        headings = [
            re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-") for line in target.splitlines() if line[:1] == "#"
        ]
        assert anchor in headings
    for anchor in re.findall(r"\]\(evaluation\.md#([^)]+)\)", DATA):
        assert f"## {anchor}" in TEXT.lower()
