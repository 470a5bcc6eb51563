"""The servers together: who gets the next request, and who is left alone for a while.

The least loaded server that has room gets it. One that fails again and again is sick: it is left alone, longer each time, then tried
with a single request. When none has answered anything for long enough, the run stops and says so; nothing is lost by that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from author.llm.endpoint import Endpoint, Fault
from author.llm.pace import Pace
from schemas.errors import SubtextError

_SICK_AFTER = 3
"""Failures in a row."""
_FIRST_REST_S, _LONGEST_REST_S = 1.0, 60.0
_POLL_S = 2.0
"""Seconds between two looks at a server's metrics."""


@dataclass(slots=True)
class Lane:
    """One server with its pace and its health."""

    endpoint: Endpoint
    pace: Pace
    in_flight: int = 0
    failures: int = 0
    """In a row."""
    closed_at: float = float("-inf")
    closed_until: float = float("-inf")
    limits: list[tuple[float, int]] = field(default_factory=list)
    """The course of its limit: (seconds since the start, limit)."""

    @property
    def limit(self) -> int:
        """Requests that it may have at once: one, when it is to show that it is well again."""
        return 1 if self.failures >= _SICK_AFTER else self.pace.limit

    def room(self, now: float) -> int:
        """Requests that it may be given now."""
        if now < self.closed_until:
            return 0
        return self.limit - self.in_flight


class Pool:
    """Hands out lanes; never more than `ceiling` at once. Used from one event loop."""

    def __init__(self, endpoints: Sequence[Endpoint], ceiling: int, patience_s: float) -> None:
        self.lanes = [Lane(endpoint, Pace(ceiling)) for endpoint in endpoints]
        self._ceiling, self._patience = ceiling, patience_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._began = time.monotonic()
        self.answers = 0
        """Replies so far, of all servers."""
        self._silent_since: float | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def silent(self) -> bool:
        """Whether nothing has been answered since something failed."""
        return self._silent_since is not None

    async def take(self) -> Lane:
        """A lane with room, as soon as there is one. Give it back with `answered`, `failed` or `unused`."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_loads())
        while True:
            now = time.monotonic()
            lane = max(self.lanes, key=lambda lane: lane.room(now) / lane.limit)
            if lane.room(now) > 0 and self.in_flight < self._ceiling:
                lane.in_flight += 1
                return lane
            if self._silent_since is not None and now - self._silent_since > self._patience:
                urls = ", ".join(lane.endpoint.url for lane in self.lanes)
                raise SubtextError(
                    f"no server has answered for {self._patience:.0f} s ({urls}); see that it runs, then run the same command again "
                    "(finished calls are kept)"
                )
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()  # it may have been woken for a room that it will not use
                raise

    def unused(self, lane: Lane) -> None:
        """The request was not sent."""
        lane.in_flight -= 1
        self._wake()

    def answered(self, lane: Lane, tokens_written: int) -> None:
        """The server replied."""
        now = time.monotonic()
        self.answers += 1
        self._silent_since, lane.failures = None, 0
        lane.pace.answered(max(1, tokens_written), lane.in_flight, now)
        self.unused(lane)
        self._note(lane, now)

    def failed(self, lane: Lane, fault: Fault, sent_at: float) -> None:
        """The server did not reply, or refused."""
        now = time.monotonic()
        if fault.crowded:
            lane.pace.refused(sent_at, now)
        if fault.retry_after is not None:
            self._rest(lane, now, fault.retry_after)
        if fault.kind != "body":
            self._silent_since = self._silent_since or now
        # A server that refuses even one at a time needs rest too. Of a volley sent before the last rest nothing more is learnt.
        if (fault.sick or lane.pace.limit == 1) and fault.kind != "body" and sent_at > lane.closed_at:
            lane.failures += 1
            if lane.failures >= _SICK_AFTER:
                lane.closed_at = now
                self._rest(lane, now, _FIRST_REST_S * 2.0 ** min(lane.failures - _SICK_AFTER, 10))
        self.unused(lane)
        self._note(lane, now)

    def _rest(self, lane: Lane, now: float, seconds: float) -> None:
        """Leave `lane` alone, and let those who wait look again afterwards: nobody else may be left to wake them."""
        seconds = min(seconds, _LONGEST_REST_S)
        lane.closed_until = max(lane.closed_until, now + seconds)
        asyncio.get_running_loop().call_later(seconds + 0.01, self._wake)

    def _note(self, lane: Lane, now: float) -> None:
        if not lane.limits or lane.limits[-1][1] != lane.pace.limit:
            lane.limits.append((round(now - self._began, 3), lane.pace.limit))

    def _wake(self) -> None:
        """Let as many of those who wait look again as there is room for."""
        now = time.monotonic()
        room = min(sum(max(0, lane.room(now)) for lane in self.lanes), self._ceiling - self.in_flight)
        while room > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    async def _watch_loads(self) -> None:
        """Ask the servers that have metrics how busy they are, as long as this pool is in use."""
        talking = list(self.lanes)
        while talking:
            await asyncio.sleep(_POLL_S)
            for lane in [lane for lane in talking if lane.in_flight and time.monotonic() >= lane.closed_until]:
                try:
                    load = await lane.endpoint.load()
                except Fault:
                    continue  # too busy to say, or gone for the moment
                if load is None:
                    talking.remove(lane)
                else:
                    lane.pace.loaded(load)
                    self._note(lane, time.monotonic())
                    self._wake()

    async def close(self) -> None:
        """Let go of the connections."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        for lane in self.lanes:
            await lane.endpoint.close()
