"""Whole runs on a language model: nothing is lost or asked twice, the ledger is true, the bytes do not depend on the way."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.llm import contents, journalled, kind_of, rejects, root, run, said, write_here
from tests.runs import REPO, hashes, subtext
from tests.servers.model import ScriptedModel
from tests.willing import willing

COUNTED = ("seeds", "expand", "converse", "distract", "items", "dedup", "ask", "assemble")


def test_a_run_accounts_for_every_record_and_every_call(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    price = {"prompt": 2.0, "cached": 0.5, "completion": 8.0}
    with ScriptedModel(reply=willing, base_s=0.03) as model:
        done = run(tmp_path, model, author={"max_concurrency": 3, "price": price})
    assert done.returncode == 0, done.stderr
    assert (model.repeats, model.errors) == (0, [])
    assert 2 <= model.most_in_flight <= 3
    folder = root(tmp_path)
    summary = json.loads((folder / "summary.json").read_text())
    for stage in COUNTED:
        refused = Counter(kind for (kind,) in rejects(folder, stage, "record_type"))
        for kind, counts in summary["stages"][stage]["records"].items():
            assert counts["requested"] == counts["kept"] + counts["rejected"], (stage, kind)
            assert refused.get(kind, 0) == counts["rejected"], (stage, kind)
    assert summary["author"] == "openai"
    assert summary["tokens"] == dict(model.tokens)
    assert {prompt: account["calls"] for prompt, account in summary["calls"].items()} == Counter(map(kind_of, model.requests))
    for kind in ("prompt", "cached", "completion"):
        assert sum(account[f"{kind}_tokens"] for account in summary["calls"].values()) == model.tokens[kind]
    dear = model.tokens["prompt"] - model.tokens["cached"]
    cost = (2.0 * dear + 0.5 * model.tokens["cached"] + 8.0 * model.tokens["completion"]) / 1e6
    assert summary["cost_usd"] == pytest.approx(cost, abs=2e-6)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["author"], manifest["tokens"], manifest["cost_usd"]) == ("openai-scripted", summary["tokens"], summary["cost_usd"])
    assert "openai-scripted" in (folder / "README.md").read_text()
    assert f"{model.calls:,} calls, {model.tokens['prompt'] + model.tokens['completion']:,} tokens" in done.stdout
    assert hashes(folder / "data") == undisturbed
    for path, text in contents(folder):
        for place in (str(tmp_path), str(REPO), str(Path.home()), "127.0.0.1"):
            assert place not in text, path


@pytest.mark.parametrize(("concurrency", "at_once", "shard_size", "servers"), [(1, 1, 1, 1), (5, 16, 2, 2)])
def test_the_bytes_do_not_depend_on_the_way(
    tmp_path: Path, undisturbed: dict[str, str], concurrency: int, at_once: int, shard_size: int, servers: int
) -> None:
    models = [ScriptedModel(reply=willing, base_s=0.002).start() for _ in range(servers)]
    try:
        how = {"run": {"concurrency": concurrency, "shard_size": shard_size}, "author": {"max_concurrency": at_once}}
        folder = write_here(tmp_path, *models, **how).folder
        assert hashes(folder.data) == undisturbed
        assert all(model.calls for model in models)
        assert Counter(call["endpoint"] for call in journalled(folder.root)) == {at: model.calls for at, model in enumerate(models)}
        assert not any(model.repeats for model in models)
        assert max(model.most_in_flight for model in models) <= at_once
    finally:
        for model in models:
            model.close()


def test_a_copied_journal_replays_without_a_server(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    with ScriptedModel(reply=willing) as model:
        first = write_here(tmp_path, model)
    again = tmp_path / "again"
    shutil.copytree(first.folder.journal, root(again) / "journal")
    done = run(again, model)  # it is switched off by now
    assert done.returncode == 0, done.stderr
    assert hashes(root(again) / "data") == undisturbed
    summary = json.loads((root(again) / "summary.json").read_text())
    assert summary["tokens"] == first.summary["tokens"]
    assert {prompt: account["replayed"] for prompt, account in summary["calls"].items()} == Counter(map(kind_of, model.requests))


def test_a_dry_run_keeps_its_calls_for_the_run(tmp_path: Path, model: ScriptedModel, undisturbed: dict[str, str]) -> None:
    tried = run(tmp_path, model, more=("--dry-run",), author={"price": {"prompt": 1.0, "completion": 4.0}})
    assert (tried.returncode, tried.stderr) == (0, "")
    sampled = model.calls
    assert 0 < sampled < 50
    assert f"Measured with {sampled} calls just now" in tried.stdout
    rows = {line.split()[0]: line.split()[1:] for line in tried.stdout.splitlines() if line}
    assert {"expand/persona", "ask/item", "distract/unrelated", "all"} <= rows.keys()
    assert rows["expand/persona"][0] == "3"
    assert [path.name for path in root(tmp_path).iterdir()] == ["journal"]
    again = run(tmp_path, model, more=("--dry-run",))
    assert "Measured with 0 calls" in again.stdout
    assert model.calls == sampled
    assert hashes(write_here(tmp_path, model).folder.data) == undisturbed
    assert model.repeats == 0
    assert len(journalled(root(tmp_path))) == model.calls


def test_a_dry_run_counts_what_judges_will_read(tmp_path: Path, model: ScriptedModel) -> None:
    tried = run(tmp_path, model, more=("--dry-run",), judge={"votes": 1, "lean": 1.0})
    rows = {line.rpartition(" of questions")[0].strip(): line.split()[3:] for line in tried.stdout.splitlines() if " of questions" in line}
    assert rows["judge/solve"][0] == "36"  # three readings of four questions of three people
    assert rows["judge/blind"][0] == "12"


def test_a_dry_run_of_the_offline_author_has_nothing_to_measure(tmp_path: Path) -> None:
    done = subtext("run", "configs/demo.yaml", "--dry-run", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "author.kind openai" in said(done.stderr)
    assert not list(tmp_path.iterdir())
