"""A persona: the person whom the conversations are about and who never introduces themselves."""

from schemas.base import Record
from schemas.seed import Split


class Persona(Record):
    """A typed profile. It is never part of a history."""

    persona_id: str
    seed_id: str
    split: Split
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
    """How this person writes to an assistant; shows in the user's messages."""
    profile_text: str
    """The profile in prose, with the seed's own words."""
