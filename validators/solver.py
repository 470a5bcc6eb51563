"""What a perfect reader would believe of one attribute, derived from labels alone: who said what of whom, when, and how clearly.

Nothing here reads a word of a session. The stored gold, made on another path, must agree; and the certificate of a question is that the
belief hangs on its evidence and on nothing else.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from schemas.fact import Fact
from schemas.ids import normalise
from schemas.question import Certificate
from schemas.session import Session, SessionHead

Reason = Literal["told", "too_little", "never_told", "forgotten", "secret", "not_the_users"]
Told = TypeVar("Told", bound=Session | SessionHead)


@dataclass(frozen=True, slots=True)
class Belief:
    """The attribute's value (normalised), or None where nothing may be assumed, and why."""

    value: str | None
    reason: Reason


Topic = Callable[[Fact], bool]
"""Which facts bear on a question."""


def about(attribute: str) -> Topic:
    """Facts of one attribute."""
    return lambda fact: fact.attribute == attribute


def among(values: Collection[str]) -> Topic:
    """Facts with one of these (normalised) values: for an item whose attribute the tables do not show."""
    return lambda fact: normalise(fact.value) in values


def bearing(sessions: Iterable[Told], facts: Mapping[str, Fact], topic: Topic) -> list[Told]:
    """The sessions that tell, withdraw or feign something on the topic."""
    return [
        session for session in sessions if any(name in facts and topic(facts[name]) for name in (*session.fact_ids, *session.trap_fact_ids))
    ]


def believe(sessions: Sequence[Told], facts: Mapping[str, Fact], topic: Topic) -> Belief:
    """The belief after `sessions`: what the user told last counts, unless they asked to forget it afterwards or it is a secret.

    A fact is told by a session that shows it clearly, or by as many hints as it needs.
    """
    told: list[Fact] = []
    hints: Counter[str] = Counter()
    forgotten = trapped = False
    for session in sorted(sessions, key=lambda session: (session.started_at, session.session_id)):
        own = [facts[name] for name in session.fact_ids if name in facts and topic(facts[name])]
        trapped |= any(name in facts and topic(facts[name]) for name in session.trap_fact_ids)
        if session.role == "forget" and own:
            told, forgotten = [], True
            hints.clear()
        elif session.role in ("evidence", "update") and session.owner == "self":
            for fact in own:
                hints[fact.fact_id] += 1
                if fact.status == "true" and (session.cue != "faint" or hints[fact.fact_id] >= fact.cues_needed > 1):
                    told.append(fact)
    if told:
        return Belief(normalise(told[-1].value), "told") if told[-1].repeatable else Belief(None, "secret")
    return Belief(None, "forgotten" if forgotten else "too_little" if hints else "not_the_users" if trapped else "never_told")


def certify(sessions: Sequence[Told], evidence: Collection[str], facts: Mapping[str, Fact], topic: Topic, gold: str | None) -> Certificate:
    """The solver's readings of a question that comes after `sessions`, rests on `evidence` and has the (normalised) value `gold`."""
    relevant = bearing(sessions, facts, topic)
    full = believe(relevant, facts, topic)
    rest = [session for session in relevant if session.session_id not in evidence]
    return Certificate(
        by="solver",
        gold=full.value == gold,
        without_evidence=not evidence or believe(rest, facts, topic) != full,
        without_others=all(believe([other for other in relevant if other is not session], facts, topic) == full for session in rest),
    )
