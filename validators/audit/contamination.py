"""Overlap with given texts, such as evaluation sets: 13 words in a row that a session or an item has in common with them."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from validators.audit.statistics import Figure, Units, count_of
from validators.audit.tables import Published

GRAM = 13
_WORD = re.compile(r"\w+")


def contamination_figures(published: Published, against: Sequence[Path]) -> list[Figure]:
    """How many sessions and items share 13 words in a row with a text in `against`; 0."""
    foreign = {gram for path in against for text in read_texts(path) for gram in _grams([text])}
    texts = [[message.content for message in session.messages] for session in published.sessions]
    texts += {q.item_id: [q.text, *(option.text for option in q.options)] for q in published.questions}.values()
    found = sum(not foreign.isdisjoint(_grams(text)) for text in texts) if foreign else 0
    return [count_of("contamination", found, Units(len(texts) if against else 0, "sessions and items"))]


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
