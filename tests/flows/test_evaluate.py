"""Training and evaluating through the front door: a run that ends with an agent, the same by hand, and wrong input."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.results import Results
from tests.runs import subtext

ARMS = {
    "chance", "longest_option", "no_context", "profile_only", "other_memory", "recent_window", "bm25", "dense", "full_context",
    "untrained_memory", "trained_memory", "oracle_evidence", "gold_facts", "every_sentence", "random_lines",
}  # fmt: skip
PEOPLE = ("--set", "seeds.builtin_count=14", "--set", "agent.kind=extractive", "--set", "agent.budgets=[128, 512]")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that ended with an agent: its folder, and what it printed."""
    out = tmp_path_factory.mktemp("ended")
    done = subtext("run", *PEOPLE, "--out", str(out), tiny_run=True)
    assert done.returncode == 0, done.stderr
    return out / "tiny" / "0.1.0", done.stdout


def results_of(root: Path) -> Results:
    return Results.model_validate_json((root / "agent" / "results.json").read_text(encoding="utf-8"))


def test_a_run_ends_with_the_table_of_all_arms(ended: tuple[Path, str]) -> None:
    root, said = ended
    results = results_of(root)
    assert set(results.arms) == ARMS
    assert results.headline_budget == 512 and set(results.budgets) == {"128", "512"}
    assert all(arm in said for arm in ARMS)
    asked = pq.read_table(next((root / "data" / "questions").glob("test-*.parquet"))).num_rows
    assert {arm.n for arm in results.arms.values()} == {asked}
    assert results.arms["no_context"].position_consistency == 1.0


def test_what_was_answered_and_remembered_is_kept(ended: tuple[Path, str]) -> None:
    root, _ = ended
    answers = pq.read_table(root / "agent" / "answers.parquet")
    assert set(answers["arm"].to_pylist()) == ARMS
    memories = pq.read_table(root / "agent" / "memories.parquet").to_pylist()
    assert {(row["arm"], row["budget"]) for row in memories} == {
        (arm, b) for arm in ("trained_memory", "untrained_memory") for b in (128, 512)
    }
    shown = subtext("memory", "show", str(root), "--budget", "512")
    assert shown.returncode == 0 and "|" in shown.stdout


def test_what_is_there_is_not_done_again(ended: tuple[Path, str], tmp_path: Path) -> None:
    root, _ = ended
    again = subtext("run", *PEOPLE, "--out", str(root.parent.parent), tiny_run=True)
    assert again.returncode == 0
    assert "training" not in again.stderr and "trained_memory" in again.stdout


def test_the_same_dataset_and_seed_give_the_same_results(ended: tuple[Path, str], tmp_path: Path) -> None:
    root, _ = ended
    copy = tmp_path / "tiny" / "0.1.0"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("agent", "stages", "journal"))
    assert subtext("train", str(copy), "--no-prefect").returncode == 0
    done = subtext("evaluate", str(copy), "--no-prefect", "--budgets", "128")
    assert done.returncode == 0, done.stderr
    assert results_of(copy) == results_of(root)


def test_an_exam_can_be_sat_by_the_trained_agent(ended: tuple[Path, str]) -> None:
    root, _ = ended
    done = subtext("exam", str(root), "--agent", str(root / "agent" / "extractive"), "--history", "12000", SUBTEXT_CONFIG=str(root.parent))
    assert done.returncode == 0, done.stderr
    result = json.loads(next((root / "agent").glob("exam-*.json")).read_text(encoding="utf-8"))
    assert result["accuracy"]["value" if "value" in result["accuracy"] else "accuracy"] == pytest.approx(
        results_of(root).arms["trained_memory"].accuracy, abs=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "{copy}", "--no-prefect"), "no trained extractive agent; train one"),
        (("evaluate", "{copy}", "--no-prefect", "--budgets", "128;512"), "whole numbers with commas"),
        (("evaluate", "{copy}", "--no-prefect", "--budgets", "8"), "no line fits into 8 tokens"),
        (("train", "{copy}/nowhere", "--no-prefect"), "nowhere"),
        (("train", "{copy}", "--no-prefect", "--set", "a.b=1"), "belongs to a --config"),
    ],
)
def test_wrong_input_gets_one_line(ended: tuple[Path, str], tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ended[0], copy, ignore=shutil.ignore_patterns("agent", "stages", "journal"))
    done = subtext(*(part.replace("{copy}", str(copy)) for part in arguments))
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (copy / "agent").exists()
