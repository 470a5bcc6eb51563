"""What an agent remembers of a user: lines that a person can read, edit and compare, each with whose it is, when it showed and where."""

from datetime import date
from typing import Literal

from schemas.base import Record

LineStatus = Literal["active", "superseded", "forgotten"]
SELF = "self"
"""The owner of what holds of the user."""


class MemoryLine(Record):
    """One thing remembered."""

    owner: str
    """`self`, or the name of the other person of whom it holds."""
    text: str
    """What is remembered, on one line."""
    first_seen: date
    last_seen: date
    session_ids: tuple[str, ...]
    """The sessions that showed it."""
    status: LineStatus


class Memory(Record):
    """Everything that an agent carries from one chunk of a history to the next."""

    lines: tuple[MemoryLine, ...] = ()
