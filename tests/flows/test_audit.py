"""`subtext audit`, and the audit of what a run publishes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from schemas.errors import InputError
from schemas.session import Session
from store.dataset import read_published
from tests.runs import hashes, run_here, tiny
from tests.validators.audit.dataset import clean, spoil, store


def audit(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments])


def test_a_clean_dataset_passes_and_the_figures_are_kept_beside_it(tmp_path: Path) -> None:
    root = store(clean(), tmp_path)
    done = audit(str(root))
    assert done.exit_code == 0, done.output
    found = json.loads((root / "audit.json").read_text(encoding="utf-8"))
    assert found["passed"] is True
    for name, figure in found["figures"].items():
        assert any(line.startswith(name) and line.rstrip().endswith(figure["verdict"]) for line in done.output.splitlines()), name
    assert all(name in done.output for name in found["reported"])
    assert "No figure is broken." in done.output


def test_a_broken_dataset_exits_with_1_and_says_what_is_broken(tmp_path: Path) -> None:
    root = store(spoil(clean(), "sessions", lambda row: row.model_copy(update={"scenario": "coding_help"})), tmp_path)
    done = audit(str(root), "--json")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert found == json.loads((root / "audit.json").read_text(encoding="utf-8"))
    assert [name for name, figure in found["figures"].items() if figure["verdict"] == "broken"] == ["scenarios"]
    assert audit(str(root)).output.endswith("Broken: scenarios\n")


def test_given_texts_are_compared_with(tmp_path: Path) -> None:
    root = store(clean(), tmp_path / "d")
    benchmark = tmp_path / "benchmark.txt"
    benchmark.write_text(max((one.messages[0].content for one in clean().sessions), key=len), encoding="utf-8")
    assert audit(str(root), "--against", str(benchmark)).output.endswith("Broken: contamination\n")


def test_wrong_input_exits_with_2(tmp_path: Path) -> None:
    assert audit(str(tmp_path)).exit_code == 2
    assert not (tmp_path / "audit.json").exists()
    root = store(clean(), tmp_path)
    assert audit(str(root), "--against", str(tmp_path / "none.txt")).exit_code == 2
    (tmp_path / "bad.jsonl").write_text("{", encoding="utf-8")
    assert audit(str(root), "--against", str(tmp_path / "bad.jsonl")).exit_code == 2


def test_earlier_versions_beside_it_are_compared_with(tmp_path: Path) -> None:
    for version, split in (("0.9.0", "train"), ("0.11.0", "test")):  # only the first is earlier than 0.10.0
        root = store(clean(), tmp_path / version)
        write_splits(root, {"ptrain00": split})
    root = store(clean(), tmp_path / "0.10.0")
    assert audit(str(root)).exit_code == 0
    write_splits(tmp_path / "0.9.0", {"ptrain00": "test"})
    assert audit(str(root)).output.endswith("Broken: moved_personas\n")


def write_splits(root: Path, splits: dict[str, str]) -> None:
    pq.write_table(pa.table({"persona_id": [*splits], "split": [*splits.values()]}), root / "splits.parquet")


def test_a_run_publishes_its_audit_and_the_command_finds_the_same(published: Path, tmp_path: Path) -> None:
    found = json.loads((published / "audit.json").read_text(encoding="utf-8"))
    again = audit(str(shutil.copytree(published, tmp_path / "copy")), "--json")
    assert json.loads(again.output) == found
    card = (published / "README.md").read_text(encoding="utf-8")
    for name, figure in found["figures"].items():
        assert (f"| {name} |" in card) == (figure["users"] is not None or figure["verdict"] != "ok"), name


def test_the_same_run_gives_the_same_audit(published: Path, tmp_path: Path) -> None:
    root = run_here(tiny(), tmp_path).folder.root
    names = ("audit.json", "README.md")
    assert [hashes(root, name) for name in names] == [hashes(published, name) for name in names]


def test_a_run_is_compared_with_the_texts_of_its_config_whose_folders_it_does_not_store(published: Path, tmp_path: Path) -> None:
    benchmark = tmp_path / "held-out.jsonl"
    benchmark.write_text(json.dumps({"text": "nothing of it"}) + "\n", encoding="utf-8")
    root = run_here(tiny(audit={"decontaminate": [str(benchmark)]}), tmp_path).folder.root
    found = json.loads((root / "audit.json").read_text(encoding="utf-8"))["figures"]["contamination"]
    assert found["verdict"] == "ok" and found["n"] > 0
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["audit"]["decontaminate"] == ["held-out.jsonl"]
    assert manifest["config_identity"] == json.loads((published / "manifest.json").read_text(encoding="utf-8"))["config_identity"]


def test_an_audit_without_the_files_of_the_config_keeps_what_was_found_with_them(published: Path, tmp_path: Path) -> None:
    said = [max((m.content for m in row.messages), key=len) for row in read_published(published / "data", "sessions", Session)[:2]]
    names = ("held-out.txt", "benchmark.txt")
    for name, text in zip(names, said, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    root = run_here(tiny(audit={"decontaminate": [str(tmp_path / names[0])]}), tmp_path).folder.root

    def contamination(*arguments: str) -> tuple[Any, list[str], str]:
        output = audit(str(root), *arguments).output
        found = json.loads((root / "audit.json").read_text(encoding="utf-8"))
        return found["figures"]["contamination"]["value"], sorted(found["overlaps"]), output

    kept = "held-out.txt is named in the config and was not given with --against; what was found when it was published is kept."
    value, files, output = contamination()
    assert value >= 1 and files == ["held-out.txt"] and kept in output
    both, files, output = contamination("--against", str(tmp_path / names[1]))
    assert both > value and files == sorted(names) and kept in output, "one file does not take the place of another"
    assert contamination()[:2] == (value, ["held-out.txt"]), "and what was only given once is not kept"
    assert kept not in contamination("--against", str(tmp_path / names[0]))[2]
    table = next((root / "data" / "personas").glob("train-*.parquet"))
    pq.write_table(pq.read_table(table), table)
    value, files, output = contamination()
    assert (value, files) == (None, []) and "not given with --against; not compared with" in output, "these are other tables"


def test_texts_that_are_not_there_stop_the_run_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file to compare"):
        run_here(tiny(audit={"decontaminate": [str(tmp_path / "missing.txt")]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
