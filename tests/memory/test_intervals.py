"""Intervals and comparisons against cases that can be worked out by hand, and simulated ones whose truth is known."""

import numpy as np
import pytest

from memory.intervals import Scores, brier, expected_calibration_error


def simulated(seed: int, users: int = 60, each: int = 20, gain: float = 0.0) -> Scores:
    """Two arms on the same questions; users differ much, arms by `gain`."""
    chance = np.random.default_rng(seed)
    skill = chance.beta(4, 4, size=users)
    owners = [f"u{user:03d}" for user in range(users) for _ in range(each)]
    hard = chance.random(users * each)
    one = (hard < np.repeat(skill, each)).astype(float)
    other = (hard < np.repeat(np.minimum(1, skill + gain), each)).astype(float)
    return Scores.of(owners, {"one": list(one), "other": list(other)})


def test_means_and_intervals() -> None:
    scores = Scores.of(["b", "a", "a", "b"], {"arm": [1, 0, 1, 1]})
    assert scores.users == ("a", "b")
    assert scores.mean("arm") == 0.75
    assert scores.interval("arm") == (0.5, 1.0)  # two users: both drawn, or one of them twice
    assert Scores.of(["a"] * 3, {"arm": [1, 1, 0]}).interval("arm") == pytest.approx((2 / 3, 2 / 3))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = [low <= 0.5 <= high for seed in range(100) for low, high in [simulated(seed).interval("one")]]
    assert 88 <= sum(held) <= 100


def test_a_difference_is_seen_where_there_is_one_and_not_where_there_is_none() -> None:
    real = simulated(1, gain=0.05).compare("other", "one")
    assert 0 < real.low < real.value < real.high
    assert real.p < 0.01
    assert 0 < real.detectable < 0.05
    same = simulated(1).compare("other", "one")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_pairing_makes_a_comparison_sharper_than_two_intervals() -> None:
    scores = simulated(2, gain=0.04)
    low, high = scores.interval("one")
    paired = scores.compare("other", "one")
    assert paired.high - paired.low < 0.6 * (high - low)


def test_the_gap_that_is_closed() -> None:
    owners = [f"u{user}" for user in range(20) for _ in range(4)]
    scores = Scores.of(owners, {"floor": [1, 0, 0, 0] * 20, "arm": [1, 1, 0, 0] * 20, "ceiling": [1, 1, 1, 0] * 20})
    assert scores.gap_closed("arm", "floor", "ceiling") == (0.5, 0.5, 0.5)
    assert scores.gap_closed("arm", "ceiling", "floor") is None


def test_calibration_by_hand() -> None:
    assert brier([(1.0, 0.0), (0.5, 0.5)], [0, 1]) == 0.25
    assert expected_calibration_error([(0.9, 0.1)] * 10, [0] * 9 + [1]) == pytest.approx(0)
    assert expected_calibration_error([(0.9, 0.1)] * 10, [1] * 10) == pytest.approx(0.9)
    assert expected_calibration_error([(0.65, 0.35), (0.95, 0.05)], [0, 1]) == pytest.approx((0.35 + 0.95) / 2)
