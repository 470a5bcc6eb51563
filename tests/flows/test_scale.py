"""Part of `make verify`: the small config's time and memory, and how many distinct texts the offline author has.

Limits are those of the project's promises on two cores; what was measured is written to `.verify/` beside the repository's files.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import duckdb
import pytest

from tests.runs import REPO, command, run_here, tiny

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
