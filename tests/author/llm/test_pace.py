"""The pace, in virtual time against servers that are formulas: nothing sleeps, and the same seed gives the same course."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

import pytest

from author.llm.pace import Load, Pace

Throughput = Callable[[int], float]
"""Work per second that a server does, by how many requests it has."""
SHAPES: dict[str, Callable[[int], Throughput]] = {
    "level": lambda capacity: lambda at_once: 10.0 * min(at_once, capacity),
    "collapse": lambda capacity: lambda at_once: 10.0 * (at_once if at_once <= capacity else capacity * capacity / at_once),
    "soft": lambda capacity: lambda at_once: 10.0 * capacity * 2 * at_once / (at_once + capacity),
}
LEAST = {"level": 0.85, "collapse": 0.85, "soft": 0.7}
"""Of the best throughput, what must be reached. A soft server gives a little more for each request, for ever; the pace stops where a step
of ten percent gives less than two and a half, which by its formula is at three quarters of what it could give."""
CEILING = 256
CAPACITIES = (1, 3, 12, 40, 100)


@dataclass(slots=True)
class Fixed:
    """A pace that never changes, to compare with."""

    limit: int

    def refused(self, sent_at: float, now: float) -> None: ...

    def answered(self, work: float, in_flight: int, now: float) -> None: ...


@dataclass(slots=True)
class Course:
    """What a simulation saw."""

    times: list[float] = field(default_factory=list)
    works: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    """After each reply."""
    refused: list[int] = field(default_factory=list)
    """Replies there had been at each refusal."""

    @property
    def settled(self) -> float:
        """Throughput over the last third."""
        start = len(self.times) * 2 // 3
        return sum(self.works[start + 1 :]) / (self.times[-1] - self.times[start])


def serve(pace: Pace | Fixed, throughput: Throughput, replies: int, seed: int, most: int | None = None) -> Iterator[Course]:
    """As many requests as `pace` allows, all sharing the server, which refuses what is more than `most`. Gives the course after each."""
    chance, now, course = random.Random(seed), 0.0, Course()
    under_way: list[list[float]] = []
    while len(course.times) < replies:
        while len(under_way) < pace.limit:
            if most is not None and len(under_way) >= most:
                pace.refused(now, now)
                course.refused.append(len(course.times))
                break
            work = max(20.0, chance.gauss(100, 50))
            under_way.append([work, work])
        each = throughput(len(under_way)) / len(under_way)
        left = min(under_way)
        took = left[0] / each
        now += took
        for one in under_way:
            one[0] -= took * each
        under_way.remove(left)
        pace.answered(left[1], len(under_way) + 1, now)
        course.times.append(now)
        course.works.append(left[1])
        course.limits.append(pace.limit)
        yield course


def run(pace: Pace | Fixed, throughput: Throughput, replies: int, seed: int, most: int | None = None) -> Course:
    *_, course = serve(pace, throughput, replies, seed, most)
    return course


@cache
def best(shape: str, capacity: int) -> float:
    """Throughput of the best limit that never changes."""
    tried = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64, 100, 128, 200, CEILING}
    return max(run(Fixed(limit), SHAPES[shape](capacity), 1500, seed=0).settled for limit in tried)


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_settles_near_the_best_there_is(shape: str, capacity: int) -> None:
    reached = [run(Pace(CEILING), SHAPES[shape](capacity), 6000, seed).settled / best(shape, capacity) for seed in (1, 2, 3)]
    assert min(reached) >= LEAST[shape], reached


@pytest.mark.parametrize("capacity", [12, 40])
def test_on_a_server_that_breaks_down_it_stays_away_from_the_ceiling(capacity: int) -> None:
    course = run(Pace(CEILING), SHAPES["collapse"](capacity), 6000, seed=1)
    assert max(course.limits[-2000:]) < 2 * capacity


@pytest.mark.parametrize("ceiling", [1, 2, 7, 64])
def test_the_ceiling_is_never_passed_and_used_where_it_pays(ceiling: int) -> None:
    course = run(Pace(ceiling), SHAPES["level"](1000), 4000, seed=1)
    assert max(course.limits) == ceiling
    assert sum(course.limits[-1000:]) / 1000 >= 0.8 * ceiling


@pytest.mark.parametrize("most", [1, 5, 30])
def test_more_than_a_server_takes_is_asked_seldom_and_never_for_long(most: int) -> None:
    course = run(Pace(CEILING), SHAPES["level"](1000), 6000, seed=1, most=most)
    assert course.refused, "the simulation never reached the server's bound"
    too_many = [len(list(run)) for above, run in groupby(course.limits, lambda limit: limit > most) if above]
    assert max(too_many, default=0) <= 4, "refusals lower the limit before a few replies have come"
    late = course.limits[-2000:]
    assert sum(late) / len(late) >= 0.6 * most, "it does not come back up after refusals"
    assert len([at for at in course.refused if at >= 4000]) <= 2000 / max(most, 4)


def test_of_a_volley_of_refusals_one_counts() -> None:
    pace, now = climbed(64)
    before = pace.limit
    for _ in range(50):
        pace.refused(now + 1, now + 2)
    assert 0.6 * before < pace.limit < before
    pace.refused(now + 3, now + 4)
    assert pace.limit < 0.6 * before


def test_refusals_without_end_leave_one_at_a_time() -> None:
    pace, now = climbed(64)
    for second in range(100):
        pace.refused(now + second, now + second + 0.5)
    assert pace.limit == 1


def climbed(limit: int) -> tuple[Pace, float]:
    """A pace that has found its ceiling to be right, and the time."""
    pace = Pace(limit)
    course = run(pace, SHAPES["level"](1000), 2000, seed=1)
    assert course.limits[-1] >= 0.8 * limit
    return pace, course.times[-1]


@pytest.mark.parametrize("load", [Load(waiting=1, kv_cache=0.2), Load(waiting=0, kv_cache=0.97)])
def test_a_vllm_that_says_it_is_full_is_not_pushed_further(load: Load) -> None:
    pace = Pace(CEILING)
    limits = []
    for course in serve(pace, SHAPES["level"](1000), 3000, seed=1):
        if pace.limit >= 16:
            pace.loaded(load)
        limits.append(course.limits[-1])
    assert max(limits) == 16
    free = run(Pace(CEILING), SHAPES["level"](1000), 3000, seed=1)
    assert max(free.limits) == CEILING


def test_a_vllm_that_is_idle_again_is_pushed_again() -> None:
    pace = Pace(CEILING)
    for course in serve(pace, SHAPES["level"](1000), 6000, seed=1):
        if course.limits[-1] >= 16 and len(course.times) < 1000:
            pace.loaded(Load(waiting=1, kv_cache=0.5))
        elif len(course.times) >= 1000:
            pace.loaded(Load(waiting=0, kv_cache=0.5))
    assert pace.limit > 64


def test_a_long_queue_is_relieved_once_for_each_generation() -> None:
    pace, now = climbed(64)
    before = pace.limit
    for _ in range(before):
        now += 0.15
        pace.answered(100, before, now)
    pace.loaded(Load(waiting=40, kv_cache=0.9))
    relieved = pace.limit
    assert 0.8 * before < relieved < before
    for _ in range(30):  # the queue that is there already takes its time to drain
        pace.loaded(Load(waiting=40, kv_cache=0.9))
    assert pace.limit == relieved
    for _ in range(before):
        now += 0.15
        pace.answered(100, relieved, now)
    pace.loaded(Load(waiting=40, kv_cache=0.9))
    assert pace.limit < relieved


def test_it_follows_a_server_that_becomes_smaller_and_larger_again() -> None:
    sizes, means = [60], []

    def throughput(at_once: int) -> float:
        return SHAPES["collapse"](sizes[-1])(at_once)

    for course in serve(Pace(CEILING), throughput, 24_000, seed=2):
        if len(course.times) in (4000, 10_000, 24_000):
            means.append(sum(course.limits[-1000:]) / 1000)
            sizes.append(10 if len(sizes) == 1 else 60)
    large, small, again = means
    assert small < 25 < large
    assert again > 1.5 * small
