"""Filling a history: which of a persona's sessions it holds, and where in it a moment lies."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate

from schemas.ids import digest
from schemas.session import SessionHead


@dataclass(frozen=True)
class Filled:
    """The sessions of one history, in order of time."""

    budget: int
    heads: tuple[SessionHead, ...]

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """Tokens before each place: `tokens[n]` are those of the first `n` sessions."""
        return tuple(accumulate((head.tokens for head in self.heads), initial=0))

    @cached_property
    def place_of(self) -> dict[str, int]:
        """The index of each session."""
        return {head.session_id: index for index, head in enumerate(self.heads)}

    def position(self, moment: datetime) -> int:
        """How many sessions precede a moment."""
        return sum(head.started_at < moment for head in self.heads)

    def end_of(self, needs: Sequence[SessionHead]) -> int | None:
        """How many sessions there are up to the last that is needed; None where one is missing, 0 where none is needed."""
        places = [self.place_of.get(head.session_id) for head in needs]
        if any(place is None for place in places):
            return None
        return max((place + 1 for place in places if place is not None), default=0)


def fill_history(heads: Sequence[SessionHead], budget: int, run_seed: int) -> Filled:
    """Sessions whose tokens do not pass `budget`: facts' sessions go in first, then traps, then the rest.

    Within each of the three the order is by hash. Sessions of one fact stand or fall together, so that no fact is half told.
    """
    groups: dict[str, list[SessionHead]] = defaultdict(list)
    for head in heads:
        groups[head.fact_ids[0] if head.fact_ids else head.session_id].append(head)

    def order(name: str) -> tuple[int, str]:
        first = groups[name][0]
        return (0 if first.fact_ids else 1 if first.noise_kind != "unrelated" else 2, digest("fill", run_seed, name))

    chosen: list[SessionHead] = []
    room = budget
    for name in sorted(groups, key=order):
        needed = sum(head.tokens for head in groups[name])
        if needed <= room:
            chosen += groups[name]
            room -= needed
    return Filled(budget, tuple(sorted(chosen, key=lambda head: (head.started_at, head.session_id))))
