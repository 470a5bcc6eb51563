"""The run folder: written whole or not at all, held by one process at a time, and true to one config."""

import errno
import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.config import Config
from schemas.errors import InputError, SubtextError
from store.folder import RunFolder, disk_errors, open_run, write_json, write_text, writing
from store.parts import write_table
from tests.store.children import OPEN, child, everything_below, output, refusal

ADVICE = "the file would pass the file-size limit; raise it (ulimit -f), then run the same command again"


def config(**sections: dict[str, object]) -> Config:
    return Config.model_validate({"dataset": {"name": "d"}, **sections})


def test_a_written_file_is_there_and_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"name": "Zoë"})
    assert (tmp_path / "new" / "a.json").read_text(encoding="utf-8") == '{\n  "name": "Zoë"\n}\n'
    assert everything_below(tmp_path) == ["new/a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, error: type[BaseException]) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(error), writing(tmp_path / "a") as beside:
        beside.write_text("half", encoding="utf-8")
        raise error
    assert everything_below(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"


def test_until_it_is_whole_a_new_file_is_not_seen_and_the_old_one_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with writing(tmp_path / "a") as beside:
        beside.write_text("new", encoding="utf-8")
        assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
    assert (tmp_path / "a").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize(
    "work",
    [
        "from store.folder import write_text\nwrite_text(root / 'a', 'x' * 100_000)",
        "from store.folder import write_json\nwrite_json(root / 'a', list(range(50_000)))",
        "from store.parts import write_table\nwrite_table(root / 'a', pa.table({'a': [i * 0.37 for i in range(50_000)]}))",
    ],
    ids=["text", "json", "table"],
)
def test_past_the_file_size_limit_the_error_says_what_to_do_and_no_file_is_left(tmp_path: Path, work: str) -> None:
    write_text(tmp_path / "kept", "old")
    said = refusal(work, tmp_path, limit=12_800)
    assert said.startswith(f"SubtextError: cannot write {tmp_path / 'a'}: {ADVICE}")
    assert everything_below(tmp_path) == ["kept"]


def test_a_table_that_lacks_but_its_last_byte_is_not_taken_for_whole(tmp_path: Path) -> None:
    write_table(tmp_path / "whole", pa.table({"a": [number * 0.37 for number in range(2000)]}))
    said = refusal(
        "from store.parts import write_table\nwrite_table(root / 'a', pa.table({'a': [number * 0.37 for number in range(2000)]}))",
        tmp_path,
        limit=(tmp_path / "whole").stat().st_size - 1,
    )
    assert said.startswith("SubtextError: cannot write")
    assert everything_below(tmp_path) == ["whole"]


def test_a_full_disk_is_told_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(SubtextError, match="the disk is full; free some space, then run the same command again") as caught,
        disk_errors(tmp_path),
    ):
        Path("/dev/full").write_text("x", encoding="utf-8")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_error_that_is_not_the_disks_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "none").read_text(encoding="utf-8")
    with pytest.raises(OSError, match="odd") as caught, disk_errors(tmp_path):
        raise OSError(errno.EIO, "odd")
    assert not isinstance(caught.value, SubtextError)


def test_a_folder_that_may_not_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    code = OPEN + (
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try:\n    with open_run(out, config): print('opened')\nexcept SubtextError as error: print(type(error).__name__, error)"
    )
    tmp_path.chmod(0o500)
    said = output(code, tmp_path)
    assert said.startswith("SubtextError cannot write")
    assert "permission denied; choose another folder with --out" in said


def test_a_file_in_the_way_is_told_with_a_way_out(tmp_path: Path) -> None:
    write_text(tmp_path / "out", "")
    with pytest.raises(SubtextError, match="a file is in the way; choose another folder with --out"), open_run(tmp_path / "out", config()):
        pass


def test_a_run_folder_lies_below_the_name_and_the_version(tmp_path: Path) -> None:
    with open_run(tmp_path, config(dataset={"name": "people", "version": "2.1"})) as folder:
        assert folder.root == tmp_path / "people" / "2.1"
        assert not folder.finished
        write_json(folder.manifest, {})
        assert folder.finished


def test_a_second_process_is_told_which_process_holds_the_folder(tmp_path: Path) -> None:
    with child(OPEN + "with open_run(out, config):\n    print('held', flush=True)\n    sys.stdin.read()", tmp_path) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SubtextError, match=f"in use by process {holder.pid}; wait for it, or choose another --version"):
            open_run(tmp_path, config()).__enter__()
        with open_run(tmp_path, config(dataset={"name": "d", "version": "2"})):
            pass  # another version is another folder
        holder.communicate("", timeout=60)
    assert holder.returncode == 0
    with open_run(tmp_path, config()):
        pass


def test_the_lock_vanishes_with_a_holder_that_is_killed(tmp_path: Path) -> None:
    with child(OPEN + "with open_run(out, config):\n    print('held', flush=True)\n    sys.stdin.read()", tmp_path) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=60)
    with (
        open_run(tmp_path, config()),
        pytest.raises(SubtextError, match=f"in use by process {os.getpid()};"),
        open_run(tmp_path, config()),
    ):
        pass  # held by this process now, whatever the killed one left in the lock file


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), open_run(tmp_path, config()):
        raise ValueError("inside")
    with open_run(tmp_path, config()):
        pass


def test_the_same_config_opens_its_folder_again_however_the_work_is_done(tmp_path: Path) -> None:
    for concurrency in (1, 8):
        with open_run(tmp_path, config(run={"concurrency": concurrency})):
            pass


@pytest.mark.parametrize(
    ("other", "keys"),
    [
        ({"run": {"seed": 2}}, "run.seed"),
        ({"run": {"seed": 2, "concurrency": 9}}, "run.seed"),
        ({"assemble": {"budgets": [32_000, 128_000]}}, "assemble.budgets"),
        ({"expand": {"updates": 0.5}, "seeds": {"path": "a.jsonl"}}, "expand.updates, seeds.path"),
        ({"distract": {"noise": {"quoted": 1}}}, "distract.noise.quoted"),
    ],
)
def test_another_config_in_the_same_version_is_told_which_settings_differ(
    tmp_path: Path, other: dict[str, dict[str, object]], keys: str
) -> None:
    with open_run(tmp_path, config()):
        pass
    before = (tmp_path / "d" / "0.1.0" / "config.json").read_bytes()
    with pytest.raises(InputError, match=rf"another config \(different: {keys}\b") as caught, open_run(tmp_path, config(**other)):
        pass
    assert "run.concurrency" not in str(caught.value)
    assert "--version" in str(caught.value)
    assert (tmp_path / "d" / "0.1.0" / "config.json").read_bytes() == before
    with open_run(tmp_path, config()):
        pass


def test_places_of_a_shard_belong_together(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.part("ask", 3) == tmp_path / "stages" / "ask" / "part-00003.parquet"
    assert folder.rejects("ask", 3) == tmp_path / "rejects" / "ask" / "part-00003.parquet"
    assert folder.verdicts("ask", 3) == tmp_path / "verdicts" / "ask" / "part-00003.parquet"
    assert folder.receipt("ask", 3).with_suffix("") == folder.part("ask", 3).with_suffix("")


@pytest.mark.parametrize("limit", [0, 5])
def test_a_disk_too_full_for_the_lock_is_told_what_to_do(tmp_path: Path, limit: int) -> None:
    code = (
        "from schemas.config import Config\nfrom store.folder import open_run\n"
        "with open_run(root, Config.model_validate({'dataset': {'name': 'd'}})): pass"
    )
    assert refusal(code, tmp_path, limit).startswith("SubtextError: cannot write")


def test_a_file_in_the_place_of_the_version_is_told_with_a_way_out(tmp_path: Path) -> None:
    write_text(tmp_path / "d" / "0.1.0", "")
    with pytest.raises(SubtextError, match="a file is in the way"), open_run(tmp_path, config()):
        pass


def test_the_run_folder_holds_no_absolute_path(tmp_path: Path) -> None:
    with open_run(tmp_path, config(seeds={"path": "/home/alice/seeds.jsonl"})) as folder:
        assert "/home/alice" not in (folder.root / "config.json").read_text(encoding="utf-8")
