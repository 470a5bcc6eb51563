"""The writing policy: what it may keep, in which order, and the slope by which it learns."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from memory.chunks import Turn
from memory.extractive.desk import FEATURES, Candidates
from memory.extractive.policy import Choice, Policy, choose, settled
from memory.oracle import remembered
from memory.units import units_of
from schemas.session import Message

AT = datetime(2025, 3, 2, tzinfo=UTC)


def candidates(scores: list[float], tokens: list[int], attributes: list[list[float]] | None = None, **arrays: list[float]) -> Candidates:
    """Lines whose first feature is their score; about nothing in common unless `attributes` say so."""
    number = len(scores)
    own = np.zeros((number, 4), dtype=np.float32)
    own[:, 0] = scores
    return Candidates(
        tuple(remembered(f"line {row}", date(2025, 1, 1 + row), f"p/s{row:03d}") for row in range(number)), own,
        np.eye(number, dtype=np.float32), np.array(attributes or np.zeros((number, 2)), dtype=np.float32),
        np.array(arrays.get("top", range(number)), dtype=np.int64), np.array(arrays.get("forget", [0.0] * number), dtype=np.float32),
        np.array(tokens, dtype=np.int64), np.array([date(2025, 1, 1 + row).toordinal() for row in range(number)], dtype=np.int64),
    )  # fmt: skip


def by_score() -> Policy:
    weights = np.zeros(len(FEATURES))
    weights[0] = 1.0
    return Policy(weights)


def test_the_best_lines_that_fit_are_kept_in_order_of_time() -> None:
    these = candidates([1.0, 3.0, 2.0, 0.0], [5, 6, 4, 1])
    fresh = np.zeros(4, dtype=np.bool_)
    assert choose(by_score(), these, fresh, 10, None).rows == (1, 2)
    assert choose(by_score(), these, fresh, 15, None).rows == (0, 1, 2)
    assert choose(by_score(), these, fresh, 9, None).rows == (1,)  # the next best does not fit: the order ends there
    assert choose(by_score(), these, fresh, 5, None).rows == ()


def test_what_is_asked_to_be_forgotten_may_not_be_kept() -> None:
    about = [[0.9, 0.1], [0.1, 0.9], [0.0, 1.0]]
    these = candidates([0.0] * 3, [1] * 3, about, top=[0, 1, 1], forget=[0.0, 0.0, 0.9])
    assert settled(these, np.array([True, True, False])).tolist() == [True, False, True]
    assert settled(these, np.array([True, True, True])).all()  # an old request has been heeded already


def test_a_later_value_of_an_attribute_replaces_the_earlier_one() -> None:
    about = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    nothing_kept = np.zeros(3, dtype=np.bool_)
    assert settled(candidates([0.0] * 3, [1] * 3, about, top=[0, 1, 1]), nothing_kept).tolist() == [False, True, True]
    assert settled(candidates([0.0] * 3, [1] * 3, about, top=[1, 1, 1]), nothing_kept).all()


def test_the_slope_is_that_of_the_probability_of_the_draw() -> None:
    rng = np.random.default_rng(3)
    features, drawn, weights = rng.normal(size=(6, len(FEATURES))), (4, 0, 2), rng.normal(size=len(FEATURES))

    def log_probability(at: np.ndarray) -> float:
        scores, left, total = features @ at, list(range(6)), 0.0
        for row in drawn:
            total += scores[row] - np.log(np.exp(scores[left]).sum())
            left.remove(row)
        return float(total)

    step = 1e-6
    wanted = [(log_probability(weights + step * one) - log_probability(weights - step * one)) / (2 * step) for one in np.eye(len(weights))]
    assert Choice(features, drawn, tuple(sorted(drawn))).gradient(weights) == pytest.approx(wanted, abs=1e-5)


def test_units_are_the_users_own_paragraphs_and_long_ones_come_in_sentences() -> None:
    long = " ".join(["All of it went well and nobody minded at all."] * 6)
    said = f'Fix this please:\n\nI ride to work.\nIn the rain too.\n\n"Dear Ann, I keep bees.\n\nI really do."\n\nok\n\n{long}'
    turns = [
        Turn("p/s001", AT, Message(role="user", content=said), 9),
        Turn("p/s001", AT, Message(role="assistant", content="You like bees, I see."), 9),
    ]
    found = units_of(turns)
    assert [unit.text for unit in found[:4]] == [
        "Fix this please:",
        "I ride to work. In the rain too.",
        '"Dear Ann, I keep bees.',
        'I really do."',
    ]
    assert [unit.quoted for unit in found[:4]] == [False, False, True, True]
    assert len(found) == 4 + 6  # "ok" says nothing
    assert all(unit.around == said and unit.day == date(2025, 3, 2) for unit in found)
