"""What every stage is given: the config, the run folder, the author, the tokenizer; and how a shard's text is asked for.

A stage is a plain function from a shard to a `Produced`; this module and `flows/runner.py` are all that stands between it and Prefect.
"""

import asyncio
import ctypes
import gc
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from author.make import make_author
from author.offline.bank import load_bank
from author.seam import Author, Unwritten
from schemas.config import Config
from schemas.ids import persona_id
from schemas.outcome import RecordType, Reject
from schemas.seed import Seed
from store.folder import RunFolder
from text.tokenizer import TokenCounter, token_counter
from validators.judge import Judge

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pipeline on one folder."""

    config: Config
    folder: RunFolder
    author: Author
    tokens: TokenCounter

    @property
    def seed(self) -> int:
        """The run's public seed, from which all chance is derived."""
        return self.config.run.seed

    @property
    def judge(self) -> Judge | None:
        """Who judges what the rules have passed; nobody, unless the config wants votes."""
        config = self.config.judge
        return Judge(self.author, config.votes, config.lean) if config.votes else None

    def judged(self) -> tuple[str, ...]:
        """What a judge adds to the key of a part whose records it judges: nothing where there is none."""
        return (self.config.judge.model_dump_json(), self.author.id_for("judge"), load_bank().id) if self.config.judge.votes else ()


@contextmanager
def make_run(config: Config, folder: RunFolder, journal: Path | None = None) -> Iterator[Run]:
    """A run with the author and the tokenizer that the config names; at its end the author lets go of what it holds.

    Calls are journalled in `journal`; by default in the run folder.
    """
    tokens = token_counter(config.assemble.tokenizer)
    author = make_author(config, journal or folder.journal)
    try:
        yield Run(config, folder, author, tokens)
    finally:
        author.close()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a persona begins: a seed, and which of the personas made of it this is."""

    seed: Seed
    copy: int

    @property
    def persona_id(self) -> str:
        """The id of the persona to be."""
        return persona_id(self.seed.text, self.copy)


def shards_of(starts: Iterable[Start], size: int) -> list[tuple[Start, ...]]:
    """Personas in order of their ids, cut into shards of `size`."""
    ordered = sorted(starts, key=lambda start: start.persona_id)
    return [tuple(ordered[at : at + size]) for at in range(0, len(ordered), size)]


def gather(work: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Await all of `work` at once; results in the order given. The door from a shard to async authors, who decide how much is at once."""

    async def all_of_it() -> list[Result]:
        return list(await asyncio.gather(*work))

    return asyncio.run(all_of_it())


def give_memory_back() -> None:
    """Return to the system what global stages have freed; without it, the C library keeps more than a tenth of a run's peak to itself."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # not the GNU C library: it does as it does
        ctypes.CDLL(None).malloc_trim(0)


def unwritten(gone: Unwritten, record_id: str, kind: RecordType, stage: str) -> Reject:
    """The reject of a record that the author could not write."""
    return Reject(
        record_id=record_id, record_type=kind, stage=stage, reason=gone.reason, detail=gone.detail, raw=gone.raw, retry=gone.retry
    )
