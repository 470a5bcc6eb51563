"""Part of `make verify`: the small config's time and memory, and how many distinct texts the offline author has.

Limits are those of the project's promises on two cores; what was measured is written to `.verify/` beside the repository's files.
"""

import json
import os
import re
import subprocess
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb
import pytest

from author.offline.bank import load_bank
from tests.runs import REPO, command, run_here, tiny
from tests.servers.model import ScriptedModel
from tests.willing import willing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def note(name: str, **figures: object) -> None:
    """Keep what was measured where `make verify` shows it."""
    place = REPO / ".verify"
    place.mkdir(exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def tree_memory(root: int) -> int:
    """Proportional memory (PSS), in bytes, of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def test_the_small_config_keeps_its_promises(tmp_path: Path) -> None:
    began = time.monotonic()
    process = subprocess.Popen(
        command("run", str(REPO / "configs" / "small.yaml"), "--out", str(tmp_path)), cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.25)
    seconds = time.monotonic() - began
    assert process.returncode == 0
    data = tmp_path / "small" / "0.1.0" / "data"
    ((personas, asked),) = duckdb.execute(
        f"SELECT (SELECT count(*) FROM '{data}/personas/*.parquet'), (SELECT count(*) FROM '{data}/questions/test-*.parquet')"
    ).fetchall()
    ((facts,),) = duckdb.execute(
        f"SELECT list_distinct(list(n)) FROM (SELECT count(*) AS n FROM '{data}/facts/*.parquet' "
        "WHERE status = 'true' AND supersedes IS NULL GROUP BY persona_id)"
    ).fetchall()
    ((emptiest, fullest),) = duckdb.execute(f"SELECT min(tokens), max(tokens) FROM '{data}/histories_32k/*.parquet'").fetchall()
    note(
        "small",
        seconds=round(seconds, 1),
        peak_gb=round(peak / 1e9, 3),
        personas=personas,
        test_questions=asked,
        least=emptiest,
        most=fullest,
    )
    assert (personas, asked, facts) == (200, 2000, [20])
    assert 0.95 * 32_000 <= emptiest <= fullest <= 32_000
    assert seconds < 360
    assert peak < 1.5e9


def test_the_offline_author_has_a_hundred_thousand_distinct_texts(tmp_path: Path) -> None:
    """Sessions of 1,200 personas whose histories are long, under the run's own dedup."""
    config = tiny(
        seeds={"builtin_count": 1200},
        run={"shard_size": 50},
        expand={"facts_per_persona": 25},
        ask={"questions_per_persona": 1},
        assemble={"budgets": [32_000]},
    )
    began = time.monotonic()
    outcome = run_here(config, tmp_path, until="dedup")
    figures = outcome.summary["stages"]["dedup"]["records"]["session"]
    note("distinct", seconds=round(time.monotonic() - began, 1), **figures)
    assert figures["kept"] >= 100_000


def test_an_accepted_question_costs_few_calls(tmp_path: Path) -> None:
    """The shape of `configs/vllm.yaml` with judges, on 24 people: every call of every stage counted at the server."""

    labels = {value.label for attribute in load_bank().attributes.values() for value in attribute.values}

    def strict(request: dict[str, Any]) -> Any:
        """A model whose judge turns down a fifth of the sessions and of the items, by content."""
        name = request.get("response_format", {}).get("json_schema", {}).get("name", "")
        if name in ("judge_stated", "judge_options"):
            return {"reason": "by lot", "passed": blake2b(request["messages"][1]["content"].encode()).digest()[0] % 5 > 0}
        if name == "judge_owner":
            return {"reason": "it says so", "owner": "user"}
        if name == "judge_inferable":  # the value is the only one that is not the bank's
            options = re.findall(r"^([A-D])\. (.*)$", request["messages"][1]["content"], re.MULTILINE)
            return {"letter": next(letter for letter, value in options if value not in labels)}
        return None if not name else willing(request)  # None: letters, as the server draws them

    with ScriptedModel(reply=strict, keep_requests=False) as model:
        config = tiny(
            seeds={"builtin_count": 24}, run={"shard_size": 8, "concurrency": 4}, expand={"facts_per_persona": 20},
            author={"kind": "openai", "model": "scripted", "base_url": model.base_url}, judge={"votes": 3, "lean": 0.9},
            distract={"noise": {}}, ask={"questions_per_persona": 50}, assemble={"budgets": [32_000]},
        )  # fmt: skip
        outcome = run_here(config, tmp_path)
        calls = model.calls
    dealt = 24 * 50
    accepted = outcome.summary["stages"]["assemble"]["records"]["question"]["kept"]
    judged = sum(account["calls"] for prompt, account in outcome.summary["calls"].items() if prompt.startswith("judge/"))
    assert calls == sum(account["calls"] for account in outcome.summary["calls"].values())
    note(
        "frugal", calls=calls, judge_calls=judged, dealt=dealt, accepted=accepted, calls_per_accepted=round(calls / accepted, 2),
        calls_per_accepted_at_60_percent=round(calls / (0.6 * dealt), 2),
    )  # fmt: skip
    assert calls / accepted <= 15
    assert calls / (0.6 * dealt) <= 15
