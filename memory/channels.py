"""Talking to an outside agent: JSON lines with a process of our own, or POST requests to a service. One reply to each message.

Whatever goes wrong is a SubtextError in one line: it stops the exam, because an agent that is gone has no answers to be counted.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from schemas.errors import InputError, SubtextError

_LONGEST_REPLY = 1 << 24
"""Bytes."""
_LAST_WORDS = 4000
"""Bytes of stderr that are kept."""
_PATIENCE_S = 5.0
"""For a process to end after it was told to, before it is killed."""


class Channel(Protocol):
    """A way to an agent."""

    async def ask(self, message: Mapping[str, Any]) -> Any:
        """The JSON value that the agent replies to `message`, whose `type` names it."""
        ...


@asynccontextmanager
async def open_process(name: str, command: Sequence[str], timeout_s: float) -> AsyncIterator[Channel]:
    """Start `command`, and end it, with all that it started, in the end. InputError where it cannot be started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_REPLY, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise InputError(f"{command[0]}: cannot be started ({error.strerror}); give a command that is there and may be run") from error
    channel = _Process(name, process, timeout_s)
    try:
        yield channel
    finally:
        await channel.close()


class _Process:
    """A process that reads a message a line and writes a reply a line."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a process without pipes")
        self._name, self._process, self._timeout_s = name, process, timeout_s
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        self._last_words = b""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Keep the end of stderr, which must be read, or the process would come to wait for us."""
        while piece := await self._err.read(1 << 16):
            self._last_words = (self._last_words + piece)[-_LAST_WORDS:]

    async def ask(self, message: Mapping[str, Any]) -> Any:
        kind = message["type"]
        line = b""
        try:
            async with asyncio.timeout(self._timeout_s):
                with suppress(BrokenPipeError, ConnectionResetError):  # it has ended; what it says on stdout may say why
                    self._in.write(json.dumps(message, ensure_ascii=False).encode(errors="replace") + b"\n")
                    await self._in.drain()
                line = await self._out.readline()
        except TimeoutError as error:
            raise SubtextError(f"{self._name}: no reply to `{kind}` in {self._timeout_s:g} s") from error
        except ValueError as error:  # asyncio's word for a line beyond the limit
            raise SubtextError(f"{self._name}: the reply to `{kind}` is longer than {_LONGEST_REPLY:,} bytes") from error
        if not line.endswith(b"\n"):
            raise SubtextError(await self._obituary(kind))
        return _json(line, f"{self._name}: the reply to `{kind}`", "write logs to stderr, and one line of JSON to stdout for each message")

    async def _obituary(self, kind: str) -> str:
        """How the process ended, in one line."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
                await self._listening
        status = self._process.returncode
        ended = "closed its stdout" if status is None else f"ended with status {status}"
        lines = self._last_words.decode(errors="replace").strip().splitlines() or ["none"]
        return f"{self._name}: {ended} before it replied to `{kind}`; its last words: {' '.join(lines[-1].split())[:300]}"

    async def close(self) -> None:
        """Close its stdin, on which it should end; whatever is left after a while is killed."""
        self._in.close()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:  # also where this is cancelled
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._listening


@asynccontextmanager
async def open_service(url: str, timeout_s: float) -> AsyncIterator[Channel]:
    """A way to the service at `url`."""
    import httpx2  # slow, and of no use to agents that are commands

    async with httpx2.AsyncClient(timeout=None) as client:  # its own would start again with every byte
        yield _Service(url, client, timeout_s)


class _Service:
    """A service that is sent each message as the body of a POST request."""

    def __init__(self, url: str, client: Any, timeout_s: float) -> None:
        self._url, self._client, self._timeout_s = url, client, timeout_s

    async def ask(self, message: Mapping[str, Any]) -> Any:
        import httpx2

        kind = message["type"]
        body = json.dumps(message, ensure_ascii=False).encode(errors="replace")
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._client.post(self._url, content=body, headers={"content-type": "application/json"})
        except TimeoutError as error:
            raise SubtextError(f"{self._url}: no reply to `{kind}` in {self._timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SubtextError(f"{self._url}: `{kind}` could not be sent ({error or type(error).__name__}); is the service up?") from error
        if not reply.is_success:
            said = " ".join(reply.text.split())[:200]
            raise SubtextError(f"{self._url} answered `{kind}` with status {reply.status_code}: {said or 'no words'}")
        return _json(reply.content, f"{self._url}: the reply to `{kind}`", "reply with a body of JSON to each message")


def _json(reply: bytes, what: str, remedy: str) -> Any:
    try:
        return json.loads(reply)
    except (ValueError, RecursionError) as error:
        said = " ".join(reply.decode(errors="replace").split())[:120]
        raise SubtextError(f"{what} is not JSON but {said!r}; {remedy}") from error
