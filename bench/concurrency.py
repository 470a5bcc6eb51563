"""How the number of requests at once settles, against the best that any fixed number gets, on three kinds of overloaded servers.

    python -m bench.concurrency        # eight minutes; writes bench/results/concurrency.json

The servers are the tests' stub in a process of its own: `queue` serves so many and lets the others wait, and says so in its metrics as
vLLM does; `silent` is the same without metrics to go by; `collapse` gets slower in all the more requests it has, so that too many cost
throughput. Replies take `base_s` seconds on an idle server and differ in length. Throughput is counted over the last two thirds.
"""

import asyncio
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from author.llm.openai_author import OpenAIAuthor
from schemas.config import Config
from schemas.judgements import Judgement
from tests.servers.http import spawned
from tests.validators.test_judge import SESSION

CAPACITY, BASE_S, SPREAD = 12, 0.4, 0.5
SERVERS = {
    "queue": ["--queue"],
    "silent": ["--slowdown", "1.0"],
    "collapse": ["--slowdown", "2.0"],
}
FIXED = (2, 4, 8, 12, 16, 24, 48)
CEILING, CALLS, FIXED_CALLS = 64, 1500, 240
RESULT = Path(__file__).parent / "results" / "concurrency.json"


async def rate(calls: int, at_once: int, call: Callable[[int], Awaitable[object]]) -> float:
    """Calls per second over the last two thirds of `calls`, with at most `at_once` begun and not ended."""
    ended: list[float] = []
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            await call(number)
            ended.append(time.monotonic())

    await asyncio.gather(*(one(number) for number in range(calls)))
    kept = ended[calls // 3 :]
    return (len(kept) - 1) / (kept[-1] - kept[0])


async def fixed(url: str, at_once: int) -> float:
    """Throughput with a fixed number at once."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        message = {"role": "user", "content": "Is it said?"}
        return await rate(
            FIXED_CALLS,
            at_once,
            lambda number: client.chat.completions.create(model="scripted", messages=[message], seed=number),  # type: ignore[list-item]
        )


def adaptive(url: str) -> tuple[float, list[tuple[float, int]]]:
    """Throughput of our author, and the course of its limit."""
    author_config = {"kind": "openai", "model": "scripted", "base_url": f"{url}/v1", "max_concurrency": CEILING}
    config = Config.model_validate({"dataset": {"name": "bench"}, "author": author_config})
    with tempfile.TemporaryDirectory() as folder:
        author = OpenAIAuthor(config, Path(folder))
        try:
            got = asyncio.run(rate(CALLS, CALLS, lambda number: author.write("judge/stated", SESSION, Judgement, number, f"r{number}")))
            return got, author.course()[0]
        finally:
            author.close()


def measure(name: str) -> dict[str, Any]:
    """One server: the fixed numbers, ours, and the ratio to the best fixed one."""
    options = ["--base-s", str(BASE_S), "--capacity", str(CAPACITY), "--spread", str(SPREAD), *SERVERS[name]]
    with spawned("tests.servers.model", *options) as url:
        curve = {at_once: round(asyncio.run(fixed(url, at_once)), 2) for at_once in FIXED}
        ours, course = adaptive(url)
    settled = [limit for seconds, limit in course if seconds > course[-1][0] / 2] or [course[-1][1]]
    best = max(curve.values())
    return {
        "server": name, "fixed": curve, "best_fixed": best, "adaptive": round(ours, 2), "ratio": round(ours / best, 3),
        "settled_limit": statistics.median(settled), "course": course,
    }  # fmt: skip


def main() -> None:
    """Measure all servers and write the result."""
    rows = [measure(name) for name in SERVERS]
    machine = {"machine": platform.machine(), "python": platform.python_version(), "openai": version("openai")}
    shape = {"capacity": CAPACITY, "base_s": BASE_S, "spread": SPREAD, "ceiling": CEILING, "calls": CALLS}
    ratios = {row["server"]: row["ratio"] for row in rows}
    RESULT.parent.mkdir(exist_ok=True)
    result = {"command": "python -m bench.concurrency", "machine": machine, "shape": shape, "rows": rows, "ratios": ratios}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
