"""When things are true of a persona: the life that its sessions cover, facts that change, facts that are to be forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest

from author.seam import Unwritten
from flows.run import Run, unwritten
from prompts.catalogue import load_catalogue
from schemas.drafts import ChangesDraft, FactDraft, ValueDraft
from schemas.fact import Fact
from schemas.ids import derive, normalise, rng, unit_interval
from schemas.outcome import Reject
from schemas.persona import Persona

STAGE = "expand"
_LAST_DAY = date(2026, 6, 30)
"""Lives end within half a year before this day; a constant, so that a version does not depend on when it was made."""
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


def life_of(run_seed: int, persona_id: str, months: tuple[int, int]) -> Life:
    """The life of a persona: decided by its id, whatever else is asked for."""
    length = rng(run_seed, persona_id, "life").uniform(*months) * 30.44
    end = datetime.combine(_LAST_DAY, time(21), UTC) - timedelta(days=180 * unit_interval(run_seed, persona_id, "end"))
    return Life((end - timedelta(days=length)).replace(hour=7), end)


async def lay_out(run: Run, persona: Persona, drafts: Sequence[FactDraft]) -> tuple[list[Fact], list[Reject]]:
    """Give each fact its time; let some mutable ones change and some be asked to be forgotten. Also the changes that could not be had."""
    config, name = run.config.expand, persona.persona_id
    life = life_of(run.seed, name, config.months)
    chance = rng(run.seed, name, "timeline")
    catalogue = load_catalogue()
    movable = [number for number, draft in enumerate(drafts) if catalogue[draft.attribute].mutable]
    changing = sorted(chance.sample(movable, round(config.updates * len(movable))))
    staying = [number for number in range(len(drafts)) if number not in changing]
    forgotten = set(chance.sample(staying, min(len(staying), round(config.forgets * len(drafts)))))
    facts: list[Fact] = []
    for number, draft in enumerate(drafts):
        since = (life.start - timedelta(days=chance.randint(30, 1500))).date()
        forget_at = waking(life.at(chance.uniform(0.45, 0.9)), chance.random()) if number in forgotten else None
        facts.append(make_fact(persona, f"{name}/f{number:02d}", draft.attribute, draft, since, forget_requested_at=forget_at))
    days = {number: life.at(chance.uniform(0.5, 0.85)).date() for number in changing}
    successors, rejects = await _changes(run, persona, [(facts[number], day) for number, day in days.items()], len(facts))
    ended = {fact.supersedes: fact.valid_from for fact in successors}
    facts = [fact.model_copy(update={"valid_until": ended.get(fact.fact_id)}) for fact in facts]
    return facts + successors, rejects


async def _changes(run: Run, persona: Persona, ending: Sequence[tuple[Fact, date]], taken: int) -> tuple[list[Fact], list[Reject]]:
    """What the facts that end become, numbered from `taken`; where there is nothing new, a reject, and the fact goes on."""
    name = persona.persona_id
    if not ending:
        return [], []
    request = {"persona": persona, "facts": tuple(fact for fact, _ in ending), "catalogue": load_catalogue()}
    try:
        drafts = await run.author.write("expand/changes", request, ChangesDraft, derive(run.seed, name, "changes"), f"{name}/changes")
    except Unwritten as gone:
        return [], [unwritten(gone, f"{name}/f{taken + number:02d}", "fact", STAGE) for number in range(len(ending))]
    successors, rejects = [], []
    for number, ((fact, day), change) in enumerate(zip_longest(ending, drafts.changes[: len(ending)])):
        new_id = f"{name}/f{taken + number:02d}"
        if change is None or normalise(change.value) == normalise(fact.value):
            rejects.append(reject(new_id, "no_change", f"{fact.attribute}: the author gave {fact.value!r} no successor"))
        else:
            successors.append(make_fact(persona, new_id, fact.attribute, change, day, supersedes=fact.fact_id, reason=change.reason))
    return successors, rejects


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
        "owner": "self", "status": "true", "valid_until": None, "supersedes": None, "reason": None, "forget_requested_at": None, **more,
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
            "cues_needed": 1,
            "mutable": entry.mutable,
            "valid_from": since,
            "bank_id": draft.bank_id,
            **fields,
        }
    )
