"""A real vLLM (its CPU build) behind `author.serving`: `make test-vllm`. Minutes, and an environment of its own; never part of `make test`.

It measures, too: what was seen is in .verify/vllm.json.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, ConfigDict, Field

from author.serving.launch import launch
from author.serving.local import weights
from author.serving.server import Server
from author.serving.vllm import look
from schemas.config import AuthorConfig, Config, load_config
from tests.author.serving.processes import running, until
from tests.llm import journalled
from tests.runs import run_here
from tests.servers.model import ScriptedModel
from tests.willing import willing

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

REPO = Path(__file__).parent.parent.parent
PYTHON = os.environ.get("SUBTEXT_VLLM_PYTHON", str(REPO / ".venv-vllm" / "bin" / "python"))
PREFIX = "You write what a person says to an assistant. " + " ".join(
    f"Rule {number}: never say outright what the hidden fact number {number} is; let it show." for number in range(60)
)


class Errand(BaseModel):
    """What is asked for in a schema."""

    model_config = ConfigDict(extra="forbid")

    topic: str = Field(max_length=40)
    urgent: bool
    steps: list[str] = Field(min_length=2, max_length=2)


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    """What was measured, written down at the end."""
    seen: dict[str, Any] = {}
    yield seen
    (REPO / ".verify").mkdir(exist_ok=True)
    (REPO / ".verify" / "vllm.json").write_text(json.dumps(seen, indent=2) + "\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, figures: dict[str, Any]) -> Iterator[Server]:
    """SmolLM2-135M on vLLM."""
    folder = tmp_path_factory.mktemp("vllm")
    model = folder / "smollm2-135m"
    subprocess.run([PYTHON, str(Path(__file__).with_name("convert.py")), str(weights()), str(model)], check=True, capture_output=True)
    config = AuthorConfig(kind="openai", launch="vllm", model=str(model), python=PYTHON)
    began = time.monotonic()
    with launch(config, folder / "log") as running_server:
        figures["seconds until it answered"] = round(time.monotonic() - began, 1)
        yield running_server
        began = time.monotonic()
    figures["seconds to stop it"] = round(time.monotonic() - began, 1)
    assert running(running_server.model) == engines() == []


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    """A client of the server."""
    with OpenAI(base_url=server.url, api_key="none", timeout=300, max_retries=0) as found:
        yield found


def engines() -> list[int]:
    """vLLM's own children, which call themselves `VLLM::EngineCore` and the like."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if path.read_bytes().startswith(b"VLLM::")]


def metric(client: OpenAI, name: str) -> float:
    text = client.get("/../metrics", cast_to=str)
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{re.escape(name)}\{{", line))


def test_the_look_finds_a_cpu_build() -> None:
    assert look(PYTHON).platform == "cpu"


def test_a_shared_prefix_is_computed_once(client: OpenAI, server: Server, figures: dict[str, Any]) -> None:
    asked, hit = metric(client, "vllm:prefix_cache_queries_total"), metric(client, "vllm:prefix_cache_hits_total")
    prompt, cached, seconds = [], [], []
    for number in range(8):
        began = time.monotonic()
        usage = client.chat.completions.create(
            model=server.model,
            messages=[{"role": "system", "content": PREFIX}, {"role": "user", "content": f"Now write line {number}."}],
            max_tokens=1,
        ).usage
        seconds.append(round(time.monotonic() - began, 2))
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        prompt.append(usage.prompt_tokens)
        cached.append(usage.prompt_tokens_details.cached_tokens or 0)
    asked = metric(client, "vllm:prefix_cache_queries_total") - asked
    hit = metric(client, "vllm:prefix_cache_hits_total") - hit
    figures["shared prefix"] = {
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "seconds": seconds,
        "hits / queries": f"{hit:.0f} / {asked:.0f}",
    }
    assert asked == sum(prompt)
    assert hit == sum(cached)
    assert cached[0] == 0
    assert min(cached[1:]) > 0.9 * (prompt[0] - 128)  # whole blocks of 128 tokens


def test_a_reply_keeps_to_its_schema(client: OpenAI, server: Server, figures: dict[str, Any]) -> None:
    schema: dict[str, Any] = Errand.model_json_schema()
    reply = client.chat.completions.create(
        model=server.model,
        messages=[{"role": "user", "content": "Describe an errand in the garden."}],
        response_format={"type": "json_schema", "json_schema": {"name": "errand", "schema": schema, "strict": True}},
        max_tokens=400,
        temperature=0.7,
        seed=1,
    )
    figures["structured reply"] = reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    Errand.model_validate_json(reply.choices[0].message.content or "")


def test_requests_are_written_side_by_side(server: Server, figures: dict[str, Any]) -> None:
    async def one(client: AsyncOpenAI, number: int) -> int:
        reply = await client.chat.completions.create(
            model=server.model,
            messages=[{"role": "user", "content": f"Tell a story of {number + 2} gardeners."}],
            max_tokens=64,
            extra_body={"ignore_eos": True},
        )
        return reply.usage.completion_tokens if reply.usage else 0

    async def many(count: int) -> float:
        async with AsyncOpenAI(base_url=server.url, api_key="none", timeout=300, max_retries=0) as client:
            began = time.monotonic()
            written = sum(await asyncio.gather(*(one(client, number) for number in range(count))))
            return written / (time.monotonic() - began)

    speeds = {count: round(asyncio.run(many(count)), 1) for count in (1, 4, 16)}
    figures["tokens/s by requests side by side"] = speeds
    assert speeds[16] > speeds[1]


def test_a_killed_vllm_comes_back_and_leaves_no_engine_behind(server: Server, figures: dict[str, Any]) -> None:
    port = server.url.split(":")[2].removesuffix("/v1")
    old = engines()
    assert old
    began = time.monotonic()
    os.kill(running(port)[-1], signal.SIGKILL)
    until(lambda: server.restarts == 1, "a restart")
    assert not set(old) & set(engines())
    while True:
        assert time.monotonic() - began < 300
        assert server.problem is None
        try:
            with OpenAI(base_url=server.url, api_key="none", timeout=60, max_retries=0) as client:
                client.chat.completions.create(model=server.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1)
            break
        except Exception:
            time.sleep(0.5)
    figures["seconds from kill -9 to the next answer"] = round(time.monotonic() - began, 1)


def test_the_converse_stage_reads_most_of_its_prompts_from_the_cache(
    client: OpenAI, server: Server, figures: dict[str, Any], tmp_path: Path
) -> None:
    def config(url: str) -> Config:
        author = {"launch": "none", "base_url": url, "model": server.model, "text_limit": 160, "temperature": 0}
        more = ["seeds.builtin_count=4", "expand.facts_per_persona=6", "run.shard_size=4"]
        return load_config(REPO / "configs" / "local-llm.yaml", [*(f"author.{key}={value}" for key, value in author.items()), *more])

    with ScriptedModel(name=server.model, reply=willing) as scripted:  # more facts than the small model would find
        run_here(config(scripted.base_url), tmp_path, until="expand")
    asked, hit = metric(client, "vllm:prefix_cache_queries_total"), metric(client, "vllm:prefix_cache_hits_total")
    run_here(config(server.url), tmp_path, until="converse")
    asked = metric(client, "vllm:prefix_cache_queries_total") - asked
    hit = metric(client, "vllm:prefix_cache_hits_total") - hit
    calls = [call for call in journalled(tmp_path / "local-llm" / "0.1.0") if call["prompt"].startswith("converse/")]
    first = [call for call in calls if not call["repair"]]  # a repair repeats a whole prompt, which flatters the share
    share = sum(call["cached_tokens"] for call in first) / sum(call["prompt_tokens"] for call in first)
    figures["converse stage"] = {
        "calls": len(calls), "first tries": len(first), "tokens asked for": asked, "tokens found": hit,
        "share": round(hit / asked, 3), "share of first tries, by the replies": round(share, 3),
    }  # fmt: skip
    assert len(first) >= 20
    assert hit / asked >= 0.5
    assert share >= 0.5
