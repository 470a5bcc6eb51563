"""The gate: a dataset with a broken figure is not published, unless whoever runs it says so; then it says so itself."""

import json
import re
from pathlib import Path

import duckdb
import pytest

from flows.pipeline import Outcome
from schemas.config import Config, load_config
from schemas.errors import SubtextError
from tests.llm import said
from tests.runs import REPO, hashes, run_here, subtext, tiny

VISIBLE = ("data", "README.md", "manifest.json", "catalog.duckdb", "splits.parquet", "summary.json")


@pytest.fixture
def evaluation_set(published: Path, tmp_path: Path) -> Path:
    """A file with a text that the tiny dataset holds, so that its audit finds it contaminated."""
    said = "messages[e.message + 1].content[e.start + 1 : e.end]"
    shown = f"(SELECT *, unnest(evidence) AS e FROM '{published}/data/sessions/*.parquet')"
    texts = duckdb.execute(f"SELECT {said} FROM {shown} ORDER BY session_id").fetchall()
    path = tmp_path / "held-out.txt"
    path.write_text(max((text for (text,) in texts), key=len), encoding="utf-8")
    return path


def run_gated(out: Path, against: Path, gate: str = "block") -> Outcome:
    """Run the tiny config and compare it with `against`."""
    return run_here(tiny(audit={"decontaminate": [str(against)], "gate": gate}), out)


def there(root: Path) -> set[str]:
    """What a reader would see in the folder, and whatever is unfinished."""
    return {name for name in VISIBLE if (root / name).exists()} | {path.name for path in root.glob(".*.tmp")}


def test_the_gate_is_closed_unless_a_config_opens_it() -> None:
    assert Config.model_validate({"dataset": {"name": "d"}}).audit.gate == "block"
    assert [path.stem for path in sorted((REPO / "configs").glob("*.yaml")) if load_config(path).audit.gate == "report"] == [
        "demo",
        "local-llm",
    ]


def test_a_broken_dataset_is_refused_and_only_its_figures_stay(evaluation_set: Path, tmp_path: Path) -> None:
    with pytest.raises(SubtextError, match=r"not published.*contamination is \d+, limit 0.*--allow-failing"):
        run_gated(tmp_path, evaluation_set)
    root = tmp_path / "tiny" / "0.1.0"
    assert there(root) == set()
    found = json.loads((root / "audit.json").read_text(encoding="utf-8"))
    assert not found["passed"] and found["figures"]["contamination"]["verdict"] == "broken"


def test_what_an_attempt_that_was_cut_short_left_does_not_stay_either(evaluation_set: Path, tmp_path: Path) -> None:
    root = run_gated(tmp_path, evaluation_set, "report").folder.root
    (root / "manifest.json").unlink()  # killed before the end
    with pytest.raises(SubtextError, match="not published"):
        run_gated(tmp_path, evaluation_set)
    assert there(root) == set()


def test_a_finished_version_is_not_taken_away_by_a_run_that_is_refused(evaluation_set: Path, tmp_path: Path) -> None:
    root = run_gated(tmp_path, evaluation_set, "report").folder.root
    (root / "catalog.duckdb").unlink()
    with pytest.raises(SubtextError, match="not published"):
        run_gated(tmp_path, evaluation_set)
    assert there(root) == {*VISIBLE} - {"catalog.duckdb"}


def test_a_refused_run_is_published_as_failing_without_making_anything_anew(evaluation_set: Path, published: Path, tmp_path: Path) -> None:
    against = f"audit.decontaminate=['{evaluation_set}']"
    arguments = ("--out", str(tmp_path), "--set", "audit.gate=block", "--set", against)
    refused = subtext("run", *arguments, tiny_run=True)
    assert refused.returncode == 1 and refused.stdout == ""
    begins = r"subtext: not published, because the audit finds broken figures: contamination is \d+, limit 0 \("
    assert re.match(begins, said(refused.stderr))
    root = tmp_path / "tiny" / "0.1.0"
    stages = hashes(root / "stages", "**/*.*")
    done = subtext("run", *arguments, "--allow-failing", tiny_run=True)
    assert done.returncode == 0, done.stderr
    assert "marked as failing its audit: contamination" in done.stdout
    assert hashes(root / "stages", "**/*.*") == stages and hashes(root / "data") == hashes(published / "data")
    summary = json.loads((root / "summary.json").read_text(encoding="utf-8"))
    assert all(stage["parts"] == stage["reused"] for name, stage in summary["stages"].items() if name != "publish")
    assert summary["broken"] == ["contamination"]
    assert json.loads((root / "manifest.json").read_text(encoding="utf-8"))["audit"] == "failing"
    card = (root / "README.md").read_text(encoding="utf-8")
    assert "# tiny 0.1.0\n\n> **Warning: this dataset fails its audit.** Broken: contamination. These" in card
    assert subtext("run", *arguments, tiny_run=True).returncode == 0, "what is published stays published"


def test_a_dataset_that_passes_says_so(published: Path) -> None:
    assert json.loads((published / "manifest.json").read_text(encoding="utf-8"))["audit"] == "passed"
    assert json.loads((published / "summary.json").read_text(encoding="utf-8"))["broken"] == []
    assert "fails its audit" not in (published / "README.md").read_text(encoding="utf-8")
