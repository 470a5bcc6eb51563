"""What is not true of a persona: the false facts that noise will tempt a memory with, planned before any noise is written."""

from collections.abc import Sequence

from author.seam import Unwritten
from flows.run import Run, unwritten
from flows.timeline import STAGE, life_of, make_fact, reject
from prompts.catalogue import clusters, load_catalogue
from schemas.drafts import TrapsDraft, ValueDraft
from schemas.fact import Fact
from schemas.ids import derive, normalise, rng
from schemas.outcome import Reject
from schemas.persona import Persona
from schemas.session import NoiseKind

_TRAP_KINDS: tuple[NoiseKind, ...] = ("hypothetical", "third_person", "quoted", "fiction", "assistant_only", "near_miss")
_OF_OTHERS: frozenset[NoiseKind] = frozenset({"third_person", "quoted", "fiction"})
"""Traps that are true of somebody else, who has a name."""


def trap_kind(trap: Fact) -> NoiseKind:
    """The kind of noise that lays this trap: the last part of its id."""
    return next(kind for kind in _TRAP_KINDS if trap.fact_id.endswith(f"-{kind}"))


def planned_traps(run: Run) -> list[NoiseKind]:
    """The kinds of the traps that a persona is to have: one for each planned session of a kind that lays one."""
    return [kind for kind in _TRAP_KINDS for _ in range(run.config.distract.noise.get(kind, 0))]


async def lay_traps(run: Run, persona: Persona, facts: Sequence[Fact], pool: frozenset[str]) -> tuple[list[Fact], list[Reject]]:
    """False facts for the noise to tempt with, as planned; a reject for each that could not be had."""
    name, kinds = persona.persona_id, planned_traps(run)
    if not kinds:
        return [], []
    since = life_of(run.seed, name, run.config.expand.months).start.date()
    far = [kind for kind in kinds if kind != "near_miss"]
    kinds = [*rng(run.seed, name, "trap kinds").sample(far, len(far)), *(kind for kind in kinds if kind == "near_miss")]
    try:
        drafts, names = await _false_drafts(run, persona, facts, pool, kinds)
    except Unwritten as gone:
        return [], [unwritten(gone, f"{name}/t{number:02d}-{kind}", "fact", STAGE) for number, kind in enumerate(kinds)]
    traps, rejects = [], []
    for number, kind in enumerate(kinds):
        trap_id = f"{name}/t{number:02d}-{kind}"
        if number >= len(drafts):
            rejects.append(reject(trap_id, "no_material", "the author proposed no further value that this persona does not hold"))
            continue
        attribute, draft = drafts[number]
        owner = names[number % len(names)] if kind in _OF_OTHERS else "self"
        traps.append(make_fact(persona, trap_id, attribute, draft, since, owner=owner, status="trap"))
    return traps, rejects


async def _false_drafts(
    run: Run, persona: Persona, facts: Sequence[Fact], pool: frozenset[str], kinds: Sequence[NoiseKind]
) -> tuple[list[tuple[str, ValueDraft]], Sequence[str]]:
    """Values that are not the user's, with their attributes, and names of other people.

    Half contradict what the user holds, half are about other attributes, near misses among them: what the user merely asks about is
    tempting where they never told. Secrets are nobody's small talk: none of those.
    """
    count, names, near = len(kinds), sum(kind in _OF_OTHERS for kind in kinds), kinds.count("near_miss")
    name, secret = persona.persona_id, {entry.attribute for entry in load_catalogue().values() if entry.nature == "sensitive"}
    open_facts = [fact for fact in facts if fact.supersedes is None and fact.valid_until is None and fact.attribute not in secret]
    against = rng(run.seed, name, "against").sample(open_facts, min(len(open_facts), count // 2, count - near))
    avoid = (load_catalogue().keys() - pool) | secret | {other for fact in facts for other in clusters()[fact.attribute]}
    request = {
        "persona": persona, "held": tuple(facts), "facts": tuple(against), "other": count - len(against), "near": near,
        "avoid": tuple(sorted(avoid)), "names": max(1, names), "catalogue": load_catalogue(),
    }  # fmt: skip
    drafts = await run.author.write("expand/traps", request, TrapsDraft, derive(run.seed, name, "traps"), f"{name}/traps")
    held = {(fact.attribute, normalise(fact.value)) for fact in facts}
    contrary = [(fact.attribute, draft) for fact, draft in zip(against, drafts.contrary, strict=False)]
    away = {draft.attribute: draft for draft in drafts.other if draft.attribute in load_catalogue() and draft.attribute not in avoid}
    usable = [(attribute, draft) for attribute, draft in contrary if (attribute, normalise(draft.value)) not in held]
    return [*usable, *away.items()], drafts.names
