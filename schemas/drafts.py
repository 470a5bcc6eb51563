"""What an author hands back: the content of a record without ids, dates and bookkeeping, which the stage adds.

A language model is bound to the JSON schema of its draft, so a field that only the offline author knows is kept out of that schema.
What can be checked of a draft alone is checked here: an author that can try again is told what was wrong.
"""

import re
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from schemas.base import Record
from schemas.fact import Fact, FactKind
from schemas.session import Message

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Words = Annotated[str, StringConstraints(min_length=1, pattern=r"\S", strip_whitespace=True)]
"""A phrase rather than a text: spaces around it mean nothing."""


class PersonaDraft(Record):
    """A profile grown from a seed."""

    name: Words
    age: int = Field(ge=5, le=110)
    gender: Words
    location: Words
    occupation: Words
    education: str
    household: str
    languages: tuple[Words, ...] = Field(min_length=1, max_length=6)
    traits: tuple[Words, ...] = Field(min_length=1, max_length=8)
    speaking_style: Words
    profile_text: Words


class ValueDraft(Record):
    """One value of an attribute that is already known, proposed."""

    value: Words
    statement: Words
    kind: FactKind
    bank_id: SkipJsonSchema[str | None] = None


class _OfAttribute(Record):
    attribute: str


class FactDraft(ValueDraft, _OfAttribute):
    """One value of one attribute, proposed."""


class ChangeAsked(Record):
    """A change that an author is asked for. Several of one fact follow one another, each from the value before it."""

    fact: Fact
    """What holds before the first change."""
    back: bool
    """To the value that held before the last change."""


class ChangeDraft(ValueDraft):
    """What a fact became, and why."""

    reason: Words


class FactsDraft(Record):
    """Proposed facts of one persona, in order of preference. The stage settles repeats and contradictions."""

    facts: tuple[FactDraft, ...]


class ChangesDraft(Record):
    """The changes asked for, in their order."""

    changes: tuple[ChangeDraft, ...]


class TrapsDraft(Record):
    """What is not true of the user, for noise to tempt with."""

    contrary: tuple[ValueDraft, ...]
    """For each of the given facts, in their order, another value of its attribute."""
    other: tuple[FactDraft, ...]
    """Values of attributes of which the user holds nothing."""
    names: tuple[Words, ...]
    """First names of other people, none of them the user's."""


class Exchange(Record):
    """What the user wrote and what the assistant replied."""

    user: Text
    assistant: Text


class ConversationDraft(Record):
    """A written conversation. In pairs, because then no model can get the turns wrong."""

    exchanges: tuple[Exchange, ...] = Field(min_length=1, max_length=6)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns one by one, the user's first."""
        pairs = ((Message(role="user", content=one.user), Message(role="assistant", content=one.assistant)) for one in self.exchanges)
        return tuple(message for pair in pairs for message in pair)


class SessionDraft(ConversationDraft):
    """A conversation in which the user lets something show."""

    quotes: tuple[Text, ...] = Field(min_length=1, max_length=4)
    """The words of the user that carry the evidence, exactly as they stand in what the user wrote."""

    @field_validator("quotes")
    @classmethod
    def _as_the_user_wrote_it(cls, quotes: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        """Each quote as it stands in the user's text: a copy may differ in case, spaces and punctuation, not in words."""
        texts = [exchange.user for exchange in given.data.get("exchanges", ())]
        found = [next((span for text in texts if (span := _span(quote, text))), "") for quote in quotes]
        if missing := [quote for quote, span in zip(quotes, found, strict=True) if not span]:
            raise ValueError(f"the quote {missing[0]!r} stands, word for word, nowhere in what the user wrote")
        return tuple(found)


def _span(quote: str, text: str) -> str:
    """Where the words of `quote` stand in `text` one after the other, as they stand there; empty where they do not."""
    if quote in text:
        return quote
    words = re.findall(r"\w+", quote)
    found = re.search(r"\W+".join(map(re.escape, words)) + r"[.!?…]*", text, re.IGNORECASE) if words else None
    return found[0] if found else ""


class AnswerDraft(Record):
    """A complete answer that fits one value of an attribute."""

    value: Words
    text: Words


class ItemDraft(Record):
    """One query, a complete answer for each of several values, and one that assumes nothing."""

    query: Words
    answers: tuple[AnswerDraft, ...]
    no_assumption: Words


class TextDraft(Record):
    """A reply in plain text, as it came."""

    text: str
