"""An endpoint at work on the loopback, and servers that give one answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from author.llm.endpoint import Endpoint, Fault, Impossible
from schemas.errors import SubtextError
from tests.author.llm.asks import settings
from tests.servers import http
from tests.servers.http import HttpServer, Raw

MESSAGES = [{"role": "user", "content": "hello"}]


def through(url: str, work: Callable[[Endpoint], Awaitable[Any]], **author: Any) -> Any:
    """What `work` makes of an endpoint at `url`; what it raises is given, not raised."""

    async def go() -> Any:
        endpoint = Endpoint(url, author.get("model", "scripted"), settings(url, **author), 0)
        try:
            return await work(endpoint)
        except (Fault, Impossible, SubtextError) as problem:
            return problem
        finally:
            await endpoint.close()

    return asyncio.run(go())


def send(url: str, **author: Any) -> Any:
    return through(url, lambda endpoint: endpoint.send(MESSAGES, {"max_tokens": 100, "seed": 1}), **author)


def check(url: str, **author: Any) -> Any:
    return through(url, lambda endpoint: endpoint.check(), **author)


def answering(reply: http.Reply | Raw, path: str | None = None) -> HttpServer:
    """A server that gives the same answer to everything (below `path`)."""

    async def handler(method: str, asked: str, headers: Mapping[str, str], body: bytes) -> http.Reply | Raw:
        return reply if path is None or asked.startswith(path) else http.Reply.error(404, "not here")

    return HttpServer(handler)


def sent(reply: http.Reply | Raw, **author: Any) -> Any:
    """What becomes of a request that is answered so."""
    with answering(reply) as server:
        return send(server.base_url, **author)
