"""The two rule checks of this version: evidence is the user's own words, and the value is not said outright."""

import pytest

from schemas.session import Message
from validators.implicit import check_implicit
from validators.user_text import check_user_text, locate

MESSAGES = (
    Message(role="user", content="Please polish this. My mug goes under the double button."),
    Message(role="assistant", content="My mug goes under the double button, twice. You like strong black coffee!"),
    Message(role="user", content="Shorter, please."),
)


def test_a_quote_is_found_where_the_user_wrote_it() -> None:
    span = locate(MESSAGES, "My mug goes under the double button", "f1")
    assert span is not None
    assert MESSAGES[span.message].content[span.start : span.end] == "My mug goes under the double button"
    assert span.message == 0


@pytest.mark.parametrize(
    ("quotes", "passed"), [(("My mug", "Shorter"), True), (("twice",), False), (("My mug", "twice"), False), ((), False), (("",), False)]
)
def test_evidence_that_only_the_assistant_said_does_not_pass(quotes: tuple[str, ...], passed: bool) -> None:
    assert check_user_text("s1", MESSAGES, quotes).passed is passed


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("I drink strong, black coffee.", False),
        ("Coffee as usual: black and strong.", False),
        ("It was black outside. The coffee machine has a strong smell.", True),
        ("My mug goes under the double button.", True),
    ],
)
def test_a_value_said_in_one_sentence_does_not_pass(said: str, passed: bool) -> None:
    verdict = check_implicit("s1", (Message(role="user", content=said), MESSAGES[1]), "strong black coffee")
    assert verdict.passed is passed
    assert ("outright" in verdict.reason) is not passed


@pytest.mark.parametrize(
    ("said", "value", "passed"),
    [
        ("I keep budgies in the hall.", "keeping budgies", False),
        ("He wants it running by noon.", "running", False),
        ("I have a branch that I run.", "running", True),
        ("The dog.", "dogs", False),
        ("Something with angles.", "angling", True),
        ("Anything at all.", "", True),
    ],
)
def test_forms_of_a_word_count_where_there_are_several_words(said: str, value: str, passed: bool) -> None:
    assert check_implicit("s1", (Message(role="user", content=said),), value).passed is passed
