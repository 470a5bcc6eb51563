"""Dealing: items are asked of users so that of each item's four options every one is right equally often.

Whoever knows only the item, or learns from other users' answers to it, is then right in a quarter of the cases, whatever the wording.
Questions are dealt in quads: one item, four users (or moments of one), each with another option as the right one. A quad stands in one
split, and in the same histories.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from flows.candidates import Candidate, Person
from flows.fill import Filled
from schemas.ids import normalise
from schemas.question import Item, QuestionKind

Moment = Literal["middle", "end"]
_BINS = 20
"""Into so many equal ranges the distance from evidence to question is divided, to be spread evenly over them."""
_LATE = 0.1
"""From this share of the questions on, who has the most left to be asked goes before even distances: a last quad needs four such users."""
_UNTOUCHED = 24
"""People who never spoke of an attribute that are looked at for one of its items."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that is to be asked: who, what, and after how many sessions of the history `where`."""

    person: Person
    candidate: Candidate
    where: Filled
    position: int


@dataclass(frozen=True, slots=True)
class _Way:
    """A candidate at a kind of moment. `reach` has the bins that its distance can fall into; empty where there is none."""

    person: Person
    candidate: Candidate
    moment: Moment
    where: Filled
    first: int
    last: int
    reach: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str | None, Moment]:
        """What an item is asked for once only."""
        return self.person.name, self.candidate.gold, self.moment


class Dealer:
    """Deals the items of one split to its people."""

    def __init__(
        self, people: Sequence[Person], items: Sequence[Item], wanted: int, kinds: Mapping[QuestionKind, float], chance: Random
    ) -> None:
        self._people = people
        self._room = {person.name: wanted for person in people}
        self._wanted = wanted * len(people)
        self._target = {kind: share * wanted * len(people) for kind, share in kinds.items() if share > 0}
        self._got: Counter[QuestionKind] = Counter()
        self._lured: Counter[tuple[QuestionKind, str]] = Counter()
        self._bins: dict[Moment, Counter[int]] = {"middle": Counter(), "end": Counter()}
        self._chance = chance
        self._used: dict[str, set[tuple[str, str | None, Moment]]] = defaultdict(set)
        self._supply = [supply for item in chance.sample(items, len(items)) for supply in self._supplies(item) if all(supply)]

    def deal(self) -> Iterator[Ask]:
        """The questions, quad by quad. Kinds that lack questions go first; when no more of them can be had, any kind does."""
        for strict in (True, False):
            dealt = True
            while dealt:
                dealt = False
                for supply in self._supply:
                    if (quad := self._quad(supply, strict)) is not None:
                        dealt = True
                        yield from quad

    def _supplies(self, item: Item) -> Iterator[list[list[_Way]]]:
        """For each set of histories, the ways to ask for each of the item's options."""
        places = [None if option.value is None else normalise(option.value) for option in item.options]
        found: dict[tuple[int, ...], list[list[_Way]]] = defaultdict(lambda: [[] for _ in places])
        strangers = 0
        for person in self._chance.sample(self._people, len(self._people)):
            for candidate in person.candidates(item):
                strangers += not candidate.facts
                if (candidate.facts or strangers <= _UNTOUCHED) and candidate.kind in self._target:
                    holding = [history for history in person.histories if history.end_of(candidate.needs) is not None]
                    if holding:
                        budgets = tuple(history.budget for history in holding)
                        found[budgets][places.index(candidate.gold)] += _ways(person, candidate, holding[0])
        yield from found.values()

    def _quad(self, supply: Sequence[Sequence[_Way]], strict: bool) -> list[Ask] | None:
        """The best four ways, one for each option; None where one of them cannot be had.

        What is needed most comes first: its kind, then what tempts, its distance, its user.
        """
        taken, got, lured, chosen = Counter[str](), Counter(self._got), Counter(self._lured), list[_Way]()
        used = self._used[supply[0][0].candidate.item.item_id]
        late = sum(self._room.values()) < _LATE * self._wanted
        for ways in sorted(supply, key=len):
            open_ways = [
                way
                for way in ways
                if self._room[way.person.name] > taken[way.person.name]
                and way.key not in used
                and (not strict or got[way.candidate.kind] < self._target[way.candidate.kind])
            ]
            if not open_ways:
                return None
            best = min(
                open_ways,
                key=lambda way: (
                    round(got[way.candidate.kind] / self._target[way.candidate.kind], 2),
                    lured[way.candidate.kind, way.candidate.lure],
                    taken[way.person.name] - self._room[way.person.name] if late else 0,
                    self._crowd(way),
                    taken[way.person.name] - self._room[way.person.name],
                ),
            )
            taken[best.person.name] += 1
            got[best.candidate.kind] += 1
            lured[best.candidate.kind, best.candidate.lure] += 1
            chosen.append(best)
        self._got, self._lured = got, lured
        asks = []
        for way in chosen:
            self._room[way.person.name] -= 1
            used.add(way.key)
            asks.append(self._place(way))
        return asks

    def _crowd(self, way: _Way) -> int:
        """How many questions lie already where this one would, at least."""
        return min((self._bins[way.moment][bin_] for bin_ in way.reach), default=0)

    def _place(self, way: _Way) -> Ask:
        """The moment: in the emptiest of the ranges that it can reach, or anywhere where there is no distance."""
        if way.moment == "end" or not way.reach:
            position = way.last if way.moment == "end" else self._chance.randint(way.first, way.last)
            self._bins[way.moment].update(way.reach)
            return Ask(way.person, way.candidate, way.where, position)
        least = min(self._bins["middle"][bin_] for bin_ in way.reach)
        chosen = self._chance.choice([bin_ for bin_ in way.reach if self._bins["middle"][bin_] == least])
        self._bins["middle"][chosen] += 1
        positions = range(way.first, way.last + 1)
        inside = [position for position in positions if _bin(way.where, way.first, position) == chosen]
        return Ask(way.person, way.candidate, way.where, self._chance.choice(inside))


def _bin(where: Filled, evidence: int, position: int) -> int:
    """Which range the distance from the evidence falls into, as a share of the largest that it could be."""
    room = where.tokens[-1] - where.tokens[evidence]
    return min(_BINS - 1, int(_BINS * (where.tokens[position] - where.tokens[evidence]) / room))


def _ways(person: Person, candidate: Candidate, where: Filled) -> Iterator[_Way]:
    """At the end of the history, and in the middle of it."""
    evidence, whole = where.end_of(candidate.needs) or 0, len(where.heads)
    last = whole - 1 if candidate.before is None else min(whole - 1, where.position(candidate.before))
    if candidate.before is None:
        distance = where.tokens[-1] - where.tokens[evidence]
        at = min(_BINS - 1, int(_BINS * distance / where.tokens[-1]))
        yield _Way(person, candidate, "end", where, whole, whole, (at,) if evidence else ())
    first = evidence or max(1, whole // 5)
    if first <= last and where.tokens[-1] > where.tokens[first]:
        reach = tuple(sorted({_bin(where, evidence, position) for position in range(first, last + 1)})) if evidence else ()
        yield _Way(person, candidate, "middle", where, first, last, reach)
