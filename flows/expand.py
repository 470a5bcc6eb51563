"""Stage 2, expand: a seed becomes a persona, the persona gets its facts on a dated timeline and the traps that noise will lay.

Repeats and contradictions are settled here, before any session is written: a proposal for an attribute that is already held is
turned down, as a repeat where the statements mean the same and as a contradiction where they do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import cast

from author.seam import Unwritten
from flows.run import Run, Start, gather, unwritten
from prompts.catalogue import clusters, load_catalogue
from schemas.drafts import ChangesDraft, FactDraft, FactsDraft, PersonaDraft, TrapsDraft, ValueDraft
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import derive, normalise, rng, unit_interval
from schemas.outcome import Reject
from schemas.persona import Persona
from schemas.session import NoiseKind
from store.parts import Produced, Receipt, ensure_part
from text.encoder import Vectors, encoder_id, full_encode

STAGE = "expand"
VERSION = 2
_LAST_DAY = date(2026, 6, 30)
"""Lives end within half a year before this day; a constant, so that a version does not depend on when it was made."""
_SAME_STATEMENT = 0.75
"""Cosine from which two statements about one attribute say the same."""
_MOST_BATCHES = 6
"""Times the author is asked for facts, at most, to have as many as are wanted."""
_TRAP_KINDS: tuple[NoiseKind, ...] = ("hypothetical", "third_person", "quoted", "fiction", "assistant_only")

_TASTES = ("stereotypical", "anti_stereotypical", "neutral")
_OF_OTHERS: frozenset[NoiseKind] = frozenset({"third_person", "quoted", "fiction"})
"""Traps that are true of somebody else, who has a name."""


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


@dataclass(frozen=True, slots=True)
class Grown:
    """What became of one start: its expansion, where there is one; what was turned down; how many facts were asked for."""

    expansion: Expansion | None
    rejects: list[Reject]
    asked: int


def expand_shard(run: Run, index: int, starts: Sequence[Start]) -> Receipt:
    """Make (or find) the part of one shard."""
    inputs = (
        VERSION, run.seed, run.author.id_for(STAGE), encoder_id(), run.config.expand.model_dump_json(),
        run.config.distract.model_dump_json(), run.config.seeds.personas_per_seed, load_catalogue(),
        *((start.seed.model_dump_json(), start.copy) for start in starts),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, starts))


def _produce(run: Run, starts: Sequence[Start]) -> Produced:
    done = gather([_expand(run, start) for start in starts])
    expansions = [grown.expansion for grown in done if grown.expansion is not None]
    return Produced(
        rows=expansions,
        row_type=Expansion,
        rejects=[reject for grown in done for reject in grown.rejects],
        requested={"persona": len(starts), "fact": sum(grown.asked for grown in done)},
        kept={"persona": len(expansions), "fact": sum(len(expansion.facts) for expansion in expansions)},
    )


async def _expand(run: Run, start: Start) -> Grown:
    """The persona with its facts and traps."""
    name, wanted = start.persona_id, run.config.expand.facts_per_persona
    try:
        request = {"seed_text": start.seed.text, "copy": start.copy}
        draft = await run.author.write("expand/persona", request, PersonaDraft, derive(run.seed, name, "persona"), name)
        persona = Persona(persona_id=name, seed_id=start.seed.seed_id, split=start.seed.split, **draft.model_dump())
        settled = await _choose(run, persona, wanted)
    except Unwritten as gone:
        return Grown(None, [unwritten(gone, name, "persona", STAGE)], 0)
    facts, unchanged = await _lay_out(run, persona, list(settled.held.values()))
    traps, untrapped = await _traps(run, persona, facts)
    missing = [_no_material(f"{name}/x{len(settled.rejects) + number:02d}") for number in range(wanted - len(settled.held))]
    rejects = [*settled.rejects, *missing, *unchanged, *untrapped]
    return Grown(Expansion(persona=persona, facts=(*facts, *traps)), rejects, len(facts) + len(traps) + len(rejects))


@dataclass(slots=True)
class Settled:
    """The proposals that were taken, by attribute, and the others with why not."""

    held: dict[str, FactDraft]
    rejects: list[Reject]


async def _choose(run: Run, persona: Persona, wanted: int) -> Settled:
    """`wanted` facts, none of which repeats or contradicts an earlier one. What one batch lacks, the author is asked for again."""
    name, settled = persona.persona_id, Settled({}, [])
    for turn in range(_MOST_BATCHES):
        before, missing = len(settled.held), wanted - len(settled.held)
        if not missing:
            break
        avoid = sorted({other for attribute in settled.held for other in clusters()[attribute]})
        request = {
            "persona": persona, "count": missing, "kinds": run.config.expand.kinds, "avoid": tuple(avoid), "catalogue": load_catalogue(),
        }  # fmt: skip
        try:
            proposals = await run.author.write(
                "expand/facts", request, FactsDraft, derive(run.seed, name, "facts", turn), f"{name}/facts{turn}"
            )
        except Unwritten:
            if not settled.held:
                raise
            break
        _settle(name, proposals.facts, wanted, settled)
        if len(settled.held) == before:
            break
    return settled


def _settle(persona: str, proposals: Sequence[FactDraft], wanted: int, settled: Settled) -> None:
    """Take proposals into `settled` until `wanted` are held; turn down those that repeat or contradict what is held."""
    held, rejects = settled.held, settled.rejects
    for draft in proposals:
        if len(held) == wanted:
            break
        record_id = f"{persona}/x{len(rejects):02d}"
        if draft.attribute not in load_catalogue():
            rejects.append(_reject(record_id, "unknown_attribute", f"the catalogue has no attribute {draft.attribute!r}"))
        elif (clash := next((name for name in held if name in clusters()[draft.attribute]), None)) is None:
            held[draft.attribute] = draft
        else:
            rejects.append(_turned_down(record_id, draft, held[clash], f"{persona}/f{list(held).index(clash):02d}"))


def _reject(record_id: str, reason: str, detail: str) -> Reject:
    return Reject(record_id=record_id, record_type="fact", stage=STAGE, reason=reason, detail=detail)


def _no_material(record_id: str) -> Reject:
    return _reject(record_id, "no_material", "the author proposed no further attribute that this persona does not hold")


@lru_cache(maxsize=4096)
def _meaning(statement: str) -> Vectors:
    """The statement's unit vector; the same few come up in many personas."""
    (vector,) = full_encode([statement])
    return cast(Vectors, vector)


def _turned_down(record_id: str, draft: FactDraft, other: FactDraft, other_id: str) -> Reject:
    alike = round(float(_meaning(other.statement) @ _meaning(draft.statement)), 3)
    same = draft.attribute == other.attribute and alike >= _SAME_STATEMENT
    return Reject(
        record_id=record_id,
        record_type="fact",
        stage=STAGE,
        reason="near_duplicate" if same else "contradiction",
        detail=f"{draft.attribute}: {draft.value!r} {'repeats' if same else 'contradicts'} {other.value!r}",
        duplicate_of=other_id if same else None,
        similarity=alike,
    )


async def _lay_out(run: Run, persona: Persona, drafts: Sequence[FactDraft]) -> tuple[list[Fact], list[Reject]]:
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
        facts.append(_fact(persona, f"{name}/f{number:02d}", draft.attribute, draft, since, forget_requested_at=forget_at))
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
            rejects.append(_reject(new_id, "no_change", f"{fact.attribute}: the author gave {fact.value!r} no successor"))
        else:
            successors.append(_fact(persona, new_id, fact.attribute, change, day, supersedes=fact.fact_id, reason=change.reason))
    return successors, rejects


def trap_kind(trap: Fact) -> NoiseKind:
    """The kind of noise that lays this trap: the last part of its id."""
    return next(kind for kind in _TRAP_KINDS if trap.fact_id.endswith(f"-{kind}"))


def _planned_traps(run: Run) -> list[NoiseKind]:
    """The kinds of the traps that a persona is to have: one for each planned session of a kind that lays one."""
    return [kind for kind in _TRAP_KINDS for _ in range(run.config.distract.noise.get(kind, 0))]


async def _traps(run: Run, persona: Persona, facts: Sequence[Fact]) -> tuple[list[Fact], list[Reject]]:
    """False facts for the noise to tempt with, as planned; a reject for each that could not be had."""
    name, kinds = persona.persona_id, _planned_traps(run)
    if not kinds:
        return [], []
    since = life_of(run.seed, name, run.config.expand.months).start.date()
    kinds = rng(run.seed, name, "trap kinds").sample(kinds, len(kinds))
    others = sum(kind in _OF_OTHERS for kind in kinds)
    try:
        drafts, names = await _false_drafts(run, persona, facts, len(kinds), others)
    except Unwritten as gone:
        return [], [unwritten(gone, f"{name}/t{number:02d}-{kind}", "fact", STAGE) for number, kind in enumerate(kinds)]
    traps, rejects = [], []
    for number, kind in enumerate(kinds):
        trap_id = f"{name}/t{number:02d}-{kind}"
        if number >= len(drafts):
            rejects.append(_reject(trap_id, "no_material", "the author proposed no further value that this persona does not hold"))
            continue
        attribute, draft = drafts[number]
        owner = names[number % len(names)] if kind in _OF_OTHERS else "self"
        traps.append(_fact(persona, trap_id, attribute, draft, since, owner=owner, status="trap"))
    return traps, rejects


async def _false_drafts(
    run: Run, persona: Persona, facts: Sequence[Fact], count: int, names: int
) -> tuple[list[tuple[str, ValueDraft]], Sequence[str]]:
    """Values that are not the user's, with their attributes, and names of other people.

    Half contradict what the user holds, half are about other attributes. Secrets are nobody's small talk: none of those.
    """
    name, secret = persona.persona_id, {entry.attribute for entry in load_catalogue().values() if entry.nature == "sensitive"}
    open_facts = [fact for fact in facts if fact.supersedes is None and fact.valid_until is None and fact.attribute not in secret]
    against = rng(run.seed, name, "against").sample(open_facts, min(len(open_facts), count // 2))
    avoid = secret | {other for fact in facts for other in clusters()[fact.attribute]}
    request = {
        "persona": persona, "held": tuple(facts), "facts": tuple(against), "other": count - len(against), "avoid": tuple(sorted(avoid)),
        "names": max(1, names), "catalogue": load_catalogue(),
    }  # fmt: skip
    drafts = await run.author.write("expand/traps", request, TrapsDraft, derive(run.seed, name, "traps"), f"{name}/traps")
    held = {(fact.attribute, normalise(fact.value)) for fact in facts}
    contrary = [(fact.attribute, draft) for fact, draft in zip(against, drafts.contrary, strict=False)]
    away = {draft.attribute: draft for draft in drafts.other if draft.attribute in load_catalogue() and draft.attribute not in avoid}
    usable = [(attribute, draft) for attribute, draft in contrary if (attribute, normalise(draft.value)) not in held]
    return [*usable, *away.items()], drafts.names


def _fact(persona: Persona, fact_id: str, attribute: str, draft: ValueDraft, since: date, **more: object) -> Fact:
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
            "kind": entry.nature if entry.nature != "taste" else draft.kind if draft.kind in _TASTES else "neutral",
            "domain": entry.domain,
            "polarity": "negative" if negative else "positive",
            "mutable": entry.mutable,
            "valid_from": since,
            "bank_id": draft.bank_id,
            **fields,
        }
    )
