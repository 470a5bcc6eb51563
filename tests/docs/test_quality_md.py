"""`docs/quality.md` and the page on `audit.json` against what an audit writes: every figure and every key is explained."""

import re

import pytest

from tests.runs import REPO
from tests.validators.audit.dataset import clean
from validators.audit.audit import audit

TEXT = (REPO / "docs" / "quality.md").read_text(encoding="utf-8")
FOUND = audit(clean())


@pytest.mark.parametrize("name", [*FOUND["figures"], *FOUND["reported"]])
def test_every_figure_is_explained(name: str) -> None:
    assert f"`{name.replace('_days', '_tokens')}`" in TEXT


def test_every_key_is_explained() -> None:
    section = (REPO / "docs" / "data.md").read_text(encoding="utf-8").split("## audit.json")[1].split("\n## ")[0]
    explained = set(re.findall(r"^\| `(\w+)", section, re.MULTILINE))
    assert explained == {*FOUND, "review", "data"}, "the last two are added where people and tables are known"


def test_links_lead_to_headings() -> None:
    headings = [
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-") for line in TEXT.splitlines() if line[:1] == "#"
    ]
    pages = "".join((REPO / "docs" / name).read_text(encoding="utf-8") for name in ("data.md", "architecture.md"))
    assert {*re.findall(r"\]\(#([^)]+)\)", TEXT), *re.findall(r"quality\.md#([^)]+)\)", pages)} <= set(headings)
