"""What an author hands back: the content of a record without ids, dates and bookkeeping, which the stage adds."""

from schemas.base import Record
from schemas.session import Message


class PersonaDraft(Record):
    """A profile grown from a seed."""

    name: str
    age: int
    gender: str
    location: str
    occupation: str
    education: str
    household: str
    languages: tuple[str, ...]
    traits: tuple[str, ...]
    speaking_style: str
    profile_text: str


class FactDraft(Record):
    """One value of one attribute, proposed."""

    attribute: str
    value: str
    statement: str
    kind: str
    reason: str | None = None
    bank_id: str | None = None


class FactsDraft(Record):
    """Proposed facts of one persona, in order of preference. The stage settles repeats and contradictions."""

    facts: tuple[FactDraft, ...]


class SessionDraft(Record):
    """A written conversation."""

    messages: tuple[Message, ...]
    quotes: tuple[str, ...] = ()
    """The words of the user that carry the evidence, exactly as they stand in a user message."""


class ItemDraft(Record):
    """One query, a complete answer for each value in the order asked for, and one that assumes nothing."""

    query: str
    answers: tuple[str, ...]
    no_assumption: str


class ValuesDraft(Record):
    """Values of one attribute, distinct, the commonest first."""

    values: tuple[str, ...]
