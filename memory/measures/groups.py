"""Into which groups a question falls: what it asks, on what it rests, how that showed, and how far away it lies.

A question rests on the sessions of its `evidence_session_ids`. Those that show something of the user (roles `evidence` and `update`)
decide about scenario and cue, noise among them about the noise kind. Where there are none of a sort, the label is `none`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from memory.exam import Exam, Put, Sheet
from memory.measures.holding import span_text
from schemas.fact import Fact
from schemas.memory import SELF
from schemas.question import QUESTION_KINDS
from schemas.session import NOISE_KINDS, SCENARIOS, Session
from text.neardup import containment, grams

NONE = "none"
_COPIED = 0.3
"""Share of the shorter text's word 5-grams that the other holds, from which on they are one cue. In `configs/small.yaml` the cues of one
split that are alike but for names have more in 99 of 100 cases, those of two splits never 0.2.
"""
_EDGES = (0, 1000, 2000, 4000, 8000, 16000, 32000)
"""Tokens."""
_DISTANCES = (*(f"{low // 1000}k-{high // 1000}k" for low, high in pairwise(_EDGES)), f"{_EDGES[-1] // 1000}k-")
_ORDER: Sequence[str] = (*QUESTION_KINDS, *SCENARIOS, *NOISE_KINDS, *_DISTANCES)
Seen = Callable[[str], bool]
"""Whether an evidence span occurs in train."""


def seen_in(train_spans: Iterable[str]) -> Seen:
    """Tells texts that occur among the evidence spans of train, but for some words: authors fill names into a text that they use again."""
    holders: dict[int, list[frozenset[int]]] = defaultdict(list)
    for text in dict.fromkeys(train_spans):
        own = grams(text)
        for gram in own:
            holders[gram].append(own)

    def seen(text: str) -> bool:
        own = grams(text)
        return any(containment(own, other) >= _COPIED for gram in own for other in holders.get(gram, ()))

    return seen


def groups_of(exam: Exam, facts: Mapping[str, Fact], seen: Seen) -> dict[str, dict[str, list[int]]]:
    """By dimension and label, the places of the questions in the exam; labels in their natural order."""
    found: dict[str, dict[str, list[int]]] = {}
    for place, (sheet, put) in enumerate(exam.questions):
        for dimension, label in _labels(sheet, put, facts, seen).items():
            found.setdefault(dimension, {}).setdefault(label, []).append(place)
    return {dimension: dict(sorted(own.items(), key=_rank)) for dimension, own in found.items()}


def _rank(entry: tuple[str, object]) -> tuple[bool, int, str]:
    label = entry[0]
    return label == NONE, _ORDER.index(label) if label in _ORDER else -1, label


def _labels(sheet: Sheet, put: Put, facts: Mapping[str, Fact], seen: Seen) -> dict[str, str]:
    question = put.question
    needed = set(question.evidence_session_ids)
    rests_on = [session for session in sheet.sessions if session.session_id in needed]
    shows = [session for session in rests_on if session.role in ("evidence", "update")]
    noise = [session.noise_kind for session in rests_on if session.noise_kind is not None]
    about = [facts[name] for name in question.fact_ids if name in facts]
    true = [fact for fact in about if fact.status == "true"]
    return {
        "kind": question.kind,
        "gold": "nothing" if question.options[question.gold_index].value is None else "value",
        "scenario": shows[-1].scenario if shows else NONE,
        "owner": NONE if not about else "self" if all(fact.owner == SELF for fact in about) else "other",
        "noise": noise[-1] if noise else NONE,
        "changes": str(_changes(true[0], facts)) if true else NONE,
        "cues_needed": str(true[0].cues_needed) if true else NONE,
        "cue": _cue(shows, seen),
        "distance": NONE if put.distance_tokens is None else _distance(put.distance_tokens),
        "position": "end" if put.sessions >= len(sheet.sessions) else "middle",
    }


def _changes(fact: Fact, facts: Mapping[str, Fact]) -> int:
    """How many changes led to it."""
    before = facts.get(fact.supersedes or "")
    return 0 if before is None else 1 + _changes(before, facts)


def _cue(shows: Sequence[Session], seen: Seen) -> str:
    spans = [span_text(session, span) for session in shows for span in session.evidence]
    return NONE if not spans else "seen" if any(map(seen, spans)) else "unseen"


def _distance(tokens: int) -> str:
    return _DISTANCES[sum(tokens >= edge for edge in _EDGES) - 1]
