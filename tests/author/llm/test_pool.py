"""The pool: who gets the next request, who is left alone, and that nobody who waits is forgotten."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from author.llm.endpoint import Endpoint, Fault
from author.llm.openai_author import OpenAIAuthor
from author.llm.pool import Lane, Pool
from schemas.errors import SubtextError
from tests.author.llm.asks import ask, config, opened, persona, settings
from tests.servers.http import Reply
from tests.servers.model import ScriptedModel

A, B = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"
"""Addresses of nobody: these pools hand out lanes, and send nothing."""


@asynccontextmanager
async def a_pool(*urls: str, ceiling: int = 100, patience_s: float = 100.0) -> AsyncIterator[Pool]:
    pool = Pool([Endpoint(url, "scripted", settings(url), number) for number, url in enumerate(urls)], ceiling, patience_s)
    try:
        yield pool
    finally:
        await pool.close()


def with_pool(work: Callable[[Pool], Awaitable[None]], *urls: str, **options: Any) -> None:
    """Do `work` with a pool; what waits for ever fails."""

    async def go() -> None:
        async with a_pool(*urls, **options) as pool, asyncio.timeout(20):
            await work(pool)

    asyncio.run(go())


async def everyone(pool: Pool) -> list[Lane]:
    """All the lanes that can be had at once."""
    lanes: list[Lane] = []
    try:
        while True:
            async with asyncio.timeout(0.05):
                lanes.append(await pool.take())
    except TimeoutError:
        return lanes


def fail(pool: Pool, lane: Lane, kind: str = "connection", retry_after: float | None = None) -> None:
    pool.failed(lane, Fault(kind, "as it is", retry_after), time.monotonic())


def test_the_least_loaded_is_next() -> None:
    async def work(pool: Pool) -> None:
        taken = [await pool.take() for _ in range(4)]
        assert [lane.endpoint.number for lane in taken] == [0, 1, 0, 1]
        pool.answered(taken[1], 10)
        assert (await pool.take()).endpoint.number == 1

    with_pool(work, A, B)


def test_the_ceiling_holds_over_all_servers() -> None:
    async def work(pool: Pool) -> None:
        assert len(await everyone(pool)) == pool.in_flight == 5

    with_pool(work, A, B, ceiling=5)


def test_who_waits_gets_what_another_gives_back() -> None:
    async def work(pool: Pool) -> None:
        taken = await everyone(pool)
        waiting = [asyncio.create_task(pool.take()) for _ in range(3)]
        await asyncio.sleep(0)
        pool.unused(taken[0])
        pool.answered(taken[1], 10)
        fail(pool, taken[2], "body")
        await asyncio.gather(*waiting)
        assert pool.in_flight == len(taken)

    with_pool(work, A)


def test_who_leaves_passes_its_turn_on() -> None:
    async def work(pool: Pool) -> None:
        [lane] = await everyone(pool)
        first, second = (asyncio.create_task(pool.take()) for _ in range(2))
        await asyncio.sleep(0)
        pool.unused(lane)  # wakes the first, which is cancelled before it looks
        first.cancel()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert pool.in_flight == 1

    with_pool(work, A, ceiling=1)


def test_who_waited_before_a_server_asked_for_a_pause_is_woken_after_it() -> None:
    async def work(pool: Pool) -> None:
        [lane] = await everyone(pool)
        waiting = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        fail(pool, lane, "429", retry_after=0.2)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await waiting  # whoever was refused may have given up: nobody else is there to wake it

    with_pool(work, A, ceiling=1)


def sicken(pool: Pool, lane: Lane, times: int = 3) -> None:
    """Fail requests of `lane`, one after the other."""
    for _ in range(times):
        lane.in_flight += 1
        fail(pool, lane)


def test_a_sick_server_gets_nothing_while_it_rests_and_one_request_after_it() -> None:
    async def work(pool: Pool) -> None:
        sick, well = pool.lanes
        sicken(pool, sick)
        assert {lane.endpoint.number for lane in await everyone(pool)} == {well.endpoint.number}
        probe = await pool.take()  # the well one is full: this waits for the sick one's rest to end
        assert probe is sick
        assert await everyone(pool) == []
        pool.answered(probe, 10)
        assert sick.failures == 0
        assert len(await everyone(pool)) == sick.pace.limit > 1

    with_pool(work, A, B)


def test_rests_grow_and_a_volley_counts_once() -> None:
    async def work(pool: Pool) -> None:
        [lane] = pool.lanes
        sent_at = time.monotonic()
        lane.in_flight += 3000
        for _ in range(3000):
            pool.failed(lane, Fault("connection", "gone"), sent_at)
        assert lane.failures == 3
        first = lane.closed_until - lane.closed_at
        sicken(pool, lane)
        assert lane.failures == 6
        assert lane.closed_until - lane.closed_at > 4 * first
        sicken(pool, lane, 2000)
        assert lane.closed_until - lane.closed_at <= 61
        assert pool.in_flight == 0

    with_pool(work, A, ceiling=3000)


def test_when_nobody_answers_for_long_the_run_stops_and_names_the_servers() -> None:
    async def work(pool: Pool) -> None:
        for lane in pool.lanes:
            sicken(pool, lane)
        await asyncio.sleep(0.1)
        with pytest.raises(SubtextError, match=f"no server has answered .*{A}, {B}.*run the same command again"):
            await pool.take()

    with_pool(work, A, B, patience_s=0.05)


def test_an_answer_ends_the_silence() -> None:
    async def work(pool: Pool) -> None:
        sick, well = pool.lanes
        sicken(pool, sick)
        await asyncio.sleep(0.1)
        lane = await pool.take()
        assert lane is well
        pool.answered(lane, 10)
        assert not pool.silent
        assert await everyone(pool), "and the sick one is not waited for"

    with_pool(work, A, B, patience_s=0.05)


def test_a_server_that_refuses_even_one_at_a_time_is_given_rest() -> None:
    async def work(pool: Pool) -> None:
        [lane] = pool.lanes
        for _ in range(3):
            fail(pool, await pool.take(), "429")
        assert lane.closed_until > time.monotonic()
        assert pool.silent, "if that goes on, the run stops"

    with_pool(work, A, ceiling=1)


def served_by(models: tuple[ScriptedModel, ...]) -> list[int]:
    return [model.calls for model in models]


def test_two_servers_share_the_work(tmp_path: Path) -> None:
    with ScriptedModel(base_s=0.02) as one, ScriptedModel(base_s=0.02) as other, opened(config(one, other), tmp_path) as author:
        came = ask(author, range(80))
        shares = served_by((one, other))
    assert not [problem for problem in came if isinstance(problem, BaseException)]
    assert sum(shares) == 80
    assert min(shares) > 20


def test_a_server_that_dies_is_done_without_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    steady, passing = ScriptedModel(base_s=0.03), ScriptedModel(base_s=0.03)

    async def until(done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(0.005)

    async def course(author: OpenAIAuthor) -> None:
        numbers, ended = count(), asyncio.Event()

        async def keep_asking() -> None:
            while not ended.is_set():
                await persona(author, next(numbers))  # raises where one was lost

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(keep_asking())
            await until(lambda: passing.calls > 20)
            await asyncio.to_thread(passing.close)
            before, alone = passing.calls, steady.calls
            await until(lambda: steady.calls > alone + 60)
            assert passing.calls == before
            passing.start()
            await until(lambda: passing.calls > before + 20)
            ended.set()

    with steady, passing, opened(config(steady, passing), tmp_path) as author:
        asyncio.run(course(author))
        faults = author.spent()["calls"]["expand/persona"]["faults"]
    assert set(faults) == {"connection"}
    assert not steady.errors and not passing.errors


def test_never_more_at_once_than_is_allowed(tmp_path: Path) -> None:
    with ScriptedModel(base_s=0.02) as one, ScriptedModel(base_s=0.02) as other:
        with opened(config(one, other, max_concurrency=7), tmp_path) as author:
            came = ask(author, range(200))
        assert Counter(type(one_of).__name__ for one_of in came) == {"PersonaDraft": 200}
        assert one.calls + other.calls == 200
        assert one.most_in_flight + other.most_in_flight >= 7, "the bound was reached"
        assert max(one.most_in_flight, other.most_in_flight) <= 7


def test_one_server_alone_never_sees_more_than_is_allowed(tmp_path: Path) -> None:
    with ScriptedModel(base_s=0.01) as model, opened(config(model, max_concurrency=3), tmp_path) as author:
        ask(author, range(200))
        assert model.calls == 200
        assert model.most_in_flight == 3


@pytest.mark.parametrize("told", [True, False])
def test_a_storm_of_429_loses_nobody(tmp_path: Path, told: bool) -> None:
    """A server that takes three at once and some in a second, and refuses the others."""
    taken: list[float] = []

    def script(request: dict[str, Any]) -> Reply | None:
        now = time.monotonic()
        if model.in_flight > 3 or len([at for at in taken if now - at < 0.5]) >= 10:
            return Reply.error(429, "slow down", {"retry-after": "0.3"} if told else None)
        taken.append(now)
        return None

    with ScriptedModel(script) as model, opened(config(model), tmp_path) as author:
        came = ask(author, range(40))
        figures = author.spent()["calls"]["expand/persona"]
    assert not [problem for problem in came if isinstance(problem, BaseException)]
    assert figures["calls"] == 40
    assert figures["retries"] == figures["faults"]["429"] == model.calls - 40
