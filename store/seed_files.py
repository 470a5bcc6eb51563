"""Reading seed files: JSON lines, CSV, Parquet, or what the `datasets` library can load.

Every reader yields (line or row number, text, problem): either a text, or one sentence saying why there is none. A file that cannot be
read at all is an InputError. No line is held in memory beyond `MOST_BYTES`.
"""

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError

MOST_BYTES = 1_000_000
"""A seed is a line or two; a longer line is a mistake."""
_MOST_LINES_OF_A_ROW = 100


class Line(NamedTuple):
    """One line of a seed file: `text`, or the `problem` that there is with it."""

    number: int
    text: str
    problem: str


def read_lines(path: str, field: str) -> Iterator[Line]:
    """The lines of `path`, by its ending: .jsonl, .csv, .parquet; a folder or a name `owner/dataset` goes to `datasets`."""
    file = Path(path)
    reader = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _jsonl, ".csv": _csv, ".parquet": _parquet}.get(file.suffix.lower())
    if file.is_file():
        if reader is None:
            raise InputError(f"{path}: seeds are read from .jsonl, .csv or .parquet, not from {file.suffix or 'a file without ending'}")
        if file.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        return reader(file, field)
    if file.is_dir() or (reader is None and re.fullmatch(r"[\w.-]+/[\w.-]+", path)):
        return _dataset(path, field)
    raise InputError(f"{path}: no such seed file or folder (seeds.path)")


def _text(value: Any, field: str) -> tuple[str, str]:
    """A cell as (text, problem)."""
    if value is not None and not isinstance(value, str):
        return "", f"{field!r} is not text but {type(value).__name__}"
    if value is None or not value.strip():
        return "", f"{field!r} is empty"
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        return "", f"{field!r} holds half a character (a lone surrogate)"
    return (value, "") if size <= MOST_BYTES else ("", f"{field!r} is longer than {MOST_BYTES:,} bytes")


def _raw_lines(file: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """Physical lines as (number, bytes, problem); of one that is too long nothing is kept."""
    number = 0
    while raw := file.readline(MOST_BYTES + 1):
        number += 1
        if len(raw) > MOST_BYTES and not raw.endswith(b"\n"):
            while (more := file.readline(MOST_BYTES)) and not more.endswith(b"\n"):
                pass
            yield number, b"", f"the line is longer than {MOST_BYTES:,} bytes"
        else:
            yield number, raw, ""


def _jsonl(path: Path, field: str) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, raw, problem in _raw_lines(file):
            if problem:
                yield Line(number, "", problem)
            elif raw.strip():
                yield Line(number, *_parse(raw, field, first=number == 1))


def _parse(raw: bytes, field: str, first: bool) -> tuple[str, str]:
    try:
        row = json.loads(raw.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        return "", f"not UTF-8 at byte {error.start + 1} of the line"
    except (ValueError, RecursionError) as error:
        return "", f"not JSON ({error})"
    if not isinstance(row, dict):
        return "", f"not an object with {field!r} but {type(row).__name__}"
    if field not in row:
        return "", f"no {field!r} in it (it has: {', '.join(list(row)[:6]) or 'nothing'}); name another with seeds.text_field"
    return _text(row[field], field)


def _csv(path: Path, field: str) -> Iterator[Line]:
    with path.open("rb") as file:
        rows = _csv_rows(file)
        number, columns, problem = next(rows, (1, [], "no header"))
        if problem:
            raise InputError(f"{path}: line {number}: {problem}")
        if field not in columns:
            raise InputError(f"{path}: line 1: no column {field!r} (it has: {', '.join(columns[:8])}); name another with seeds.text_field")
        for number, cells, problem in rows:
            if problem:
                yield Line(number, "", problem)
            elif len(cells) != len(columns):
                yield Line(number, "", f"{len(cells)} cells under {len(columns)} column(s); put a text with commas in quotes")
            else:
                yield Line(number, *_text(cells[columns.index(field)], field))


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, list[str], str]]:
    """Rows as (number of their first line, cells, problem).

    A row goes on over line ends inside quotes. Where a quote never closes, its line is the problem, and the lines after it are read
    again by themselves, so that one lost quote does not swallow the rest of the file.
    """
    waiting: deque[tuple[int, bytes, str]] = deque()
    source = _raw_lines(file)
    while waiting or (waiting := deque(islice(source, 1))):
        number, raw, problem = waiting.popleft()
        if problem or not raw.strip():
            if problem:
                yield number, [], problem
            continue
        taken = [(number, raw, "")]
        while sum(line[1].count(b'"') for line in taken) % 2 and len(taken) < _MOST_LINES_OF_A_ROW:
            more = waiting.popleft() if waiting else next(source, None)
            if more is None:
                break
            taken.append(more)
        whole = b"".join(line[1] for line in taken)
        if whole.count(b'"') % 2:
            yield number, [], "a quote opens and never closes"
            waiting.extendleft(reversed(taken[1:]))
            continue
        yield number, *_csv_cells(whole, first=number == 1)


def _csv_cells(row: bytes, first: bool) -> tuple[list[str], str]:
    try:
        text = row.decode("utf-8-sig" if first else "utf-8")
        return next(csv.reader(io.StringIO(text, newline=""), strict=True)), ""
    except UnicodeDecodeError:
        return [], "not UTF-8"
    except (csv.Error, StopIteration) as error:
        return [], f"not CSV ({error})"


def _parquet(path: Path, field: str) -> Iterator[Line]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error
    columns = file.schema_arrow.names
    if field not in columns:
        raise InputError(f"{path}: no column {field!r} (it has: {', '.join(columns[:8])}); name another with seeds.text_field")
    return _cells((value for batch in file.iter_batches(columns=[field]) for value in batch.column(0).to_pylist()), path, field)


def _cells(values: Iterator[Any], path: object, field: str) -> Iterator[Line]:
    number = 0
    try:
        for number, value in enumerate(values, start=1):
            yield Line(number, *_text(value, field))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: unreadable after row {number} ({str(error).splitlines()[0]})") from error


def _dataset(path: str, field: str) -> Iterator[Line]:
    import datasets  # slow to import, and needed here only

    try:
        saved = (Path(path) / "state.json").exists() or (Path(path) / "dataset_dict.json").exists()
        found = datasets.load_from_disk(path) if saved else datasets.load_dataset(path)
    except Exception as error:  # the library raises many kinds; all mean that this path gives no dataset
        raise InputError(
            f"{path}: `datasets` cannot load it ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
    parts = list(found.values()) if isinstance(found, dict) else [found]
    for part in parts:
        if field not in part.column_names:
            raise InputError(
                f"{path}: no column {field!r} (it has: {', '.join(part.column_names[:8])}); name another with seeds.text_field"
            )
    return _cells((value for part in parts for value in part[field]), path, field)
