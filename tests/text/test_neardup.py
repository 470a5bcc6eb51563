"""Near duplicates, by the real encoders: same slot, alike, and mostly the same words; the earlier one stays."""

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text.neardup import Limits, containment, find_duplicates, grams, overlapping

LIMITS = Limits(proposal_cosine=0.8, confirm_cosine=0.85, overlap=0.6)
HENS = "A retired school teacher who restores wooden boats in the winter and keeps a small flock of brown hens behind the old barn"
NEARLY = HENS + " with her sister"
OTHER = "A software engineer from Lagos who cooks for the whole street on Sundays and collects maps of railways that were never built"
SENTENCES = [
    "Every winter I restore one old wooden boat in the shed behind our house by the river.",
    "My sister brings soup on Saturdays and we listen to the football together on a small radio.",
    "In spring we paint the hull in two coats of dark green and let it dry for a week.",
    "Then the neighbours come to carry it down to the water before the summer guests arrive.",
    "Last year it rained so hard that the whole street stood under umbrellas and sang.",
]


def dropped(texts: list[str], slots: list[str] | None = None, limits: Limits = LIMITS) -> dict[int, int]:
    """Which texts go, each with the one that it repeats."""
    return {found.index: found.of for found in find_duplicates(texts, slots or ["slot"] * len(texts), limits)}


def test_texts_that_are_the_same_but_for_spelling_are_duplicates_whatever_their_slots() -> None:
    found = find_duplicates([OTHER, HENS, HENS.upper() + ".", "  ".join(HENS.split(" "))], ["a", "a", "b", "c"], LIMITS)
    assert [(one.index, one.of, one.similarity, one.overlap) for one in found] == [(2, 1, 1.0, 1.0), (3, 1, 1.0, 1.0)]


def test_a_text_with_some_words_more_is_a_near_duplicate_with_its_measures() -> None:
    (found,) = find_duplicates([HENS, OTHER, NEARLY], ["slot"] * 3, LIMITS)
    assert (found.index, found.of, found.overlap) == (2, 0, 1.0)
    assert 0.9 < found.similarity < 1.0


def test_near_duplicates_in_different_slots_both_stay() -> None:
    assert dropped([HENS, NEARLY], ["coffee/self", "coffee/other"]) == {}
    assert dropped([HENS, NEARLY], ["coffee/self", "coffee/self"]) == {1: 0}


@pytest.mark.parametrize("order", list(permutations([HENS, NEARLY, OTHER])))
def test_the_first_of_a_group_stays_in_whatever_order_they_come(order: tuple[str, ...]) -> None:
    kept, gone = sorted((order.index(HENS), order.index(NEARLY)))
    assert dropped(list(order)) == {gone: kept}


def test_of_a_group_of_many_only_the_first_stays() -> None:
    assert dropped([HENS, NEARLY, NEARLY + " and two dogs", "Well, " + HENS]) == {1: 0, 2: 0, 3: 0}


def test_in_a_chain_the_ends_stay_where_they_are_no_duplicates_of_each_other() -> None:
    first, middle, last = (" ".join(SENTENCES[start : start + 3]) for start in range(3))
    loose = Limits(0.5, 0.5, 0.55)
    assert dropped([first, middle], limits=loose) == {1: 0}
    assert dropped([middle, last], limits=loose) == {1: 0}
    assert dropped([first, last], limits=loose) == {}
    assert dropped([first, middle, last], limits=loose) == {1: 0}
    assert dropped([middle, first, last], limits=loose) == {1: 0, 2: 0}


def test_texts_that_mean_the_same_in_other_words_both_stay() -> None:
    again = "She taught at a school until she retired; now it is wooden boats all winter, and some brown hens in back of the old barn"
    assert dropped([HENS, again], limits=Limits(0.3, 0.3, 0.6)) == {}


@pytest.mark.parametrize("limits", [Limits(0.999, 0.85, 0.6), Limits(0.8, 0.999, 0.6)])
def test_each_of_the_encoders_has_to_agree(limits: Limits) -> None:
    assert dropped([HENS, NEARLY]) == {1: 0}
    assert dropped([HENS, NEARLY], limits=limits) == {}


def test_texts_of_few_words_are_compared_as_a_whole() -> None:
    assert dropped(["Thank you!", "Thanks a lot", "thank you?", "Yes", "No", ""], limits=Limits(0.3, 0.3, 0.6)) == {2: 0}


def test_duplicates_are_found_far_apart_among_thousands() -> None:
    chance = Random(7)
    words = [f"{first}{last}" for first in "ba ke li mo nu ra sa ti vo zu".split() for last in "rn st ld mp ck ft sh nt lk rg".split()]
    texts = [" ".join(chance.choices(words, k=14)) for _ in range(2200)]
    texts[3], texts[2150] = HENS, NEARLY
    assert dropped(texts, limits=Limits(0.95, 0.85, 0.6)) == {2150: 3}


def test_nothing_and_one_text_have_no_duplicates() -> None:
    assert find_duplicates([], [], LIMITS) == []
    assert dropped([HENS]) == {}


def test_containment_is_the_share_of_the_smaller_text_whatever_the_order() -> None:
    short, long = grams("one two three four five six"), grams("zero one two three four five seven")
    assert (len(short), len(long)) == (2, 3)
    assert containment(short, long) == containment(long, short) == 0.5
    assert grams("One, TWO: three four five") == grams("one two three four five")


def test_a_text_is_dropped_only_for_one_that_stays() -> None:
    found = dropped([HENS, NEARLY, NEARLY])
    assert set(found) == {1, 2}
    assert not set(found) & set(found.values())


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=24).map(" ".join), min_size=2, max_size=14, unique=True),
    overlap=st.sampled_from([0.2, 0.5, 0.6, 0.75, 1.0]),
)
def test_the_index_finds_the_pairs_that_comparing_all_finds(texts: list[str], overlap: float) -> None:
    own = {index: grams(text) for index, text in enumerate(texts)}
    all_pairs = {(a, b) for a in own for b in own if a < b and containment(own[a], own[b]) >= overlap}
    found = list(overlapping(own, overlap))
    assert set(found) == all_pairs
    assert len(found) == len(all_pairs)
