"""One row of the expand stage: a persona with everything that is true of it, and the traps that noise will lay."""

from schemas.base import Record
from schemas.fact import Fact
from schemas.persona import Persona


class Expansion(Record):
    """A persona and its facts, in order of their ids."""

    persona: Persona
    facts: tuple[Fact, ...]
