"""What a reader gets: tables that `datasets` and DuckDB read, splits that share nothing, a finished version or none."""

import json
import re
import shutil
from itertools import combinations
from pathlib import Path

import datasets
import duckdb
import pytest

from author.offline.people import load_people
from schemas.errors import InputError, SubtextError
from schemas.seed import SPLITS
from store.catalog import ask
from tests.runs import REPO, hashes, run_here, subtext, tiny

CONFIGS = ("questions", "sessions", "personas", "facts", "histories_12k")


@pytest.mark.parametrize("config", CONFIGS)
def test_datasets_loads_every_config_with_all_splits(published: Path, tmp_path: Path, config: str) -> None:
    loaded = datasets.load_dataset(str(published), config, cache_dir=str(tmp_path))
    # of five people, the one in the test split is alone there: nobody else could have the other options of an item right
    assert set(loaded) == set(SPLITS) if config != "questions" else "train" in loaded
    for split in loaded:
        ((rows,),) = duckdb.execute(f"SELECT count(*) FROM '{published}/data/{config}/{split}-*.parquet'").fetchall()
        assert len(loaded[split]) == rows > 0


def test_views_answer_after_the_folder_has_moved(published: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "dataset"
    shutil.copytree(published, moved)
    names = [str(row[0]) for row in ask(moved, "SELECT view_name FROM duckdb_views() WHERE NOT internal").rows]
    assert {*CONFIGS, "rejects", "stage_expand", "rejects_dedup"} <= set(names)
    for name in names:
        counted = ask(moved, f'SELECT count(*) FROM "{name}"').rows[0][0]
        assert isinstance(counted, int)
        assert counted > 0 or name.startswith(("rejects", "verdicts_"))
    with duckdb.connect(str(moved / "catalog.duckdb"), read_only=True) as connection:
        connection.execute("SET file_search_path = ?", [str(moved)])
        assert connection.execute("SELECT count(*) FROM questions").fetchone() != (0,)


SHARED = {
    "persona": "SELECT persona_id FROM '{}/data/personas/{}-*.parquet'",
    "seed": "SELECT seed_id FROM '{}/data/personas/{}-*.parquet'",
    "session": "SELECT session_id FROM '{}/data/sessions/{}-*.parquet'",
    "session text": "SELECT list_transform(messages, lambda m: m.content)::VARCHAR FROM '{}/data/sessions/{}-*.parquet'",
    "user's words": "SELECT messages[1].content FROM '{}/data/sessions/{}-*.parquet'",
    "padding text": "SELECT unnest(messages).content FROM '{}/data/sessions/{}-*.parquet' WHERE noise_kind = 'unrelated'",
    "twin group": "SELECT item_id FROM '{}/data/questions/{}-*.parquet'",
    "query": "SELECT text FROM '{}/data/questions/{}-*.parquet'",
    "option": "SELECT unnest(options).text FROM '{}/data/questions/{}-*.parquet'",
    "evidence": "SELECT messages[e.message + 1].content[e.start + 1 : e.end] FROM "
    "(SELECT messages, role, unnest(evidence) AS e FROM '{}/data/sessions/{}-*.parquet') WHERE role = 'evidence'",
}


@pytest.mark.parametrize("what", SHARED)
def test_no_two_splits_share(published: Path, what: str) -> None:
    (table,) = set(re.findall(r"data/(\w+)/", SHARED[what]))
    splits = [split for split in SPLITS if any((published / "data" / table).glob(f"{split}-*"))]
    assert table == "questions" or splits == list(SPLITS)
    for first, second in combinations(splits, 2):
        both = f"({SHARED[what].format(published, first)}) INTERSECT ({SHARED[what].format(published, second)})"
        assert duckdb.execute(both).fetchall() == []


def test_every_question_can_be_answered_from_its_history(published: Path) -> None:
    rows = ask(
        published,
        """
        WITH placed AS (SELECT h.session_ids, unnest(h.questions) AS place FROM histories_12k h)
        SELECT q.question_id FROM placed JOIN questions q ON q.question_id = place.question_id
        WHERE NOT list_has_all(session_ids[1 : place.position], q.evidence_session_ids)
           OR q.options[q.gold_index + 1].role <> 'gold' OR len(q.options) <> 4
        """,
    ).rows
    assert rows == []


def test_histories_are_in_order_and_within_budget(published: Path) -> None:
    rows = ask(
        published,
        """
        SELECT h.history_id, sum(s.tokens) = any_value(h.tokens),
               any_value(h.tokens) BETWEEN 0.95 * any_value(h.budget) AND any_value(h.budget),
               list(s.session_id ORDER BY s.started_at, s.session_id) = any_value(h.session_ids)
        FROM histories_12k h JOIN sessions s ON list_contains(h.session_ids, s.session_id) GROUP BY 1
        """,
    ).rows
    assert rows
    assert all(row[1:] == (True, True, True) for row in rows)


def test_evidence_is_what_the_user_wrote(published: Path) -> None:
    rows = ask(published, "SELECT messages, e FROM (SELECT messages, unnest(evidence) AS e FROM sessions)").rows
    assert rows
    for messages, span in rows:
        assert messages[span["message"]]["role"] == "user"  # type: ignore[index]
        assert messages[span["message"]]["content"][span["start"] : span["end"]].strip()  # type: ignore[index]


def test_nothing_in_the_folder_names_the_machine(published: Path) -> None:
    for path in published.rglob("*"):
        if path.is_file():
            assert str(published.parent).encode() not in path.read_bytes(), path
            assert str(REPO).encode() not in path.read_bytes(), path


def test_manifest_and_summary_say_what_was_made(published: Path) -> None:
    manifest = json.loads((published / "manifest.json").read_text(encoding="utf-8"))
    summary = json.loads((published / "summary.json").read_text(encoding="utf-8"))
    assert manifest["seed"] == 1
    assert manifest["counts"]["personas"] == {"train": 3, "validation": 1, "test": 1}
    assert summary["author"] == "offline"
    assert summary["stages"]["assemble"]["records"]["history"] == {"requested": 5, "kept": 5, "rejected": 0}


def test_no_reader_sees_a_dataset_that_is_not_finished(tmp_path: Path) -> None:
    root = run_here(tiny(), tmp_path, until="assemble").folder.root
    assert not (root / "data").exists() and not (root / "README.md").exists() and not (root / "manifest.json").exists()
    done = subtext("sql", str(root), "SELECT 1")
    assert done.returncode == 2
    assert "no finished dataset" in done.stderr
    with pytest.raises(ValueError, match="questions"):
        datasets.load_dataset(str(root), "questions", cache_dir=str(tmp_path / "cache"))


def test_an_earlier_versions_splits_are_honoured(tmp_path: Path, published: Path) -> None:
    earlier = {str(row[0]): row[1] for row in ask(published, "SELECT persona_id, split FROM personas").rows}
    config = tiny(seeds={"builtin_count": 9, "splits_from": str(published / "splits.parquet")}, dataset={"version": "2"})
    later = run_here(config, tmp_path).folder.root
    now = {str(row[0]): row[1] for row in ask(later, "SELECT persona_id, split FROM personas").rows}
    assert earlier.keys() & now.keys()
    assert all(now[name] == split for name, split in earlier.items() if name in now)
    assert hashes(published / "data")


def test_a_finished_version_is_not_overwritten_from_other_seeds(tmp_path: Path) -> None:
    seeds = tmp_path / "people.jsonl"
    lines = [json.dumps({"persona": text}) for text in load_people().one_liners[:5]]
    seeds.write_text("\n".join(lines), encoding="utf-8")
    root = run_here(tiny(seeds={"path": str(seeds)}), tmp_path).folder.root
    before = hashes(root)
    seeds.write_text("\n".join([*lines, '{"persona": "a lamplighter in Rome who keeps bees"}']), encoding="utf-8")
    with pytest.raises(InputError, match="from other seeds"):
        run_here(tiny(seeds={"path": str(seeds)}), tmp_path)
    assert hashes(root) == before


def test_nothing_is_published_when_a_split_has_nobody_left(tmp_path: Path) -> None:
    with pytest.raises(SubtextError, match=r"nothing to publish in the \w+ split.*assemble\.budgets"):
        run_here(tiny(assemble={"budgets": [1000], "fill": 1.0}), tmp_path)
    assert not list(tmp_path.rglob("manifest.json")) and not list(tmp_path.rglob("data"))


def test_any_licence_makes_a_card_that_datasets_reads(tmp_path: Path) -> None:
    root = run_here(tiny(seeds={"license": 'see: http://example.com "terms"'}), tmp_path).folder.root
    assert "see: http://example.com" in (root / "README.md").read_text(encoding="utf-8")
    assert datasets.load_dataset(str(root), "personas", cache_dir=str(tmp_path / "cache"))["train"].num_rows == 3


def test_it_publishes_on_a_machine_without_git(tmp_path: Path, published: Path) -> None:
    done = subtext("run", "--out", str(tmp_path), tiny_run=True, PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "tiny" / "0.1.0" / "manifest.json").read_text())["git_revision"] is None
    assert hashes(tmp_path / "tiny" / "0.1.0" / "data") == hashes(published / "data")


def test_strange_files_beside_the_data_are_in_nobodys_way(published: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(published, copy)
    (copy / "data" / ".DS_Store").write_bytes(b"\0")
    shutil.rmtree(copy / "stages")
    assert ask(copy, "SELECT count(*) FROM personas").rows == [(5,)]
