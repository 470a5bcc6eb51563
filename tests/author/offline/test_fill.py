"""Slots: one value each for a whole session, articles that agree, personal data that can belong to nobody."""

import random
import re

import pytest

from author.offline.bank import load_bank
from author.offline.fill import Filler, first_names, personal_data


def filler(**given: str) -> Filler:
    return Filler(random.Random(4), load_bank().slots, "Ada Example", given)


def test_a_slot_keeps_its_value_and_two_friends_differ() -> None:
    fill = filler()
    friend = fill("{friend}")
    assert fill("with {friend}") == f"with {friend}"
    assert fill("{friend2}") != friend


def test_nobody_else_has_the_name_of_who_is_given() -> None:
    for number in range(300):
        other = Filler(random.Random(number), load_bank().slots, "Ada Example")("{friend}")
        fill = Filler(random.Random(number), load_bank().slots, "Ada Example", {"other": other})
        assert other not in fill("{friend} {friend2} {colleague} {recipient} {neighbour}").split()


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("Otter & Vale", "clues: a {thing} sticker", "clues: an Otter & Vale sticker"),
        ("eight", "It was an {thing}-day trip", "It was an eight-day trip"),
        ("nine", "It was an {thing}-day trip", "It was a nine-day trip"),
        ("university", "a {thing}", "a university"),
        ("one-off", "a {thing}", "a one-off"),
        ("oil can", "A {thing}", "An oil can"),
        ("the plan", "{thing} failed. {thing} won.", "The plan failed. The plan won."),
        ("items", "```python\n{thing} = []\n```", "```python\nitems = []\n```"),
    ],
)
def test_words_around_a_slot_agree_with_it(word: str, text: str, expected: str) -> None:
    assert filler(thing=word)(text) == expected


def test_personal_data_is_in_reserved_ranges() -> None:
    for number in range(200):
        data = personal_data(random.Random(number), "José Ñandú")
        assert data["email"].endswith("@example.com")
        assert re.fullmatch(r"\(\d{3}\) 555-01\d\d", data["phone"])
        assert data["ssn"].startswith("666-")
        assert data["card"].startswith("0000 ")
        assert data["account"].startswith("GB00 TEST")
        assert data["api_key"].endswith("-EXAMPLE")


def test_names_are_the_same_every_time() -> None:
    assert first_names("en_GB", "woman") == first_names.__wrapped__("en_GB", "woman")
