"""What one answer takes as more is asked of a user: a memory is written once, however many questions it answers.

    per question = writing per user / questions per user + answering per question

Tokens read and written are added up as they are; what they are worth to whom differs, and is what the dollars are for.
"""

from collections.abc import Sequence
from math import floor

from schemas.results import CostResult, CostRow

QUESTIONS_PER_USER = (1, 5, 25, 50, 100)
_WHOLE = "full_context"


def cost_results(rows: Sequence[CostRow]) -> tuple[CostResult, ...]:
    """The course of each arm's cost, in the order of `rows`."""
    whole = next((_answering(row) for row in rows if row.arm == _WHOLE), None)
    return tuple(_result(row, whole) for row in rows)


def _result(row: CostRow, whole: float | None) -> CostResult:
    priced = row.writing.usd is not None and row.answering.usd is not None
    return CostResult(
        arm=row.arm,
        budget=row.budget,
        tokens={str(many): round(_writing(row) / many + _answering(row), 1) for many in QUESTIONS_PER_USER},
        usd={
            str(many): round((row.writing.usd or 0) / row.users / many + (row.answering.usd or 0) / row.questions, 8)
            for many in QUESTIONS_PER_USER
        } if priced else None,
        cheaper_from=None if whole is None else _cheaper_from(row, whole),
    )  # fmt: skip


def _writing(row: CostRow) -> float:
    """Tokens per user."""
    return (row.writing.read + row.writing.written) / row.users


def _answering(row: CostRow) -> float:
    """Tokens per answer."""
    return (row.answering.read + row.answering.written) / row.questions


def _cheaper_from(row: CostRow, whole: float) -> int | None:
    """From how many questions per user on an answer takes fewer tokens than one that costs `whole`."""
    saved = whole - _answering(row)
    return floor(_writing(row) / saved) + 1 if saved > 0 else None
