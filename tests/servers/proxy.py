"""A proxy before an OpenAI-compatible server that spoils a share of the chat completions, in a known order.

Every `1/share`-th call gets a fault, the kinds take turns in an order that `seed` decides, so each kind occurs and a run can be repeated.
Whatever spoils a reply spoils a real one: the upstream has done the work and the usage is true. Everything else passes untouched.

    python -m tests.servers.proxy http://127.0.0.1:8000 --share 0.2
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import sha256
from math import floor
from random import Random
from typing import Any, Literal, get_args

import httpx2

from tests.servers.http import CHAT, HttpServer, Raw, Reply, hang_up, reset_after, serve_forever

Kind = Literal[
    "429_retry_after", "429", "500", "503", "reset", "truncated_json", "broken_body", "wrong_schema", "refusal", "empty", "stall", "length"
]  # fmt: skip
ALL: tuple[Kind, ...] = get_args(Kind)
BEFORE: frozenset[Kind] = frozenset({"429_retry_after", "429", "500", "503", "stall"})
"""Kinds that never reach the upstream, so they cost no tokens."""
_OF_THE_HOP = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "content-encoding", "keep-alive"}


class FaultProxy(HttpServer):
    """Forwards to `upstream_url`, with faults."""

    def __init__(
        self, upstream_url: str, share: float = 0.2, seed: int = 1, kinds: Collection[Kind] = ALL, stall_s: float = 30.0, port: int = 0
    ) -> None:
        super().__init__(self._forward, port)
        self.injected: Counter[str] = Counter()
        """Faults that a client was given, by kind."""
        self.upstream: Counter[int] = Counter()
        """What the upstream answered, by status. A reply other than 200 passes as it is, even where a fault was due."""
        self.requests: list[dict[str, Any]] = []
        """One for each call, in order of arrival: sha (of the body), at (seconds since the proxy was made), kind (None for no fault)."""
        self.stall_s = stall_s
        self.share = share
        """May be changed while it runs: 0 ends the faults."""
        self._upstream = upstream_url.rstrip("/").removesuffix("/v1")
        random = Random(seed)
        self._kinds = random.sample(sorted(kinds), len(kinds))
        self._phase, self._due = random.random(), 0
        self._born = time.monotonic()

    def snapshot(self) -> dict[str, Any]:
        counts = super().snapshot()
        with self.lock:
            return counts | {
                "injected": dict(self.injected),
                "upstream": dict(self.upstream),
                "requests": [dict(one) for one in self.requests],
            }

    async def opening(self) -> None:
        unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx2.AsyncClient(base_url=self._upstream, timeout=None, limits=unlimited, trust_env=False)

    async def closing(self) -> None:
        await self._client.aclose()

    def _next_kind(self, body: bytes) -> Kind | None:
        with self.lock:
            self._phase += self.share
            due = floor(self._phase)
            self._phase -= due
            kind = self._kinds[self._due % len(self._kinds)] if due and self._kinds else None
            self._due += kind is not None
            self.requests.append({"sha": sha256(body).hexdigest()[:16], "at": time.monotonic() - self._born, "kind": kind})
            return kind

    def _count(self, kind: Kind) -> None:
        with self.lock:
            self.injected[kind] += 1

    async def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Raw:
        if method != "POST" or path != CHAT:
            return await self._ask(method, path, headers, body)
        with self.counted():
            kind = self._next_kind(body)
            if kind in BEFORE:
                self._count(kind)
                return await self._instead(kind)
            reply = await self._ask(method, path, headers, body)
            with self.lock:
                self.upstream[reply.status] += 1
            if kind is None or reply.status != 200:
                return reply
            self._count(kind)
            return spoilt(reply, kind)

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        kept = {name: value for name, value in headers.items() if name not in _OF_THE_HOP}
        try:
            answer = await self._client.request(method, path, headers=kept, content=body)
        except httpx2.HTTPError as problem:
            return Reply.error(502, f"no answer from the upstream: {problem!r}")
        return Reply(answer.status_code, {n: v for n, v in answer.headers.items() if n.lower() not in _OF_THE_HOP}, answer.content)

    async def _instead(self, kind: Kind) -> Reply | Raw:
        if kind == "stall":
            await asyncio.sleep(self.stall_s)
            return hang_up()
        if kind == "429_retry_after":
            return Reply.error(429, "injected: too many requests", {"retry-after": "1"})
        return Reply.error(int(kind), f"injected: {kind}")


def spoilt(reply: Reply, kind: Kind) -> Reply | Raw:
    """A good reply with one fault of a kind that needs a reply."""
    if kind == "reset":
        data = reply.encode()
        return reset_after(data[: len(data) - len(reply.body) // 2])
    if kind == "broken_body":
        return Reply(reply.status, reply.headers, reply.body[: len(reply.body) // 2])
    envelope = json.loads(reply.body)
    choice = envelope["choices"][0]
    content: str = choice["message"]["content"] or ""
    half = content[: len(content) // 2]
    match kind:
        case "truncated_json":
            choice["message"]["content"] = half
            choice["finish_reason"] = "stop"
        case "length":
            choice["message"]["content"] = half
            choice["finish_reason"] = "length"
        case "wrong_schema":
            choice["message"]["content"] = '{"unexpected": true}'
        case "refusal":
            choice["message"] |= {"content": None, "refusal": "I'm sorry, but I can't help with that."}
        case "empty":
            choice["message"]["content"] = ""
        case _:
            raise ValueError(f"{kind} needs no reply to spoil")
    return Reply(reply.status, reply.headers, json.dumps(envelope).encode())


def main() -> None:
    """Serve as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", choices=ALL, default=list(ALL))
    parser.add_argument("--stall-s", type=float, default=30.0)
    given = parser.parse_args()
    serve_forever(FaultProxy(given.upstream, given.share, given.seed, given.kinds, given.stall_s, given.port))


if __name__ == "__main__":
    main()
