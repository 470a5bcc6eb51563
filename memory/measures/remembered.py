"""How good the memories themselves are at the end of the histories, whoever reads them. What a memory holds: `memory.measures.holding`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from memory.intervals import Scores
from memory.measures.answers import Sat
from memory.measures.arms import rounded
from memory.measures.holding import Held, Holding, Kept
from memory.notes import TokenCount, write_line
from schemas.errors import InputError
from schemas.memory import SELF
from schemas.results import MemoryResult, MemoryRow, Rate

Parts = tuple[float, float]
"""Of a share: how much of how much."""
_FALSE = "false "


def memory_results(holdings: Mapping[str, Holding], rows: Sequence[MemoryRow], count: TokenCount) -> dict[Sat, MemoryResult]:
    """The results of all arms with memories, from their last writes. `holdings`: by user of the exam.

    InputError where an arm left no memory of some user, or one of a user who does not sit the exam.
    """
    last: dict[Sat, dict[str, MemoryRow]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.write):
        last[Sat(row.arm, row.budget)][row.persona_id] = row
    for sat, found in last.items():
        if odd := sorted(holdings.keys() ^ found.keys()):
            raise InputError(f"{sat}: memories are there of other users than sit the exam ({odd[0]}, …); evaluate again")
    return {sat: _result(holdings, found, count, sat.budget or 0) for sat, found in last.items()}


def _result(holdings: Mapping[str, Holding], rows: Mapping[str, MemoryRow], count: TokenCount, budget: int) -> MemoryResult:
    parts: dict[str, dict[str, Parts]] = defaultdict(dict)
    for user, holding in holdings.items():
        memory = holding.read(rows[user].memory)
        used = sum(count([write_line(kept.line) + "\n" for kept in memory.lines]))
        for name, share in (*_shares(holding, memory), ("budget_use", (used / budget, 1.0))):
            parts[name][user] = share
    rates = {name: rate_of(found) for name, found in parts.items()}
    return MemoryResult(
        **{name: rate for name, rate in rates.items() if not name.startswith(_FALSE)},
        false_memories={name.removeprefix(_FALSE): rate for name, rate in sorted(rates.items()) if name.startswith(_FALSE)},
    )


def _shares(holding: Holding, memory: Held) -> Iterator[tuple[str, Parts]]:
    """Each metric of one user's memory, as how much of how much."""
    standing, facts = holding.standing, holding.facts
    active = [kept for kept in memory.lines if kept.line.status == "active"]
    traced = {fact_id for kept in active for fact_id, _ in kept.shows}
    tempted = {name for kept in active if kept.of_self for name in kept.tempted}
    yield "recall", _among(memory.facts, standing.valid)
    yield "precision", (sum(bool(kept.shows) or _of_other(holding, kept) for kept in active), len(active))
    yield "staleness", _among(memory.facts, standing.superseded)
    yield "forget_leak", _among(traced, standing.forgotten)
    noise = [session for session in holding.sessions.values() if session.noise_kind is not None]
    others = {
        (session.session_id, name) for session in noise for name in session.trap_fact_ids if name in facts and facts[name].owner != SELF
    }
    yield "owner_error", (sum(session_id in tempted for session_id, _ in others), len(others))
    text = "\n".join(kept.line.text for kept in memory.lines).casefold()
    yield "secret_leak", (sum(any(word in text for word in words) for words in holding.secrets.values()), len(holding.secrets))
    for kind in {session.noise_kind for session in noise}:
        names = {session.session_id for session in noise if session.noise_kind == kind}
        yield f"{_FALSE}{kind}", _among(tempted, names)


def _of_other(holding: Holding, kept: Kept) -> bool:
    """Whether the line is rightly of somebody else: that person's fact shows in a session that it names."""
    names = [fact_id for session_id in kept.tempted for fact_id in holding.sessions[session_id].trap_fact_ids]
    return kept.line.owner != SELF and any(holding.facts[name].owner == kept.line.owner for name in names if name in holding.facts)


def _among(found: frozenset[str] | set[str], wanted: frozenset[str] | set[str]) -> Parts:
    return len(found & wanted), len(wanted)


def rate_of(parts: Mapping[str, Parts]) -> Rate:
    """The share over all users, with an interval that resamples users; those who have nothing to count are left out."""
    counted = {user: (some, of) for user, (some, of) in sorted(parts.items()) if of}
    if not counted:
        return Rate(value=None, ci95=None, n=0)
    some, of = np.array(list(counted.values()), dtype=np.float64).T
    scores = Scores(tuple(counted), of, {"": some})
    low, high = scores.interval("")
    return Rate(value=rounded(scores.mean("")), ci95=(round(low, 4), round(high, 4)), n=int(of.sum()))
