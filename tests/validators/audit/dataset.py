"""Clean published datasets for the audit's tests, made in memory without the pipeline, and ways to spoil and to store them.

Every user is asked the same items of their split and holds another option of each, so golds are balanced. Beside what is asked of, a user
has facts that change or are only hinted at. Texts are words drawn at random.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel

from schemas.arrow import to_table
from schemas.fact import Fact
from schemas.history import History, Placement
from schemas.persona import Persona
from schemas.question import Option, Question
from schemas.seed import Split
from schemas.session import SCENARIOS, Evidence, Message, Session
from validators.audit.tables import Plan, Published, SplitTables

USERS: dict[Split, int] = {"train": 16, "validation": 4, "test": 12}
ITEMS, UNASKED = 12, 4
"""Attributes of a user that are asked about, and that are not."""
SLOTS = 30
"""Sessions of a user."""
SECTIONS: dict[str, Any] = {
    "ask": {"questions_per_persona": ITEMS, "kinds": {"current": 0.75, "forget": 1 / 12, "ownership": 1 / 12, "restraint": 1 / 12}},
    "expand": {"updates": 1 / 7, "forgets": 1 / 14, "graded": 1 / 14},
    "converse": {"sessions_per_fact": (1, 1)},
    "distract": {
        "noise": {"third_person": 1, "hypothetical": 0, "fiction": 0, "quoted": 0, "near_miss": 0, "assistant_only": 0},
    },
    "dedup": {},
}  # fmt: skip
PLAN = Plan.of(SECTIONS)
START = datetime(2025, 1, 1, 9, tzinfo=UTC)
WORDS = (
    "river stone garden window market letter winter orange ladder copper meadow violin harbor candle forest basket mirror button engine "
    "saddle kettle pillow carpet tunnel anchor ribbon thunder marble lantern willow pepper silver canyon feather compass velvet biscuit "
    "cottage hammer island jacket needle puzzle rocket shadow temple valley walnut bridge castle desert falcon ginger helmet insect jungle "
    "kitten lemon magnet napkin oyster parrot quartz rabbit salmon turtle urchin vessel wallet yellow zipper bottle cactus dragon eagle"
).split()


class Maker:
    """Draws one dataset."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def text(self, fewest: int, most: int) -> str:
        """Some words, as a sentence."""
        return " ".join(self.chance.choices(WORDS, k=self.chance.randint(fewest, most))).capitalize() + "."

    def split(self, split: Split, users: int) -> SplitTables:
        """The tables of one split; everything in them is its own."""
        items = [
            (self.text(6, 10), [(self.text(8, 14), f"value{place} of{number}" if place < 3 else None) for place in range(4)])
            for number in range(ITEMS)
        ]
        tables = SplitTables([], [], [], [], [])
        for user in range(users):
            self.user(tables, split, f"p{split}{user:02d}", user, items)
        return tables

    def user(self, tables: Any, split: Split, name: str, number: int, items: list[tuple[str, list[tuple[str, str | None]]]]) -> None:
        """One user: told 9 values and nothing of 3 attributes: one forgotten, one of somebody else, one never mentioned."""
        slots, forget_slot = self.slots()
        sessions: dict[int, Session] = {}
        asked: list[tuple[str, int, tuple[str, ...], tuple[int, ...]]] = []
        untold = ["forget", "ownership", "restraint"]
        for index in range(ITEMS):
            gold = (number + index) % 4
            kind = untold.pop() if gold == 3 else "current"
            needs: tuple[int, ...] = ()
            fact_id = f"{name}/f{index:02d}" if kind != "ownership" else f"{name}/t{index:02d}-third_person"
            if kind != "restraint":
                place = slots.pop() if kind != "forget" else self.chance.randrange(forget_slot)
                while place in sessions or (kind != "forget" and place == forget_slot):
                    place = self.chance.randrange(forget_slot) if kind == "forget" else slots.pop()
                value = items[index][1][gold if gold < 3 else number % 3][1]
                tables.facts.append(self.fact(name, fact_id, f"attribute{index}", str(value), kind))
                sessions[place] = self.session(name, place, "noise" if kind == "ownership" else "evidence", fact_id)
                needs = (place,)
                if kind == "forget":
                    sessions[forget_slot] = self.session(name, forget_slot, "forget", fact_id)
                    needs = (place, forget_slot)
            asked.append((kind, gold, () if kind == "restraint" else (fact_id,), needs))
        self.unasked(tables, name, sorted({*range(SLOTS - 1)} - {*sessions, forget_slot}), sessions)
        told = [sessions.get(place) or self.session(name, place, "noise", None) for place in range(SLOTS)]
        tables.sessions.extend(told)
        placements = [self.ask(tables, split, name, index, items[index], *asked[index], told) for index in range(ITEMS)]
        tables.personas.append(self.persona(name, split))
        tables.histories.append(
            History(
                history_id=f"{name}/32k", persona_id=name, budget=32000, session_ids=tuple(session.session_id for session in told),
                tokens=sum(session.tokens for session in told), questions=tuple(placements),
            )
        )  # fmt: skip

    def unasked(self, tables: Any, name: str, free: list[int], sessions: dict[int, Session]) -> None:
        """Facts of which half change in the mean, and of the others half show in two faint cues only."""
        self.chance.shuffle(free)
        for number in range(UNASKED):
            attribute, value, first = f"unasked{number}", f"habit{number}", f"{name}/f{ITEMS + number:02d}"
            fact = self.fact(name, first, attribute, value, "current")
            if self.chance.random() < 1 / 2:
                early, late = sorted((free.pop(), free.pop()))
                tables.facts.extend([fact, fact.model_copy(update={"fact_id": f"{first}n", "value": f"new {value}", "supersedes": first})])
                sessions[early] = self.session(name, early, "evidence", first)
                sessions[late] = self.session(name, late, "update", f"{first}n")
                continue
            graded = self.chance.random() < 1 / 2
            tables.facts.append(fact.model_copy(update={"cues_needed": 2 if graded else 1}))
            for _ in range(2 if graded else 1):
                place = free.pop()
                session = self.session(name, place, "evidence", first)
                sessions[place] = session.model_copy(update={"cue": "faint" if graded else "clear"})

    def slots(self) -> tuple[list[int], int]:
        """Where evidence may lie, in random order, and where the forget session lies. The last session is padding."""
        return self.chance.sample(range(SLOTS - 1), SLOTS - 1), self.chance.randrange(SLOTS // 2, SLOTS - 1)

    def ask(
        self, tables: Any, split: str, name: str, index: int, item: tuple[str, list[tuple[str, str | None]]], kind: str, gold: int,
        fact_ids: tuple[str, ...], needs: tuple[int, ...], told: list[Session],
    ) -> Placement:  # fmt: skip
        """Ask one question at the end, or between its evidence and the end."""
        text, options = item
        last = max(needs, default=0)
        position = self.chance.randint(last + 2, SLOTS - 1) if index % 2 and last + 2 < SLOTS else SLOTS
        order = self.chance.sample(range(4), 4)
        tables.questions.append(
            Question(
                question_id=f"{name}/q{index:03d}", item_id=f"i{split}{index}", persona_id=name, attribute=f"attribute{index}", text=text,
                kind=kind,
                asked_at=START + timedelta(days=position - 1, hours=1), fact_ids=fact_ids,
                evidence_session_ids=tuple(told[place].session_id for place in needs), gold_index=order.index(gold), rubric="",
                certificates=(),
                options=tuple(
                    Option(text=options[place][0], value=options[place][1], role="gold" if place == gold else "other_value")
                    for place in order
                ),
            )
        )  # fmt: skip
        distance = sum(session.tokens for session in told[last + 1 : position]) if needs else None
        return Placement(question_id=f"{name}/q{index:03d}", position=position, distance_tokens=distance)

    def session(self, name: str, place: int, role: str, fact_id: str | None) -> Session:
        """Something that the user wants, with a cue at its end where a fact shows."""
        said, cue = self.text(8, 12), self.text(6, 10)
        trap = role == "noise" and fact_id is not None
        shows = fact_id is not None and not trap
        return Session(
            session_id=f"{name}/s{place:03d}", persona_id=name, started_at=START + timedelta(days=place),
            scenario=self.chance.choice(SCENARIOS), owner="self" if shows else "other" if trap else "nobody", role=role,
            noise_kind=None if shows else "third_person" if trap else "unrelated", cue="clear" if role in ("evidence", "update") else None,
            fact_ids=(fact_id,) if fact_id and shows else (),
            trap_fact_ids=(fact_id,) if fact_id and trap else (),
            messages=(Message(role="user", content=f"{said} {cue}"), Message(role="assistant", content=self.text(6, 9))),
            evidence=(Evidence(message=0, start=len(said) + 1, end=len(f"{said} {cue}"), fact_id=fact_id),) if fact_id and shows else (),
            tokens=1 + int(self.chance.expovariate(1 / 700)),
        )  # fmt: skip

    def fact(self, name: str, fact_id: str, attribute: str, value: str, kind: str) -> Fact:
        """A fact of the user, or of somebody else."""
        trap = kind == "ownership"
        return Fact(
            fact_id=fact_id, persona_id=name, attribute=attribute, value=value, statement=value, owner="Ann" if trap else "self",
            status="trap" if trap else "true", kind="neutral", domain="d", polarity="positive", mutable=True, repeatable=True,
            cues_needed=1, valid_from=date(2024, 1, 1),
            valid_until=None, supersedes=None, reason=None, forget_requested_at=START if kind == "forget" else None, bank_id=None,
        )  # fmt: skip

    def persona(self, name: str, split: Split) -> Persona:
        """Somebody."""
        return Persona(
            persona_id=name, seed_id=f"s{name}", split=split, name="A B", age=30, gender="woman", location="x", occupation="x",
            education="x", household="x", languages=(), traits=(), speaking_style="x", profile_text=self.text(20, 24),
        )  # fmt: skip


@cache
def clean(seed: int = 0) -> Published:
    """A clean dataset. Do not change it: see `spoil`."""
    maker = Maker(seed)
    return Published(PLAN, {split: maker.split(split, users) for split, users in USERS.items()})


def spoil(published: Published, table: str, change: Callable[[Any], Any], split: Split | None = None) -> Published:
    """`published` with `change` made to every row of a table (of one split, where one is named); None leaves the row out."""
    splits = {
        name: replace(tables, **{table: [new for row in getattr(tables, table) if (new := change(row)) is not None]})
        if split in (None, name)
        else tables
        for name, tables in published.splits.items()
    }
    return Published(published.plan, splits)


def copied(published: Published, source: Split, target: Split, table: str, which: Callable[[Any], bool]) -> Published:
    """`published` with rows of one split's table also in another split's."""
    rows = [row for row in getattr(published.splits[source], table) if which(row)]
    tables = published.splits[target]
    return Published(published.plan, {**published.splits, target: replace(tables, **{table: [*getattr(tables, table), *rows]})})


def store(published: Published, root: Path) -> Path:
    """Write the dataset as one that was published."""
    records: dict[str, type[BaseModel]] = {
        "personas": Persona, "facts": Fact, "sessions": Session, "questions": Question, "histories": History,
    }  # fmt: skip
    for split, tables in published.splits.items():
        for table, record in records.items():
            folder = root / "data" / (table if table != "histories" else "histories_32k")
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(to_table(getattr(tables, table), record), folder / f"{split}-00000-of-00001.parquet")
    (root / "manifest.json").write_text(json.dumps({"config": SECTIONS, "seed": 1}), encoding="utf-8")
    return root
