"""Stage 2, expand: a seed becomes a persona, the persona gets its facts on a dated timeline and the traps that noise will lay.

Repeats and contradictions are settled here, before any session is written: a proposal for an attribute that is already held is
turned down, as a repeat where the statements mean the same and as a contradiction where they do not.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from author.seam import Unwritten
from flows.run import Run, Start, gather, unwritten
from flows.timeline import STAGE, TASTES, lay_out, reject
from flows.traps import lay_traps
from prompts.catalogue import clusters, load_catalogue
from schemas.drafts import FactDraft, FactsDraft, PersonaDraft
from schemas.expansion import Expansion
from schemas.ids import derive, rng
from schemas.outcome import Reject
from schemas.persona import Persona
from schemas.seed import SPLITS, Split
from store.parts import Produced, Receipt, ensure_part
from text.encoder import Vectors, encoder_id, full_encode

VERSION = 5
Pools = Mapping[Split, frozenset[str]]
_HOLDERS = 8
"""People of a split that are to hold an attribute, in the mean, as far as the catalogue is large enough."""
_SAME_STATEMENT = 0.75
"""Cosine from which two statements about one attribute say the same."""
_MOST_BATCHES = 6
"""Times the author is asked for facts, at most, to have as many as are wanted."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What became of one start: its expansion, where there is one; what was turned down; how many facts were asked for."""

    expansion: Expansion | None
    rejects: list[Reject]
    asked: int


def attribute_pools(run: Run, starts: Sequence[Start]) -> Pools:
    """The attributes that the people of each split hold facts of, fewer the fewer they are.

    An item can only be asked where several users hold its attribute with different values; in a split of a few people they would
    hardly ever meet on one of a hundred attributes.
    """
    config, pools = run.config, dict[Split, frozenset[str]]()
    facts = config.expand.facts_per_persona
    least = math.ceil(1.25 * facts) + math.ceil(sum(config.distract.noise.values()) / 2)
    natures: dict[str, list[str]] = defaultdict(list)
    for entry in load_catalogue().values():
        natures[entry.nature].append(entry.attribute)
    for split in SPLITS:
        people = sum(start.seed.split == split for start in starts)
        size = max(least, math.ceil(people * facts / _HOLDERS))
        taken: list[str] = []
        for nature, names in natures.items():
            share = sum(share for kind, share in config.expand.kinds.items() if kind == nature or (nature == "taste" and kind in TASTES))
            taken += rng(run.seed, "pool", split, nature).sample(names, min(len(names), math.ceil(share * size)))
        pools[split] = frozenset(taken)
    return pools


def expand_shard(run: Run, index: int, starts: Sequence[Start], pools: Pools) -> Receipt:
    """Make (or find) the part of one shard."""
    inputs = (
        VERSION, run.seed, run.author.id_for(STAGE), encoder_id(), run.config.expand.model_dump_json(),
        run.config.distract.model_dump_json(), run.config.seeds.personas_per_seed, load_catalogue(),
        *((start.seed.model_dump_json(), start.copy, sorted(pools[start.seed.split])) for start in starts),
    )  # fmt: skip
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, starts, pools))


def _produce(run: Run, starts: Sequence[Start], pools: Pools) -> Produced:
    done = gather([_expand(run, start, pools[start.seed.split]) for start in starts])
    expansions = [grown.expansion for grown in done if grown.expansion is not None]
    return Produced(
        rows=expansions,
        row_type=Expansion,
        rejects=[reject for grown in done for reject in grown.rejects],
        requested={"persona": len(starts), "fact": sum(grown.asked for grown in done)},
        kept={"persona": len(expansions), "fact": sum(len(expansion.facts) for expansion in expansions)},
    )


async def _expand(run: Run, start: Start, pool: frozenset[str]) -> Grown:
    """The persona with its facts and traps."""
    name, wanted = start.persona_id, run.config.expand.facts_per_persona
    try:
        request = {"seed_text": start.seed.text, "copy": start.copy}
        draft = await run.author.write("expand/persona", request, PersonaDraft, derive(run.seed, name, "persona"), name)
        persona = Persona(persona_id=name, seed_id=start.seed.seed_id, split=start.seed.split, **draft.model_dump())
        settled = await _choose(run, persona, wanted, pool)
    except Unwritten as gone:
        return Grown(None, [unwritten(gone, name, "persona", STAGE)], 0)
    facts, unchanged = await lay_out(run, persona, list(settled.held.values()))
    traps, untrapped = await lay_traps(run, persona, facts, pool)
    missing = [_no_material(f"{name}/x{len(settled.rejects) + number:02d}") for number in range(wanted - len(settled.held))]
    rejects = [*settled.rejects, *missing, *unchanged, *untrapped]
    return Grown(Expansion(persona=persona, facts=(*facts, *traps)), rejects, len(facts) + len(traps) + len(rejects))


@dataclass(slots=True)
class Settled:
    """The proposals that were taken, by attribute, and the others with why not."""

    held: dict[str, FactDraft]
    rejects: list[Reject]


async def _choose(run: Run, persona: Persona, wanted: int, pool: frozenset[str]) -> Settled:
    """`wanted` facts, none of which repeats or contradicts an earlier one. What one batch lacks, the author is asked for again."""
    name, settled = persona.persona_id, Settled({}, [])
    for turn in range(_MOST_BATCHES):
        before, missing = len(settled.held), wanted - len(settled.held)
        if not missing:
            break
        avoid = sorted((load_catalogue().keys() - pool) | {other for attribute in settled.held for other in clusters()[attribute]})
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
            rejects.append(reject(record_id, "unknown_attribute", f"the catalogue has no attribute {draft.attribute!r}"))
        elif (clash := next((name for name in held if name in clusters()[draft.attribute]), None)) is None:
            held[draft.attribute] = draft
        else:
            rejects.append(_turned_down(record_id, draft, held[clash], f"{persona}/f{list(held).index(clash):02d}"))


def _no_material(record_id: str) -> Reject:
    return reject(record_id, "no_material", "the author proposed no further attribute that this persona does not hold")


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
