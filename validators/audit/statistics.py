"""From a figure to a verdict. A figure is broken only where chance cannot explain it; where the data cannot tell, it says so.

Censuses (counts that must be 0, shares that must be 100 %) are what they are: one violation breaks them. Everything else is a sample of
users: they are resampled whole (cluster bootstrap), because the questions of one user are not independent. The error of a share is
distributed as that of its resamples about it. Distances from a plan are larger in small samples than in truth; by the triangle
inequality they are so by at most the distance between sample and truth, which is distributed as that between resample and sample.
Holm's step-down over all sampled figures keeps the chance that any is broken by accident below 1 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from schemas.ids import derive
from validators.audit.estimates import Array, Errors, Estimate

Verdict = Literal["ok", "insufficient", "broken"]
Form = Literal["share", "count", "number"]
RESAMPLES = 4000
ALPHA = 0.01
FEWEST_USERS = 10
_CHUNK = 500
"""Resamples at a time, so that the weights of 10,000 users take 40 MB."""


class Limit(NamedTuple):
    """From where to where a figure is in order; None where that side is free."""

    low: float | None
    high: float | None


class Units(NamedTuple):
    """What a figure was counted over: how many, and of what."""

    n: int
    what: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its limit."""

    name: str
    value: float | None
    """None where there is nothing to measure."""
    limit: Limit
    units: Units
    users: Sequence[str] = ()
    """Of a sample, whose it is; the columns of the weights."""
    errors: Errors | None = None
    """None: a census."""
    form: Form = "share"
    """How it is shown: a share in per cent."""
    blocks: bool = True
    """Whether a dataset in which it is broken fails its audit. Figures of what checks may rightly take away only say so."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a figure, and what it rests on."""

    verdict: Verdict
    bound: float | None = None
    """One-sided 99 % bound of the true value, on the side of the limit that is nearer; of a census, None."""
    p: float | None = None
    """Of a sample beyond its limit: how likely chance alone would put it so far beyond, after Holm."""


def count_of(name: str, bad: int, units: Units) -> Figure:
    """A census: how many units break a rule that has no exceptions."""
    return Figure(name, float(bad) if units.n else None, Limit(None, 0.0), units, form="count")


def all_of(name: str, bad: int, units: Units) -> Figure:
    """A census: the share of units that keep a rule which has no exceptions."""
    return Figure(name, 1 - bad / units.n if units.n else None, Limit(1.0, None), units)


def sample(name: str, users: Sequence[str], estimate: Estimate, units: Units, limit: Limit) -> Figure:
    """A figure of a sample of `users`."""
    return Figure(name, estimate.value if units.n else None, limit, units, tuple(users), estimate.errors)


def resampled(figure: Figure, errors: Errors) -> Array:
    """The errors of the figure in resamples of its users, widened by what resampling few of them takes off the variance."""
    n = len(figure.users)
    chance = np.random.default_rng(derive("audit", figure.name, *figure.users))
    draws = (chance.multinomial(n, np.full(n, 1 / n), size=_CHUNK).astype(np.float64) for _ in range(RESAMPLES // _CHUNK))
    widened: Array = np.concatenate([errors(weights) for weights in draws]) * np.sqrt(n / max(n - 1, 1))
    return widened


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for being many (Holm 1979)."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: (values[name], name))):
        least = max(least, min(1.0, values[name] * (len(values) - rank)))
        adjusted[name] = least
    return adjusted


def judge(figures: Sequence[Figure]) -> dict[str, Judged]:
    """The verdicts on all figures of one audit."""
    tested = {figure.name: found for figure in figures if (found := _tested(figure)) is not None}
    adjusted = holm({name: p for name, (p, _) in tested.items()})
    judged: dict[str, Judged] = {}
    for figure in figures:
        beyond = _beyond(figure)
        if figure.name in tested:
            p = adjusted[figure.name]
            verdict: Verdict = "ok" if not beyond else "broken" if p < ALPHA else "insufficient"
            judged[figure.name] = Judged(verdict, tested[figure.name][1], p if beyond else None)
        elif figure.value is None or figure.errors is not None:
            judged[figure.name] = Judged("insufficient")
        else:
            judged[figure.name] = Judged("broken" if beyond else "ok")
    return judged


def _beyond(figure: Figure) -> bool:
    """Whether the value lies beyond its limit, by more than the last digits of arithmetic."""
    value, (low, high) = figure.value, figure.limit
    return value is not None and ((high is not None and value > high + 1e-9) or (low is not None and value < low - 1e-9))


def _tested(figure: Figure) -> tuple[float, float] | None:
    """Of a sample of enough users: the chance of an error as large as from the nearer limit to the value, and the bound on that side."""
    if figure.value is None or figure.errors is None or len(figure.users) < FEWEST_USERS:
        return None
    value, (low, high) = figure.value, figure.limit
    off = resampled(figure, figure.errors)
    if high is not None and (low is None or value - low >= high - value):
        as_large = int((off >= value - high).sum())
        bound = max(0.0, value - float(np.quantile(off, 1 - ALPHA)))  # the bootstrap knows no floor, figures do
    else:
        as_large = int((off <= value - (low or 0.0)).sum())
        bound = value - float(np.quantile(off, ALPHA))
    return (1 + as_large) / (RESAMPLES + 1), bound
