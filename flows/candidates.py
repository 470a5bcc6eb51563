"""What could be asked: for a person and an item, every kind of question that the person's facts, traps and sessions carry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from flows.fill import Filled
from flows.traps import trap_kind
from prompts.catalogue import clusters
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import normalise
from schemas.question import Item, OptionRole, QuestionKind
from schemas.session import NoiseKind, SessionHead

_TRAP_QUESTIONS: Mapping[NoiseKind, QuestionKind] = {
    "third_person": "ownership", "quoted": "ownership", "fiction": "ownership", "hypothetical": "hypothetical",
    "assistant_only": "restraint", "near_miss": "restraint",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that could be asked, but for its moment."""

    kind: QuestionKind
    item: Item
    facts: tuple[Fact, ...]
    """What it is about; empty for an attribute of which the user never spoke."""
    gold: str | None
    """The right value, normalised; None: assume nothing."""
    roles: dict[str, OptionRole]
    """Roles of (normalised) values other than the gold one, where they have been told in some way; all others are `other_value`."""
    needs: tuple[SessionHead, ...]
    """Sessions that must precede it."""
    before: datetime | None = None
    """It must be asked before; None: also after the end of the life."""
    lure: str = ""
    """What tempts to another answer, where several things may: the kind of noise, or too few hints. The dealer takes them in turn."""


class Person:
    """Somebody who can be asked: facts by attribute, the sessions that show them, the histories that hold those."""

    def __init__(self, expansion: Expansion, heads: Sequence[SessionHead], histories: Sequence[Filled]) -> None:
        self.name = expansion.persona.persona_id
        self.split = expansion.persona.split
        self.histories = tuple(histories)
        self.facts = {fact.fact_id: fact for fact in expansion.facts}
        self.shown: dict[str, list[SessionHead]] = {}
        for head in heads:
            for fact_id in (*head.fact_ids, *head.trap_fact_ids):
                self.shown.setdefault(fact_id, []).append(head)
        self.touched = {name for fact in expansion.facts for name in clusters()[fact.attribute]}
        """Attributes of which it cannot be said that the user never spoke."""
        self._by_attribute: dict[str, list[Fact]] = {}
        for fact in expansion.facts:
            if self.shown.get(fact.fact_id):
                self._by_attribute.setdefault(fact.attribute, []).append(fact)

    def candidates(self, item: Item) -> Iterator[Candidate]:
        """Every question that this item could be to this person."""
        seen = self._by_attribute.get(item.attribute, ())
        if not seen:
            if item.attribute not in self.touched:
                yield Candidate("restraint", item, (), None, {}, ())
            return
        traps: dict[str, OptionRole] = {normalise(fact.value): "trap" for fact in seen if fact.status == "trap"}
        for fact in seen:
            for made in self._about_trap(fact, seen, item) if fact.status == "trap" else self._about_fact(fact, item):
                yield replace(made, roles={**traps, **made.roles})

    def _evidence(self, fact: Fact) -> tuple[SessionHead, ...]:
        """The sessions that show the fact, in order of time."""
        heads = (head for head in self.shown.get(fact.fact_id, ()) if head.role != "forget")
        return tuple(sorted(heads, key=lambda head: (head.started_at, head.session_id)))

    def _known(self, fact: Fact) -> bool:
        """Whether the sessions that show the fact are enough to know it."""
        evidence = self._evidence(fact)
        return any(head.cue == "clear" for head in evidence) or len(evidence) >= fact.cues_needed > 1

    def _earlier(self, fact: Fact) -> list[Fact]:
        """The facts that this one came from, the last first."""
        found = []
        while fact.supersedes:
            fact = self.facts[fact.supersedes]
            found.append(fact)
        return found

    def _about_fact(self, fact: Fact, item: Item) -> Iterator[Candidate]:
        """Questions on a true fact: as it is, after its change, before and after it was to be forgotten, or where it is a secret."""
        value, offered = normalise(fact.value), _offered(item)
        evidence, earlier = self._evidence(fact), self._earlier(fact)
        if value not in offered or not evidence:
            return
        before = datetime.combine(fact.valid_until, time(), UTC) if fact.valid_until else fact.forget_requested_at
        if not self._known(fact):
            if not earlier:
                yield from self._too_early(fact, item, evidence, before)
            return
        if fact.cues_needed > 1:
            yield from self._too_early(fact, item, evidence[: fact.cues_needed - 1], evidence[fact.cues_needed - 1].started_at)
        needs = (*(head for old in earlier for head in self._evidence(old)), *evidence)
        stale: dict[str, OptionRole] = {normalise(old.value): "stale" for old in earlier if self._evidence(old)}
        if not fact.repeatable:
            yield Candidate("sensitive", item, (fact,), None, {**dict.fromkeys(stale, "leak"), value: "leak"}, needs, before)
        elif earlier:
            if (stale.keys() - {value}) & offered:
                yield Candidate("updated", item, (fact, *earlier), value, stale, needs, before)
        else:
            kind: QuestionKind = "sensitive" if fact.kind == "sensitive" else "current"
            yield Candidate(kind, item, (fact,), value, {}, evidence, before)
        if any(head.role == "forget" for head in self.shown[fact.fact_id]):
            yield Candidate("forget", item, (fact,), None, {value: "leak"}, tuple(self.shown[fact.fact_id]))

    def _too_early(self, fact: Fact, item: Item, hints: Sequence[SessionHead], before: datetime | None) -> Iterator[Candidate]:
        """Questions on a fact of which only hints were seen."""
        for seen in range(1, len(hints) + 1):
            until = hints[seen].started_at if seen < len(hints) else before
            yield Candidate("restraint", item, (fact,), None, {normalise(fact.value): "trap"}, tuple(hints[:seen]), until, "hint")

    def _about_trap(self, trap: Fact, seen: Sequence[Fact], item: Item) -> Iterator[Candidate]:
        """A question that who fell for the trap gets wrong. Where the user has shown the attribute, their own value is right."""
        value, offered, noise = normalise(trap.value), _offered(item), trap_kind(trap)
        kind = _TRAP_QUESTIONS[noise]
        own = [fact for fact in seen if fact.status == "true"]
        if value not in offered:
            return
        if not own:
            yield Candidate(kind, item, (trap,), None, {value: "trap"}, tuple(self.shown[trap.fact_id]), lure=noise)
        elif len(own) == 1 and own[0].valid_until is None and not own[0].forget_requested_at and own[0].kind != "sensitive":
            mine = normalise(own[0].value)
            if mine in offered and mine != value and self._known(own[0]):
                needs = (*self._evidence(own[0]), *self.shown[trap.fact_id])
                yield Candidate(kind, item, (own[0], trap), mine, {value: "trap"}, needs, lure=noise)


def _offered(item: Item) -> set[str]:
    """The values that an item offers, normalised: authors spell one value in more than one way."""
    return {normalise(option.value) for option in item.options if option.value is not None}
