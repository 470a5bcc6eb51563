"""One server, seen through the real client over real sockets: every way to fail has its name, and says what to do about it."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from author.llm.endpoint import Endpoint, Fault, Impossible, Reply
from schemas.errors import InputError, SubtextError
from tests.author.llm.asks import KEY_ENV, settings
from tests.author.llm.endpoints import MESSAGES, answering, check, send, sent, through
from tests.servers import http
from tests.servers.http import HttpServer, Raw, reset_after
from tests.servers.model import ScriptedModel
from tests.servers.proxy import FaultProxy, Kind

KEY = "sk-subtext-0123456789abcdef"


pytestmark = pytest.mark.usefixtures("no_env_file")


def completion(**changed: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "words", "refusal": None}
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage, **changed}


def test_a_reply_comes_with_its_figures() -> None:
    reply = sent(http.Reply.json(completion()))
    assert isinstance(reply, Reply)
    assert (reply.content, reply.refusal, reply.finish_reason) == ("words", "", "stop")
    assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (12, 8, 3)
    assert reply.seconds > 0


def test_what_a_server_leaves_out_is_nothing() -> None:
    bare = sent(http.Reply.json({"choices": [{"message": {}}]}))
    assert isinstance(bare, Reply)
    assert (bare.content, bare.finish_reason, bare.prompt_tokens, bare.cached_tokens) == ("", "", 0, 0)
    assert sent(http.Reply.json(completion(usage=None))).prompt_tokens == 0
    assert sent(http.Reply.json(completion(usage={"prompt_tokens": 5, "prompt_tokens_details": None}))).prompt_tokens == 5


def test_a_text_in_parts_is_put_together() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert sent(http.Reply.json(completion(choices=[{"message": {"content": parts}, "finish_reason": "stop"}]))).content == "one two"


def test_a_refusal_is_told_apart() -> None:
    refused = sent(http.Reply.json(completion(choices=[{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}])))
    assert (refused.content, refused.refusal) == ("", "no")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}', b'{"choices": [{"message": {"content": 7}}]}',
     b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": Infinity}}', b"\xff\xfe", b"[" * 200_000, b"<html></html>"],
)  # fmt: skip
def test_a_body_that_is_no_completion_is_a_fault(body: bytes) -> None:
    fault = sent(http.Reply(200, {"content-type": "application/json"}, body))
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.sick, fault.crowded) == ("body", False, False)


@pytest.mark.parametrize("kind", ["429", "500", "503", "broken_body", "reset", "stall"])
def test_what_spoils_an_attempt_is_a_fault_with_a_name(kind: Kind) -> None:
    with ScriptedModel() as model, FaultProxy(model.base_url, share=1.0, kinds=[kind], stall_s=30) as proxy:
        fault = send(proxy.base_url, timeout_s=0.3 if kind == "stall" else 10)
    named = {"broken_body": "body", "reset": "connection", "stall": "timeout"}.get(kind, kind)
    assert isinstance(fault, Fault)
    assert fault.kind == named
    assert fault.crowded == (named in ("429", "503", "timeout"))
    assert fault.sick == (named not in ("429", "body"))
    assert fault.retry_after is None


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 504, 529])
def test_other_statuses_that_pass_are_faults(status: int) -> None:
    fault = sent(http.Reply.error(status, "later"))
    assert isinstance(fault, Fault)
    assert fault.kind == str(status)
    assert "later" in fault.detail


@pytest.mark.parametrize(
    ("said", "seconds"), [("1", 1), ("2.5", 2.5), ("0", 0), ("-3", 0), ("86400", 60), ("inf", 60), ("soon", None), ("nan", 0)]
)
def test_the_pause_that_a_server_asks_for_is_heard_within_reason(said: str, seconds: float | None) -> None:
    fault = sent(http.Reply.error(429, "slow down", {"retry-after": said}))
    assert isinstance(fault, Fault)
    assert fault.retry_after == seconds


def test_nobody_there_is_a_lost_connection() -> None:
    with ScriptedModel() as model:
        url = model.base_url
    for fault in (send(url), check(url)):
        assert isinstance(fault, Fault)
        assert fault.kind == "connection"


def test_a_server_that_only_drips_is_a_timeout() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(300):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    fault = sent(Raw(drip), timeout_s=0.3)
    assert isinstance(fault, Fault)
    assert fault.kind == "timeout"
    assert "0.3 s" in fault.detail


def test_a_reply_cut_off_by_a_reset_is_a_lost_connection() -> None:
    whole = http.Reply.json(completion()).encode()
    fault = sent(reset_after(whole[:-20]))
    assert isinstance(fault, Fault)
    assert fault.kind == "connection"


FINAL = {
    401: rf"the key is missing or wrong: set {KEY_ENV} in the environment or in \.env",
    402: "no credit left; top it up",
    403: f"use another in {KEY_ENV}, or another author.model",
    404: r"no model 'scripted' there, or author\.base_url is not the address that ends in /v1",
    400: "does not take such requests",
    405: "does not take such requests",
    422: "does not take such requests",
}


@pytest.mark.parametrize("status", FINAL)
def test_what_no_request_gets_past_stops_the_run_and_says_what_to_do(status: int) -> None:
    with answering(http.Reply.error(status, "so it said")) as server:
        stop = send(server.base_url)
        with pytest.raises(SubtextError, match=rf"^{server.base_url} answered {status}: .*{FINAL[status]}.*so it said"):
            raise stop
    assert len(str(stop).splitlines()) == 1


def coded(status: int, code: str, message: str = "as it is") -> http.Reply:
    return http.Reply.json({"error": {"message": message, "type": "invalid_request_error", "code": code}}, status)


def test_an_account_without_credit_is_not_waited_for() -> None:
    stop = sent(coded(429, "insufficient_quota"))
    assert isinstance(stop, SubtextError)
    assert "no credit left" in str(stop)


TOO_LONG = {
    "vllm": http.Reply.error(400, "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens."),
    "llama.cpp": http.Reply.error(400, "the request exceeds the available context size, try increasing it"),
    "openai": coded(400, "context_length_exceeded"),
    "payload": http.Reply.error(413, "too large"),
    "a minute's tokens": coded(429, "rate_limit_exceeded", "Request too large for scripted on tokens per min (TPM): Limit 100"),
}


@pytest.mark.parametrize("server", TOO_LONG)
def test_what_is_too_long_is_the_records_trouble_alone(server: str) -> None:
    never = sent(TOO_LONG[server])
    assert isinstance(never, Impossible)
    assert never.reason == "context_length"
    assert "ask for less in one request" in never.detail


def test_what_a_filter_refuses_is_the_records_trouble_alone() -> None:
    never = sent(coded(400, "content_filter"))
    assert isinstance(never, Impossible)
    assert never.reason == "refused"


@pytest.mark.parametrize("status", [400, 401, 413, 429, 500])
@pytest.mark.parametrize("before", [0, 250, 270])
def test_a_key_that_the_server_repeats_is_in_no_error(status: int, before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)

    async def echo(method: str, path: str, headers: Mapping[str, str], body: bytes) -> http.Reply:
        return http.Reply.error(status, f"{'x' * before} context length? {headers['authorization']} is wrong")

    with HttpServer(echo) as server:
        problem = send(server.base_url)
        listing = check(server.base_url)
    for said in (str(problem), str(listing)):
        assert not [part for part in range(8, len(KEY) + 1) if KEY[:part] in said], said
    assert before or "Bearer ***" in str(problem), "the server did repeat it"


def test_the_stub_that_echoes_is_heard_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with ScriptedModel(echo_status=401) as model:
        stop = send(model.base_url)
        assert model.authorizations == {f"Bearer {KEY}": 1}
    assert isinstance(stop, SubtextError)
    assert "Bearer ***" in str(stop)
    assert KEY not in str(stop)


def test_the_key_is_read_from_env_file_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(f"{KEY_ENV}=from-file\n", encoding="utf-8")
    with ScriptedModel(api_key="from-file") as model:
        assert isinstance(send(model.base_url), Reply)
        model._api_key = "from-environment"
        assert isinstance(send(model.base_url), SubtextError)
        monkeypatch.setenv(KEY_ENV, "from-environment\n")
        assert isinstance(send(model.base_url), Reply), "a newline at its end is not part of a key"
        assert list(model.authorizations) == ["Bearer from-file", "Bearer from-environment"]
    assert (tmp_path / ".env").read_text(encoding="utf-8") == f"{KEY_ENV}=from-file\n"


def test_a_key_with_typographic_quotes_is_wrong_input_that_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, f"“{KEY}”")
    with pytest.raises(InputError, match=KEY_ENV) as caught:
        Endpoint("http://127.0.0.1:1/v1", "m", settings("http://127.0.0.1:1/v1"), 0)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://[::1/v1"])
def test_an_address_that_is_none_is_wrong_input(url: str) -> None:
    with pytest.raises(InputError, match=r"author\.base_url: .* is not an address"):
        Endpoint(url, "m", settings(url), 0)


@pytest.mark.slow
def test_many_at_once_are_not_held_back_by_the_client() -> None:
    async def volley(endpoint: Endpoint) -> None:
        await asyncio.gather(*(endpoint.send(MESSAGES, {"seed": number}) for number in range(1200)))

    together = asyncio.Event()

    async def reply(request: dict[str, Any]) -> str:
        if model.in_flight == 1200:
            together.set()
        await asyncio.wait_for(together.wait(), 60)
        return "hello"

    with ScriptedModel(reply, keep_requests=False) as model:
        through(model.base_url, volley)
        assert model.most_in_flight == 1200
        assert not model.errors


def test_leaving_ends_the_request_at_the_server() -> None:
    async def leave(endpoint: Endpoint) -> None:
        task = asyncio.create_task(endpoint.send(MESSAGES, {}))
        while model.in_flight == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ScriptedModel(base_s=60) as model:
        through(model.base_url, leave)
        until = time.monotonic() + 10
        while model.in_flight and time.monotonic() < until:
            time.sleep(0.01)
        assert model.in_flight == 0


def test_what_is_sent_is_what_was_asked() -> None:
    with ScriptedModel() as model:
        send(model.base_url)
        [request] = model.requests
    assert json.dumps(request, sort_keys=True) == json.dumps(
        {"model": "scripted", "messages": MESSAGES, "max_tokens": 100, "seed": 1}, sort_keys=True
    )


def test_an_option_that_a_model_does_not_take_is_spared_it_from_then_on() -> None:
    asked: list[dict[str, Any]] = []

    def choosy(request: dict[str, Any]) -> http.Reply | str:
        asked.append(request)
        for name in ("max_tokens", "temperature"):
            if name in request:
                error = {
                    "message": f"Unsupported parameter: '{name}'",
                    "type": "invalid_request_error",
                    "param": name,
                    "code": "unsupported",
                }
                return http.Reply.json({"error": error}, status=400)
        return "fine"

    async def twice(endpoint: Endpoint) -> list[Reply]:
        options = {"max_tokens": 90, "temperature": 0.5, "seed": 3}
        return [await endpoint.send(MESSAGES, options) for _ in range(2)]

    with ScriptedModel(reply=choosy) as model:
        replies = through(model.base_url, twice)
    assert [reply.content for reply in replies] == ["fine", "fine"]
    assert len(asked) == 4, "each option is refused once, then left out"
    assert asked[-1]["max_completion_tokens"] == 90 and asked[-1]["seed"] == 3
    assert "temperature" not in asked[-1]


def test_an_option_that_matters_is_not_given_up() -> None:
    def refusing(_: dict[str, Any]) -> http.Reply:
        error = {"message": "response_format is not supported", "type": "invalid_request_error", "param": "response_format", "code": None}
        return http.Reply.json({"error": error}, status=400)

    with ScriptedModel(reply=refusing) as model:
        problem = through(model.base_url, lambda endpoint: endpoint.send(MESSAGES, {"response_format": {"type": "json_object"}}))
        assert model.calls == 1
    assert isinstance(problem, SubtextError)
