"""What goes wrong on real machines: a full disk, a folder that cannot be written, two runs at once, wrong input. Clear words, no loss."""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs import REPO, command, hashes, subtext


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB; skipped where this process may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_is_said_and_nothing_is_lost(small_disk: Path, published: Path) -> None:
    done = subtext("run", "--out", str(small_disk), tiny_run=True)
    assert done.returncode == 1
    assert "disk is full" in done.stderr and "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    root = small_disk / "tiny" / "0.1.0"
    assert list(root.glob("stages/*/*.json")), "some parts were finished before the disk was full"
    assert not (root / "data").exists() and not list(root.rglob(".*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    again = subtext("run", "--out", str(small_disk), tiny_run=True)
    assert again.returncode == 0, again.stderr
    assert "reused" in again.stderr
    assert hashes(root / "data") == hashes(published / "data")


def test_a_file_size_limit_is_said_and_nothing_is_lost(tmp_path: Path, published: Path) -> None:
    limited = subprocess.run(
        command("run", "--out", str(tmp_path), tiny_run=True), capture_output=True, text=True, cwd=REPO, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY)),
    )  # fmt: skip
    assert limited.returncode == 1
    assert "file-size limit" in limited.stderr
    assert "Traceback" not in limited.stderr
    again = subtext("run", "--out", str(tmp_path), tiny_run=True)
    assert again.returncode == 0, again.stderr
    assert hashes(tmp_path / "tiny" / "0.1.0" / "data") == hashes(published / "data")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    done = subtext("run", "--out", str(tmp_path / "file"), tiny_run=True)
    assert done.returncode == 1
    assert "--out" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_read_only_place(tmp_path: Path) -> None:
    place = tmp_path / "read-only"
    place.mkdir()
    if os.geteuid() == 0:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], check=False).returncode:
            pytest.skip("root writes anywhere, and may not mount a read-only place here")
    else:
        place.chmod(0o555)
    try:
        done = subtext("run", "--out", str(place), tiny_run=True)
        assert done.returncode == 1
        assert "read-only" in done.stderr or "permission denied" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, stderr=subprocess.DEVNULL)


def test_a_second_run_on_the_same_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    first = subprocess.Popen(
        command("run", "--out", str(tmp_path), tiny_run=True), cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    try:
        lock = tmp_path / "tiny" / "0.1.0" / ".lock"
        while first.poll() is None and not (lock.exists() and lock.read_text(encoding="utf-8")):
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        second = subtext("run", "--out", str(tmp_path), tiny_run=True)
        assert second.returncode == 1
        assert f"process {first.pid}" in second.stderr
        first.send_signal(signal.SIGCONT)
        assert first.wait(timeout=120) == 0
    finally:
        first.kill()
        first.wait()


WRONG = {
    "no such config": (["run", "nowhere.yaml"], "nowhere.yaml: cannot read the config"),
    "no such key": (["run", "configs/demo.yaml", "--set", "run.sed=2"], "run.sed"),
    "wrong value": (["run", "configs/demo.yaml", "--set", "run.shard_size=none"], "run.shard_size"),
    "not a setting": (["run", "configs/demo.yaml", "--set", "seed"], "section.key=value"),
    "a version that is a path": (["run", "configs/demo.yaml", "--version", "../up"], "dataset.version"),
    "no such seeds": (["run", "configs/demo.yaml", "--no-prefect", "--set", "seeds.path=gone.jsonl"], "gone.jsonl: no such seed file"),
    "no dataset": (["sql", "nowhere", "SELECT 1"], "nowhere: no finished dataset"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_clear_line_and_exit_2(tmp_path: Path, what: str) -> None:
    arguments, said = WRONG[what]
    done = subtext(*arguments, *(["--out", str(tmp_path)] if arguments[0] == "run" else []))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_wrong_sql_is_explained(published: Path) -> None:
    done = subtext("sql", str(published), "SELECT kin FROM questions")
    assert done.returncode == 2
    assert "kin" in done.stderr and "Traceback" not in done.stderr


def test_sql_prints_tab_separated_rows(published: Path) -> None:
    done = subtext("sql", str(published), "SELECT split, count(*) AS n FROM personas GROUP BY 1 ORDER BY 1")
    assert done.stdout.splitlines() == ["split\tn", "test\t1", "train\t3", "validation\t1"]


def test_stopped_by_ctrl_c_it_says_how_to_go_on(tmp_path: Path) -> None:
    long_run = command("run", "--out", str(tmp_path), "--set", "seeds.builtin_count=150", tiny_run=True)
    process = subprocess.Popen(
        long_run, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob("tiny/*/stages/seeds/*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the same command again" in said and "Traceback" not in said


def test_it_works_without_any_network(tmp_path: Path, published: Path) -> None:
    cut_off = (
        ["unshare", "-n"] if shutil.which("unshare") and subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0 else []
    )
    done = subprocess.run(
        [*cut_off, *command("run", "--out", str(tmp_path), tiny_run=True)], capture_output=True, text=True, cwd=REPO, check=False,
        env={**os.environ, "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1", "SUBTEXT_CACHE": str(tmp_path / "cache")}, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "tiny" / "0.1.0" / "data") == hashes(published / "data")
