"""Figures that have no limit: how lives change, how far requests and updates lie from what they concern, how varied users' words are."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from schemas.fact import Fact
from schemas.ids import digest, normalise
from schemas.session import Session
from validators.audit.embeddings import Embeddings
from validators.audit.tables import Published

_TEXTS, _BLEU_TEXTS = 1000, 100
"""Sessions drawn, by hash, for figures of words: those depend on the number of texts, so it is the same for small and large datasets."""
PERSONAMEM_V2 = {"choose_longest": 0.447, "probe_query_options": 0.311}
"""What others measured on PersonaMem-v2: the uniquely longest option is right, and a frontier model answers without the history."""


def reported(published: Published) -> dict[str, dict[str, Any]]:
    """Each figure with its value, how many it is of, and what they are."""
    shown = [session for session in published.sessions if session.noise_kind != "unrelated"]
    drawn = sorted(shown, key=lambda session: digest("reported", session.session_id))[:_TEXTS]
    texts = [session.user_text for session in drawn]
    words = [re.findall(r"\w+", text.casefold()) for text in texts]
    rows: dict[str, tuple[float | str | None, int, str]] = {
        **_changes(published),
        **_distances(published),
        "judge_certificates": _judge_certificates(published),
        "distinct_1": (_distinct(words, 1), len(words), "sessions drawn"),
        "distinct_2": (_distinct(words, 2), len(words), "sessions drawn"),
        "self_bleu": (_self_bleu(words[:_BLEU_TEXTS]), len(words[:_BLEU_TEXTS]), "sessions drawn"),
        "mean_cosine": (_mean_cosine(texts), len(texts), "sessions drawn"),
        "common_opening": (*_opening(words), "sessions drawn"),
    }
    return {
        name: {"value": round(value, 4) if isinstance(value, float) else value, "n": n, "unit": unit}
        for name, (value, n, unit) in rows.items()
    }


def _changes(published: Published) -> dict[str, tuple[float | None, int, str]]:
    """How often lives change, how often what changes does, and how often it becomes again what it was before."""
    changed = [(fact, chain) for fact in published.facts.values() if (chain := _replaced(published.facts, fact))]
    changing = {chain[-1].fact_id for _, chain in changed}
    back = sum(normalise(fact.value) in {normalise(old.value) for old in chain} for fact, chain in changed)
    people, changes = len(published.personas), len(changed)
    return {
        "changes_per_persona": (changes / people if people else None, people, "personas"),
        "changes_per_changing_fact": (changes / len(changing) if changing else None, len(changing), "first facts that changed"),
        "changes_back": (back / changes if changes else None, changes, "changes"),
    }


def _judge_certificates(published: Published) -> tuple[float | None, int, str]:
    """The share of the certificates by judges, not by the solver, that hold in all three points."""
    by_judges = [one for question in published.questions for one in question.certificates if one.by != "solver"]
    holding = sum(one.gold and one.without_evidence and one.without_others for one in by_judges)
    return (holding / len(by_judges) if by_judges else None, len(by_judges), "certificates by judges")


def _replaced(facts: Mapping[str, Fact], fact: Fact) -> list[Fact]:
    """The facts that came before it in its chain, the latest first."""
    found: list[Fact] = []
    while (old := facts.get((found[-1] if found else fact).supersedes or "")) is not None and old not in found:
        found.append(old)
    return found


def _distances(published: Published) -> dict[str, tuple[float | None, int, str]]:
    """Means, in tokens and in days, between the last session that shows a fact and the one that withdraws or replaces it."""
    found: dict[str, list[tuple[int, float]]] = {"forget": [], "update": []}
    for tables in published.splits.values():
        for history in tables.histories:
            sessions = [published.session[name] for name in history.session_ids if name in published.session]
            for kind, distance in _gaps(published, sessions):
                found[kind].append(distance)
    rows: dict[str, tuple[float | None, int, str]] = {}
    for kind, distances in found.items():
        unit = f"{kind} sessions"
        rows[f"{kind}_distance_tokens"] = (fmean(tokens for tokens, _ in distances) if distances else None, len(distances), unit)
        rows[f"{kind}_distance_days"] = (fmean(days for _, days in distances) if distances else None, len(distances), unit)
    return rows


def _gaps(published: Published, sessions: Sequence[Session]) -> Iterator[tuple[str, tuple[int, float]]]:
    """The distances in one history. A fact is replaced when the new one first shows; of a chain, the latest that has shown."""
    last: dict[str, tuple[int, Session]] = {}
    shown: set[str] = set()
    passed = 0
    for session in sessions:
        for name in session.fact_ids:
            fact = published.facts.get(name)
            replaced = [old.fact_id for old in _replaced(published.facts, fact)] if fact and name not in shown else []
            origin = next((one for one in ([name] if session.role == "forget" else replaced) if one in last), None)
            if origin is not None:
                tokens, earlier = last[origin]
                days = (session.started_at - earlier.started_at).total_seconds() / 86400
                yield "forget" if session.role == "forget" else "update", (passed - tokens, days)
        passed += session.tokens
        if session.role != "forget":
            last |= dict.fromkeys(session.fact_ids, (passed, session))
            shown |= set(session.fact_ids)


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[place : place + n]) for place in range(len(words) - n + 1))


def _distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams as a share of all."""
    total: Counter[tuple[str, ...]] = Counter()
    for words in texts:
        total.update(_ngrams(words, n))
    return len(total) / total.total() if total else None


def _self_bleu(texts: Sequence[Sequence[str]]) -> float | None:
    """Mean over texts of the geometric mean of their n-gram precisions (n = 1-4) against all others, without brevity penalty.

    A count of 0 is taken as a tenth, so that one text without any common 4-gram does not become 0 as a whole.
    """
    if len(texts) < 2:
        return None
    scores = [0.0] * len(texts)
    for n in range(1, 5):
        grams = [_ngrams(words, n) for words in texts]
        best: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for index, counts in enumerate(grams):
            for gram, count in counts.items():
                best[gram] = sorted([*best.get(gram, ()), (count, index)], reverse=True)[:2]
        for index, counts in enumerate(grams):
            common = sum(min(count, next((most for most, who in best[gram] if who != index), 0)) for gram, count in counts.items())
            scores[index] += math.log(max(common, 0.1) / max(counts.total(), 1)) / 4
    return fmean(math.exp(score) for score in scores)


def _mean_cosine(texts: Sequence[str]) -> float | None:
    """Mean cosine of all pairs, by the static model."""
    if len(texts) < 2:
        return None
    vectors = Embeddings(texts).of(texts).astype(np.float64)
    total = float(np.square(vectors.sum(axis=0)).sum()) - float(np.square(vectors).sum())
    return total / (len(texts) * (len(texts) - 1))


def _opening(texts: Sequence[Sequence[str]]) -> tuple[str | None, int]:
    """The three words with which most sessions begin, with their share."""
    openings = Counter(" ".join(words[:3]) for words in texts)
    if not openings:
        return None, 0
    words, count = min(openings.items(), key=lambda pair: (-pair[1], pair[0]))
    return f"{words} ({count / len(texts):.1%})", len(texts)
