"""What people said of a dataset when they read it blind, and how far that agrees with its labels."""

from typing import Literal

from schemas.base import Record

Asked = Literal["tells", "value", "outright", "option", "skip"]
ReviewState = Literal["reviewed by people", "not reviewed by people"]


class Answer(Record):
    """One answer of one person: a line of `review/<reviewer>.jsonl`. No label stands in it."""

    record_id: str
    """The session or question that was read."""
    asked: Asked
    """Of a session `tells`, `value`, then `outright` unless no value fitted; of a question `option`; `skip` of either."""
    answer: str
    """`tells`: a line in the reader's words, empty for nothing. `value`: the value chosen, empty for none of these.
    `outright`: `yes` or `no`. `option`: its number as shown, from 1. `skip`: empty."""
    choices: tuple[str, ...] = ()
    """`value`: the values that were offered, in the order shown."""


class AgreementRow(Record):
    """Two sides, and how often they say the same of the same records."""

    people: str
    """A reviewer, or `all` of them."""
    against: str
    """`labels`, `implicit` (the rule) or another reviewer."""
    what: Asked
    answers: int
    records: int
    """Different records among the answers."""
    agreement: float | None
    kappa: float | None
    low: float | None
    high: float | None
    """95 % interval of kappa."""
    note: str
    """Why a figure is missing or means little; else empty."""


class KindRow(Record):
    """All people against the labels (or the rule, on what was said outright), by kind of record."""

    what: Asked
    kind: str
    """Role or noise kind of the session, or kind of the question."""
    answers: int
    agreed: int


class Reviewer(Record):
    """Who reviewed, and how much."""

    name: str
    sessions: int
    """Sessions answered as far as the choice of a value."""
    questions: int
    skipped: int
    unknown: int
    """Answers to records that the dataset does not have; they count nowhere."""


class Agreement(Record):
    """All of it: `review/agreement.json`."""

    state: ReviewState
    reviewers: tuple[Reviewer, ...] = ()
    rows: tuple[AgreementRow, ...] = ()
    kinds: tuple[KindRow, ...] = ()
    disagreed: tuple[str, ...] = ()
    """Records of which somebody said something else than their label, or than the rule."""
