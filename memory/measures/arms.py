"""The result of each arm, over all questions and by group, and the paired comparisons between arms."""

from collections.abc import Mapping, Sequence

import numpy as np

from memory.exam import Exam
from memory.intervals import Scores
from memory.measures.answers import Answers, Sat, scores_of
from schemas.results import ArmResult, Comparison, GapClosed, Group
from validators.audit.statistics import holm

FLOOR, CEILING = Sat("no_context", None), Sat("oracle_evidence", None)
_ALPHA = 0.05
_UNLIMITED = ("full_context", "no_context")
"""Arms without a budget that an arm with one is compared with, too."""


def arm_results(
    exam: Exam, answers: Mapping[Sat, Answers], scores: Scores, groups: Mapping[str, Mapping[str, Sequence[int]]]
) -> dict[Sat, ArmResult]:
    """The results of all arms. `scores`: of all questions; `groups`: by dimension and label, the places of questions in the exam."""
    by = {dimension: {label: _group_results(exam, answers, places) for label, places in own.items()} for dimension, own in groups.items()}
    results = {}
    for sat, own in answers.items():
        results[sat] = ArmResult(
            **_group(scores, sat, len(own.rows)),
            users=len(scores.users),
            tokens_per_query=round(own.tokens_per_query, 1),
            position_consistency=round(own.consistency, 4),
            invalid=round(own.invalid, 4),
            ece=rounded(own.ece),
            brier=rounded(own.brier),
            gap_closed=_gap_closed(scores, answers, sat),
            by={dimension: {label: found[sat] for label, found in labels.items()} for dimension, labels in by.items()},
        )
    return results


def comparisons(scores: Scores, sats: Sequence[Sat], arm: str) -> tuple[Comparison, ...]:
    """`arm`, at each of its budgets, against every other arm that has the same budget, against the full history and against none.

    p-values are adjusted for all of them together (Holm 1979).
    """
    pairs = [
        (own, other)
        for own in sats
        if own.arm == arm and own.budget is not None
        for other in sats
        if other.arm != arm and (other.budget == own.budget or (other.budget is None and other.arm in _UNLIMITED))
    ]
    found = {(own, other): scores.compare(str(own), str(other)) for own, other in pairs}
    adjusted = holm({f"{own} {other}": difference.p for (own, other), difference in found.items()})
    return tuple(
        Comparison(
            arm=own.arm,
            other=other.arm,
            budget=own.budget or 0,
            difference=round(difference.value, 4),
            ci95=_interval(difference.low, difference.high),
            p=round(difference.p, 5),
            p_holm=round(p_holm := adjusted[f"{own} {other}"], 5),
            detectable=round(difference.detectable, 4),
            certain=p_holm < _ALPHA,
        )
        for (own, other), difference in found.items()
    )


def rounded(value: float | None) -> float | None:
    """To four places, as everything in a result file."""
    return None if value is None else round(value, 4)


def _group_results(exam: Exam, answers: Mapping[Sat, Answers], places: Sequence[int]) -> dict[Sat, Group]:
    chosen = np.zeros(sum(len(sheet.questions) for sheet in exam.sheets), dtype=np.bool_)
    chosen[list(places)] = True
    scores = scores_of(exam, answers, chosen)
    return {sat: Group(**_group(scores, sat, len(places))) for sat in answers}


def _group(scores: Scores, sat: Sat, n: int) -> dict[str, object]:
    return {"accuracy": round(scores.mean(str(sat)), 4), "ci95": _interval(*scores.interval(str(sat))), "n": n}


def _gap_closed(scores: Scores, answers: Mapping[Sat, Answers], sat: Sat) -> GapClosed | None:
    if FLOOR not in answers or CEILING not in answers:
        return None
    found = scores.gap_closed(str(sat), str(FLOOR), str(CEILING))
    return None if found is None else GapClosed(value=round(found[0], 4), ci95=_interval(*found[1:]))


def _interval(low: float, high: float) -> tuple[float, float]:
    return round(low, 4), round(high, 4)
