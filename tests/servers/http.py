"""A small HTTP/1.1 server for tests: real sockets on the loopback, its own event loop in a daemon thread, nothing but the standard library.

A handler gets `(method, path, headers, body)` and gives a `Reply`, or a `Raw` that takes the connection over to misbehave on it. Header
names are lower case. Connections are kept alive; bodies need a Content-Length. A client that leaves cancels its handler, as vLLM does. A
handler that raises is answered with 500 and remembered in `errors`. A closed server can be started again, on the same port.
"""

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import responses
from pathlib import Path
from typing import Any, Self

REPO = Path(__file__).parent.parent.parent
CHAT = "/v1/chat/completions"
STATS = "/_stats"
"""Where a server in another process shows its `snapshot()`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in good order."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        return cls(status, {"content-type": "application/json", **(headers or {})}, json.dumps(value).encode())

    @classmethod
    def error(cls, status: int, message: str, headers: Mapping[str, str] | None = None) -> Self:
        """An error as OpenAI and vLLM word it."""
        return cls.json({"error": {"message": message, "type": responses.get(status, ""), "param": None, "code": status}}, status, headers)

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, '')}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, f"content-length: {len(self.body)}", "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Raw:
    """Writes what it likes to the connection, which is closed afterwards."""

    write: Callable[[asyncio.StreamWriter], Awaitable[None]]


def hang_up() -> Raw:
    """Close the connection without a word."""

    async def write(writer: asyncio.StreamWriter) -> None:
        return

    return Raw(write)


def reset_after(data: bytes) -> Raw:
    """Send `data`, let the client read it, then reset the connection (RST, not FIN)."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.03)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return Raw(write)


Handler = Callable[[str, str, Mapping[str, str], bytes], Awaitable[Reply | Raw]]


class HttpServer:
    """Serves `handler` from `start()` (or `with`) to `close()`."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self.port = port
        self.errors: list[str] = []
        """What handlers raised."""
        self.calls = self.in_flight = self.most_in_flight = 0
        """Calls of `CHAT`: all so far, now, and at most at a time."""
        self.lock = threading.Lock()
        """Held where counts change and where a snapshot is taken."""
        self._handler = handler
        self._open: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls its base URL."""
        return f"{self.url}/v1"

    def snapshot(self) -> dict[str, Any]:
        """The counts at one moment, ready for JSON."""
        with self.lock:
            return {name: getattr(self, name) for name in ("calls", "in_flight", "most_in_flight")} | {"errors": list(self.errors)}

    async def opening(self) -> None:
        """Prepare what belongs to the server's event loop."""

    async def closing(self) -> None:
        """Let go of it."""

    def start(self) -> Self:
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name=type(self).__name__, daemon=True)
        self._thread.start()
        self.port = ready.result(10)
        return self

    def close(self) -> None:
        """Drop every connection and end the thread."""
        if self._thread is not None:
            with suppress(RuntimeError):  # its loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def counted(self) -> Iterator[int]:
        """Count one call while it lasts, and number it from 0."""
        with self.lock:
            number = self.calls
            self.calls += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield number
        finally:
            with self.lock:
                self.in_flight -= 1

    async def _serve(self, ready: "Future[int]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self.opening()
            server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=4096)
        except BaseException as problem:
            ready.set_exception(problem)
            return
        ready.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        left = dict(self._open)
        for writer in left.values():
            writer.transport.abort()  # ends its task as a leaving client does
        await asyncio.gather(*left, return_exceptions=True)
        await self.closing()
        await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        early: bytes | None = b""
        try:
            while early is not None:
                early = await self._exchange(reader, writer, early)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            del self._open[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, early: bytes) -> bytes | None:
        """Answer one request; give what was read of the next one, or None where the connection ends."""
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = start.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "transfer-encoding" in headers:
            writer.write(Reply.error(411, "a Content-Length is needed").encode())
            return None
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        reply, early = await self._while_client_waits(reader, self._handle(method, path, headers, body))
        if isinstance(reply, Raw):
            await reply.write(writer)
            return None
        writer.write(reply.encode())
        await writer.drain()
        return None if headers.get("connection", "").lower() == "close" else early

    async def _handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Raw:
        if method == "GET" and path == STATS:
            return Reply.json(self.snapshot())
        try:
            return await self._handler(method, path, headers, body)
        except Exception as problem:
            self.errors.append(repr(problem))
            return Reply.error(500, f"{type(self).__name__}: {problem!r}")

    @staticmethod
    async def _while_client_waits(reader: asyncio.StreamReader, handling: Awaitable[Reply | Raw]) -> tuple[Reply | Raw, bytes]:
        work, gone = asyncio.ensure_future(handling), asyncio.ensure_future(reader.read(1))
        early = b""
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                early = gone.result()
                if not early:
                    raise ConnectionResetError
            return await work, early
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


def serve_forever(server: HttpServer) -> None:
    """Run `server` as a process: its URL is the first line on stdout, SIGTERM or Ctrl-C ends it."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with server, suppress(KeyboardInterrupt):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        ended.wait()


@contextmanager
def spawned(module: str, *arguments: str) -> Iterator[str]:
    """A server in a process of its own, `python -m module`; gives its URL."""
    command = [sys.executable, "-m", module, "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
