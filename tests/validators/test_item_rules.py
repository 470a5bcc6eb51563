"""The rules for items: options that are alike but for what they advise, and a query that gives none of them away."""

import pytest

from validators.option_balance import check_option_balance
from validators.query_leak import check_query_leak

EVEN = ["Take the early ferry and a seat by the door.", "Take the late coach and a seat on the left."]


def test_the_length_band_holds_on_both_sides() -> None:
    for length, passed in ((112, True), (88, True), (116, False), (84, False)):
        assert check_option_balance("i1", ["a" * 100] * 9 + ["a" * length]).passed is passed
    assert not check_option_balance("i1", []).passed


@pytest.mark.parametrize(
    "odd",
    [
        "lol mate just leg it to the ferry, sorted ok.",
        "Take the ferry, and a seat by the door \U0001f642.",
        "- the early ferry\n- a seat beside the door",
        "Pursuant to the rules, thou shalt take ferries.",
        "It is recommended that the ferry be taken now.",
        "Ferry! Take it early! And a seat by the door!",
        "Ferry: early. Seat: left. Door: near. Bag: no.",
    ],
)
def test_one_option_in_another_register_does_not_pass(odd: str) -> None:
    assert check_option_balance("i1", [*EVEN, EVEN[0]]).passed
    verdict = check_option_balance("i1", [*EVEN, odd])
    assert not verdict.passed
    assert "alone" in verdict.reason


VALUES = ["lactose intolerant", "cannot have gluten", "eats anything"]


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        ("As I am lactose-intolerant, what do I cook for the boss?", False),
        ("My stomach can't take lactose. What should I cook for the boss?", False),
        ("What should I cook for the boss on Friday?", True),
        ("My boss comes on Friday. What should I cook?", True),
        ("Is lactose intolerant people's milk any good?", True),
    ],
)
def test_a_query_that_says_a_value_of_the_user_does_not_pass(query: str, passed: bool) -> None:
    verdict = check_query_leak("i1", query, VALUES)
    assert verdict.passed is passed
    assert bool(verdict.reason) is not passed
