"""How sure a measurement of agents is: users are resampled whole, because the questions of one user are not independent.

All arms answer the same questions, so that two of them are compared user by user (a paired bootstrap; Efron and Tibshirani 1993, chapter
16): what the users have in common drops out of the difference. Where several pairs are compared, `validators.audit.statistics.holm`
adjusts their p-values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from schemas.ids import derive

Array = npt.NDArray[np.float64]
_RESAMPLES = 4000
_POWER = 1.96 + 0.84
"""Standard errors that a true difference must have to be seen in four of five repetitions at the 5 % level, two-sided."""


@dataclass(frozen=True)
class Scores:
    """What arms earned on the same questions, by user."""

    users: tuple[str, ...]
    questions: Array
    """Shape (users,): how many questions each was asked."""
    earned: Mapping[str, Array]
    """By arm, shape (users,): the sum over the user's questions."""

    @classmethod
    def of(cls, owners: Sequence[str], earned: Mapping[str, Sequence[float] | Array]) -> "Scores":
        """From one number per question and arm; `owners` has whose question each is."""
        users = tuple(sorted(set(owners)))
        place = {user: row for row, user in enumerate(users)}
        rows = np.array([place[owner] for owner in owners], dtype=np.int64)

        def summed(values: Sequence[float] | Array) -> Array:
            return np.bincount(rows, weights=np.asarray(values, dtype=np.float64), minlength=len(users)).astype(np.float64)

        return cls(users, summed([1.0] * len(owners)), {arm: summed(values) for arm, values in earned.items()})

    @property
    def _weights(self) -> Array:
        return _draws(self.users)

    def mean(self, arm: str) -> float:
        """The arm's mean over all questions."""
        return float(self.earned[arm].sum() / self.questions.sum())

    def resampled(self, arm: str) -> Array:
        """The arm's mean in each resample."""
        means: Array = (self._weights @ self.earned[arm]) / np.maximum(self._weights @ self.questions, 1)
        return means

    def interval(self, arm: str) -> tuple[float, float]:
        """The arm's 95 % interval."""
        return _middle(self.resampled(arm))

    def compare(self, arm: str, other: str) -> "Difference":
        """How much more `arm` earned than `other`."""
        found = self.resampled(arm) - self.resampled(other)
        low, high = _middle(found)
        tail = min(int((found <= 0).sum()), int((found >= 0).sum()))
        p = min(1.0, 2 * (tail + 1) / (len(found) + 1))
        return Difference(self.mean(arm) - self.mean(other), low, high, p, _POWER * float(found.std()))

    def gap_closed(self, arm: str, floor: str, ceiling: str) -> tuple[float, float, float] | None:
        """(arm - floor) / (ceiling - floor) with its 95 % interval; None where the gap itself is not certain to be one."""
        gaps = self.resampled(ceiling) - self.resampled(floor)
        if (gaps <= 0).any():
            return None
        value = (self.mean(arm) - self.mean(floor)) / (self.mean(ceiling) - self.mean(floor))
        return value, *_middle((self.resampled(arm) - self.resampled(floor)) / gaps)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of two arms."""

    value: float
    low: float
    high: float
    """Its 95 % interval."""
    p: float
    """Two-sided, before any correction."""
    detectable: float
    """The smallest true difference that a sample like this shows in four of five cases."""


def brier(shares: Sequence[Sequence[float]], golds: Sequence[int]) -> float:
    """Brier score of the probabilities of options: mean squared distance from certainty of the right one; 0 is best, 2 worst."""
    return float(
        np.mean([sum((share - (place == gold)) ** 2 for place, share in enumerate(row)) for row, gold in zip(shares, golds, strict=True)])
    )


def expected_calibration_error(shares: Sequence[Sequence[float]], golds: Sequence[int], bins: int = 10) -> float:
    """Mean distance between how sure the choices were and how often they were right, over equal ranges of sureness (Naeini et al. 2015)."""
    sure = np.array([max(row) for row in shares])
    right = np.array([row.index(max(row)) == gold for row, gold in zip(map(list, shares), golds, strict=True)], dtype=np.float64)
    where = np.minimum((sure * bins).astype(np.int64), bins - 1)
    return float(sum(abs(right[where == one].mean() - sure[where == one].mean()) * (where == one).mean() for one in np.unique(where)))


@lru_cache(maxsize=8)
def _draws(users: tuple[str, ...]) -> Array:
    """Shape (resamples, users): how often each user is drawn. The users' names alone decide, so that all arms meet the same draws."""
    chance = np.random.default_rng(derive("resample", *users))
    return chance.multinomial(len(users), np.full(len(users), 1 / len(users)), size=_RESAMPLES).astype(np.float64)


def _middle(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
