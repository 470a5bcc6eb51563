"""Whether the dataset is shaped as it was planned: lives and how they show, what is asked, where the gold and the evidence lie."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from schemas.session import SCENARIOS
from validators.audit.estimates import from_uniform, ratio, total_variation
from validators.audit.statistics import Figure, Limit, Units, all_of, sample
from validators.audit.tables import Placed, Published

KindT = TypeVar("KindT", bound=Hashable)
OFF_PLAN = 0.02
OFF_UNIFORM = 0.05


def plan_figures(published: Published) -> list[Figure]:
    """Shares are met within 2 points of total variation, positions within D = 0.05; twins are balanced without exception.

    How lives and showings keep to the plan does not decide on a dataset: what a language model writes and checks refuse is missing there.
    """
    questions, config = published.questions, published.plan
    shown = [session for session in published.sessions if session.role in ("evidence", "update")]
    noise = [(one.persona_id, one.noise_kind) for one in published.sessions if one.noise_kind and one.noise_kind != "unrelated"]
    return [
        _off("gold_position", [(one.persona_id, one.gold_index) for one in questions], dict.fromkeys(range(4), 1.0), "questions"),
        _off("kinds", [(one.persona_id, one.kind) for one in questions], config.ask.kinds, "questions"),
        _off("scenarios", [(one.persona_id, one.scenario) for one in shown], dict.fromkeys(SCENARIOS, 1.0), "evidence sessions"),
        _off("noise", noise, config.distract.noise, "noise sessions"),
        *(replace(figure, blocks=False) for figure in (*_lives(published), _showings(published), _missing(published))),
        *_positions(published),
        _twins(published),
    ]


def _off(name: str, found: Sequence[tuple[str, KindT]], plan: Mapping[KindT, float], unit: str) -> Figure:
    """Total variation between what was found and the plan; what nobody planned counts in full."""
    kinds = [*plan, *dict.fromkeys(kind for _, kind in found if kind not in plan)]
    wanted = np.array([float(plan.get(kind, 0)) for kind in kinds])
    users = sorted({user for user, _ in found})
    counts = np.zeros((len(users), len(kinds)))
    row, column = {user: place for place, user in enumerate(users)}, {kind: place for place, kind in enumerate(kinds)}
    for user, kind in found:
        counts[row[user], column[kind]] += 1
    planned = len(found) if wanted.sum() > 0 else 0
    return sample(name, users, total_variation(counts, wanted), Units(planned, unit), Limit(None, OFF_PLAN))


def _lives(published: Published) -> list[Figure]:
    """How many of the facts with which a life begins change, are asked to be forgotten, or show in faint cues only."""
    told = [fact for fact in published.facts.values() if fact.status == "true"]
    roots, replaced = [fact for fact in told if fact.supersedes is None], {fact.supersedes for fact in told}
    found = {
        "updates": [(fact.persona_id, fact.fact_id in replaced) for fact in roots if fact.mutable],
        "forgets": [(fact.persona_id, fact.forget_requested_at is not None) for fact in roots],
        "graded": [(fact.persona_id, fact.cues_needed > 1) for fact in roots],
    }
    config = published.plan.expand
    plan = {"updates": config.updates, "forgets": config.forgets, "graded": config.graded}
    return [_off(name, facts, {True: plan[name], False: 1 - plan[name]}, "first facts") for name, facts in found.items()]


def _showings(published: Published) -> Figure:
    """In how many sessions a fact shows of which one is enough; those that found no room in a history show in none."""
    sessions = Counter(name for one in published.sessions if one.role in ("evidence", "update") for name in set(one.fact_ids))
    low, high = published.plan.converse.sessions_per_fact
    shown = [
        (fact.persona_id, sessions[name])
        for name, fact in published.facts.items()
        if fact.status == "true" and fact.cues_needed == 1 and sessions[name]
    ]
    return _off("evidence_per_fact", shown, dict.fromkeys(range(low, high + 1), 1.0), "facts shown")


def _missing(published: Published) -> Figure:
    """The share of the planned questions that is missing; what one persona is asked too often makes up for nobody."""
    each, asked = published.plan.ask.questions_per_persona, Counter(question.persona_id for question in published.questions)
    users = sorted({persona.persona_id for persona in published.personas})
    missing = np.array([float(max(0, each - asked[user])) for user in users])
    estimate = ratio(missing, np.full(len(users), float(each)))
    return sample("questions_per_persona", users, estimate, Units(each * len(users), "questions planned"), Limit(None, OFF_PLAN))


def _positions(published: Published) -> list[Figure]:
    """How evenly evidence is spread, in each kind of placement.

    After the last session what varies is where the evidence lies: its distance as a share of the history. Within the history what
    can be chosen is the moment of asking: its place between the evidence (0) and the end of the history (1), in tokens.
    """
    points: dict[str, list[tuple[str, float]]] = {"middle": [], "end": []}
    lengths = {session_id: session.tokens for session_id, session in published.session.items()}
    for placed in published.placed:
        if placed.placement.distance_tokens is not None:
            kind = "end" if placed.placement.position >= len(placed.history.session_ids) else "middle"
            points[kind].append((placed.question.persona_id, _place(placed, placed.placement.distance_tokens, lengths)))
    return [_spread(f"evidence_position_{kind}", found) for kind, found in points.items()]


def _place(placed: Placed, distance: int, lengths: Mapping[str, int]) -> float:
    after = sum(lengths.get(name, 0) for name in placed.history.session_ids[placed.placement.position :])
    whole = distance + after if after else placed.history.tokens
    return distance / max(whole, 1)


def _spread(name: str, found: Sequence[tuple[str, float]]) -> Figure:
    users = sorted({user for user, _ in found})
    row = {user: place for place, user in enumerate(users)}
    points = np.array([point for _, point in found], dtype=np.float64)
    owners = np.array([row[user] for user, _ in found], dtype=np.int64)
    estimate, units = from_uniform(points, owners), Units(len(found), "questions in histories")
    return replace(sample(name, users, estimate, units, Limit(None, OFF_UNIFORM)), form="number")


def _twins(published: Published) -> Figure:
    """Whether each item's four options are gold equally often within its split."""
    bad = 0
    for tables in published.splits.values():
        golds: dict[str, dict[str, int]] = defaultdict(dict)
        for question in tables.questions:
            counts = golds[question.item_id]
            for option in question.options:
                counts.setdefault(option.text, 0)
            counts[question.options[question.gold_index].text] += 1
        bad += sum(sum(counts.values()) for counts in golds.values() if len(set(counts.values())) > 1)
    return all_of("twin_balance", bad, Units(len(published.questions), "questions"))
