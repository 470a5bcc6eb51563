"""The run folder `output/<dataset>/<version>/`: where things lie in it, who may write to it, and which config it belongs to.

One process at a time may run on a folder; the lock is the kernel's (flock), so it vanishes with the process that held it, even
after `kill -9`. Writing is always beside and renamed into place, so whatever has its final name is whole.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.config import FREE, Config
from schemas.errors import InputError, SubtextError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Places in one run folder."""

    root: Path

    def part(self, stage: str, index: int) -> Path:
        """The part file of shard `index` of `stage`."""
        return self.root / "stages" / stage / f"part-{index:05d}.parquet"

    def rejects(self, stage: str, index: int) -> Path:
        """The rejected records of the same shard."""
        return self.root / "rejects" / stage / f"part-{index:05d}.parquet"

    def verdicts(self, stage: str, index: int) -> Path:
        """What the validators said of the records of the same shard, kept or not."""
        return self.root / "verdicts" / stage / f"part-{index:05d}.parquet"

    def receipt(self, stage: str, index: int) -> Path:
        """The receipt that makes the part count."""
        return self.root / "stages" / stage / f"part-{index:05d}.json"

    @property
    def journal(self) -> Path:
        """The finished calls to language models, append-only."""
        return self.root / "journal"

    @property
    def data(self) -> Path:
        """The published Parquet files."""
        return self.root / "data"

    @property
    def manifest(self) -> Path:
        """Written last: a folder that has it is a finished version."""
        return self.root / "manifest.json"

    @property
    def finished(self) -> bool:
        """Whether this version was published."""
        return self.manifest.is_file()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into one line that says what to do."""
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EFBIG: "the file would pass the file-size limit; raise it (ulimit -f)",
            errno.EROFS: "the file system is read-only; choose another folder with --out",
            errno.EACCES: "permission denied; choose another folder with --out",
            errno.EPERM: "permission denied; choose another folder with --out",
            errno.EEXIST: "a file is in the way; choose another folder with --out",
            errno.ENOTDIR: "a file is in the way; choose another folder with --out",
        }.get(error.errno or 0)
        if what is None:
            raise
        raise SubtextError(f"cannot write {path}: {what}, then run the same command again (finished parts are kept)") from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; on leaving, the file is synced and renamed to `path`. On any error nothing is left."""
    beside = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            sync(beside)
            beside.replace(path)
            sync(path.parent)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with writing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def sync(path: Path) -> None:
    """Have the kernel put `path` (a file or a folder) on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def open_run(out: Path, config: Config) -> Iterator[RunFolder]:
    """Hold the run folder of `config` below `out`.

    Raises InputError when the folder belongs to another config, and SubtextError when another process holds it (naming it) or it
    cannot be written.
    """
    folder = RunFolder(out / config.dataset.name / config.dataset.version)
    with disk_errors(folder.root):
        folder.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 100, 0).decode() or "another run"
            raise SubtextError(f"{folder.root} is in use by {holder}; wait for it, or choose another --version") from error
        with disk_errors(folder.root / ".lock"):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()}".encode(), 0)
        _claim(folder, config)
        try:
            yield folder
        finally:
            with suppress(OSError):
                os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _claim(folder: RunFolder, config: Config) -> None:
    """Write the config into a new folder; compare it in an old one."""
    path = folder.root / "config.json"
    mine = {"identity": config.identity(), "config": config.public()}
    if not path.is_file():
        write_json(path, mine)
        return
    try:
        theirs = json.loads(path.read_text(encoding="utf-8"))
        same = theirs["identity"] == mine["identity"]
        differing = sorted(_flat(mine["config"]) ^ _flat(theirs["config"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SubtextError(f"{path} is damaged; delete it and run again (finished parts are kept)") from error
    if same:
        return
    free = {".".join(place) for place in FREE}
    keys = list(dict.fromkeys(key for key, _ in differing if key not in free and not key.startswith("author.price.")))
    raise InputError(
        f"{folder.root} was made with another config (different: {', '.join(keys[:4]) or 'settings of an older release'}); "
        "give this one a version of its own with --version"
    )


def _flat(value: object, prefix: str = "") -> set[tuple[str, str]]:
    if isinstance(value, dict):
        return {pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))}
    return {(prefix, json.dumps(value))}
