"""An outside memory system (mem0, Letta, anybody's) as memory agent: a command or an HTTP service that speaks four JSON messages.

It keeps its memory to itself, in whatever form, so a history is handed to it session by session (`memory.replay.Limits` without
`chunk_tokens`), and every user gets a fresh one. The messages are documented in docs/agents.md.
"""

import math
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from memory.agent import Answer, Asked
from memory.channels import Channel, open_process, open_service
from memory.chunks import Chunk
from schemas.errors import InputError, SubtextError
from schemas.memory import Memory

_COMMAND = "command:"


@dataclass(frozen=True, slots=True)
class Outside:
    """Where an outside memory system is."""

    command: tuple[str, ...] = ()
    """The words of a command line; it is started for every user."""
    url: str = ""
    """The address of a service."""
    timeout_s: float = 600
    """Seconds to wait for one reply."""

    @classmethod
    def of(cls, spec: str) -> "Outside":
        """From `command:` and a command line, or from an address (http://…). Raises InputError where it is neither."""
        if spec.startswith(_COMMAND):
            try:
                words = tuple(shlex.split(spec.removeprefix(_COMMAND)))
            except ValueError as error:
                raise InputError(f"{spec}: not a command line ({error}); write it as in a shell") from error
            if words:
                return cls(command=words)
        elif spec.startswith(("http://", "https://")):
            try:
                parts = urlsplit(spec)
                found = parts.hostname is not None and parts.port != 0
            except ValueError:
                found = False
            if found and "@" not in parts.netloc:
                return cls(url=spec)
        raise InputError(f"{spec}: not an outside agent; write command:python my_agent.py, or http://host:port/path without a password")

    @property
    def name(self) -> str:
        """The command line without folders, or the address."""
        return self.url or " ".join(Path(word).name if "/" in word else word for word in self.command)

    @asynccontextmanager
    async def for_user(self, user: str, memory_tokens: int) -> AsyncIterator["OutsideAgent"]:
        """A fresh agent for one user, who is only a name to it. It ends with the block.

        Raises InputError where the command cannot be started, SubtextError where it, or later the agent, does not answer as it must.
        """
        opening = open_process(self.name, self.command, self.timeout_s) if self.command else open_service(self.url, self.timeout_s)
        async with opening as channel:
            agent = OutsideAgent(self.name, user, channel)
            await agent.tell("start", memory_tokens=memory_tokens)
            yield agent


class OutsideAgent:
    """See `memory.agent.MemoryAgent`; of one user, and not to be asked twice at once."""

    def __init__(self, name: str, user: str, channel: Channel) -> None:
        self.name = name
        self._user, self._channel = user, channel

    async def tell(self, kind: str, **fields: Any) -> Any:
        """Send a message, give the reply: any JSON, but for one that says `error`."""
        reply = await self._channel.ask({"type": kind, "user": self._user, **fields})
        if isinstance(reply, dict) and reply.get("error"):
            raise SubtextError(f"{self.name}: `{kind}` failed: {' '.join(str(reply['error']).split())[:300]}")
        return reply

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        """Hand over one whole session. What comes back is empty: the memory is the system's own (see `remembered`)."""
        first = chunk.turns[0]
        if any(turn.session_id != first.session_id for turn in chunk.turns):
            raise ValueError("an outside agent reads one session at a time")
        messages = [{"role": turn.message.role, "content": turn.message.content} for turn in chunk.turns]
        await self.tell("session", session_id=first.session_id, started_at=first.started_at.isoformat(), messages=messages)
        return memory

    async def answer(self, memory: Memory, asked: Asked) -> Answer:
        """Ask. An answer of a wrong shape is an error, because it says more of the agent's code than of its memory."""
        del memory
        reply = await self.tell("question", asked_at=asked.asked_at.isoformat(), text=asked.text, options=list(asked.options))
        try:
            return _answer(reply, len(asked.options))
        except ValueError as error:
            raise SubtextError(f"{self.name}: `question` was answered with {str(reply)[:120]}: {error}") from error

    async def remembered(self) -> str | None:
        """What it remembers now, as text; None where it does not say."""
        reply = await self.tell("memory")
        text = reply.get("text") if isinstance(reply, dict) else reply
        if not isinstance(text, str | None):
            raise SubtextError(f'{self.name}: `memory` was answered with {str(reply)[:120]}: want null or {{"text": …}}')
        return text


def _answer(reply: Any, options: int) -> Answer:
    """The answer in a reply. ValueError says what is wrong with it."""
    given = [key for key in ("choice", "shares", "text") if isinstance(reply, dict) and key in reply]
    if len(given) != 1:
        raise ValueError('want one of {"choice": …}, {"shares": […]} and {"text": …}')
    value = reply[given[0]]
    match given[0]:
        case "choice":
            if value is not None and not (type(value) is int and 0 <= value < options):
                raise ValueError(f"a choice is a whole number from 0 to {options - 1}, or null where none is made")
            return Answer(choice=value)
        case "shares":
            return Answer(shares=_shares(value, options))
    if not isinstance(value, str):
        raise ValueError("a text is a string")
    return Answer(text=value)


def _shares(value: Any, options: int) -> tuple[float, ...]:
    """The shares, made to sum to 1."""
    numbers: Sequence[Any] = value if isinstance(value, list) else ()
    fit = all(type(one) in (int, float) and math.isfinite(one) and one >= 0 for one in numbers)
    if len(numbers) != options or not fit or not sum(numbers):
        raise ValueError(f"shares are {options} numbers of 0 or more, not all 0")
    return tuple(one / sum(numbers) for one in numbers)
