"""The fitted rule for values said in other words, by what it must tell apart at the least; docs/quality.md says how far it goes."""

import pytest

from schemas.session import Message
from validators.claim import Matter, clauses_of
from validators.unclaimed import check_unclaimed

COFFEE = Matter("black coffee", "drinks coffee black", "how they take their coffee")
HAND = Matter("left-handed", "is left-handed", "which hand they write with")


def said(text: str) -> tuple[Message, ...]:
    return Message(role="user", content=text), Message(role="assistant", content="I drink my coffee black, and I am left-handed.")


@pytest.mark.parametrize(
    ("matter", "text", "passed"),
    [
        (COFFEE, "Sort this list by price. I drink my coffee black, by the way.", False),
        (COFFEE, "Sort this list by price. The milk in my fridge is for visitors.", True),
        (HAND, "Which tin opener should I buy? I'm left-handed.", False),
        (HAND, "Which tin opener should I buy? My little finger is always blue with ink.", True),
    ],
)
def test_a_claim_does_not_pass_and_a_sign_does(matter: Matter, text: str, passed: bool) -> None:
    verdict = check_unclaimed("s1", said(text), matter)
    assert verdict.passed is passed
    assert verdict.score is not None
    assert bool(verdict.reason) is not passed


def test_a_user_of_whom_nothing_can_be_read_does_not_pass() -> None:
    assert not check_unclaimed("s1", (Message(role="assistant", content="Hello."),), COFFEE).passed


@pytest.mark.parametrize(
    ("statement", "claim"),
    [("is left-handed", "I'm left-handed"), ("drinks coffee black", "I drink coffee black"), ("has two cats", "I have two cats"),
     ("can't swim", "I can't swim"), ("does yoga", "I do yoga")],
)  # fmt: skip
def test_a_statement_becomes_a_claim_of_the_user(statement: str, claim: str) -> None:
    assert Matter("v", statement, "t").claim == claim


def test_clauses_leave_code_out_and_keep_their_sentence() -> None:
    parts = clauses_of("Fix it, please: I am late.\n```\nx = 1\n```")
    assert [part.text for part in parts] == ["Fix it", "please", "I am late"]
    assert {part.sentence for part in parts} == {"Fix it, please: I am late."}
