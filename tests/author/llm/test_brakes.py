"""The author that pays, when it is to end: budgets, stops, and what is under way then."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from schemas.drafts import PersonaDraft
from schemas.errors import SubtextError
from tests.author.llm.asks import KEY_ENV, all_written, ask, calls, config, opened, soon
from tests.servers.http import Reply
from tests.servers.model import Answer, ScriptedModel
from tests.servers.proxy import FaultProxy

# -- budgets


@pytest.mark.parametrize("budget", [{"tokens": 60_000}, {"usd": 0.12}])
def test_a_budget_is_not_passed_and_a_larger_one_goes_on_where_it_stopped(tmp_path: Path, budget: dict[str, float]) -> None:
    price = {"prompt": 1, "completion": 5}
    with ScriptedModel(base_s=0.01) as model:
        with opened(config(model, budget=budget, price=price), tmp_path) as author:
            came = ask(author, range(200))
        stopped = [problem for problem in came if isinstance(problem, SubtextError)]
        assert stopped and len(stopped) < 195
        assert f"budget.{next(iter(budget))}" in str(stopped[0]) and "raise it and run the same command again" in str(stopped[0])
        assert model.tokens["prompt"] + model.tokens["completion"] <= budget.get("tokens", 10**9)
        assert model.tokens["prompt"] * 1e-6 + model.tokens["completion"] * 5e-6 <= budget.get("usd", 10**9)
        kept = calls(tmp_path)
        assert len(kept) == model.calls == 200 - len(stopped)
        assert sum(call.prompt_tokens + call.completion_tokens for call in kept) == model.tokens["prompt"] + model.tokens["completion"]
        with opened(config(model, budget={name: 100 * value for name, value in budget.items()}, price=price), tmp_path) as author:
            assert all_written(ask(author, range(200)))
        assert model.calls == 200
        assert model.repeats == 0


def test_a_budget_too_small_for_one_request_sends_none(tmp_path: Path) -> None:
    with ScriptedModel() as model, opened(config(model, budget={"tokens": 500}), tmp_path) as author:
        assert all(isinstance(problem, SubtextError) for problem in ask(author, range(10)))
        assert model.calls == 0


def test_nothing_stays_reserved_for_attempts_that_brought_nothing(tmp_path: Path) -> None:
    """Were one reservation left, a brake would wait for it for ever instead of being final."""
    kinds = ["429", "reset", "broken_body", "500"]
    with ExitStack() as stack:
        model = stack.enter_context(ScriptedModel())
        proxy = stack.enter_context(FaultProxy(model.base_url, share=0.34, kinds=kinds))  # type: ignore[arg-type]
        author = stack.enter_context(opened(config(proxy, budget={"tokens": 30_000}), tmp_path))
        came = ask(author, range(80))
    assert proxy.injected.total() > 5
    assert {type(one) for one in came} == {PersonaDraft, SubtextError}
    assert len(calls(tmp_path)) == len([one for one in came if isinstance(one, PersonaDraft)])


# -- stopping


def test_what_is_under_way_when_it_stops_is_journalled_before_it_closes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        models = [stack.enter_context(ScriptedModel(base_s=0.7)) for _ in range(13)]
        author = stack.enter_context(opened(config(*models), tmp_path))
        asking = stack.enter_context(ThreadPoolExecutor(1)).submit(ask, author, range(300))
        soon(lambda: sum(model.in_flight for model in models) == 52)  # the first volley: four for each
        author.stop()
        sent = sum(model.calls for model in models)
        author.close()
        kept = [call.record_id for call in calls(tmp_path)]
        came = asking.result(30)
        assert sum(model.calls for model in models) == sent, "nothing was sent afterwards"
    written = [f"s{number}" for number, one in enumerate(came) if isinstance(one, PersonaDraft)]
    assert sorted(kept) == sorted(written)
    assert len(kept) == sent == 52
    assert {str(one) for one in came if not isinstance(one, PersonaDraft)} == {"stopped"}


def test_who_waits_to_try_again_when_it_stops_does_not(tmp_path: Path) -> None:
    gate = threading.Event()

    async def script(request: dict[str, Any]) -> Answer:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return Reply.error(500, "not now")

    with ScriptedModel(script) as model, opened(config(model), tmp_path) as author, ThreadPoolExecutor(1) as aside:
        asking = aside.submit(ask, author, range(10))
        soon(lambda: model.in_flight == 4)
        author.stop()
        gate.set()
        author.close()
        assert all(isinstance(problem, SubtextError) for problem in asking.result(30))
        assert model.calls == 4


def test_a_wrong_key_in_the_middle_stops_everyone_and_keeps_what_was_paid(tmp_path: Path) -> None:
    def script(request: dict[str, Any]) -> None:
        if model.calls >= 40:
            model.echo_status = 401

    with ScriptedModel(script, base_s=0.01) as model, opened(config(model), tmp_path) as author:
        came = ask(author, range(200))
        written = [one for one in came if isinstance(one, PersonaDraft)]
        stopped = {str(one) for one in came if isinstance(one, SubtextError)}
    assert len(written) + len([one for one in came if isinstance(one, SubtextError)]) == 200
    assert len(stopped) == 1
    assert KEY_ENV in stopped.pop()
    assert len(calls(tmp_path)) == len(written) >= 39
    assert model.calls < 200


def test_after_it_was_closed_a_request_is_refused(tmp_path: Path) -> None:
    with ScriptedModel() as model, opened(config(model), tmp_path) as author:
        assert all_written(ask(author, [1]))
        author.close()
        author.close()
        [problem] = ask(author, [2])
    assert isinstance(problem, SubtextError)


def test_requests_that_come_while_it_closes_all_end(tmp_path: Path) -> None:
    with ScriptedModel(base_s=0.005) as model, opened(config(model), tmp_path) as author, ThreadPoolExecutor(4) as aside:

        def keep_asking(lane: int) -> list[PersonaDraft | BaseException]:
            came: list[PersonaDraft | BaseException] = []
            while not came or isinstance(came[-1], PersonaDraft):
                came += ask(author, [lane * 1000 + len(came)])
            return came

        asking = [aside.submit(keep_asking, lane) for lane in range(4)]
        soon(lambda: model.calls > 20)
        author.close()
        ends = [one.result(30) for one in asking]
    assert all(isinstance(came[-1], SubtextError) for came in ends)
    assert len(calls(tmp_path)) == model.calls == sum(len(came) - 1 for came in ends)


def test_an_author_that_was_asked_nothing_closes(tmp_path: Path) -> None:
    with opened(config("http://127.0.0.1:1/v1"), tmp_path) as author:
        assert author.status() == "0 calls (0 retries, 0 repairs), 0 tokens, 0 under way"
        assert author.spent()["calls"] == {}
