"""Wanted numbers, counted after every check, and second chances for what a model refused: whole runs on the scripted model."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.llm import all_hashes, arguments, content_hash, journalled, kind_of, rejects, root, run, said, started, wait_for, write_here
from tests.runs import hashes, subtext
from tests.servers.model import ScriptedModel
from tests.willing import willing

NO = "I would rather not."


def picky(request: dict[str, Any]) -> Any:
    """Makes no person of some seeds."""
    (seed,) = re.findall(r"<seed>\n(.*?)\n</seed>", request["messages"][1]["content"], re.DOTALL) or [""]
    return NO if kind_of(request) == "expand/persona" and content_hash(seed) % 2 == 0 else willing(request)


def like_minded(request: dict[str, Any]) -> Any:
    """Also gives everything one of four values, so that an item finds people for each of its options."""
    made = picky(request)
    if made != NO and kind_of(request) in ("expand/facts", "expand/traps"):
        for number, draft in enumerate([*made.get("facts", ()), *made.get("contrary", ()), *made.get("other", ())]):
            draft["value"] = ("plain", "striped", "checked", "dotted")[(content_hash(str(request["seed"])) + number) % 4]
    return made


@pytest.mark.parametrize(("kind", "wanted"), [("personas", 4), ("questions", 40)])
def test_rounds_are_added_until_the_target_is_reached(tmp_path: Path, kind: str, wanted: int) -> None:
    with ScriptedModel(reply=like_minded) as model:
        outcome = write_here(tmp_path, model, target={kind: wanted, "max_attempts_ratio": 6}, assemble={"budgets": [8000]})
    reached = outcome.summary["target"]
    assert reached["reached"]
    assert reached[kind]["wanted"] == wanted <= reached[kind]["accepted"]
    first_round = -(-wanted // (4 if kind == "questions" else 1))
    assert first_round < reached["attempted"] <= 6 * first_round
    assert reached["attempted"] == outcome.summary["stages"]["expand"]["records"]["persona"]["requested"]
    assert json.loads((outcome.folder.root / "summary.json").read_text())["target"] == reached
    published = duckdb.execute(f"SELECT count(*) FROM '{outcome.folder.data}/{kind}/*.parquet'").fetchall()
    assert published == [(reached[kind]["accepted"],)]
    assert model.repeats == 0
    refused = rejects(outcome.folder.root, "expand", "record_id, raw, retry")
    assert {record for record, raw, _ in refused if raw == NO} == {retry for *_, retry in refused if retry}


def test_a_target_survives_a_kill_and_is_then_done(tmp_path: Path) -> None:
    target = {"personas": 4}
    with ScriptedModel(reply=picky) as model:
        expected = hashes(write_here(tmp_path / "whole", model, target=target).folder.data)
    with ScriptedModel(reply=picky, base_s=0.02) as model:
        process = started(tmp_path, model, target=target)
        wait_for(lambda: root(tmp_path).joinpath("stages/assemble/part-00000.json").exists(), process)  # the first round has ended
        process.kill()
        process.communicate()
        done = run(tmp_path, model, target=target)
        assert done.returncode == 0, done.stderr
        assert hashes(root(tmp_path) / "data") == expected
        calls, before = model.calls, all_hashes(root(tmp_path))
        again = run(tmp_path, model, target=target)
    assert again.returncode == 0, again.stderr
    assert "Already published, nothing to do" in again.stdout
    assert model.calls == calls
    assert all_hashes(root(tmp_path)) == before


def test_a_target_out_of_reach_fails_and_keeps_what_there_is(tmp_path: Path) -> None:
    with ScriptedModel(reply=picky) as model:
        done = run(tmp_path, model, target={"personas": 4, "max_attempts_ratio": 1})
        again = run(tmp_path, model, target={"personas": 4, "max_attempts_ratio": 1})
    for one, word in ((done, "Published"), (again, "Already published")):
        assert one.returncode == 1
        assert "the target was not reached: 3 of 4 personas accepted, 4 personas tried" in said(one.stderr)
        assert word in one.stdout
    assert json.loads((root(tmp_path) / "summary.json").read_text())["target"]["reached"] is False
    assert duckdb.execute(f"SELECT count(*) FROM '{root(tmp_path)}/data/personas/*.parquet'").fetchall() == [(3,)]


def reluctant(request: dict[str, Any]) -> Any:
    """Writes some of the sessions that show something, not all."""
    return NO if kind_of(request) == "converse/evidence" and content_hash(request["messages"][1]["content"]) % 3 == 0 else willing(request)


def retry(out: Path, folder: Path, model: ScriptedModel) -> subprocess.CompletedProcess[str]:
    """`subtext retry-failed` with the config of the run."""
    config, *_ = arguments(out, model)
    return subtext("retry-failed", str(folder), config, "--no-prefect")


def texts(folder: Path, *stages: str) -> dict[str, Any]:
    """The text of every session that was kept in these stages, by its id."""
    files = [f"{folder}/stages/{stage}/*.parquet" for stage in stages]
    return dict(duckdb.execute(f"SELECT session_id, messages FROM read_parquet({files})").fetchall())


def test_what_was_refused_is_asked_again_in_a_version_beside(tmp_path: Path, model: ScriptedModel) -> None:
    model.reply = reluctant
    old = write_here(tmp_path, model).folder.root
    refused = {record for record, raw, record_retry in rejects(old, "converse", "record_id, raw, retry") if record_retry and raw == NO}
    assert refused
    before, shown, noise, calls = all_hashes(old), texts(old, "converse"), texts(old, "distract"), model.calls
    model.reply = willing
    done = retry(tmp_path, old, model)
    assert done.returncode == 0, done.stderr
    assert f"Asking again for {len(refused)} record(s), in version 0.1.0.retry1" in done.stderr
    new = root(tmp_path, "0.1.0.retry1")
    assert all_hashes(old) == before
    assert {call["record_id"] for call in journalled(new)[calls:]} == refused
    assert (model.calls - calls, model.repeats) == (len(refused), 0)
    assert not any(retry for (retry,) in rejects(new, "converse", "retry"))
    written = texts(new, "converse")
    assert written.keys() == shown.keys() | refused
    assert {session: written[session] for session in shown} == shown
    assert noise.items() >= texts(new, "distract").items(), "what fills the histories is less than before, and no other"
    assert json.loads((new / "manifest.json").read_text())["dataset"]["version"] == "0.1.0.retry1"
    assert subtext("sql", str(new), "SELECT count(*) FROM personas").stdout.split() == ["count_star()", "3"]
    again = retry(tmp_path, new, model)
    assert (again.returncode, again.stderr) == (0, "")
    assert "can be tried again" in again.stdout
    assert not root(tmp_path, "0.1.0.retry1.retry1").exists() and not root(tmp_path, "0.1.0.retry2").exists()


def test_an_unfinished_version_tries_again_in_place(tmp_path: Path, model: ScriptedModel) -> None:
    model.reply = reluctant
    stopped = run(tmp_path, model, run={"concurrency": 1}, budget={"tokens": 70_000})
    assert "budget.tokens" in said(stopped.stderr)
    refused = {record for record, record_retry in rejects(root(tmp_path), "converse", "record_id, retry") if record_retry}
    calls = model.calls
    assert refused
    model.reply = willing
    done = retry(tmp_path, root(tmp_path), model)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in root(tmp_path).parent.iterdir()] == ["0.1.0"]
    assert root(tmp_path).joinpath("manifest.json").exists()
    assert refused <= {call["record_id"] for call in journalled(root(tmp_path))[calls:]}
    assert not any(retry for (retry,) in rejects(root(tmp_path), "converse", "retry"))
    assert model.repeats == 0


def test_a_model_that_refuses_everything_gets_another_chance(tmp_path: Path, model: ScriptedModel) -> None:
    model.reply = lambda _: NO
    done = run(tmp_path, model)
    assert done.returncode == 1
    line = said(done.stderr)
    assert "nothing to publish in the train split: no history of its 1 persona(s) could be filled" in line
    assert f"subtext retry-failed {root(tmp_path)}" in line
    calls = model.calls
    assert calls == 3 * 3, "each person, and two repairs of each"
    again = run(tmp_path, model)
    assert (again.returncode, model.calls) == (1, calls), "a refusal is a reply: it is not asked for again by itself"
    model.reply = willing
    assert retry(tmp_path, root(tmp_path), model).returncode == 0
    assert duckdb.execute(f"SELECT count(*) FROM '{root(tmp_path)}/data/personas/*.parquet'").fetchall() == [(3,)]


def test_what_cannot_be_tried_again_says_so(tmp_path: Path, model: ScriptedModel) -> None:
    nothing = subtext("retry-failed", str(tmp_path))
    assert nothing.returncode == 2
    assert "no run there" in said(nothing.stderr)
    write_here(tmp_path, model)
    nowhere = subtext("retry-failed", str(root(tmp_path)), "--no-prefect")
    assert nowhere.returncode == 2
    assert "author.base_url" in said(nowhere.stderr) and "addresses are not stored" in said(nowhere.stderr)
    address = subtext("retry-failed", str(root(tmp_path)), "--no-prefect", "--set", f"author.base_url={model.base_url}")
    assert address.returncode == 0, address.stderr
    assert "can be tried again" in address.stdout
