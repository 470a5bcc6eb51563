"""What an author hands back: the content of a record without ids, dates and bookkeeping, which the stage adds.

A language model is bound to the JSON schema of its draft, so a field that only the offline author knows is kept out of that schema.
What can be checked of a draft alone is checked here: an author that can try again is told what was wrong.
"""

from typing import Self

from pydantic import model_validator
from pydantic.json_schema import SkipJsonSchema

from schemas.base import Record
from schemas.fact import FactKind
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


class ValueDraft(Record):
    """One value of an attribute that is already known, proposed."""

    value: str
    statement: str
    kind: FactKind
    bank_id: SkipJsonSchema[str | None] = None


class _OfAttribute(Record):
    attribute: str


class FactDraft(ValueDraft, _OfAttribute):
    """One value of one attribute, proposed."""


class ChangeDraft(ValueDraft):
    """What a fact became, and why."""

    reason: str | None


class FactsDraft(Record):
    """Proposed facts of one persona, in order of preference. The stage settles repeats and contradictions."""

    facts: tuple[FactDraft, ...]


class ChangesDraft(Record):
    """What each of the given facts became, in their order."""

    changes: tuple[ChangeDraft, ...]


class TrapsDraft(Record):
    """What is not true of the user, for noise to tempt with."""

    contrary: tuple[ValueDraft, ...]
    """For each of the given facts, in their order, another value of its attribute."""
    other: tuple[FactDraft, ...]
    """Values of attributes of which the user holds nothing."""
    names: tuple[str, ...]
    """First names of other people, none of them the user's."""


class ConversationDraft(Record):
    """A written conversation: the user begins, the assistant has the last word, and they take turns."""

    messages: tuple[Message, ...]

    @model_validator(mode="after")
    def _takes_turns(self) -> Self:
        if not self.messages or len(self.messages) % 2:
            raise ValueError(f"messages must come in pairs, user then assistant; there are {len(self.messages)}")
        for number, message in enumerate(self.messages):
            if message.role != ("user", "assistant")[number % 2]:
                raise ValueError(f"message {number + 1} must be the {('user', 'assistant')[number % 2]}'s")
            if not message.content.strip():
                raise ValueError(f"message {number + 1} is empty")
        return self


class SessionDraft(ConversationDraft):
    """A conversation in which the user lets something show."""

    quotes: tuple[str, ...]
    """The words of the user that carry the evidence, exactly as they stand in a user message."""

    @model_validator(mode="after")
    def _quotes_the_user(self) -> Self:
        for quote in self.quotes:
            if not any(message.role == "user" and quote in message.content for message in self.messages):
                raise ValueError(f"the quote {quote!r} stands, word for word, in no message of the user")
        return self


class AnswerDraft(Record):
    """A complete answer that fits one value of an attribute."""

    value: str
    text: str


class ItemDraft(Record):
    """One query, a complete answer for each of several values, and one that assumes nothing."""

    query: str
    answers: tuple[AnswerDraft, ...]
    no_assumption: str
