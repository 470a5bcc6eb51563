"""The author that pays, whole: nothing paid for is lost or paid again, whatever the servers, the budgets and the callers do."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from author.llm.openai_author import OpenAIAuthor
from author.seam import Unwritten
from schemas.drafts import PersonaDraft
from schemas.errors import SubtextError
from store.journal import Journal
from tests.author.llm.asks import KEY_ENV, PROMPT, all_written, ask, calls, config, figures, number_of, opened, persona
from tests.servers.http import CHAT, Reply
from tests.servers.model import Answer, ScriptedModel
from tests.servers.proxy import FaultProxy
from tests.servers.synth import synthesise

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
