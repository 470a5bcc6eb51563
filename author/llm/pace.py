"""How many requests one server is given at once, found by watching it. No clock and no network of its own: times are handed in.

Three things set the pace. A refusal or a timeout cuts it at once (multiplicative decrease). A vLLM that says in its metrics that
requests wait, or that its KV cache is full, is not pushed further, and relieved when the queue is long: a server of one's own seldom
refuses, it only gets slow. And because many servers say nothing at all, throughput is measured: a step up (additive increase) stays
only if it brought a fair share of the throughput that it would on an idle server, a step down only if it brought some too. The start
doubles until doubling stops paying. Replies differ in length, so a measurement takes several generations of requests, after one that
is let pass because it was half sent at the old limit.

Sources: additive increase and multiplicative decrease, Chiu and Jain 1989; slow start, Jacobson 1988; stopping where more load brings
no more throughput, Kleinrock's "power" 1979.
"""

from dataclasses import dataclass
from typing import Literal

_START = 4
_CUT, _RELIEF = 0.7, 0.85
_FAIR_SHARE = 0.25
"""Of the throughput that a step up would bring on an idle server, what it must bring to stay."""
_RELIEVED = 1.03
"""Of the throughput before a step down, what it must bring to stay."""
_FALLEN = 0.7
"""Of the throughput so far: a window with less shows that the server has become slower, and a step down is tried at once."""
_STEP = 0.2
_START_WINDOW, _PROBE_WINDOW = 1.5, 4
"""Replies in a measurement, as multiples of the limit."""
_LEAST_REPLIES = 24
_LONGEST_HOLD = 8
"""Windows without a probe, at most: a server's capacity changes when other clients come and go."""
_MOST_AVERAGED = 6
_KV_FULL = 0.95


@dataclass(frozen=True, slots=True)
class Load:
    """What a vLLM says of itself."""

    waiting: float
    """Requests in its queue."""
    kv_cache: float
    """Share of the KV cache in use, in [0, 1]."""


class Pace:
    """The number of requests that one server may be given at once; between 1 and `ceiling`."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = float(ceiling)
        self._limit = min(float(_START), self._ceiling)
        self._phase: Literal["start", "hold", "up", "down"] = "start"
        self._base: tuple[float, float, int] | None = None
        """The limit that is held, the throughput that it gave, and of how many windows that is the mean."""
        self._hold, self._left = 1, 1
        self._upwards = True
        self._cut_at = float("-inf")
        self._load: Load | None = None
        self._begin_window(0.0)
        self._move(self._limit)

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    def refused(self, sent_at: float, now: float) -> None:
        """A request sent at `sent_at` was refused or timed out. Of a volley that went out before the last cut only the first counts."""
        if sent_at <= self._cut_at:
            return
        self._cut_at = now
        self._settle(max(1.0, self._limit * _CUT), None)

    def loaded(self, load: Load) -> None:
        """The server said how busy it is."""
        self._load = load
        if load.waiting > max(2.0, 0.5 * self._limit) and self._let_pass == 0:  # a queue takes a generation to drain; one cut for each
            self._settle(max(1.0, self._limit * _RELIEF), None)

    def answered(self, work: float, in_flight: int, now: float) -> None:
        """A request was answered with `work` (tokens written), while `in_flight` of this server's were under way, itself included."""
        if self._let_pass > 0:
            self._let_pass -= 1
            self._window_began = now
            return
        self._done += 1
        self._work += work
        self._crowd += in_flight
        window = (_START_WINDOW if self._phase == "start" else _PROBE_WINDOW) * self.limit
        if self._done >= max(window, _LEAST_REPLIES) and now > self._window_began:
            rate, used = self._work / (now - self._window_began), self._crowd / self._done >= 0.8 * self.limit
            self._begin_window(now)
            if used:  # a window in which less was under way than allowed says nothing about the limit
                self._judge(rate)

    def _begin_window(self, now: float) -> None:
        self._window_began, self._done, self._work, self._crowd = now, 0, 0.0, 0

    def _move(self, limit: float) -> None:
        self._limit, self._let_pass = limit, self.limit
        self._done, self._work, self._crowd = 0, 0.0, 0

    def _full(self) -> bool:
        return self._load is not None and (self._load.waiting >= 1 or self._load.kv_cache >= _KV_FULL)

    def _settle(self, limit: float, rate: float | None) -> None:
        """Hold `limit` for a while. Without a rate, its throughput is yet to be seen."""
        self._phase, self._left = "hold", self._hold
        self._base = (limit, rate, 1) if rate is not None else None
        self._move(limit)

    def _judge(self, rate: float) -> None:
        """A full window at the present limit gave `rate`: go on, or back, or try something."""
        if self._base is None:
            self._base = (self._limit, rate, 1)
            if self._phase == "start":
                self._climb()
            return
        held, before, seen = self._base
        pays = rate - before > _FAIR_SHARE * before * (self._limit / held - 1)
        if self._phase == "start":
            if pays and not self._full():
                self._base = (self._limit, rate, 1)
                self._climb()
            else:
                self._settle(held, max(before, rate))
        elif self._phase == "hold" and rate < _FALLEN * before:
            self._base, self._hold, self._upwards = (held, rate, 1), 1, False
            self._probe()
        elif self._phase == "hold":
            self._base = (held, (before * seen + rate) / (seen + 1), min(seen + 1, _MOST_AVERAGED))
            self._left -= 1
            if self._left <= 0:
                self._probe()
        else:
            self._conclude(pays if self._phase == "up" else rate > _RELIEVED * before, held, before, rate)

    def _conclude(self, stays: bool, held: float, before: float, rate: float) -> None:
        """The probe is over. One that paid is followed by another in its direction; after one that did not, the next goes the other way."""
        self._hold = 1 if stays else min(2 * self._hold, _LONGEST_HOLD)
        self._upwards = self._upwards == stays
        self._settle(self._limit if stays else held, rate if stays else before)

    def _climb(self) -> None:
        if self._limit >= self._ceiling or self._full():
            self._settle(self._limit, self._base[1] if self._base else None)
        else:
            self._move(min(2 * self._limit, self._ceiling))

    def _probe(self) -> None:
        step = max(1.0, _STEP * self._limit)
        if self._upwards and self._limit < self._ceiling and not self._full():
            self._phase = "up"
            self._move(min(self._limit + step, self._ceiling))
        elif self._limit > 1:
            self._phase = "down"
            self._move(max(1.0, self._limit - step))
        else:
            self._left, self._upwards = self._hold, True
