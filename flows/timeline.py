"""When things are true of a persona: the life that its sessions cover, facts that change, facts that are to be forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from random import Random

from author.seam import Unwritten
from flows.run import Run, unwritten
from prompts.catalogue import load_catalogue
from schemas.drafts import ChangeAsked, ChangesDraft, FactDraft, ValueDraft
from schemas.fact import Fact
from schemas.ids import derive, normalise, rng, unit_interval
from schemas.outcome import Reject
from schemas.persona import Persona

STAGE = "expand"
_LAST_DAY = date(2026, 6, 30)
"""Lives end within half a year before this day; a constant, so that a version does not depend on when it was made."""
_CHANGES_FROM, _CHANGES_TO = 0.2, 0.88
"""Between these shares of a life facts change."""
_VALUE_SHOWS = 0.1
"""Share of a life for which a value holds at least before it changes again, so that it can show and be asked about."""
_BACK = 0.35
"""Share of further changes that go back to the value before."""
_PUBLIC = 0.6
"""Share of sensitive facts of which the user says that they are no secret."""
TASTES = ("stereotypical", "anti_stereotypical", "neutral")


@dataclass(frozen=True, slots=True)
class Life:
    """The stretch of time that a persona's sessions cover."""

    start: datetime
    end: datetime

    def at(self, share: float) -> datetime:
        """The moment at this share of the life, to the minute."""
        moment = self.start + (self.end - self.start) * share
        return moment.replace(second=0, microsecond=0)


def waking(at: datetime, share: float) -> datetime:
    """The same day between seven in the morning and eleven at night; `share` in [0, 1) says when."""
    return datetime.combine(at.date(), time(7), UTC) + timedelta(minutes=int(share * 16 * 60))


def waking_between(first: datetime, last: datetime) -> datetime:
    """The middle between two moments or, if that is at night, the evening before or the morning after, where it still lies between them."""
    middle = first + (last - first) / 2
    if 7 <= middle.hour < 23:
        return middle
    day = middle.date() if middle.hour >= 23 else middle.date() - timedelta(days=1)
    evening = datetime.combine(day, time(22, 45), UTC)
    return next((moment for moment in (evening, evening + timedelta(hours=8, minutes=30)) if first < moment < last), middle)


def life_of(run_seed: int, persona_id: str, months: tuple[int, int]) -> Life:
    """The life of a persona: decided by its id, whatever else is asked for."""
    length = rng(run_seed, persona_id, "life").uniform(*months) * 30.44
    end = datetime.combine(_LAST_DAY, time(21), UTC) - timedelta(days=180 * unit_interval(run_seed, persona_id, "end"))
    return Life((end - timedelta(days=length)).replace(hour=7), end)


def _some(chance: Random, numbers: Sequence[int], share: float, of: int) -> list[int]:
    """As many of `numbers` as `share` of `of` is: rounded up or down by chance, so that over many people the share is met."""
    return sorted(chance.sample(numbers, min(len(numbers), int(share * of + chance.random()))))


async def lay_out(run: Run, persona: Persona, drafts: Sequence[FactDraft]) -> tuple[list[Fact], list[Reject]]:
    """Give each fact its time and its lot: it changes, or is to be forgotten, or only ever shows faintly, or none of these.

    Also returns the changes that could not be had.
    """
    config, name, catalogue = run.config.expand, persona.persona_id, load_catalogue()
    life, chance = life_of(run.seed, name, config.months), rng(run.seed, name, "timeline")
    numbers = range(len(drafts))
    movable = [number for number in numbers if catalogue[drafts[number].attribute].mutable]
    changing = _some(chance, movable, config.updates, len(movable))
    forgotten = _some(chance, [number for number in numbers if number not in changing], config.forgets, len(drafts))
    plain = [
        number for number in numbers if number not in (*changing, *forgotten) and catalogue[drafts[number].attribute].nature != "sensitive"
    ]
    hinted = _some(chance, plain, config.graded, len(drafts))
    facts: list[Fact] = []
    for number, draft in enumerate(drafts):
        fact_id = f"{name}/f{number:02d}"
        since = (life.start - timedelta(days=chance.randint(30, 1500))).date()
        forget_at = _forget_at(run.seed, fact_id, life) if number in forgotten else None
        needed = config.cues_needed if number in hinted else 1
        facts.append(make_fact(persona, fact_id, draft.attribute, draft, since, forget_requested_at=forget_at, cues_needed=needed))
    planned = [change for number in changing for change in _plan_changes(run, facts[number], life)]
    successors, rejects = await _changes(run, persona, planned, len(facts))
    ended = {fact.supersedes: fact.valid_from for fact in successors}
    return [fact.model_copy(update={"valid_until": ended.get(fact.fact_id)}) for fact in (*facts, *successors)], rejects


def forget_distance(run_seed: int, fact_id: str) -> float:
    """How long before the request to forget it a fact last shows, as a share of the life: spread evenly."""
    return 0.03 + 0.5 * unit_interval(run_seed, fact_id, "forget distance")


def _forget_at(run_seed: int, fact_id: str, life: Life) -> datetime:
    """A moment that leaves room for the distance before it, and for questions after it."""
    chance, least = rng(run_seed, fact_id, "forget"), forget_distance(run_seed, fact_id) + 0.05
    return waking(life.at(chance.uniform(max(0.3, least), 0.92)), chance.random())


@dataclass(frozen=True, slots=True)
class _Turn:
    """A change that is planned: on which day, and what the author is asked for."""

    day: date
    asked: ChangeAsked


def _plan_changes(run: Run, fact: Fact, life: Life) -> list[_Turn]:
    """When a fact changes and changes again, with room between for each value to show; some changes go back to the value before."""
    chance = rng(run.seed, fact.fact_id, "changes")
    count = chance.randint(*run.config.expand.changes_per_fact)
    span = (_CHANGES_TO - _CHANGES_FROM) / count
    return [
        _Turn(
            life.at(_CHANGES_FROM + span * turn + chance.uniform(0, span - _VALUE_SHOWS)).date(),
            ChangeAsked(fact=fact, back=turn > 0 and chance.random() < _BACK),
        )
        for turn in range(count)
    ]


async def _changes(run: Run, persona: Persona, planned: Sequence[_Turn], taken: int) -> tuple[list[Fact], list[Reject]]:
    """What facts become, numbered from `taken`; where there is nothing new, a reject, and the fact goes on as it was."""
    name = persona.persona_id
    if not planned:
        return [], []
    request = {"persona": persona, "asked": tuple(turn.asked for turn in planned), "catalogue": load_catalogue()}
    try:
        drafts = await run.author.write("expand/changes", request, ChangesDraft, derive(run.seed, name, "changes"), f"{name}/changes")
    except Unwritten as gone:
        return [], [unwritten(gone, f"{name}/f{taken + number:02d}", "fact", STAGE) for number in range(len(planned))]
    chains: dict[str, list[Fact]] = {turn.asked.fact.fact_id: [turn.asked.fact] for turn in planned}
    rejects = []
    for number, (turn, draft) in enumerate(zip_longest(planned, drafts.changes[: len(planned)])):
        chain, new_id = chains[turn.asked.fact.fact_id], f"{name}/f{taken + number:02d}"
        if turn.asked.back and draft is not None and len(chain) > 1:
            before = {field: getattr(chain[-2], field) for field in ("value", "statement", "kind", "bank_id")}
            draft = draft.model_copy(update=before)  # noqa: PLW2901 (the same draft, with the value that it goes back to)
        if draft is None or normalise(draft.value) == normalise(chain[-1].value):
            rejects.append(reject(new_id, "no_change", f"{chain[-1].attribute}: the author gave {chain[-1].value!r} no successor"))
        else:
            chain.append(
                make_fact(persona, new_id, chain[-1].attribute, draft, turn.day, supersedes=chain[-1].fact_id, reason=draft.reason)
            )
    successors = [fact for chain in chains.values() for fact in chain[1:]]
    return sorted(successors, key=lambda fact: fact.fact_id), rejects


def reject(record_id: str, reason: str, detail: str) -> Reject:
    """A fact that this stage turned down."""
    return Reject(record_id=record_id, record_type="fact", stage=STAGE, reason=reason, detail=detail)


def make_fact(persona: Persona, fact_id: str, attribute: str, draft: ValueDraft, since: date, **more: object) -> Fact:
    """The record of a draft. Its kind follows the nature of its attribute; a taste's is the author's to say."""
    entry = load_catalogue()[attribute]
    negative = (
        draft.statement.split()[0] in {"avoids", "never", "dislikes", "refuses", "cannot", "lacks"} or " not " in f" {draft.statement} "
    )
    fields: Mapping[str, object] = {
        "owner": "self", "status": "true", "cues_needed": 1, "valid_until": None, "supersedes": None, "reason": None,
        "forget_requested_at": None, **more,
    }  # fmt: skip
    return Fact.model_validate(
        {
            "fact_id": fact_id,
            "persona_id": persona.persona_id,
            "attribute": attribute,
            "value": draft.value,
            "statement": draft.statement,
            "kind": entry.nature if entry.nature != "taste" else draft.kind if draft.kind in TASTES else "neutral",
            "domain": entry.domain,
            "polarity": "negative" if negative else "positive",
            "repeatable": entry.nature != "sensitive" or unit_interval(persona.persona_id, attribute, "public") < _PUBLIC,
            "mutable": entry.mutable,
            "valid_from": since,
            "bank_id": draft.bank_id,
            **fields,
        }
    )
