"""How long a stub model takes: requests beyond its capacity wait for their turn, or slow each other down.

Shared (the default): one request takes `base_s` while at most `capacity` run, and `base_s * (n / capacity) ** slowdown` while n do, with
n followed as it changes. With `slowdown` above 1 the throughput of the whole falls when it is overloaded. Queued: at most `capacity` run,
each in `base_s`, and the others count as waiting, as in vLLM.
"""

import asyncio
import math


class Engine:
    """Belongs to one event loop."""

    def __init__(self, base_s: float, capacity: int | None, slowdown: float, queue: bool) -> None:
        self.waiting = 0
        self._base_s, self._capacity, self._slowdown = base_s, capacity, slowdown
        self._slots = asyncio.Semaphore(capacity) if queue and capacity else None
        self._running: dict[asyncio.Future[None], float] = {}
        """The mark on the common clock at which each is done."""
        self._clock, self._seen = 0.0, asyncio.get_running_loop().time()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def usage(self) -> float:
        """Share of the KV cache that is in use."""
        return min(1.0, self.running / (self._capacity or 256))

    async def serve(self, work: float = 1.0) -> None:
        """Take the time that one request of this much work takes."""
        if self._slots is None:
            return await self._run(work)
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        try:
            return await self._run(work)
        finally:
            self._slots.release()

    async def _run(self, work: float) -> None:
        if not self._base_s:
            return await asyncio.sleep(0)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._advance()
        self._running[done] = self._clock + work
        self._arm()
        try:
            return await done
        finally:
            if done in self._running:  # cancelled
                self._advance()
                del self._running[done]
                self._arm()

    @property
    def _pace(self) -> float:
        """Seconds per unit of work, now."""
        crowding = max(1.0, self.running / self._capacity) if self._capacity else 1.0
        return self._base_s * math.pow(crowding, self._slowdown)

    def _advance(self) -> None:
        now = asyncio.get_running_loop().time()
        self._clock += (now - self._seen) / self._pace
        self._seen = now

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._running:
            wait = (min(self._running.values()) - self._clock) * self._pace
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, wait), self._ring)

    def _ring(self) -> None:
        self._advance()
        for done in [one for one, mark in self._running.items() if mark <= self._clock + 1e-6]:
            del self._running[done]
            if not done.done():
                done.set_result(None)
        self._arm()
