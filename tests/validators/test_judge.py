"""The judge: votes stop once the majority is certain, letters are read by their probabilities, and what cannot be read is no pass."""

import asyncio
import itertools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from author.llm.openai_author import OpenAIAuthor
from schemas.config import Config
from schemas.outcome import Verdict
from schemas.persona import Persona
from schemas.session import Message
from tests.servers.http import Reply
from tests.servers.model import ScriptedModel
from validators.judge import Judge

MESSAGES = (Message(role="user", content="My grinder woke the street."),)
SESSION = {"messages": MESSAGES, "value": "black coffee", "topic": "what I drink"}


@contextmanager
def judging(folder: Path, votes: int, reply: Callable[[dict[str, Any]], Any]) -> Iterator[tuple[Judge, ScriptedModel]]:
    with ScriptedModel(reply=reply) as model:
        config = Config.model_validate(
            {"dataset": {"name": "d"}, "author": {"kind": "openai", "model": "scripted", "base_url": model.base_url}}
        )
        author = OpenAIAuthor(config, folder)
        try:
            yield Judge(author, votes, 0.6), model
        finally:
            author.close()


def ask(judge: Judge) -> Verdict:
    return asyncio.run(judge.vote("judge/stated", SESSION, 7, "p0/s000"))


@pytest.mark.parametrize(
    ("votes", "said", "given", "passed"),
    [
        (3, [True, True, False], (True, True), True),
        (3, [True, False, True], (True, False, True), True),
        (3, [False, False, True], (False, False), False),
        (5, [True, False, False, True, True], (True, False, False, True, True), True),
        (1, [False], (False,), False),
        (2, [True, False], (True, False), False),
        (4, [False, False], (False, False), False),
    ],
)
def test_votes_stop_once_the_majority_is_certain(
    tmp_path: Path, votes: int, said: list[bool], given: tuple[bool, ...], passed: bool
) -> None:
    answers = itertools.chain(said, itertools.repeat("asked too often"))
    with judging(tmp_path, votes, lambda _: {"reason": "because", "passed": next(answers)}) as (judge, model):
        verdict = ask(judge)
    assert (verdict.votes, verdict.passed) == (given, passed)
    assert model.calls == len(given)
    assert verdict.judge == "openai-scripted" and verdict.validator == "judge_stated"


def test_the_votes_are_asked_for_with_different_seeds(tmp_path: Path) -> None:
    with judging(tmp_path, 3, lambda _: {"reason": "", "passed": True}) as (judge, model):
        ask(judge)
        assert len({request["seed"] for request in model.requests}) == 2


def test_what_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    with judging(tmp_path, 1, lambda _: "yes, I think so") as (judge, _):
        verdict = ask(judge)
    assert not verdict.passed
    assert "unreadable" in verdict.reason


def letters(shares: dict[str, float]) -> Callable[[dict[str, Any]], Reply]:
    """A model that would reply with one of these tokens, at these probabilities."""

    def reply(request: dict[str, Any]) -> Reply:
        assert request["max_tokens"] == 1 and request["logprobs"] and "response_format" not in request
        top = [{"token": token, "logprob": math.log(share), "bytes": None} for token, share in shares.items()]
        choice = {
            "index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "A"},
            "logprobs": {"content": [{"token": "A", "logprob": -1.0, "bytes": None, "top_logprobs": top}]},
        }  # fmt: skip
        return Reply.json({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})

    return reply


@pytest.mark.parametrize(
    ("shares", "passed", "most"),
    [
        ({"A": 0.3, "B": 0.3, " C": 0.2, "D": 0.2}, True, 0.3),
        ({"A": 0.1, "B": 0.7, "C": 0.1, "D": 0.1}, False, 0.7),
        ({"The": 0.9, "A": 0.05, "B": 0.02, "C": 0.02, "D": 0.01}, True, 0.5),
        ({"The": 1.0}, False, None),
    ],
)
def test_a_blind_reader_is_read_by_the_letters(tmp_path: Path, shares: dict[str, float], passed: bool, most: float | None) -> None:
    with judging(tmp_path, 1, letters(shares)) as (judge, model):
        verdict = asyncio.run(judge.blind("What shall I pack?", ("a", "b", "c", "d"), 3, "i0"))
    assert verdict.passed == passed
    assert verdict.score == (None if most is None else pytest.approx(most))
    assert model.calls == 1


def test_an_owner_is_voted_on_and_only_the_user_passes(tmp_path: Path) -> None:
    owners = itertools.cycle(["user", "other", "nobody"])
    with judging(tmp_path, 3, lambda _: {"reason": "so", "owner": next(owners)}) as (judge, _):
        verdict = asyncio.run(judge.vote("judge/owner", {"messages": MESSAGES, "statement": "grinds coffee"}, 7, "p0/s000"))
    assert (verdict.validator, verdict.passed, verdict.votes) == ("judge_owner", False, (True, False, False))


VALUES = ("black coffee", "green tea", "cocoa", "water")


@pytest.mark.parametrize(("chosen", "passed"), [("black coffee", True), ("cocoa", False)])
def test_what_is_inferred_must_be_the_value_wherever_it_stands(tmp_path: Path, chosen: str, passed: bool) -> None:
    places: set[str] = set()

    def reply(request: dict[str, Any]) -> Any:
        (letter,) = re.findall(rf"^([A-D])\. {chosen}$", request["messages"][1]["content"], re.MULTILINE)
        places.add(letter)
        return {"letter": letter}

    with judging(tmp_path, 3, reply) as (judge, model):
        for seed in range(8):
            verdict = asyncio.run(judge.inferable(MESSAGES, "what I drink", VALUES, seed, f"p0/s00{seed}"))
            assert (verdict.passed, verdict.votes) == (passed, (passed,))
            assert chosen in verdict.reason
        assert model.calls == 8
    assert len(places) > 1


def test_an_inference_that_cannot_be_read_is_no_pass(tmp_path: Path) -> None:
    with judging(tmp_path, 1, lambda _: "the first, I think") as (judge, _):
        verdict = asyncio.run(judge.inferable(MESSAGES, "what I drink", VALUES, 1, "p0/s000"))
    assert not verdict.passed
    assert "unreadable" in verdict.reason


def person(number: int) -> Persona:
    return Persona(
        persona_id=f"p{number}", seed_id="s", split="train", name=f"Ann {number}", age=40, gender="woman", location="Tolland",
        occupation="nurse", education="", household="", languages=("English",), traits=("calm",), speaking_style="plain",
        profile_text="Ann.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("places", "passed", "mean"), [((1, 0), True, 0.4), ((1, 1), False, 0.7), ((0, 3), True, 0.1), ((1, 1, 0), True, 0.5)]
)
def test_an_item_fails_where_profiles_give_the_right_options_away_on_average(
    tmp_path: Path, places: tuple[int, ...], passed: bool, mean: float
) -> None:
    with judging(tmp_path, 1, letters({"A": 0.1, "B": 0.7, "C": 0.1, "D": 0.1})) as (judge, model):
        people = [(person(number), place) for number, place in enumerate(places)]
        verdict = asyncio.run(judge.profile("What shall I pack?", ("a", "b", "c", "d"), people, 3, "i0"))
    assert (verdict.validator, verdict.passed) == ("judge_profile", passed)
    assert verdict.score == pytest.approx(mean)
    assert model.calls == len(places)
