"""Verdicts against cases that can be worked out by hand."""

import numpy as np
import pytest

from validators.audit.estimates import by_user, from_uniform, ratio, total_variation
from validators.audit.statistics import Figure, Limit, Units, all_of, count_of, holm, judge, resampled, sample


def share(good: list[float], of: list[float], limit: Limit) -> Figure:
    users = [f"u{place:03d}" for place in range(len(good))]
    return sample("share", users, ratio(np.array(good), np.array(of)), Units(int(sum(of)), "x"), limit)


def verdict(figure: Figure) -> str:
    return judge([figure])[figure.name].verdict


def test_a_ratio_is_of_sums_not_a_mean_of_ratios() -> None:
    users, sums, numbers = by_user([("b", 1.0), ("a", 0.0), ("b", 1.0), ("b", 0.0)])
    assert users == ["a", "b"]
    assert ratio(sums, numbers).value == 2 / 4
    assert list(ratio(sums, numbers).errors(np.array([[0.0, 2.0], [2.0, 0.0]]))) == [2 / 3 - 0.5, 0 - 0.5]


def test_total_variation_is_half_the_summed_differences() -> None:
    counts = np.array([[3.0, 0.0, 1.0], [1.0, 4.0, 1.0]])
    estimate = total_variation(counts, np.array([1.0, 1.0, 2.0]))
    assert estimate.value == pytest.approx((0.4 - 0.25 + 0.4 - 0.25 + 0.5 - 0.2) / 2)
    assert list(estimate.errors(np.array([[1.0, 1.0], [2.0, 0.0]]))) == pytest.approx([0, (0.35 + 0.4 + 0.05) / 2])


def test_d_is_the_largest_distance_from_the_diagonal() -> None:
    estimate = from_uniform(np.array([0.1, 0.2, 0.9, 0.2]), np.array([0, 0, 1, 1]))
    assert estimate.value == pytest.approx(0.55)  # at 0.2 three quarters of the points are passed
    assert list(estimate.errors(np.array([[1.0, 1.0], [2.0, 0.0]]))) == pytest.approx([0, 0.25])
    assert from_uniform((np.arange(1000) + 0.5) / 1000, np.zeros(1000, np.int64)).value == pytest.approx(0.0005)


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm({"a": 0.04, "b": 0.01, "c": 0.015}) == pytest.approx({"b": 0.03, "c": 0.03, "a": 0.04})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_one_violation_breaks_a_census_and_none_does_not() -> None:
    assert verdict(all_of("x", 1, Units(100_000, "x"))) == "broken"
    assert verdict(all_of("x", 0, Units(1, "x"))) == "ok"
    assert verdict(count_of("x", 1, Units(100_000, "x"))) == "broken"
    assert verdict(count_of("x", 0, Units(0, "x"))) == "insufficient"


@pytest.mark.parametrize(
    ("share_each", "users", "expected"),
    [
        (0.5, 30, "broken"),  # every user far beyond: no chance in it
        (0.28, 30, "ok"),  # at the limit is not beyond it
        (0.5, 9, "insufficient"),  # too few users, whatever they show
        (0.1, 30, "ok"),
    ],
)
def test_users_who_all_agree_leave_nothing_to_chance(share_each: float, users: int, expected: str) -> None:
    assert verdict(share([100 * share_each] * users, [100] * users, Limit(None, 0.28))) == expected


def test_a_few_users_beyond_the_limit_are_not_enough() -> None:
    good = [25.0] * 27 + [100.0] * 3  # 32.5 %, all of it by three of thirty users
    found = judge([share(good, [100.0] * 30, Limit(None, 0.28))])["share"]
    assert found.verdict == "insufficient"
    assert found.p is not None and found.p > 0.01
    assert found.bound is not None and found.bound < 0.28


def test_both_sides_of_a_band_can_break() -> None:
    band = Limit(0.23, 0.27)
    chance = np.random.default_rng(1)
    for rate, expected in ((0.15, "broken"), (0.25, "ok"), (0.35, "broken")):
        good = [float(value) for value in chance.binomial(50, rate, size=100)]
        assert verdict(share(good, [50.0] * 100, band)) == expected


def test_the_bound_is_that_of_the_normal_approximation_where_that_holds() -> None:
    good = [float(value) for value in np.random.default_rng(2).binomial(50, 0.5, size=400)]
    figure = share(good, [50.0] * 400, Limit(None, 0.28))
    bound = judge([figure])["share"].bound
    error = np.std([value / 50 for value in good]) / 400**0.5
    assert figure.value is not None
    assert bound == pytest.approx(figure.value - 2.326 * error, abs=error / 4)


def test_resamples_are_the_same_each_time_and_differ_by_figure() -> None:
    figure = share([1.0, 0.0] * 10, [1.0] * 20, Limit(None, 0.1))
    assert figure.errors is not None
    again = resampled(figure, figure.errors)
    assert (resampled(figure, figure.errors) == again).all()
    other = Figure("other", figure.value, figure.limit, figure.units, figure.users, figure.errors)
    assert not (resampled(other, figure.errors) == again).all()


def test_many_figures_at_once_need_a_smaller_p() -> None:
    good = [25.0] * 20 + [45.0] * 10
    alone = share(good, [100.0] * 30, Limit(None, 0.27))
    others = [
        sample(f"other{place}", alone.users, ratio(np.full(30, 10.0), np.full(30, 100.0)), Units(3000, "x"), Limit(None, 0.2))
        for place in range(40)
    ]
    p = judge([alone])["share"].p
    together = judge([alone, *others])["share"].p
    assert p is not None and together is not None
    assert together == pytest.approx(min(1.0, 41 * p))
