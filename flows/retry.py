"""`subtext retry-failed`: ask the author again for the records that were rejected for want of a usable reply, and for those alone.

What was kept stays: the parts are taken over, only those that hold such a reject are made again, and in them every other call is
replayed from the journal. A finished version never changes, so its retry is a version of its own beside it; an unfinished one goes on
in place.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from schemas.config import Config, load_config, make_config
from schemas.errors import InputError, SubtextError
from store.folder import RunFolder, disk_errors, open_run
from store.journal import Journal


@dataclass(frozen=True, slots=True)
class Retry:
    """A run that is ready to try again."""

    config: Config
    out: Path
    records: int
    """Records for which the author will be asked again."""


def prepare_retry(root: Path, path: Path | None, settings: Sequence[str], version: str | None) -> Retry:
    """Make the folder `root`, or a version beside it, ready for another try. Run the config that is returned.

    `path` is the config that `root` was made with; without one, the settings in `root` are taken, which know no addresses.
    InputError when there is no such folder or the config is another; a Retry of 0 records when nothing can be tried again.
    """
    folder = RunFolder(root)
    config = _config(folder, path, settings)
    refused = {(stage, index): records for stage, index, records in _retryable(folder)}
    records = {record for group in refused.values() for record in group}
    if not folder.finished:
        if records:
            with open_run(root.parent.parent, config):
                _void(folder, refused, records)
        return Retry(config, root.parent.parent, len(records))
    name = version or _next_name(root)
    config = config.model_copy(update={"dataset": config.dataset.model_copy(update={"version": name})})
    if records and not (root.parent / name).exists():
        _take_over(folder, root.parent / name, refused, records)
    return Retry(config, root.parent.parent, len(records))


def _config(folder: RunFolder, path: Path | None, settings: Sequence[str]) -> Config:
    """The config of `folder`, from `path` or from the folder itself."""
    try:
        stored = json.loads((folder.root / "config.json").read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder.root}: no run there (no config.json); give the folder of a version, such as output/demo/0.1.0"
        ) from error
    name, version = stored["dataset"]["name"], stored["dataset"]["version"]
    if path is not None:
        return load_config(path, [f"dataset.name={json.dumps(name)}", *settings], version)
    try:
        config = make_config(stored, settings, version, str(folder.root))
    except InputError as error:
        raise InputError(
            f"{error}; addresses are not stored: name the config that it was made with (subtext retry-failed {folder.root} CONFIG), "
            "or --set them"
        ) from error
    if config.seeds.path and not Path(config.seeds.path).exists():
        raise InputError(f"{config.seeds.path}: no such seeds here; say where they are with --set seeds.path=FOLDER/{config.seeds.path}")
    return config


def _retryable(folder: RunFolder) -> Iterator[tuple[str, int, set[str]]]:
    """Parts with rejects that may be tried again: stage, index, and the records to ask for."""
    for path in sorted(folder.root.glob("rejects/*/part-*.parquet")):
        try:
            column = pq.read_table(path, columns=["retry"]).column("retry").to_pylist()
        except (OSError, ValueError, KeyError) as error:
            raise SubtextError(f"{path}: unreadable ({str(error).splitlines()[0]}); run the version's own command again first") from error
        if records := {str(record) for record in column if record is not None}:
            yield path.parent.name, int(path.stem.rpartition("-")[2]), records


def _void(folder: RunFolder, refused: dict[tuple[str, int], set[str]], records: set[str]) -> None:
    """Let the calls for `records` count no more, and the parts that lack them."""
    Journal(folder.journal).void(records)
    for stage, index in refused:
        folder.receipt(stage, index).unlink(missing_ok=True)


def _take_over(old: RunFolder, new: Path, refused: dict[tuple[str, int], set[str]], records: set[str]) -> None:
    """A folder `new` with the parts and calls of `old`, but for what is to be tried again; it appears whole."""
    beside = new.with_name(f".{new.name}.tmp")
    with disk_errors(new):
        shutil.rmtree(beside, ignore_errors=True)
        for name in ("stages", "rejects", "verdicts", "journal"):
            if (old.root / name).is_dir():
                shutil.copytree(old.root / name, beside / name, copy_function=_link)
        _void(RunFolder(beside), refused, records)
        beside.rename(new)


def _link(source: str, target: str) -> None:
    """Parts and finished segments are never written to again, so the two versions can share them where the file system lets them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _next_name(root: Path) -> str:
    """The first retry of this version that is not finished yet."""
    name, number = re.sub(r"\.retry\d+$", "", root.name), 1
    while RunFolder(root.parent / f"{name}.retry{number}").finished:
        number += 1
    return f"{name}.retry{number}"
