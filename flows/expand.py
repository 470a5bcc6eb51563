"""Stage 2, expand: a seed becomes a persona, the persona gets its facts on a dated timeline and the traps that noise will lay.

Repeats and contradictions are settled here, before any session is written: a proposal for an attribute that is already held is
turned down, as a repeat where the statements mean the same and as a contradiction where they do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import cast

from flows.run import Run, Start, gather
from prompts.catalogue import clusters, load_catalogue
from schemas.drafts import FactDraft, FactsDraft, PersonaDraft, ValuesDraft
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.ids import derive, rng, unit_interval
from schemas.outcome import Reject
from schemas.persona import Persona
from schemas.session import NoiseKind
from store.parts import Produced, Receipt, ensure_part
from text.encoder import Vectors, encoder_id, full_encode

STAGE = "expand"
VERSION = 1
_LAST_DAY = date(2026, 6, 30)
"""Lives end within half a year before this day; a constant, so that a version does not depend on when it was made."""
_SAME_STATEMENT = 0.75
"""Cosine from which two statements about one attribute say the same."""
_TRAP_KINDS: tuple[NoiseKind, ...] = ("hypothetical", "third_person", "quoted", "fiction", "assistant_only")


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


def expand_shard(run: Run, index: int, starts: Sequence[Start]) -> Receipt:
    """Make (or find) the part of one shard."""
    inputs = (
        VERSION, run.seed, run.author.id, encoder_id(), run.config.expand.model_dump_json(), run.config.distract.model_dump_json(),
        run.config.seeds.personas_per_seed, load_catalogue(), *((start.seed.model_dump_json(), start.copy) for start in starts),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, starts))


def _produce(run: Run, starts: Sequence[Start]) -> Produced:
    done = gather([_expand(run, start) for start in starts], run.config.run.concurrency)
    expansions = [expansion for expansion, _, _ in done]
    rejects = [reject for _, refused, _ in done for reject in refused]
    return Produced(
        rows=expansions,
        row_type=Expansion,
        rejects=rejects,
        requested={"persona": len(starts), "fact": sum(asked for _, _, asked in done)},
        kept={"persona": len(expansions), "fact": sum(len(expansion.facts) for expansion in expansions)},
    )


async def _expand(run: Run, start: Start) -> tuple[Expansion, list[Reject], int]:
    """The persona with its facts, the proposals turned down, and how many facts were asked for in all."""
    name = start.persona_id
    draft = await run.author.write(
        "expand/persona", {"seed_text": start.seed.text, "copy": start.copy}, PersonaDraft, derive(run.seed, name, "persona")
    )
    persona = Persona(persona_id=name, seed_id=start.seed.seed_id, split=start.seed.split, **draft.model_dump())
    config = run.config.expand
    proposals = await run.author.write(
        "expand/facts",
        {"persona": persona, "count": config.facts_per_persona, "kinds": config.kinds, "reserve": 4 * config.facts_per_persona},
        FactsDraft,
        derive(run.seed, name, "facts"),
    )
    chosen, rejects, looked_at = _settle(name, proposals.facts, config.facts_per_persona)
    facts = await _lay_out(run, persona, chosen)
    traps = await _traps(run, persona, facts)
    planned = len(_planned_traps(run))
    missing = config.facts_per_persona - len(chosen)
    rejects += [_no_material(f"{name}/x{len(rejects) + number:02d}") for number in range(missing + planned - len(traps))]
    asked = looked_at + missing + (len(facts) - len(chosen)) + planned
    return Expansion(persona=persona, facts=(*facts, *traps)), rejects, asked


def _settle(persona: str, proposals: Sequence[FactDraft], wanted: int) -> tuple[list[FactDraft], list[Reject], int]:
    """The first `wanted` proposals that neither repeat nor contradict an earlier one, the others with why, and how many were looked at."""
    held: dict[str, FactDraft] = {}
    rejects: list[Reject] = []
    looked_at = 0
    for draft in proposals:
        if len(held) == wanted:
            break
        looked_at += 1
        clash = next((name for name in held if name in clusters()[draft.attribute]), None)
        if clash is None:
            held[draft.attribute] = draft
        else:
            other, number = held[clash], list(held).index(clash)
            rejects.append(_turned_down(f"{persona}/x{len(rejects):02d}", draft, other, f"{persona}/f{number:02d}"))
    return list(held.values()), rejects, looked_at


def _no_material(record_id: str) -> Reject:
    detail = "the author proposed no further attribute that this persona does not hold"
    return Reject(record_id=record_id, record_type="fact", stage=STAGE, reason="no_material", detail=detail)


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


async def _lay_out(run: Run, persona: Persona, drafts: Sequence[FactDraft]) -> list[Fact]:
    """Give each fact its time; let some mutable ones change and some be asked to be forgotten."""
    config, name = run.config.expand, persona.persona_id
    life = life_of(run.seed, name, config.months)
    chance = rng(run.seed, name, "timeline")
    catalogue = load_catalogue()
    movable = [number for number, draft in enumerate(drafts) if catalogue[draft.attribute].mutable]
    changing = set(chance.sample(movable, round(config.updates * len(movable))))
    staying = [number for number in range(len(drafts)) if number not in changing]
    forgotten = set(chance.sample(staying, min(len(staying), round(config.forgets * len(drafts)))))
    facts: list[Fact] = []
    successors: list[Fact] = []
    for number, draft in enumerate(drafts):
        since = (life.start - timedelta(days=chance.randint(30, 1500))).date()
        forget_at = waking(life.at(chance.uniform(0.45, 0.9)), chance.random()) if number in forgotten else None
        fact = _fact(persona, f"{name}/f{number:02d}", draft, since, forget_requested_at=forget_at)
        if number in changing:
            change = await run.author.write(
                "expand/change", {"fact": fact, "persona": persona}, FactDraft, derive(run.seed, fact.fact_id, "change")
            )
            day = life.at(chance.uniform(0.5, 0.85)).date()
            fact = fact.model_copy(update={"valid_until": day})
            new_id = f"{name}/f{len(drafts) + len(successors):02d}"
            successors.append(_fact(persona, new_id, change, day, supersedes=fact.fact_id, reason=change.reason))
        facts.append(fact)
    return facts + successors


def trap_kind(trap: Fact) -> NoiseKind:
    """The kind of noise that lays this trap: the last part of its id."""
    return next(kind for kind in _TRAP_KINDS if trap.fact_id.endswith(f"-{kind}"))


def _planned_traps(run: Run) -> list[NoiseKind]:
    """The kinds of the traps that a persona is to have: one for each planned session of a kind that lays one."""
    return [kind for kind in _TRAP_KINDS for _ in range(run.config.distract.noise.get(kind, 0))]


async def _traps(run: Run, persona: Persona, facts: Sequence[Fact]) -> list[Fact]:
    """False facts for the noise to tempt with, as planned."""
    name, kinds = persona.persona_id, _planned_traps(run)
    if not kinds:
        return []
    since = life_of(run.seed, name, run.config.expand.months).start.date()
    drafts = await _false_drafts(run, persona, facts, len(kinds))
    request = {"persona": persona, "count": len(kinds)}
    names = await run.author.write("expand/names", request, ValuesDraft, derive(run.seed, name, "names"))
    traps = []
    for number, (kind, draft) in enumerate(zip(rng(run.seed, name, "trap kinds").sample(kinds, len(kinds)), drafts, strict=False)):
        owner = names.values[number % len(names.values)] if kind in ("third_person", "quoted", "fiction") else "self"
        traps.append(_fact(persona, f"{name}/t{number:02d}-{kind}", draft, since, owner=owner, status="trap"))
    return traps


async def _false_drafts(run: Run, persona: Persona, facts: Sequence[Fact], count: int) -> list[FactDraft]:
    """Half contradict what the user holds, half are about other attributes. Secrets are nobody's small talk: none of those."""
    name, secret = persona.persona_id, {entry.attribute for entry in load_catalogue().values() if entry.nature == "sensitive"}
    held = [fact for fact in facts if fact.supersedes is None and fact.valid_until is None and fact.attribute not in secret]
    against = [
        await run.author.write("expand/change", {"fact": fact, "persona": persona}, FactDraft, derive(run.seed, fact.fact_id, "trap"))
        for fact in rng(run.seed, name, "against").sample(held, min(len(held), count // 2))
    ]
    avoid = secret | {name for fact in facts for name in clusters()[fact.attribute]}
    request = {"persona": persona, "count": 0, "kinds": {"neutral": 1.0}, "avoid": tuple(sorted(avoid)), "reserve": 40 * count}
    away = await run.author.write("expand/facts", request, FactsDraft, derive(run.seed, name, "away"))
    return against + list({draft.attribute: draft for draft in away.facts}.values())[: count - len(against)]


def _fact(persona: Persona, fact_id: str, draft: FactDraft, since: date, **more: object) -> Fact:
    entry = load_catalogue()[draft.attribute]
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
            "attribute": draft.attribute,
            "value": draft.value,
            "statement": draft.statement,
            "kind": draft.kind,
            "domain": entry.domain,
            "polarity": "negative" if negative else "positive",
            "mutable": entry.mutable,
            "valid_from": since,
            "bank_id": draft.bank_id,
            **fields,
        }
    )
