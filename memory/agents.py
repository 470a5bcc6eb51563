"""From what `--agent` says to an agent that can be examined. The kinds are in docs/agents.md."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from memory.agent import MemoryAgent
from memory.chunks import MOST_TOKENS
from memory.outside import Outside
from schemas.config import without_folder
from schemas.errors import InputError
from schemas.exam import AgentKind

_LLM = re.compile(r"llm:(?P<model>.+)@(?P<url>https?://.+)")
_LLM_USERS, _OUTSIDE_USERS = 32, 4
"""How many users sit at once. A language model's server decides itself how many requests are; a system on this machine shares its cores."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who is examined."""

    kind: AgentKind
    name: str
    """What results call it: without folders and addresses."""
    for_user: Callable[[str], AbstractAsyncContextManager[MemoryAgent]]
    """An agent that knows nothing of this user yet."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What decides its answers beside its name, where that is known."""
    at_once: int = 1
    """How many users may sit at once."""
    chunk_tokens: int | None = MOST_TOKENS
    """See `memory.replay.Limits`."""
    spent: Callable[[], dict[str, Any]] | None = None
    """What it has cost, where it tells."""
    repeats_nothing: bool = False
    """Whether it keeps its finished calls itself, so that an exam that was cut short can simply be sat again."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What `--agent` says."""

    kind: AgentKind
    name: str
    """What results call the agent, where nobody names it otherwise: without folders, addresses of models and what follows a `?`."""
    place: str = ""
    """The path of a trained model, or the address of the server."""
    model: str = ""
    outside: Outside | None = None

    @classmethod
    def of(cls, text: str) -> "Spec":
        """Read it. Raises InputError where it names no agent."""
        if found := _LLM.fullmatch(text):
            return cls("llm", without_folder(found["model"]), found["url"], found["model"])
        if text.startswith(("command:", "http://", "https://")):
            outside = Outside.of(text)
            if not outside.url:
                return cls("command", outside.name, outside=outside)
            parts = urlsplit(outside.url)
            return cls("service", f"{parts.hostname}{parts.path}".rstrip("/"), outside=outside)
        if text == "extractive" or (text and Path(text).exists()):
            return cls("extractive", Path(text).stem, "" if text == "extractive" else text)
        raise InputError(
            f"{text}: no such agent; give extractive, the path of a trained one, llm:MODEL@http://host:port/v1, "
            "command:python my_agent.py, or http://host:port/path"
        )


@contextmanager
def make_agent(spec: Spec, memory_tokens: int, calls: Path, name: str | None = None) -> Iterator[Candidate]:
    """The agent that `spec` says, for a memory of `memory_tokens`; at the end of the block it lets go of what it holds.

    `name`: what results call it instead of the name in `spec`. Finished calls to a language model are kept in the folder `calls`. Raises
    InputError where it cannot be had.
    """
    called = name or spec.name
    if spec.kind == "llm":
        with _language_model(spec, called, memory_tokens, calls) as candidate:
            yield candidate
    elif spec.outside:
        yield _outside(spec, spec.outside, called, memory_tokens)
    else:
        raise InputError(f"{spec.name}: extractive agents cannot be examined yet; give another kind")


@contextmanager
def _language_model(spec: Spec, name: str, memory_tokens: int, calls: Path) -> Iterator[Candidate]:
    from memory.llm import llm_agent
    from prompts.render import prompts_hash

    agent = llm_agent(spec.model, spec.place, memory_tokens, calls)

    @asynccontextmanager
    async def the_same(user: str) -> AsyncIterator[MemoryAgent]:
        del user  # it has no state beside the memory
        yield agent

    details = {"model": spec.name, "prompts": prompts_hash("memory")}
    try:
        yield Candidate("llm", name, the_same, details, _LLM_USERS, spent=agent.spent, repeats_nothing=True)
    finally:
        agent.close()


def _outside(spec: Spec, outside: Outside, name: str, memory_tokens: int) -> Candidate:
    @asynccontextmanager
    async def fresh(user: str) -> AsyncIterator[MemoryAgent]:
        async with outside.for_user(user, memory_tokens) as agent:
            yield agent

    return Candidate(spec.kind, name, fresh, {spec.kind: spec.name}, at_once=_OUTSIDE_USERS, chunk_tokens=None)
