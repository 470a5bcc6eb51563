"""The values of figures that are of a sample of users, each with its error when users are resampled."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Errors = Callable[[Array], Array]
"""From weights of shape (resamples, users) to how far a figure errs in each resample."""
_GRID, _TINY = 200, 1e-300


class Estimate(NamedTuple):
    """A figure's value, and its error in resamples."""

    value: float
    errors: Errors


def ratio(parts: Array, wholes: Array) -> Estimate:
    """Sum of `parts` over sum of `wholes`, both by user."""
    value = float(parts.sum() / max(wholes.sum(), _TINY))

    def errors(weights: Array) -> Array:
        total = weights @ wholes
        return np.where(total > 0, weights @ parts / np.maximum(total, _TINY) - value, 0.0)

    return Estimate(value, errors)


def total_variation(counts: Array, plan: Array) -> Estimate:
    """Half the summed differences between the shares of `counts` (users, kinds) and those of `plan`."""
    found, wanted = counts.sum(axis=0) / max(counts.sum(), _TINY), plan / max(plan.sum(), _TINY)

    def errors(weights: Array) -> Array:
        again = weights @ counts
        distance: Array = np.abs(again / np.maximum(again.sum(axis=1, keepdims=True), _TINY) - found).sum(axis=1) / 2
        return distance

    return Estimate(float(np.abs(found - wanted).sum() / 2), errors)


def from_uniform(points: Array, owners: npt.NDArray[np.int64]) -> Estimate:
    """Kolmogorov-Smirnov's D between `points` in [0, 1], each of one user, and the uniform distribution; errors on a grid of quantiles."""
    placed, n = np.sort(points), len(points)
    if not n:
        return Estimate(0.0, lambda weights: np.zeros(len(weights)))
    steps = np.arange(1, n + 1) / n
    grid = np.unique(placed[np.linspace(0, n - 1, min(n, _GRID)).astype(np.int64)])
    below = np.zeros((owners.max() + 1, len(grid)))
    np.add.at(below, (owners, np.searchsorted(grid, points)), 1)
    below = below.cumsum(axis=1)
    found = below.sum(axis=0) / n

    def errors(weights: Array) -> Array:
        again = weights @ below
        distance: Array = np.abs(again / np.maximum(again[:, -1:], _TINY) - found).max(axis=1)
        return distance

    return Estimate(float(np.maximum(steps - placed, placed - steps + 1 / n).max()), errors)


def by_user(pairs: Sequence[tuple[str, float]]) -> tuple[list[str], Array, Array]:
    """Users in order, and for each the sum and the number of its values."""
    users = sorted({user for user, _ in pairs})
    place = {user: row for row, user in enumerate(users)}
    sums, numbers = np.zeros(len(users)), np.zeros(len(users))
    for user, value in pairs:
        sums[place[user]] += value
        numbers[place[user]] += 1
    return users, sums, numbers
