"""Overlap with given texts, such as evaluation sets: 13 words in a row that a session or an item has in common with them."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from validators.audit.statistics import Figure, Units, count_of
from validators.audit.tables import Published

GRAM = 13
_WORD = re.compile(r"\w+")


def find_overlaps(published: Published, against: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """By the name of each file in `against`: the sessions and items that share 13 words in a row with a text in it."""
    foreign: dict[str, set[int]] = {path.name: set() for path in against}
    for path in against:
        foreign[path.name].update(_grams(read_texts(path)))
    found: dict[str, list[str]] = {name: [] for name in foreign}
    for record, text in _texts(published) if any(foreign.values()) else ():
        grams = set(_grams(text))
        for name, known in foreign.items():
            if not grams.isdisjoint(known):
                found[name].append(record)
    return {name: tuple(records) for name, records in found.items()}


def contamination_figures(published: Published, overlaps: Mapping[str, Collection[str]]) -> list[Figure]:
    """How many sessions and items overlap with any of the files; 0."""
    shared = {record for records in overlaps.values() for record in records}
    texts = len(published.sessions) + len({question.item_id for question in published.questions})
    return [count_of("contamination", len(shared), Units(texts if overlaps else 0, "sessions and items"))]


def _texts(published: Published) -> Iterator[tuple[str, Sequence[str]]]:
    for session in published.sessions:
        yield session.session_id, [message.content for message in session.messages]
    for item in {question.item_id: question for question in published.questions}.values():
        yield item.item_id, [item.text, *(option.text for option in item.options)]


def read_texts(path: Path) -> Iterator[str]:
    """Every string in a .jsonl, .json or .parquet file, however deep; or the whole of any other text file."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1024):
                    yield from _strings(batch.to_pylist())
        elif path.suffix == ".jsonl":
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    yield from _strings(json.loads(line))
        elif path.suffix == ".json":
            yield from _strings(json.loads(path.read_text(encoding="utf-8")))
        else:
            yield path.read_text(encoding="utf-8")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be compared with: {' '.join(str(error).split())}") from error


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _grams(texts: Iterable[str]) -> Iterator[int]:
    """Hashes of the runs of 13 words of each text."""
    for text in texts:
        words = _WORD.findall(text.casefold())
        for start in range(len(words) - GRAM + 1):
            yield hash(tuple(words[start : start + GRAM]))
