"""Published tables: `data/<config>/<split>-00000-of-0000N.parquet`, written as one folder that appears whole.

Row groups and files are cut by row counts alone, so the bytes do not depend on how the work was sharded.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from schemas.arrow import arrow_schema, from_table, to_table
from schemas.errors import InputError
from schemas.ids import digest
from schemas.seed import SPLITS, Split
from store.folder import RunFolder, disk_errors, sync
from store.parts import file_hash

ROWS_PER_GROUP = 1024
ROWS_PER_FILE = 65_536
RecordT = TypeVar("RecordT", bound=BaseModel)


class DataFolder:
    """A data folder in the making, beside the place where it will appear."""

    def __init__(self, folder: RunFolder) -> None:
        self._final = folder.data
        self._manifest = folder.manifest
        self.unfinished, self._old = folder.root / ".data.tmp", folder.root / ".data.old.tmp"
        with disk_errors(self._final):
            for left in (self.unfinished, self._old):
                shutil.rmtree(left, ignore_errors=True)
            self.unfinished.mkdir(parents=True)

    def table(self, config: str, split: Split, record: type[BaseModel], rows: int) -> "TableWriter":
        """A writer for `rows` records of one config and split."""
        return TableWriter(self.unfinished / config, split, record, rows)

    def appear(self) -> None:
        """Put the finished folder in its place; one that was there (damaged) goes."""
        with disk_errors(self._final):
            for path in (*self.unfinished.rglob("*"), self.unfinished):
                sync(path)
            if self._final.exists():
                self._manifest.unlink(missing_ok=True)  # not finished while its data are exchanged
                self._final.rename(self._old)
                self.unfinished.rename(self._final)
                shutil.rmtree(self._old)
            else:
                self.unfinished.rename(self._final)
            sync(self._final.parent)

    def discard(self) -> None:
        """Let it not appear. What an attempt that was cut short had put in its place goes too; a finished version stays."""
        with disk_errors(self._final):
            for path in (self.unfinished, self._final)[: 1 if self._manifest.is_file() else 2]:
                if path.exists():
                    shutil.rmtree(path)


class TableWriter:
    """Writes one table in row groups and files of fixed numbers of rows. Close it, or use it in a `with`."""

    def __init__(self, folder: Path, split: Split, record: type[BaseModel], rows: int) -> None:
        self._folder, self._split, self._record = folder, split, record
        self._files = max(1, -(-rows // ROWS_PER_FILE))
        self._expected, self._written = rows, 0
        self._waiting: list[BaseModel] = []
        self._writer: pq.ParquetWriter | None = None
        with disk_errors(folder):
            folder.mkdir(exist_ok=True)

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush(final=True)
            if self._written != self._expected:
                raise AssertionError(f"{self._folder.name}/{self._split}: {self._written} rows written, {self._expected} announced")
        self._close()

    def add(self, records: Sequence[BaseModel]) -> None:
        """Append `records`."""
        self._waiting += records
        self._flush(final=False)

    def _flush(self, final: bool) -> None:
        with disk_errors(self._folder):
            while len(self._waiting) >= ROWS_PER_GROUP or (final and (self._waiting or (self._writer is None and self._written == 0))):
                group, self._waiting = self._waiting[:ROWS_PER_GROUP], self._waiting[ROWS_PER_GROUP:]
                self._write(to_table(group, self._record))
                if final and not self._waiting:
                    break

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            number = self._written // ROWS_PER_FILE
            path = self._folder / f"{self._split}-{number:05d}-of-{self._files:05d}.parquet"
            self._writer = pq.ParquetWriter(path, arrow_schema(self._record), compression="zstd")
        self._writer.write_table(table)
        self._written += len(table)
        if self._written % ROWS_PER_FILE == 0:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with disk_errors(self._folder):
                writer.close()


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of the finished dataset in `root`. InputError where there is none, or it cannot be read."""
    path = root / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise TypeError("not an object")
    except FileNotFoundError as error:
        raise InputError(f"{root} is not a finished dataset: it has no manifest.json (run the pipeline to its end first)") from error
    except (OSError, ValueError, TypeError) as error:
        raise unreadable_manifest(root, error) from error
    return manifest


def unreadable_manifest(root: Path, error: Exception) -> InputError:
    """What to say of a manifest that is there and is none."""
    return InputError(f"{root / 'manifest.json'} cannot be read as the manifest of a dataset: {' '.join(str(error).split())}")


def data_hash(data: Path) -> str:
    """Hash of the published tables in the folder `data`: of their names and bytes."""
    return digest(*((path.relative_to(data).as_posix(), file_hash(path)) for path in sorted(data.rglob("*.parquet"))), size=16)


def splits_present(data: Path, config: str) -> list[Split]:
    """The splits for which `config` has files."""
    return [split for split in SPLITS if table_files(data, config, split)]


def table_files(data: Path, config: str, split: Split) -> list[Path]:
    """The files of a published table for one split, in order."""
    return sorted((data / config).glob(f"{split}-*.parquet"))


def read_published(data: Path, config: str, record: type[RecordT], only: tuple[str, Collection[str]] | None = None) -> list[RecordT]:
    """The rows of a published table in order of splits and ids, read as `read_rows` does. InputError also where there is no such table."""
    paths = [path for split in SPLITS for path in table_files(data, config, split)]
    if not paths:
        raise InputError(f"{data}: no table {config} there; give the folder of a finished version, such as output/demo/0.1.0")
    return read_rows(paths, record, only)


def read_rows(paths: Iterable[Path], record: type[RecordT], only: tuple[str, Collection[str]] | None = None) -> list[RecordT]:
    """The rows of Parquet files, as far as `record` has fields; `only` those in which a field has one of some values.

    InputError where a file is damaged, or has not the fields.
    """
    found: list[RecordT] = []
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=list(record.model_fields))
                    if only is not None:
                        table = table.filter(pc.is_in(table[only[0]], pa.array(sorted(only[1]), pa.string())))
                    found += from_table(table, record)
        except (OSError, pa.ArrowException, ValidationError, KeyError) as error:
            raise InputError(f"{path} cannot be read as {path.parent.name}: {str(error).splitlines()[0]}") from error
    return found
