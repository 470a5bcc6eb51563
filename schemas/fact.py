"""A fact: one value of one attribute of somebody, over a stretch of time."""

from datetime import date, datetime
from typing import Literal, get_args

from schemas.base import Record

FactKind = Literal["stereotypical", "anti_stereotypical", "neutral", "therapy", "health", "sensitive"]
FACT_KINDS: tuple[FactKind, ...] = get_args(FactKind)


class Fact(Record):
    """A slot (attribute, value) with its owner and its time. `status: trap` marks what is false of the user."""

    fact_id: str
    persona_id: str
    attribute: str
    value: str
    statement: str
    """The fact in the third person without a subject: 'drinks coffee black'."""
    owner: str
    """`self`, or the name of the other person (or character) of whom it holds."""
    status: Literal["true", "trap"]
    kind: FactKind
    domain: str
    polarity: Literal["positive", "negative"]
    """`negative` when the statement says that something is not so, is avoided or disliked."""
    repeatable: bool
    """False of a secret: a good answer relies on it at most, and never repeats it. Some sensitive facts are public, and are no secret."""
    cues_needed: int
    """How many of its sessions must have been read before it is known: 1 where one shows it clearly, more where all only hint at it."""
    mutable: bool
    valid_from: date
    valid_until: date | None
    """First day on which it no longer holds; null when it holds to the end."""
    supersedes: str | None
    """The fact that this one replaced."""
    reason: str | None
    """Why it replaced the other."""
    forget_requested_at: datetime | None
    bank_id: str | None
    """`attribute/value` in the offline author's bank; null where no bank was used."""
