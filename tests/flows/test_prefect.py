"""The pipeline on a real Prefect server: a task is a shard, artifacts are left, a failing run shows its reason."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.stage import STAGES
from store.catalog import ask
from tests.llm import arguments, journalled, root, said
from tests.runs import REPO, TINY_SETTINGS, hashes, subtext
from tests.servers.model import ScriptedModel


def call(api: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the server's HTTP API."""
    request = urllib.request.Request(
        f"{api}{path}", data=json.dumps(body or {}).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server on loopback, with a database of its own."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/api"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            break
        except OSError:
            time.sleep(0.5)
    yield url
    server.terminate()
    server.wait()


def run_on(api: str, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = str(REPO / "configs" / "demo.yaml")
    return subtext("run", config, *TINY_SETTINGS, "--out", str(out), *arguments, PREFECT_API_URL=api)


def test_a_run_on_prefect(api: str, tmp_path: Path, published: Path) -> None:
    done = run_on(api, tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(line.split()[1] == "s" for line in done.stderr.splitlines()), "nothing but lines of progress"
    root = tmp_path / "tiny" / "0.1.0"
    assert hashes(root / "data") == hashes(published / "data")
    (flow_run,) = call(api, "/flow_runs/filter")
    assert flow_run["state_type"] == "COMPLETED"
    tasks = call(api, "/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}, "limit": 200})
    assert len(tasks) == len(list(root.glob("stages/*/part-*.json")))
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    artifacts = {artifact["key"]: artifact for artifact in call(api, "/artifacts/filter")}
    assert set(artifacts) == {"subtext-progress", "subtext-counts", "subtext-summary"}
    rows = json.loads(artifacts["subtext-counts"]["data"])
    assert all(row["requested"] == row["kept"] + row["rejected"] for row in rows)
    assert "| assemble | question |" in artifacts["subtext-summary"]["data"]


def test_a_failing_run_shows_its_reason(api: str, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"persona": "a nurse"}\n{"persona": \n', encoding="utf-8")
    done = run_on(api, tmp_path, "--set", f"seeds.path={seeds}", "--version", "bad")
    assert done.returncode == 2
    (said,) = done.stderr.strip().splitlines()
    assert said.startswith(f"subtext: {seeds}: line 2: not JSON")
    failed = call(api, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}})
    assert "line 2: not JSON" in failed[0]["state"]["message"]


def test_a_run_that_the_audit_refuses_fails_with_the_figures(api: str, tmp_path: Path, published: Path) -> None:
    held = tmp_path / "held-out.txt"
    ((text,),) = ask(published, "SELECT max_by(messages[1].content, length(messages[1].content)) FROM sessions").rows
    held.write_text(str(text), encoding="utf-8")
    done = run_on(api, tmp_path, "--set", "audit.gate=block", "--set", f"audit.decontaminate=['{held}']", "--version", "refused")
    assert done.returncode == 1
    failed = call(api, "/flow_runs/filter", {"flow_runs": {"name": {"any_": ["tiny-refused"]}}})
    assert failed[0]["state_type"] == "FAILED"
    assert re.search(r"broken figures: contamination is \d+, limit 0", failed[0]["state"]["message"])


def test_one_stage_runs_on_its_own(api: str, tmp_path: Path) -> None:
    done = run_on(api, tmp_path, "--until", "expand")
    assert done.returncode == 0, done.stderr
    root = tmp_path / "tiny" / "0.1.0"
    assert sorted(path.name for path in (root / "stages").iterdir()) == ["expand", "seeds"]
    assert not (root / "data").exists()
    names = {run["flow_id"] for run in call(api, "/flow_runs/filter")}
    flows = {flow["name"] for flow in call(api, "/flows/filter") if flow["id"] in names}
    assert "subtext-expand" in flows


def test_every_stage_is_a_flow_that_runs_on_its_own_without_telemetry(api: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from flows.prefect_flows import FLOWS; "
        "print(sorted(FLOWS), os.environ['DO_NOT_TRACK'], os.environ['PREFECT_SERVER_ANALYTICS_ENABLED']); "
        "print(sorted(FLOWS['expand'](sys.argv[1], sys.argv[3::2], sys.argv[2])['stages']))"
    )
    settings = TINY_SETTINGS[1::2]
    arguments = [str(REPO / "configs" / "demo.yaml"), str(tmp_path), *(word for setting in settings for word in (setting, ""))]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=REPO, check=False, timeout=200,
        env={**{k: v for k, v in os.environ.items() if k != "DO_NOT_TRACK"}, "PYTHONPATH": str(REPO), "PREFECT_API_URL": api},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"{sorted(STAGES)} 1 false"
    assert second == "['expand', 'seeds']"


def test_a_language_model_on_prefect(api: str, tmp_path: Path, model: ScriptedModel, undisturbed: dict[str, str]) -> None:
    config, _, *where = arguments(tmp_path, model, budget={"tokens": 40_000})
    stopped = subtext("run", config, *where, PREFECT_API_URL=api)
    assert stopped.returncode == 1
    assert "budget.tokens 40,000" in said(stopped.stderr)
    assert len(journalled(root(tmp_path))) == model.calls
    config, _, *where = arguments(tmp_path, model)
    done = subtext("run", config, *where, PREFECT_API_URL=api)
    assert done.returncode == 0, done.stderr
    assert model.repeats == 0
    assert hashes(root(tmp_path) / "data") == undisturbed


@pytest.mark.timeout(280)
def test_without_a_server_it_starts_one_of_its_own_and_says_nothing_of_it(tmp_path: Path, published: Path) -> None:
    config = str(REPO / "configs" / "demo.yaml")
    done = subtext("run", config, *TINY_SETTINGS, "--out", str(tmp_path), PREFECT_HOME=str(tmp_path / "prefect"))
    assert done.returncode == 0, done.stderr
    assert all(line.split()[1] == "s" for line in done.stderr.splitlines()), done.stderr
    assert hashes(tmp_path / "tiny" / "0.1.0" / "data") == hashes(published / "data")
