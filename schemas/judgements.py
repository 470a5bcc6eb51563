"""What a model says when it judges: the replies to the prompts in `prompts/judge/`.

The reason stands before the verdict, so that the model thinks before it decides.
"""

from typing import Literal

from pydantic import Field

from schemas.base import Record


class Judgement(Record):
    """A yes or no, with what decided it."""

    reason: str = Field(max_length=600)
    passed: bool


class Letter(Record):
    """One of the lettered options."""

    letter: Literal["A", "B", "C", "D"]


class Ownership(Record):
    """Of whom a statement holds, by what a session shows."""

    reason: str = Field(max_length=600)
    owner: Literal["user", "other", "nobody"]


class LetterShares(Record):
    """How a model that may reply with one letter only divides its probability among the lettered options, in their order; sums to 1."""

    shares: tuple[float, ...] = Field(min_length=2)
