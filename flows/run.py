"""What every stage is given: the config, the run folder, the author, the tokenizer; and how a shard's text is asked for.

A stage is a plain function from a shard to a `Produced`; this module and `flows/runner.py` are all that stands between it and Prefect.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from author.seam import Author, make_author
from schemas.config import Config
from schemas.ids import persona_id
from schemas.seed import Seed
from store.folder import RunFolder
from text.tokenizer import TokenCounter, token_counter

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


def make_run(config: Config, folder: RunFolder) -> Run:
    """Load the author and the tokenizer that the config names."""
    return Run(config, folder, make_author(config.author), token_counter(config.assemble.tokenizer))


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


def gather(work: Sequence[Coroutine[Any, Any, Result]], at_once: int) -> list[Result]:
    """Await all of `work`, at most `at_once` at a time; results in the order given. The door from a shard to async authors."""

    async def limited() -> list[Result]:
        gate = asyncio.Semaphore(at_once)

        async def one(awaitable: Awaitable[Result]) -> Result:
            async with gate:
                return await awaitable

        return list(await asyncio.gather(*(one(awaitable) for awaitable in work)))

    return asyncio.run(limited())
