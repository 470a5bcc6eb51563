"""An author at work on the loopback: its config, and personas asked of it by number. The same number is the same request."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from author.llm.openai_author import OpenAIAuthor
from schemas.call import Call
from schemas.config import AuthorConfig, Config
from schemas.drafts import PersonaDraft
from store.journal import Journal
from tests.servers.http import HttpServer

PROMPT = "expand/persona"
KEY_ENV = "SUBTEXT_TESTS_KEY"
"""A variable that nobody has set."""


def settings(*servers: HttpServer | str, **author: Any) -> AuthorConfig:
    """The author of these servers."""
    urls = tuple(server if isinstance(server, str) else server.base_url for server in servers)
    return AuthorConfig.model_validate({"kind": "openai", "model": "scripted", "base_url": urls, "api_key_env": KEY_ENV, **author})


def config(*servers: HttpServer | str, budget: dict[str, Any] | None = None, **author: Any) -> Config:
    """A run's config with such an author."""
    return Config.model_validate({"dataset": {"name": "tiny"}, "author": settings(*servers, **author), "budget": budget or {}})


@contextmanager
def opened(of: Config, journal: Path) -> Iterator[OpenAIAuthor]:
    """The author of `of`, closed in the end."""
    author = OpenAIAuthor(of, journal)
    try:
        yield author
    finally:
        author.close()


async def persona(author: OpenAIAuthor, number: int) -> PersonaDraft:
    """Ask for persona `number`."""
    return await author.write(PROMPT, {"seed_text": f"seed {number:04d}", "copy": 1}, PersonaDraft, number, f"s{number}")


def ask(author: OpenAIAuthor, numbers: Iterable[int]) -> list[PersonaDraft | BaseException]:
    """Ask for all of these at once; what came of each."""

    async def together() -> list[PersonaDraft | BaseException]:
        return await asyncio.gather(*(persona(author, number) for number in numbers), return_exceptions=True)

    return asyncio.run(together())


def number_of(request: dict[str, Any]) -> int:
    """Which persona a request to the server is about."""
    return int(request["messages"][1]["content"].partition("seed ")[2][:4])


def calls(journal: Path) -> list[Call]:
    """What the journal holds."""
    return Journal(journal).found


def soon(done: Callable[[], bool]) -> None:
    """Wait until `done`; what never comes fails."""
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.005)


def all_written(came: list[PersonaDraft | BaseException]) -> bool:
    return all(isinstance(one, PersonaDraft) for one in came)


def figures(author: OpenAIAuthor) -> dict[str, Any]:
    """The account of the one prompt."""
    account: dict[str, Any] = author.spent()["calls"][PROMPT]
    return account
