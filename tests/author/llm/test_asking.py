"""The author that pays, whole: nothing paid for is lost or paid again, whatever the servers, the budgets and the callers do."""

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from author.llm.openai_author import OpenAIAuthor
from author.seam import Unwritten
from schemas.drafts import PersonaDraft
from schemas.errors import SubtextError
from store.journal import Journal
from tests.author.llm.asks import KEY_ENV, PROMPT, ask, calls, config, number_of, opened, persona
from tests.servers.http import CHAT, Reply
from tests.servers.model import Answer, ScriptedModel
from tests.servers.proxy import FaultProxy
from tests.servers.synth import synthesise


def soon(done: Callable[[], bool]) -> None:
    """Wait until `done`; what never comes fails."""
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.005)


def all_written(came: list[PersonaDraft | BaseException]) -> bool:
    return all(isinstance(one, PersonaDraft) for one in came)


def figures(author: OpenAIAuthor) -> dict[str, Any]:
    """The account of the one prompt."""
    account: dict[str, Any] = author.spent()["calls"][PROMPT]
    return account


# -- before the first request


def test_servers_that_are_not_there_are_named_with_what_to_do(tmp_path: Path) -> None:
    with ScriptedModel() as one, ScriptedModel() as other:
        dead = one.base_url, other.base_url
    with opened(config(*dead), tmp_path) as author:
        came = ask(author, range(5))
    for problem in came:
        assert isinstance(problem, SubtextError)
        assert all(url in str(problem) for url in dead)
        assert "subtext serve-llm" in str(problem) and "author.base_url" in str(problem)
    assert calls(tmp_path) == []


def test_one_server_that_is_there_is_enough(tmp_path: Path) -> None:
    with ScriptedModel() as gone:
        pass
    with ScriptedModel() as model, opened(config(gone, model), tmp_path) as author:
        assert all_written(ask(author, range(20)))
        assert model.calls == 20


@pytest.mark.parametrize("trouble", [{"name": "other"}, {"name": "scripted", "api_key": "another"}])
def test_what_no_request_gets_past_is_told_to_everyone_who_asked(tmp_path: Path, trouble: dict[str, Any]) -> None:
    with ScriptedModel(**trouble) as model, opened(config(model, max_concurrency=2), tmp_path) as author:
        came = ask(author, range(30))
        assert {str(problem) for problem in came} == {str(came[0])}
        assert isinstance(came[0], SubtextError)
        assert ("it serves other" if trouble["name"] == "other" else KEY_ENV) in str(came[0])
        assert model.calls <= 4, "those that were under way"


def test_the_key_is_in_nothing_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "sk-secret-secret-secret")
    with ScriptedModel(api_key="sk-secret-secret-secret", echo_status=413) as model, opened(config(model), tmp_path) as author:
        [refused] = ask(author, [1])
        model.echo_status = None
        assert all_written(ask(author, [2]))
        model.echo_status = 401
        [stopped] = ask(author, [3])
    assert isinstance(refused, Unwritten)
    assert isinstance(stopped, SubtextError)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Bearer ***" in kept
    assert b"sk-secret" not in kept
    assert not [said for said in (str(refused), str(stopped)) if "sk-secret" in said]


# -- replies that are no use


def crooked(*first: Answer) -> Callable[[dict[str, Any]], Answer]:
    """A script that gives each persona these answers before the right one."""
    seen: Counter[int] = Counter()

    def script(request: dict[str, Any]) -> Answer:
        number = number_of(request)
        seen[number] += 1
        return first[seen[number] - 1] if seen[number] <= len(first) else None

    return script


def test_a_wrong_reply_is_handed_back_with_what_is_wrong(tmp_path: Path) -> None:
    with ScriptedModel(crooked("Certainly!", {"name": "Ines"})) as model, opened(config(model), tmp_path) as author:
        assert all_written(ask(author, [1]))
        account = figures(author)
    first, second, third = (request["messages"] for request in model.requests)
    assert second[:2] == third[:2] == first
    assert second[2] == {"role": "assistant", "content": "Certainly!"}
    assert "Invalid JSON" in second[3]["content"]
    assert third[2] == {"role": "assistant", "content": '{"name": "Ines"}'}
    assert len(third) == 4, "one bad reply at a time"
    assert "age: Field required" in third[3]["content"]
    assert (account["calls"], account["repairs"], account["faults"]) == (3, 2, {"invalid_json": 1, "wrong_schema": 1})
    assert [call.repair for call in calls(tmp_path)] == [0, 1, 2]


def test_after_three_wrong_replies_the_record_is_unwritten(tmp_path: Path) -> None:
    with ScriptedModel(crooked("one", "two", "three")) as model, opened(config(model), tmp_path) as author:
        [problem] = ask(author, [7])
        assert model.calls == 3
    assert isinstance(problem, Unwritten)
    assert (problem.reason, problem.raw, problem.retry) == ("invalid_json", "three", "s7")
    assert "after 2 repairs" in problem.detail


@pytest.mark.parametrize("kind", ["refusal", "empty", "length", "truncated_json", "wrong_schema"])
def test_useless_replies_are_counted_by_kind(tmp_path: Path, kind: Any) -> None:
    with ScriptedModel() as model, FaultProxy(model.base_url, share=1.0, kinds=[kind]) as proxy:
        with opened(config(proxy), tmp_path) as author:
            [problem] = ask(author, [1])
            account = figures(author)
        named = "invalid_json" if kind == "truncated_json" else kind
        assert isinstance(problem, Unwritten)
        assert problem.reason == named
        assert account["faults"] == {named: 3}
        assert author.spent()["tokens"]["completion"] == model.tokens["completion"] > 0
    assert len({request["seed"] for request in model.requests}) == 3, "who errs the same way twice is not asked the same twice"
    _, *repairs = (request["messages"] for request in model.requests)
    assert all(repair[-1]["content"].count("<problems>") == 1 for repair in repairs)
    handed_back = [len(request["messages"]) for request in model.requests]
    assert handed_back == ([2, 4, 4] if kind in ("truncated_json", "wrong_schema") else [2, 2, 2])


def test_half_a_character_is_kept_and_can_be_handed_back(tmp_path: Path) -> None:
    with ScriptedModel(crooked("half a \ud83d character")) as model, opened(config(model), tmp_path) as author:
        assert all_written(ask(author, [1]))
        assert model.calls == 2
    journal = Journal(tmp_path)
    first = journal.find(journal.found[0].call_id)
    assert first is not None
    assert first.reply == "half a \ud83d character"


def test_what_the_server_will_never_answer_is_asked_once_for_ever(tmp_path: Path) -> None:
    def script(request: dict[str, Any]) -> Answer:
        return Reply.error(400, "maximum context length is 100 tokens") if number_of(request) == 1 else None

    with ScriptedModel(script) as model:
        for _ in range(2):
            with opened(config(model), tmp_path) as author:
                never, written = ask(author, [1, 2])
            assert isinstance(never, Unwritten)
            assert (never.reason, never.retry) == ("context_length", None)
            assert isinstance(written, PersonaDraft)
        assert model.calls == 2


# -- attempts that bring nothing


def test_with_a_fifth_of_all_replies_spoilt_everything_is_written(tmp_path: Path) -> None:
    kinds = ["429", "500", "503", "reset", "truncated_json", "broken_body", "wrong_schema", "refusal", "empty", "length"]
    with ScriptedModel() as model, FaultProxy(model.base_url, share=0.2, kinds=kinds) as proxy:  # type: ignore[arg-type]
        with opened(config(proxy), tmp_path) as author:
            came = ask(author, range(100))
            account = figures(author)
        assert all_written(came)
        assert proxy.injected.total() > 20
        named = Counter(account["faults"])
        for kind, fault in (("429", "429"), ("500", "500"), ("503", "503"), ("reset", "connection"), ("broken_body", "body")):
            assert named[fault] == proxy.injected[kind], kind
        assert account["retries"] == sum(named[fault] for fault in ("429", "500", "503", "connection", "body"))
        assert len({one.profile_text for one in came if isinstance(one, PersonaDraft)}) == 100


@pytest.mark.slow
def test_a_record_that_its_server_breaks_at_is_given_up_and_the_others_are_not(tmp_path: Path) -> None:
    def script(request: dict[str, Any]) -> Answer:
        return Reply.error(500, "a bug in the server") if number_of(request) == 3 else None

    with ScriptedModel(script, base_s=0.02) as model, opened(config(model), tmp_path) as author:
        came = ask(author, range(60))
        broken = came.pop(3)
        assert model.calls == 59 + 8
    assert all_written(came)
    assert isinstance(broken, Unwritten)
    assert (broken.reason, broken.retry) == ("unanswered", "s3")
    assert "a bug in the server" in broken.detail


# -- the journal


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    with ScriptedModel(crooked("wrong")) as model:
        with opened(config(model), tmp_path) as author:
            first = ask(author, range(30))
            spent = author.spent()
        assert model.calls == 60
        with opened(config(model), tmp_path) as author:
            second = ask(author, range(30))
            again = author.spent()
    assert model.calls == 60
    assert second == first
    assert again["calls"][PROMPT].pop("replayed") == 60
    assert spent["calls"][PROMPT].pop("replayed") == 0
    assert again == spent


def test_a_replay_needs_no_server(tmp_path: Path) -> None:
    with ScriptedModel() as model, opened(config(model), tmp_path) as author:
        first = ask(author, range(3))
    with opened(config(model), tmp_path) as author:
        assert ask(author, range(3)) == first


def test_a_record_declared_void_is_asked_anew_with_another_seed(tmp_path: Path) -> None:
    with ScriptedModel() as model:
        with opened(config(model), tmp_path) as author:
            before = ask(author, range(3))
        Journal(tmp_path).void({"s1"})
        with opened(config(model), tmp_path) as author:
            after = ask(author, range(3))
            assert ask(author, range(3)) == after
    assert model.calls == 4
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert len({request["seed"] for request in model.requests}) == 4


def test_a_journal_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way", encoding="utf-8")
    with ScriptedModel(base_s=0.01) as model, opened(config(model, max_concurrency=4), tmp_path / "journal") as author:
        came = ask(author, range(50))
        assert all(isinstance(problem, SubtextError) and "a file is in the way" in str(problem) for problem in came)
        assert model.calls <= 8, "and no more is paid for"


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


# -- callers


def test_a_reply_whose_asker_is_gone_is_journalled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def leave(author: OpenAIAuthor) -> None:
        asking = asyncio.create_task(persona(author, 1))
        while not model.in_flight:
            await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()

    with ScriptedModel(base_s=0.2) as model, caplog.at_level(logging.WARNING), opened(config(model), tmp_path) as author:
        asyncio.run(leave(author))  # its loop is closed when the reply comes
        author.close()
        assert [call.record_id for call in calls(tmp_path)] == ["s1"]
    assert not caplog.records


def test_several_threads_and_loops_at_once_share_one_pace(tmp_path: Path) -> None:
    with ScriptedModel(base_s=0.01) as model, opened(config(model, max_concurrency=6), tmp_path) as author, ThreadPoolExecutor(8) as many:
        batches = [many.submit(ask, author, range(start, start + 15)) for start in range(0, 120, 15)]
        while not all(batch.done() for batch in batches):
            assert "calls" in author.status()  # the terminal looks all the while
            author.spent()
        assert all(all_written(batch.result()) for batch in batches)
        assert model.calls == 120
        assert model.most_in_flight <= 6
        assert model.repeats == 0
    assert len(calls(tmp_path)) == 120


def test_the_server_is_asked_for_the_prompts_schema(tmp_path: Path) -> None:
    with ScriptedModel() as model, opened(config(model, temperature=0.4, text_limit=300), tmp_path) as author:
        ask(author, [1])
        [request] = model.requests
        assert author._asking.course()[0][0][1] >= 1
    asked = request["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"]) == ("expand_persona", True)
    assert asked["schema"]["properties"]["name"] == {"type": "string", "minLength": 1, "maxLength": 300}
    assert (request["model"], request["temperature"], request["seed"], request["max_tokens"]) == ("scripted", 0.4, 1, 1200)
    assert CHAT.startswith("/v1")


def test_a_server_that_does_not_count_tokens_is_counted_for(tmp_path: Path) -> None:
    def silent(request: dict[str, Any]) -> Reply:
        message = {"role": "assistant", "content": json.dumps(synthesise(request))}
        return Reply.json({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})

    with ScriptedModel(reply=silent) as model, opened(config(model, budget={"tokens": 30_000}), tmp_path) as author:
        came = ask(author, range(200))
        spent = author.spent()["tokens"]
    assert 0 < model.calls < 200
    assert any("budget.tokens" in str(problem) for problem in came)
    assert spent["prompt"] > 100 * model.calls
    assert spent["prompt"] + spent["completion"] <= 30_000
