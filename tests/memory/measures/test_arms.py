"""Results of arms and their comparisons, by hand."""

import pytest

from memory.measures.answers import Sat, scores_of
from memory.measures.arms import arm_results, comparisons
from tests.memory.measures.hand import answered, exam

USERS = [f"u{number:02d}" for number in range(24)]
EXAM = exam(*((user, gold) for user in USERS for gold in (0, 1, 2, 3)))
RIGHT, WRONG = {gold: [gold] * 4 for gold in range(4)}, {gold: [(gold + 1) % 4] * 4 for gold in range(4)}
GOLDS = [0, 1, 2, 3] * len(USERS)


def choosing(right: int) -> list[list[int]]:
    """Of each user's four questions the first `right` are answered rightly."""
    return [(RIGHT if place % 4 < right else WRONG)[gold] for place, gold in enumerate(GOLDS)]


def by_luck(right: int) -> list[list[int]]:
    """As many rightly as `choosing`, on the whole, but every other user has one more and every other one less."""
    return [(RIGHT if place % 4 < right + (1 if place // 4 % 2 else -1) else WRONG)[gold] for place, gold in enumerate(GOLDS)]


def test_gap_and_groups_by_hand() -> None:
    trained = Sat("trained_memory", 128)
    answers = answered(EXAM, {Sat("no_context", None): choosing(1), trained: choosing(2), Sat("oracle_evidence", None): choosing(3)})
    first = [place for place in range(len(GOLDS)) if place % 4 == 0]
    found = arm_results(EXAM, answers, scores_of(EXAM, answers), {"kind": {"first": first, "third": [place + 2 for place in first]}})[
        trained
    ]
    assert (found.accuracy, found.ci95, found.n, found.users) == (0.5, (0.5, 0.5), 96, 24)
    assert found.gap_closed is not None
    assert (found.gap_closed.value, found.gap_closed.ci95) == (0.5, (0.5, 0.5))
    assert {label: (group.accuracy, group.n) for label, group in found.by["kind"].items()} == {"first": (1.0, 24), "third": (0.0, 24)}


def test_there_is_no_gap_without_its_ends_or_where_they_are_the_same() -> None:
    arm = Sat("bm25", 128)
    for others in (
        {Sat("no_context", None): choosing(1)},
        {Sat("no_context", None): choosing(2), Sat("oracle_evidence", None): choosing(2)},
    ):
        answers = answered(EXAM, {arm: choosing(2), **others})
        assert arm_results(EXAM, answers, scores_of(EXAM, answers), {})[arm].gap_closed is None


def test_who_is_compared_with_whom() -> None:
    trained = "trained_memory"
    sats = [
        Sat(trained, 128), Sat(trained, 256), Sat("bm25", 128), Sat("dense", 256), Sat("full_context", None), Sat("no_context", None),
        Sat("gold_facts", None),
    ]  # fmt: skip
    scores = scores_of(EXAM, answered(EXAM, {sat: choosing(2) for sat in sats}))
    found = [(one.arm, one.budget, one.other) for one in comparisons(scores, sats, trained)]
    assert found == [
        (trained, 128, "bm25"), (trained, 128, "full_context"), (trained, 128, "no_context"),
        (trained, 256, "dense"), (trained, 256, "full_context"), (trained, 256, "no_context"),
    ]  # fmt: skip
    assert comparisons(scores, sats[2:], trained) == ()


def test_a_difference_is_certain_only_after_holm() -> None:
    sats = {Sat("trained_memory", 128): choosing(3), Sat("bm25", 128): choosing(2), Sat("dense", 128): by_luck(3)}
    better, same = comparisons(scores_of(EXAM, answered(EXAM, sats)), list(sats), "trained_memory")
    assert (better.other, better.difference, better.ci95, better.certain) == ("bm25", 0.25, (0.25, 0.25), True)
    assert better.p_holm == pytest.approx(2 * better.p, abs=2e-5)
    assert (same.other, same.difference, same.certain) == ("dense", 0.0, False)
    assert same.ci95[0] < 0 < same.ci95[1]
    # the users' differences are +-1 of 4 questions: standard error 0.25 / sqrt(24), seen at 2.8 of them
    assert same.detectable == pytest.approx(2.8 * 0.25 / 24**0.5, rel=0.05)
