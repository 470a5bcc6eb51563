"""How a request gets its reply: from the journal, or from a server within budget and pace, tried again where that can help."""

import asyncio
import json
import math
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, cast

from author.llm.endpoint import Endpoint, Fault, Impossible, Reply
from author.llm.ledger import Ledger
from author.llm.pool import Lane, Pool
from author.llm.request import Request
from author.seam import Unwritten
from prompts.render import prompt_hash
from schemas.call import Call
from schemas.config import AuthorConfig
from schemas.errors import SubtextError
from store.journal import Entry, Journal

if TYPE_CHECKING:
    from author.serving.server import Server

_MOST_ATTEMPTS = 8
"""Those that met a crowd (429, 503) do not count: they say nothing of the record."""
_CROWDED = frozenset({"429", "503"})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_PATIENCE_S, _LAUNCHED_PATIENCE_S = 120.0, 1800.0
"""How long all servers may be silent; one of ours may be loading its model again."""
_TOKENS_PER_BYTE, _LEAST_REPLY = 0.3, 256
_GREETINGS = 3
"""Times that a server which does not answer is greeted before the first request."""


class Asking:
    """Gets requests their replies. Used from one event loop."""

    def __init__(self, config: AuthorConfig, journal: Journal, ledger: Ledger) -> None:
        self._config, self._journal, self._ledger = config, journal, ledger
        self.model = model_name(config)
        self.sending: set[asyncio.Task[Any]] = set()
        """Tasks with a request on its way, or a reply that is not in the journal yet."""
        self.stopped: SubtextError | None = None
        """Why nothing more is sent, once that is so."""
        self._pool: Pool | None = None
        self._server: Server | None = None
        self._launching: asyncio.Future[Server] | None = None
        self._preparing = asyncio.Lock()
        self._closing = threading.Event()
        self._ended = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._pool.in_flight if self._pool else 0

    async def answer(self, request: Request[Any]) -> Entry:
        """The finished call of a request: found in the journal, or made now and journalled.

        Raises Unwritten when attempt after attempt brings nothing, SubtextError when the run cannot go on.
        """
        call_id = request.id(self.model)
        if (done := self._journal.find(call_id)) is not None:
            self._ledger.account(request.wanted.prompt).replayed += 1
            return done
        pool = await self._ready()
        faults: list[str] = []
        answers = 0
        while True:
            if self.stopped is not None:
                raise self.stopped
            lane, tokens = await self._lane(pool, request)
            task = cast(asyncio.Task[Any], asyncio.current_task())
            self.sending.add(task)
            try:
                came = await self._send(pool, lane, request)
                if not isinstance(came, Fault):
                    try:
                        return await self._keep(request, call_id, came, lane.endpoint.number, faults)
                    finally:  # only now: a kill loses what is under way, and under way is what is not in the journal
                        pool.answered(lane, came.completion_tokens if isinstance(came, Reply) else 0)
            finally:
                self.sending.discard(task)
                self._ledger.release(tokens)
                self._ended.set()
            answers = answers if faults else pool.answers
            faults.append(came.kind)
            if self.stopped is None:
                await self._wait(request, came, faults, pool.answers > answers)

    async def _lane(self, pool: Pool, request: Request[Any]) -> tuple[Lane, int]:
        """A server with room, and the tokens that were set aside for the request."""
        while True:
            lane = await pool.take()
            tokens = self._ledger.estimate(request.size, request.options["max_tokens"])
            brake = self._ledger.reserve(tokens)
            if brake is None:
                return lane, tokens
            pool.unused(lane)
            if brake.final:
                raise SubtextError(
                    f"stopped before the budget would be passed ({brake.spent}); raise it and run the same command again to go on "
                    "(finished calls are kept)"
                )
            self._ended.clear()
            await self._ended.wait()  # what is under way has reserved more than it will cost

    async def _send(self, pool: Pool, lane: Lane, request: Request[Any]) -> Reply | Impossible | Fault:
        """Send once. A fault is told to the pool; the lane of an answer is still the caller's to give back."""
        sent_at = time.monotonic()
        try:
            return await lane.endpoint.send(request.messages, _fitted(request, lane.endpoint.context))
        except Fault as fault:
            pool.failed(lane, fault, sent_at)
            return fault
        except Impossible as impossible:
            return impossible
        except BaseException:
            pool.unused(lane)
            raise

    async def _keep(self, request: Request[Any], call_id: str, came: Reply | Impossible, endpoint: int, faults: list[str]) -> Entry:
        """Journal and account for what came; only then is it used."""
        reply = came if isinstance(came, Reply) else Reply("", "", came.reason)
        finish = "refusal" if reply.refusal else reply.finish_reason
        if isinstance(came, Reply) and not reply.prompt_tokens:  # a server that does not say what it counted: our own cautious count
            written = self._ledger.estimate(len(reply.content.encode("utf-8", "replace")), 0)
            reply = replace(reply, prompt_tokens=self._ledger.estimate(request.size, 0), completion_tokens=written)
        shares = "" if request.letters is None else letter_shares(reply.first_token, request.letters)
        content = reply.refusal or shares or reply.content
        wrong = (reply.finish_reason,) if isinstance(came, Impossible) else request.fault(content, finish)
        call = Call(
            call_id=call_id,
            record_id=request.wanted.record_id,
            prompt=request.wanted.prompt,
            prompt_hash=prompt_hash(request.wanted.prompt),
            repair=request.repair,
            generation=request.generation,
            model=self.model,
            endpoint=endpoint,
            seed=request.options["seed"],
            attempts=len(faults) + 1,
            faults=(*faults, *wrong),
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            completion_tokens=reply.completion_tokens,
            cost_usd=self._ledger.price_of(reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens),
            latency_ms=round(1000 * reply.seconds),
            finish_reason=finish,
        )
        problem = came.detail if isinstance(came, Impossible) else ""
        entry = Entry(call, [dict(message) for message in request.messages], None if problem else content, problem)
        await self._journal.add(entry)
        self._ledger.enter(call, request.size)
        return entry

    async def _wait(self, request: Request[Any], fault: Fault, faults: list[str], others_answered: bool) -> None:
        """Wait before the next attempt, or give up on the record (or on the run, where a server of ours is gone for good).

        Where nobody is answered, the record is not to blame, and the pool's patience decides; unless the server itself speaks, if badly.
        """
        if self._server is not None and self._server.problem:
            raise SubtextError(self._server.problem)
        if sum(kind not in _CROWDED for kind in faults) >= _MOST_ATTEMPTS and (others_answered or fault.kind in ("500", "body")):
            self._ledger.account(request.wanted.prompt).faults.update(faults)
            raise Unwritten(
                "unanswered",
                f"{len(faults)} attempts met {', '.join(faults)}; the last said: {fault.detail}",
                retry=request.wanted.record_id,
            )
        usual = min(_FIRST_WAIT_S * 2 ** min(len(faults) - 1, 10), _LONGEST_WAIT_S)
        await asyncio.sleep(max(fault.retry_after or 0.0, random.uniform(usual / 2, usual)))

    async def _ready(self) -> Pool:
        """The servers, started where they are ours, and greeted once."""
        async with self._preparing:
            if self._pool is None:
                urls, patience = self._config.urls, max(_PATIENCE_S, self._config.timeout_s)
                if self._config.launch != "none":
                    from author.serving.launch import launch  # few runs own a server

                    log = Path(tempfile.mkdtemp(prefix="subtext-")) / "server.log"  # not in the run folder: it names this machine's paths
                    self._launching = asyncio.ensure_future(asyncio.to_thread(launch, self._config, log, closing=self._closing))
                    self._server = await asyncio.shield(self._launching)
                    urls, patience = (self._server.url,), _LAUNCHED_PATIENCE_S
                endpoints = [Endpoint(url, self.model, self._config, number) for number, url in enumerate(urls)]
                try:
                    await _greet(endpoints)
                except BaseException:  # a wrong key, or stopped meanwhile: no pool will let go of the connections
                    await asyncio.gather(*(endpoint.close() for endpoint in endpoints))
                    raise
                self._pool = Pool(endpoints, self._config.max_concurrency, patience)
        return self._pool

    def course(self) -> list[list[tuple[float, int]]]:
        """For each server, how its limit moved: (seconds, requests at once)."""
        return [lane.limits for lane in self._pool.lanes] if self._pool else []

    def give_up(self) -> None:
        """Wait no longer for a server of ours that is still loading its model."""
        self._closing.set()

    async def close(self) -> None:
        """Let go of connections, and of a server of ours."""
        if self._pool is not None:
            await self._pool.close()
        if self._launching is not None and self._server is None:  # whoever waited for it was stopped; it may have come up all the same
            with suppress(SubtextError):
                self._server = await self._launching
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
            if self._server.problem is None:  # else its log is named in the error
                shutil.rmtree(self._server.log.parent, ignore_errors=True)


def model_name(config: AuthorConfig) -> str:
    """What the server calls the model."""
    if config.launch == "none":
        return config.model or ""
    return Path(config.model).name if config.model and config.launch == "vllm" else "smollm2"


def letter_shares(first_token: Mapping[str, float], letters: int) -> str:
    """The probabilities of the first `letters` letters as the JSON of a `LetterShares`; empty where the model gave none of them any."""
    weights = [math.exp(first_token[letter]) if letter in first_token else 0.0 for letter in ascii_uppercase[:letters]]
    total = sum(weights)
    return json.dumps({"shares": [round(weight / total, 6) for weight in weights]}) if total else ""


def _fitted(request: Request[Any], context: int | None) -> Mapping[str, Any]:
    """The request's options with no more room for the reply than the server's context leaves. vLLM refuses what asks for more."""
    if context is None:
        return request.options
    room = context - int(request.size * _TOKENS_PER_BYTE)
    return {**request.options, "max_tokens": min(request.options["max_tokens"], max(_LEAST_REPLY, room))}


async def _greet(endpoints: list[Endpoint]) -> None:
    """See that at least one server is there, and that those which are take the key and have the model."""
    faults: list[Fault] = []
    for turn in range(_GREETINGS):
        came = await asyncio.gather(*(endpoint.check() for endpoint in endpoints), return_exceptions=True)
        if final := next((error for error in came if isinstance(error, BaseException) and not isinstance(error, Fault)), None):
            raise final
        faults = [error for error in came if isinstance(error, Fault)]
        if len(faults) < len(endpoints):
            return
        if turn < _GREETINGS - 1:
            await asyncio.sleep(1)
    urls = ", ".join(endpoint.url for endpoint in endpoints)
    raise SubtextError(
        f"no server answers at {urls} ({faults[0].detail}); start one (`subtext serve-llm MODEL`), or mend author.base_url, "
        "then run the same command again"
    )
