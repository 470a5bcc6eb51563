"""`docs/recompute.py` finds what the audit finds, in a real run and in flawed datasets, where none of our packages can be imported."""

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.config import Config
from schemas.fact import Fact
from schemas.question import Certificate, Question
from schemas.session import Session
from tests.runs import REPO, run_here, tiny
from tests.validators.audit.dataset import clean, copied, spoil, store
from tests.validators.audit.test_planted import EXACTLY, TEXTS, some, spoilt
from validators.audit.audit import audit, earlier_versions
from validators.audit.tables import Published, read_published

SCRIPT = REPO / "docs" / "recompute.py"
BY_MODEL = {
    "choose_like_profile", "probe_options", "probe_query_options", "blind_judge", "profile_judge", "shared_near_duplicates",
    "near_duplicates_left",
}  # fmt: skip
"""What the script says that it leaves out."""
NEEDS_FILES = {"contamination"}
Row = dict[str, Any]


def alone(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with what is installed but for what an editable install adds, which `site` would: -S leaves that out."""
    installed = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(pa.__file__).parent.parent)}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120, env=installed)


def recompute(root: Path, *arguments: str) -> dict[str, list[str]]:
    """What the script prints: by figure the value recomputed, the one in audit.json, and the verdict."""
    done = alone(str(SCRIPT), str(root), *arguments, cwd=root)
    assert done.stderr == ""
    head, *lines = (line.split() for line in done.stdout.splitlines())
    assert head == ["figure", "recomputed", "audit.json"]
    found = {name: row for name, *row in lines}
    assert done.returncode == any(row[-1] == "DIFFERS" for row in found.values())
    return found


def audited(root: Path, *, against: Path | None = None) -> dict[str, Any]:
    """Audit the dataset in `root` and keep the result in it, as `subtext audit` does."""
    found = audit(read_published(root), earlier_versions(root), [against] if against else [])
    (root / "audit.json").write_text(json.dumps(found), encoding="utf-8")
    return {name: figure["value"] for name, figure in found["figures"].items()}


def stored(published: Published, root: Path) -> Path:
    """Store a simulated dataset with a whole config, as a run's manifest has."""
    manifest = store(published, root) / "manifest.json"
    sections = {**json.loads(manifest.read_text(encoding="utf-8"))["config"], "dataset": {"name": "simulated"}}
    manifest.write_text(json.dumps({"config": Config.model_validate(sections).public()}), encoding="utf-8")
    return root


def differing(found: dict[str, list[str]]) -> set[str]:
    return {name for name, row in found.items() if row[-1] == "DIFFERS"}


def test_it_has_at_most_200_lines_and_imports_nothing_of_ours(tmp_path: Path) -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    tree = list(ast.walk(ast.parse(text)))
    imported = {alias.name.split(".")[0] for node in tree if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in tree if isinstance(node, ast.ImportFrom)}
    assert imported <= {*sys.stdlib_module_names, "pyarrow"}
    for package in ("schemas", "validators", "store", "flows"):
        assert f"No module named '{package}'" in alone("-c", f"import {package}", cwd=tmp_path).stderr
    assert alone("-c", "import pyarrow.parquet", cwd=tmp_path).returncode == 0


def test_help_says_what_is_left_out(tmp_path: Path) -> None:
    said = " ".join(alone(str(SCRIPT), "--help", cwd=tmp_path).stdout.split())
    assert "Left out: near duplicates, and what needs embeddings or a language model." in said


def test_every_figure_of_a_real_run_agrees(published: Path) -> None:
    found = recompute(published)
    figures = json.loads((published / "audit.json").read_text(encoding="utf-8"))["figures"]
    assert figures.keys() - BY_MODEL - NEEDS_FILES <= found.keys()
    assert not found.keys() & (BY_MODEL | NEEDS_FILES)
    assert {row[-1] for name, row in found.items() if name in figures} == {"agrees"}
    assert all(row[-1] == "-" for name, row in found.items() if name not in figures)


def edited(root: Path, table: str, change: Callable[[list[Row]], None]) -> None:
    """Change the rows of the training split's file of a table."""
    (path,) = sorted(root.glob(f"data/{table}/train-*.parquet"))
    before = pq.ParquetFile(path).read()
    rows = before.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=before.schema), path)


def move_a_gold(questions: list[Row]) -> None:
    questions[0]["gold_index"] = (questions[0]["gold_index"] + 1) % 4


def shift_a_span(sessions: list[Row]) -> None:
    next(one for one in sessions if one["role"] == "evidence")["evidence"][0]["end"] += 100_000


def blank_a_span(sessions: list[Row]) -> None:
    shown = next(one for one in sessions if one["role"] == "evidence" and "\n\n" in one["messages"][0]["content"])
    start = shown["messages"][0]["content"].index("\n\n")
    shown["evidence"][0].update({"message": 0, "start": start, "end": start + 2})


def lose_the_spans(sessions: list[Row]) -> None:
    next(one for one in sessions if one["role"] == "evidence")["evidence"].clear()


def ask_nowhere(histories: list[Row]) -> None:
    histories[0]["questions"].pop()


def drop_a_session(sessions: list[Row]) -> None:
    sessions.remove(next(one for one in sessions if one["role"] == "evidence"))


@pytest.mark.parametrize(
    ("table", "flaw", "figures"),
    [
        ("questions", move_a_gold, {"solver_agrees", "gold_position", "twin_balance"}),
        ("sessions", shift_a_span, {"spans_in_user_text"}),
        ("sessions", blank_a_span, {"spans_in_user_text"}),
        ("sessions", lose_the_spans, {"spans_in_user_text"}),
        ("histories_*", ask_nowhere, {"solver_agrees", "deletion_certificate"}),
        ("sessions", drop_a_session, {"solver_agrees", "deletion_certificate", "evidence_before_question", "scenarios"}),
    ],
)
def test_a_flaw_in_a_real_run_shows_at_once_and_the_audit_says_the_same(
    published: Path, tmp_path: Path, table: str, flaw: Callable[[list[Row]], None], figures: set[str]
) -> None:
    root = shutil.copytree(published, tmp_path / "copy")
    edited(root, table, flaw)
    stale = recompute(root)
    assert figures <= differing(stale)
    audited(root)
    fresh = recompute(root)
    assert not differing(fresh)
    assert {name: row[0] for name, row in fresh.items()} == {name: row[0] for name, row in stale.items()}


PLANTED = {name: plant for name, (plant, _) in EXACTLY.items() if name not in BY_MODEL}
PLANTED |= {name: partial(spoilt, "questions", some(change)) for name, change in TEXTS.items() if name not in BY_MODEL}


@pytest.fixture(scope="module")
def unspoilt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of the clean simulated dataset, by script and audit alike."""
    root = stored(clean(), tmp_path_factory.mktemp("clean"))
    values = audited(root)
    assert not differing(recompute(root))
    return values


@pytest.mark.parametrize("figure", PLANTED)
def test_a_planted_flaw_changes_script_and_audit_alike(figure: str, tmp_path: Path, unspoilt: dict[str, Any]) -> None:
    root = stored(PLANTED[figure](), tmp_path)
    assert audited(root)[figure] != unspoilt[figure]
    assert not differing(recompute(root))


def test_content_words_alone_are_looked_for_and_secrets_may_be_said(tmp_path: Path) -> None:
    values = ["the walk to w17", "of the", "Walk w17", "a swim"]

    def fact(row: Fact) -> Fact:
        number = int(row.fact_id.split("/f")[-1][:2]) if "/f" in row.fact_id else 0
        return row.model_copy(update={"value": values[number % 4], "kind": "sensitive" if number % 3 == 0 else "neutral"})

    def session(row: Session) -> Session:
        said, answered = row.messages
        return row.model_copy(
            update={"messages": (said.model_copy(update={"content": f"{said.content} W17 or walk? A SWIM.\nOf the"}), answered)}
        )

    root = stored(spoil(spoil(clean(), "facts", fact), "sessions", session), tmp_path)
    assert 0.2 < audited(root)["stated_outright"] < 0.9
    assert not differing(recompute(root))


def test_a_persona_that_names_another_split_than_its_file_is_counted(tmp_path: Path) -> None:
    wrong = spoil(clean(), "personas", lambda row: row.model_copy(update={"split": "test"}) if row.persona_id == "ptrain00" else row)
    root = stored(wrong, tmp_path)
    assert audited(root)["shared_personas"] == 1
    assert not differing(recompute(root))


def scrambled(seed: int) -> Published:
    """Labels drawn anew, so that users are told, hinted at, take back and are lied about much more than any run would have it."""
    chance = random.Random(seed)
    own = {
        one.persona_id: [fact.fact_id for fact in clean().facts.values() if fact.persona_id == one.persona_id] for one in clean().personas
    }

    def fact(row: Fact) -> Fact:
        drawn = {"attribute": f"attribute{chance.randrange(4)}", "cues_needed": chance.randint(1, 3), "repeatable": chance.random() < 0.8}
        value = chance.choice([row.value, f"Value{chance.randrange(3)}  of{chance.randrange(4)}. "])
        status = "true" if row.supersedes else chance.choice(["true", "true", "true", "trap"])
        return row.model_copy(update={**drawn, "value": value, "status": status})

    def session(row: Session) -> Session:
        role = chance.choice(["evidence", "evidence", "update", "noise", "noise", "forget"])
        names = tuple(chance.sample(own[row.persona_id], chance.randint(0, 2)))
        drawn = {"cue": chance.choice(["clear", "faint", "faint"]), "owner": chance.choice(["self", "self", "self", "other"]), "role": role}
        return row.model_copy(update={**drawn, "fact_ids": () if role == "noise" else names, "trap_fact_ids": names[:1]})

    def question(row: Question) -> Question:
        needed = tuple(f"{row.persona_id}/s{chance.randrange(30):03d}" for _ in range(chance.randint(0, 3)))
        holds = Certificate(by=chance.choice(["solver", "m"]), gold=chance.random() < 0.5, without_evidence=True, without_others=True)
        drawn = {"attribute": chance.choice([row.attribute, f"attribute{chance.randrange(4)}", None]), "evidence_session_ids": needed}
        return row.model_copy(update={**drawn, "certificates": (holds,) if chance.random() < 0.2 else ()})

    changed = spoil(spoil(clean(), "facts", fact), "sessions", session)
    return spoil(changed, "questions", question)


@pytest.mark.parametrize("seed", range(6))
def test_two_solvers_agree_on_labels_drawn_at_random(seed: int, tmp_path: Path) -> None:
    root = stored(scrambled(seed), tmp_path)
    values = audited(root)
    assert 0.05 < values["solver_agrees"] < 0.95
    assert 0.02 < values["deletion_certificate"] < 0.95
    assert not differing(recompute(root))


@pytest.mark.parametrize("kind", ["txt", "json", "jsonl", "parquet"])
def test_files_to_compare_with_are_read_alike(kind: str, tmp_path: Path) -> None:
    root = stored(clean(), tmp_path / "data")
    long = [one.messages[0].content for one in clean().sessions if len(one.messages[0].content.split()) > 15]
    twelve = " ".join(long[2].split()[-12:])
    record = {"rows": [{"text": f'Before: "{long[0].upper()}"\n\\ {long[1]}'}, {"text": twelve}, {"text": "übrig"}]}
    path = tmp_path / f"benchmark.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    else:
        text = {"json": json.dumps(record, indent=1), "jsonl": json.dumps(record, ensure_ascii=False) + "\n\n"}
        path.write_text(text.get(kind, record["rows"][0]["text"]), encoding="utf-8")
    assert audited(root, against=path)["contamination"] == 2
    assert recompute(root, "--against", str(path))["contamination"] == ["2.0000", "2.0000", "agrees"]
    assert "contamination" not in recompute(root)


def test_earlier_versions_are_found_beside_it_or_given(tmp_path: Path) -> None:
    def version(name: str, split: str) -> Path:
        root = stored(clean(), tmp_path / name)
        pq.write_table(pa.table({"persona_id": ["ptrain00", "ptrain01"], "split": [split, "train"]}), root / "splits.parquet")
        return root

    version("0.9.0", "test")
    version("0.11.0", "validation")
    root = version("0.10.0", "train")
    assert audited(root)["moved_personas"] == 1
    assert recompute(root)["moved_personas"] == ["1.0000", "1.0000", "agrees"]
    pq.write_table(pa.table({"persona_id": ["ptest00"], "split": ["train"]}), tmp_path / "other.parquet")
    assert recompute(root, "--earlier", str(tmp_path / "other.parquet"))["moved_personas"] == ["2.0000", "1.0000", "DIFFERS"]


def test_rows_in_two_splits_count_as_often_as_in_the_audit(tmp_path: Path) -> None:
    twice = copied(clean(), "train", "test", "sessions", lambda row: row.persona_id == "ptrain00")
    root = stored(copied(twice, "train", "validation", "questions", lambda row: row.persona_id == "ptrain01"), tmp_path)
    values = audited(root)
    assert values["shared_personas"] == 2 and values["shared_sessions"] and values["shared_padding"] and values["shared_items"]
    assert not differing(recompute(root))


def test_several_history_sizes_are_all_read(tmp_path: Path) -> None:
    root = run_here(tiny(assemble={"budgets": [8_000, 12_000]}), tmp_path).folder.root
    assert len(list((root / "data").glob("histories_*"))) == 2
    assert not differing(recompute(root))
