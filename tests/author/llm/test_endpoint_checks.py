"""What is asked of a server beside completions: which models it has, how long requests may be, how busy it is."""

from typing import Any

import pytest

from author.llm.endpoint import Endpoint, Fault, read_metrics
from author.llm.pace import Load
from schemas.errors import SubtextError
from tests.author.llm.asks import KEY_ENV
from tests.author.llm.endpoints import answering, check, through
from tests.servers import http
from tests.servers.model import ScriptedModel

pytestmark = pytest.mark.usefixtures("no_env_file")


def test_a_check_finds_the_model_and_how_long_its_requests_may_be() -> None:
    async def look(endpoint: Endpoint) -> int | None:
        await endpoint.check()
        return endpoint.context

    with ScriptedModel() as model:
        assert through(model.base_url, look) is None
    listing = {"object": "list", "data": [{"id": "scripted", "object": "model", "max_model_len": 4096}]}
    with answering(http.Reply.json(listing)) as server:
        assert through(server.base_url, look) == 4096


def test_a_check_says_what_the_server_has_instead() -> None:
    with ScriptedModel(name="other") as model:
        stop = check(model.base_url)
    assert isinstance(stop, SubtextError)
    assert str(stop) == f"{model.base_url} does not serve 'scripted'; it serves other (author.model)"


def test_a_check_does_not_take_a_wrong_key() -> None:
    with answering(http.Reply.error(401, "no")) as server:
        stop = check(server.base_url)
    assert isinstance(stop, SubtextError)
    assert KEY_ENV in str(stop)


NO_LIST = {
    "not found": http.Reply.error(404, "no list"), "not for this key": http.Reply.error(403, "missing scope"),
    "not now": http.Reply.error(503, "loading"), "too often": http.Reply.error(429, "slow"), "not so": http.Reply.error(405, "no"),
    "a page": http.Reply(200, {"content-type": "text/html"}, b"<html></html>"), "nothing": http.Reply(200),
    "null": http.Reply.json({"data": None}), "empty": http.Reply.json({"data": []}), "a list": http.Reply.json([1, 2]),
    "no JSON": http.Reply(200, {"content-type": "application/json"}, b"{"),
}  # fmt: skip


@pytest.mark.parametrize("what", NO_LIST)
def test_a_server_without_a_list_passes(what: str) -> None:
    with answering(NO_LIST[what]) as server:
        assert check(server.base_url) is None


VLLM = """# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 4.0
vllm:num_requests_running{engine="0",model_name="m"} 17.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
"""
LLAMA = """# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
llamacpp:requests_deferred 4
"""


def test_the_load_is_read_from_a_vllms_page_alone() -> None:
    assert read_metrics(VLLM) == Load(waiting=7, kv_cache=0.75)
    assert read_metrics(VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc")) == Load(waiting=7, kv_cache=0.75)
    assert read_metrics("vllm:num_requests_waiting 2\n") == Load(waiting=2, kv_cache=0)
    for page in (LLAMA, "", "<html></html>", "vllm:num_requests_waiting{} many\n", "vllm:kv_cache_usage_perc 0.5\n"):
        assert read_metrics(page) is None


def test_the_load_is_asked_beside_v1() -> None:
    def load(url: str) -> Any:
        return through(url, lambda endpoint: endpoint.load())

    with answering(http.Reply(200, {"content-type": "text/plain"}, VLLM.encode()), path="/metrics") as server:
        assert load(server.base_url) == load(f"{server.base_url}/") == Load(waiting=7, kv_cache=0.75)
    with answering(http.Reply(200, {"content-type": "text/plain"}, LLAMA.encode())) as server:
        assert load(server.base_url) is None
    with answering(http.Reply.error(404, "no")) as server:
        assert load(server.base_url) is None
    with answering(http.Reply.error(503, "busy")) as server:
        assert isinstance(load(server.base_url), Fault), "it says nothing now, which is not the same as never"
