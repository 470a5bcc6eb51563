"""What the lines of a memory hold, by the labels of the history that they were written from.

A line **shows** a true fact when its owner is the fact's, it names one of the sessions that show the fact, and it has most content words
in common with the evidence there, or says in its own words what the fact says (as `conveys` judges). A line that names no session is
judged by its own words alone. A memory **holds** a fact when its active lines show it from as many sessions as it takes to know it
(`cues_needed`), or one of them says it in its own words.

Noise has no spans and shows nothing of the user, whatever is taken from it. So a line from a noise session is known by the sessions that
it names alone; one that also shows a true fact is not counted against the agent.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from memory.exam import Sheet
from memory.notes import read_memory
from schemas.fact import Fact
from schemas.ids import normalise
from schemas.memory import SELF, MemoryLine
from schemas.session import Evidence, Session
from text.words import content_stems

Conveys = Callable[[str, str], bool]
"""Whether a text says what a fact's statement says."""
_FEWEST = 3
"""Content words in common, so that 'I had to stay' is no evidence."""
_WORD = re.compile(r"""[^\s="'`()<>,;]+""")
_STREET = re.compile(r"\b\d+[a-z]? [A-Z]\w+(?: [A-Z]\w+)*")


def span_text(session: Session, span: Evidence) -> str:
    """The words of an evidence span."""
    return session.messages[span.message].content[span.start : span.end]


def overlaps(said: frozenset[str], span: frozenset[str]) -> bool:
    """Whether the shorter text has half of its content words in common with the other, and that is three, or all that the span has."""
    common = len(said & span)
    return common >= max(1, min(_FEWEST, len(span))) and 2 * common >= min(len(said), len(span))


def literals(text: str) -> frozenset[str]:
    """What a secret is repeated by, case folded: addresses of either sort, and words of four letters or digits with a digit among them.

    `validators.synthetic` looks for what may be somebody's; the secrets of a dataset are nobody's, so its patterns pass them by.
    """
    words = [word.strip(".:") for word in _WORD.findall(text)]
    coded = [word for word in words if "@" in word or (re.search(r"\d", word) and sum(map(str.isalnum, word)) >= 4)]
    return frozenset(word.casefold() for word in (*coded, *_STREET.findall(text)))


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be known of a user after some sessions, by fact id."""

    valid: frozenset[str]
    """Told last of their attributes, and no secrets."""
    superseded: frozenset[str]
    """Told before, of another value than what is valid now."""
    forgotten: frozenset[str]
    """Told or hinted at before a request to forget, and not told again."""
    secrets: frozenset[str]
    """Shown, and not to be repeated."""


def standing(sessions: Iterable[Session], facts: Mapping[str, Fact]) -> Standing:
    """What the labels of `sessions`, in order of time, let a perfect reader know; as `validators.solver.believe` has it, fact by fact."""
    told: dict[str, list[str]] = {}
    hints: Counter[str] = Counter()
    forgotten, secrets = set[str](), set[str]()
    for session in sessions:
        own = [facts[name] for name in session.fact_ids if name in facts and facts[name].status == "true"]
        if session.role == "forget":
            for attribute in {fact.attribute for fact in own}:
                gone = {name for name in hints if facts[name].attribute == attribute}
                forgotten |= gone
                told.pop(attribute, None)
                for name in gone:
                    del hints[name]
        elif session.role in ("evidence", "update") and session.owner == SELF:
            for fact in own:
                hints[fact.fact_id] += 1
                if not fact.repeatable:
                    secrets.add(fact.fact_id)
                if session.cue != "faint" or hints[fact.fact_id] >= fact.cues_needed > 1:
                    told.setdefault(fact.attribute, []).append(fact.fact_id)
                    forgotten.discard(fact.fact_id)
    last = {attribute: facts[names[-1]] for attribute, names in told.items()}
    return Standing(
        frozenset(fact.fact_id for fact in last.values() if fact.repeatable),
        frozenset(
            name for attribute, names in told.items() for name in names if normalise(facts[name].value) != normalise(last[attribute].value)
        ),
        frozenset(forgotten),
        frozenset(secrets),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A line of a memory, and what it holds."""

    line: MemoryLine
    shows: tuple[tuple[str, str | None], ...]
    """True facts, each with the session that it is from; None: said in its own words, which is enough alone."""
    tempted: tuple[str, ...]
    """Noise sessions that it is from; empty where it shows a true fact."""

    @property
    def of_self(self) -> bool:
        """Whether it is remembered as true of the user, today."""
        return self.line.status == "active" and self.line.owner == SELF


@dataclass(frozen=True)
class Held:
    """A memory as labels see it."""

    lines: tuple[Kept, ...]
    facts: frozenset[str]
    """True facts that its active lines hold, by id."""


class Holding:
    """Reads the memories of one user. Memories and lines are read once, however often they come again."""

    def __init__(self, sheet: Sheet, facts: Mapping[str, Fact], conveys: Conveys | None = None) -> None:
        self.sessions = {session.session_id: session for session in sheet.sessions}
        self.facts = facts
        self._person, self._conveys = sheet.persona.persona_id, conveys
        self._lines: dict[str, Kept | None] = {}
        self._memories: dict[str, Held] = {}
        self._said: dict[str, list[tuple[str, frozenset[str]]]] = {}
        for session in sheet.sessions:
            if session.role in ("evidence", "update"):
                for span in session.evidence:
                    if span.fact_id in facts:
                        self._said.setdefault(session.session_id, []).append((span.fact_id, content_stems(span_text(session, span))))

    @cached_property
    def standing(self) -> Standing:
        """At the end of the history."""
        return standing(self.sessions.values(), self.facts)

    @cached_property
    def secrets(self) -> Mapping[str, frozenset[str]]:
        """Of secrets that were shown word for word (a number, a key, an address), by fact id: what would repeat them, case folded."""
        found: dict[str, frozenset[str]] = {}
        for session in self.sessions.values():
            for span in session.evidence:
                if session.role != "forget" and span.fact_id in self.standing.secrets and (literal := literals(span_text(session, span))):
                    found[span.fact_id] = found.get(span.fact_id, frozenset()) | literal
        return found

    def read(self, memory: str) -> Held:
        """A memory's text; what is no line in it holds nothing."""
        if memory not in self._memories:
            found = (self._read(written) for written in memory.splitlines())
            lines = tuple(kept for kept in found if kept is not None)
            self._memories[memory] = Held(lines, self._held(lines))
        return self._memories[memory]

    def _read(self, written: str) -> Kept | None:
        if written not in self._lines:
            lines = read_memory(written, self._person).memory.lines
            self._lines[written] = self._kept(lines[0]) if lines else None
        return self._lines[written]

    def _kept(self, line: MemoryLine) -> Kept:
        shows = tuple(self._shown(line))
        tempted = () if shows else tuple(name for name in line.session_ids if name in self.sessions and self.sessions[name].noise_kind)
        return Kept(line, shows, tempted)

    def _shown(self, line: MemoryLine) -> Iterator[tuple[str, str | None]]:
        words = content_stems(line.text)
        for name in line.session_ids or self._said:
            for fact_id, said in self._said.get(name, ()):
                fact = self.facts[fact_id]
                if fact.owner != line.owner:
                    continue
                if self._conveys is not None and self._conveys(line.text, fact.statement):
                    yield fact_id, None
                elif line.session_ids and overlaps(words, said):
                    yield fact_id, name

    def _held(self, lines: Iterable[Kept]) -> frozenset[str]:
        sessions: dict[str, set[str | None]] = {}
        for kept in lines:
            if kept.line.status == "active":
                for fact_id, session_id in kept.shows:
                    sessions.setdefault(fact_id, set()).add(session_id)
        return frozenset(name for name, found in sessions.items() if None in found or len(found) >= self.facts[name].cues_needed)
