"""The servers of the tests, seen by the real `openai` client: each fault appears as it would from the real thing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from openai import (
    APIConnectionError,
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    OpenAIError,
    RateLimitError,
)
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ValidationError

from schemas.drafts import FactsDraft, ItemDraft, PersonaDraft, SessionDraft, TrapsDraft
from tests.servers.http import Reply, spawned
from tests.servers.model import ScriptedModel
from tests.servers.proxy import ALL, FaultProxy, Kind
from tests.servers.synth import fill


@asynccontextmanager
async def client(base_url: str, timeout: float = 10.0, key: str = "local") -> AsyncIterator[AsyncOpenAI]:
    async with httpx2.AsyncClient(trust_env=False) as transport:
        yield AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=timeout, http_client=transport)


async def ask(openai: AsyncOpenAI, text: str = "hello", model: type[BaseModel] | None = PersonaDraft, **more: Any) -> ChatCompletion:
    if model is not None:
        schema = {"name": model.__name__, "schema": model.model_json_schema(), "strict": True}
        more["response_format"] = {"type": "json_schema", "json_schema": schema}
    create = cast(Any, openai.chat.completions.create)
    return cast(ChatCompletion, await create(model="scripted", messages=[{"role": "user", "content": text}], **more))


def once(base_url: str, text: str = "hello", timeout: float = 10.0, key: str = "local", **more: Any) -> ChatCompletion:
    async def go() -> ChatCompletion:
        async with client(base_url, timeout, key) as openai:
            return await ask(openai, text, **more)

    return asyncio.run(go())


def content(reply: ChatCompletion) -> str:
    return reply.choices[0].message.content or ""


def spoil(kind: Kind, timeout: float = 10.0) -> tuple[ChatCompletion | Exception, dict[str, Any]]:
    """One call through a proxy that always does `kind`."""
    with ScriptedModel() as model, FaultProxy(model.base_url, share=1.0, kinds=[kind], stall_s=0.3) as proxy:
        seen: ChatCompletion | Exception
        try:
            seen = once(proxy.base_url, timeout=timeout)
        except (OpenAIError, ValueError) as problem:
            seen = problem
        assert proxy.injected == {kind: 1}
        assert proxy.errors == model.errors == []
        return seen, proxy.snapshot()


def test_a_429_says_when_to_come_back_only_where_it_should() -> None:
    told, untold = spoil("429_retry_after")[0], spoil("429")[0]
    assert isinstance(told, RateLimitError)
    assert isinstance(untold, RateLimitError)
    assert told.response.headers["retry-after"] == "1"
    assert "retry-after" not in untold.response.headers


@pytest.mark.parametrize("kind", ["500", "503"])
def test_errors_of_the_server(kind: Kind) -> None:
    problem = spoil(kind)[0]
    assert isinstance(problem, InternalServerError)
    assert problem.status_code == int(kind)


def test_a_reset_is_a_lost_connection_after_the_work_was_done() -> None:
    problem, counts = spoil("reset")
    assert isinstance(problem, APIConnectionError)
    assert not isinstance(problem, APITimeoutError)
    assert "ReadError" in repr(problem.__cause__)
    assert counts["upstream"] == {200: 1}


def test_a_stall_is_a_timeout_or_in_the_end_a_lost_connection() -> None:
    assert isinstance(spoil("stall", timeout=0.1)[0], APITimeoutError)
    lost = spoil("stall")[0]
    assert isinstance(lost, APIConnectionError)
    assert not isinstance(lost, APITimeoutError)


def test_a_broken_body_is_no_json() -> None:
    assert isinstance(spoil("broken_body")[0], (OpenAIError, json.JSONDecodeError))


def test_faults_of_the_content_keep_the_usage() -> None:
    replies = {kind: spoil(kind)[0] for kind in ("truncated_json", "length", "wrong_schema", "refusal", "empty")}
    for kind, reply in replies.items():
        assert isinstance(reply, ChatCompletion), kind
        assert reply.usage is not None
        assert reply.usage.completion_tokens > 50
        assert reply.choices[0].finish_reason == ("length" if kind == "length" else "stop")
        with pytest.raises(ValidationError):
            PersonaDraft.model_validate_json(content(reply))
    refused = replies["refusal"]
    assert isinstance(refused, ChatCompletion)
    assert refused.choices[0].message.content is None
    assert refused.choices[0].message.refusal


def test_a_share_of_calls_is_spoilt_and_every_kind_has_its_turn() -> None:
    async def many(base_url: str) -> None:
        async with client(base_url) as openai:
            await asyncio.gather(*(ask(openai, str(number)) for number in range(120)), return_exceptions=True)
            assert [model.id async for model in openai.models.list()] == ["scripted"]

    with ScriptedModel() as model, FaultProxy(model.url, share=0.2, stall_s=0.1) as proxy:
        asyncio.run(many(proxy.base_url))
        counts = proxy.snapshot()
    assert counts["injected"] == dict.fromkeys(ALL, 2)
    assert counts["calls"] == len(counts["requests"]) == len({one["sha"] for one in counts["requests"]}) == 120
    assert counts["in_flight"] == 0 < counts["most_in_flight"]
    assert model.calls == 120 - 2 * 5  # five kinds never get there


@pytest.mark.parametrize("record", [PersonaDraft, FactsDraft, TrapsDraft, SessionDraft, ItemDraft])
def test_the_stub_answers_our_records(record: type[BaseModel]) -> None:
    with ScriptedModel() as model:
        first, second, again = (content(once(model.base_url, text, model=record)) for text in ("a", "b", "a"))
    record.model_validate_json(first)
    assert first == again != second
    assert model.repeats == 1


def test_messages_alternate_and_quotes_are_quotes() -> None:
    turn = {"type": "object", "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string", "maxLength": 60}}}
    messages = {"type": "array", "items": turn, "minItems": 3, "maxItems": 9}
    quotes = {"type": "array", "items": {"$ref": "#/$defs/q"}, "minItems": 2}
    made = fill({"type": "object", "properties": {"messages": messages, "quotes": quotes}, "$defs": {"q": {"type": "string"}}}, "k")
    assert [message["role"] for message in made["messages"]] == ["user", "assistant"] * 2
    assert len(set(made["quotes"])) == 2
    assert all(quote in made["messages"][0]["content"] for quote in made["quotes"])


def test_a_script_decides() -> None:
    def script(request: dict[str, Any]) -> Reply | str | dict[str, Any] | None:
        match request["messages"][0]["content"]:
            case "teapot":
                return Reply.error(400, "short and stout")
            case "plain":
                return "as it is"
            case "json":
                return {"a": 1}
        return None

    with ScriptedModel(script) as model:
        assert content(once(model.base_url, "plain")) == "as it is"
        assert json.loads(content(once(model.base_url, "json"))) == {"a": 1}
        PersonaDraft.model_validate_json(content(once(model.base_url, "else")))
        with pytest.raises(BadRequestError, match="short and stout"):
            once(model.base_url, "teapot")


def test_a_long_answer_is_cut_at_max_tokens() -> None:
    with ScriptedModel() as model:
        reply = once(model.base_url, max_tokens=10)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 10


def test_letters_come_with_their_rivals() -> None:
    with ScriptedModel() as model:
        reply = once(model.base_url, model=None, logprobs=True, top_logprobs=4, max_tokens=1)
    assert reply.choices[0].logprobs is not None
    [token] = reply.choices[0].logprobs.content or []
    assert content(reply) == token.token == max(token.top_logprobs, key=lambda one: one.logprob).token
    assert {one.token for one in token.top_logprobs} == set("ABCD")


def test_a_common_beginning_is_cached() -> None:
    with ScriptedModel() as model:
        cached = [once(model.base_url, "the same static text " * 40 + end).usage for end in ("a", "b")]
    details = [usage and usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens for usage in cached]
    assert details == [0, 208]


def test_a_key_may_be_wrong_and_be_echoed() -> None:
    with ScriptedModel(api_key="right") as model:
        once(model.base_url, key="right")
        with pytest.raises(AuthenticationError, match="Bearer wr0ng"):
            once(model.base_url, key="wr0ng")
        model.echo_status = 500
        with pytest.raises(InternalServerError, match="Bearer right"):
            once(model.base_url, key="right")
        assert model.authorizations == {"Bearer right": 2, "Bearer wr0ng": 1}


async def _burst(model: ScriptedModel, calls: int) -> tuple[float, str]:
    """Seconds that `calls` calls at once take, and the metrics in the middle."""
    async with client(model.base_url) as openai, httpx2.AsyncClient(trust_env=False) as http:
        await asyncio.gather(*(ask(openai, f"warm {number}", model=None) for number in range(calls)))
        began = time.perf_counter()
        at_work = asyncio.gather(*(ask(openai, str(number), model=None) for number in range(calls)))
        await asyncio.sleep(0.1)
        metrics = (await http.get(f"{model.url}/metrics")).text
        await at_work
        return time.perf_counter() - began, metrics


def test_an_overloaded_model_slows_down_or_lets_wait() -> None:
    with ScriptedModel(capacity=4, base_s=0.2, slowdown=2.0) as model:
        alone, _ = asyncio.run(_burst(model, 4))
        crowded, metrics = asyncio.run(_burst(model, 8))
    assert alone < 0.4 < 0.75 < crowded
    assert 'vllm:num_requests_running{engine="0",model_name="scripted"} 8.0' in metrics
    with ScriptedModel(capacity=4, base_s=0.2, queue=True) as model:
        queued, metrics = asyncio.run(_burst(model, 8))
    assert 0.35 < queued < 0.7
    assert 'vllm:num_requests_waiting{engine="0",model_name="scripted"} 4.0' in metrics
    assert 'vllm:kv_cache_usage_perc{engine="0",model_name="scripted"} 1.0' in metrics
    assert model.most_in_flight == 8


def test_a_client_that_leaves_ends_its_request() -> None:
    with ScriptedModel(base_s=30.0) as model:
        with pytest.raises(APITimeoutError):
            once(model.base_url, timeout=0.1)
        time.sleep(0.1)
        assert (model.calls, model.in_flight, model.engine.running) == (1, 0, 0)


def test_a_server_comes_back_on_its_port() -> None:
    model = ScriptedModel().start()
    once(model.base_url)
    model.close()
    with pytest.raises(APIConnectionError):
        once(model.base_url)
    with model:
        once(model.base_url)
    assert model.calls == 2


def test_servers_run_as_processes() -> None:
    with spawned("tests.servers.model", "--name", "m") as url, spawned("tests.servers.proxy", url, "--share", "0") as proxy:
        PersonaDraft.model_validate_json(content(once(f"{proxy}/v1")))
        assert httpx2.get(f"{proxy}/_stats", trust_env=False).json()["calls"] == 1
        assert "vllm:kv_cache_usage_perc" in httpx2.get(f"{proxy}/metrics", trust_env=False).text
