"""The README's queries run, its settings exist, and its links lead somewhere."""

import re
from pathlib import Path

from schemas.config import Config
from store.catalog import ask
from tests.runs import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")


def test_every_query_of_the_readme_answers(published: Path) -> None:
    queries = re.findall(r'^subtext sql \$D "(.+)"$', README, re.MULTILINE)
    assert len(queries) >= 5
    for query in queries:
        assert ask(published, query.replace("histories_32k", "histories_12k")).rows, query


def test_every_setting_of_the_readme_exists_with_its_default() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", README, re.MULTILINE)
    assert len(rows) >= 15
    config = Config.model_validate({"dataset": {"name": "d"}})
    for names, _ in rows:
        for name in re.findall(r"`([a-z_.*]+)`", names):
            value: object = config
            for part in name.removesuffix(".*").split("."):
                assert hasattr(value, part), name
                value = getattr(value, part)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (REPO / target).exists(), target
