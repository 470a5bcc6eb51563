"""The pipeline as a whole: nothing is lost, the same bytes whatever the way, a resumed run does only what is missing."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.session import NOISE_KINDS
from tests.runs import REPO, command, hashes, run_here, subtext, tiny

COUNTED = ("seeds", "expand", "converse", "distract", "items", "dedup", "ask", "assemble")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    personas=st.integers(1, 5),
    shard_size=st.integers(1, 6),
    seed=st.integers(-(2**31), 2**31),
    facts=st.integers(1, 9),
    asked=st.integers(1, 30),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    noise=st.dictionaries(st.sampled_from(NOISE_KINDS[:6]), st.integers(0, 3)),
    budgets=st.lists(st.sampled_from([1000, 3000, 9000]), min_size=1, max_size=2, unique=True),
    overlap=st.floats(0.2, 1),
    copies=st.integers(1, 2),
)
def test_everything_requested_is_kept_or_rejected(
    tmp_path_factory: pytest.TempPathFactory,
    personas: int,
    shard_size: int,
    seed: int,
    facts: int,
    asked: int,
    shares: tuple[float, float],
    noise: dict[str, int],
    budgets: list[int],
    overlap: float,
    copies: int,
) -> None:
    config = tiny(
        seeds={"builtin_count": personas, "personas_per_seed": copies},
        run={"seed": seed, "shard_size": shard_size},
        expand={"facts_per_persona": facts, "updates": shares[0], "forgets": shares[1]},
        distract={"noise": noise},
        ask={"questions_per_persona": asked},
        assemble={"budgets": budgets},
        dedup={"overlap": overlap},
    )
    outcome = run_here(config, tmp_path_factory.mktemp("run"), until="assemble")
    for stage in COUNTED:
        files = f"{outcome.folder.root}/rejects/{stage}/*.parquet"
        rejects = duckdb.execute(f"SELECT record_type, count(*), count(DISTINCT record_id) FROM '{files}' GROUP BY 1").fetchall()
        refused = {kind: (rows, distinct) for kind, rows, distinct in rejects}
        for kind, counts in outcome.summary["stages"][stage]["records"].items():
            assert counts["requested"] == counts["kept"] + counts["rejected"], (stage, kind)
            assert refused.get(kind, (0, 0)) == (counts["rejected"], counts["rejected"]), (stage, kind)
    handed_on = {stage: outcome.summary["stages"][stage]["records"] for stage in COUNTED}
    assert handed_on["dedup"]["session"]["requested"] == sum(handed_on[s]["session"]["kept"] for s in ("converse", "distract"))
    assert handed_on["assemble"]["question"]["requested"] == handed_on["ask"]["question"]["kept"]
    assert handed_on["expand"]["persona"]["requested"] == copies * handed_on["seeds"]["seed"]["kept"]


def test_same_bytes_whatever_shard_size_and_concurrency(tmp_path: Path, published: Path) -> None:
    expected = hashes(published / "data")
    assert expected
    for shard_size, concurrency in ((1, 5), (7, 1), (3, 2)):
        config = tiny(run={"shard_size": shard_size, "concurrency": concurrency}, dataset={"version": f"{shard_size}"})
        assert hashes(run_here(config, tmp_path).folder.data) == expected


def test_another_seed_gives_other_data(tmp_path: Path, published: Path) -> None:
    other = run_here(tiny(run={"seed": 2}), tmp_path).folder.data
    assert not set(hashes(other).values()) & set(hashes(published / "data").values())


def test_run_again_changes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    first = run_here(tiny(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.root.rglob("*") if path.is_file() and path.name != ".lock"}
    again = run_here(tiny(), tmp_path)
    assert not again.published
    assert all(stage["reused"] == stage["parts"] for stage in again.summary["stages"].values())
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("how", ["cut", "altered", "gone"])
@pytest.mark.parametrize("where", ["stages/distract/part-00001.parquet", "rejects/dedup/part-00000.parquet", "data/sessions"])
def test_a_damaged_file_is_found_and_made_again(tmp_path: Path, published: Path, how: str, where: str) -> None:
    root = run_here(tiny(), tmp_path).folder.root
    expected = {name: hashes(root / name) for name in ("stages", "rejects", "data")}
    path = root / where if where.endswith(".parquet") else next((root / where).glob("train-*.parquet"))
    if how == "gone":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole[:-9] + b"x" + whole[-8:])
    run_here(tiny(), tmp_path)
    assert {name: hashes(root / name) for name in expected} == expected


def test_a_finished_version_of_another_release_is_left_alone(tmp_path: Path) -> None:
    root = run_here(tiny(), tmp_path).folder.root
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps({**manifest, "made_by": "an older release"}))
    before = hashes(root)
    with pytest.raises(InputError, match="another release"):
        run_here(tiny(), tmp_path)
    assert hashes(root) == before


def test_the_same_version_with_another_config_is_refused(tmp_path: Path) -> None:
    run_here(tiny(), tmp_path, until="seeds")
    done = subtext("run", "--out", str(tmp_path), "--set", "run.seed=9", tiny_run=True)
    assert done.returncode == 2
    assert "run.seed" in done.stderr and "--version" in done.stderr and "Traceback" not in done.stderr


def kill_and_resume(tmp_path: Path, expected: dict[str, str], kills: int) -> None:
    """Kill the run `kills` times with SIGKILL after different numbers of finished parts, then let it end."""
    root = tmp_path / "tiny" / "0.1.0"
    chance = random.Random(5)
    finished: dict[Path, tuple[int, int]] = {}
    for number in range(kills):
        process = subprocess.Popen(
            command("run", "--out", str(tmp_path), tiny_run=True), cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )  # fmt: skip
        goal = len(list(root.glob("stages/*/*.json"))) + chance.randint(0, 3)
        deadline = time.monotonic() + 60
        while process.poll() is None and len(list(root.glob("stages/*/*.json"))) <= goal and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path, stamp in finished.items():
            assert (path.stat().st_mtime_ns, path.stat().st_ino) == stamp, f"kill {number}: {path} was finished and was made again"
        finished = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.glob("stages/*/*.json")}
    done = subtext("run", "--out", str(tmp_path), tiny_run=True)
    assert done.returncode == 0, done.stderr
    assert hashes(root / "data") == expected
    assert not list(root.rglob("*.tmp"))
    for path, stamp in finished.items():
        assert (path.stat().st_mtime_ns, path.stat().st_ino) == stamp


def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, published: Path) -> None:
    kill_and_resume(tmp_path, hashes(published / "data"), kills=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_ten_times_gives_the_same_bytes(tmp_path: Path, published: Path) -> None:
    kill_and_resume(tmp_path, hashes(published / "data"), kills=10)
