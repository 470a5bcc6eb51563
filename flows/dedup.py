"""Stage 5, dedup: sessions, padding and items that repeat one another across all personas go, one of each group stays.

Who goes: of two in different splits the one in train, then the one in validation; within a split the later id. Questions are dealt
afterwards, to what is left.
"""

from collections.abc import Sequence

from flows.run import Run
from schemas.expansion import Expansion
from schemas.outcome import RecordType, Reject, Survivor
from schemas.question import Item
from schemas.seed import KEEP_FIRST, Split
from schemas.session import Session
from store.parts import Produced, Receipt, ensure_part, read_part
from text.encoder import encoder_id
from text.neardup import Limits, find_duplicates

STAGE = "dedup"
VERSION = 2


def dedup_all(run: Run, upstream: Sequence[Receipt], shards: int, item_shards: int) -> Receipt:
    """Make (or find) the one part of this stage."""
    inputs = (VERSION, run.config.dedup.model_dump_json(), encoder_id(), *(receipt.content for receipt in upstream))
    return ensure_part(run.folder, STAGE, 0, inputs, lambda: _produce(run, shards, item_shards))


def _produce(run: Run, shards: int, item_shards: int) -> Produced:
    session_ids, session_rejects = _sessions(run, shards)
    item_ids, item_rejects = _items(run, item_shards)
    kept = [Survivor(record_id=name, record_type="session") for name in session_ids]
    kept += [Survivor(record_id=name, record_type="item") for name in item_ids]
    rejects = [*session_rejects, *item_rejects]
    requested: dict[RecordType, int] = {
        "session": len(session_ids) + len(session_rejects), "item": len(item_ids) + len(item_rejects),
    }  # fmt: skip
    counts = {kind: sum(survivor.record_type == kind for survivor in kept) for kind in requested}
    return Produced(kept, Survivor, rejects, requested, counts)


def _sessions(run: Run, shards: int) -> tuple[list[str], list[Reject]]:
    rows: list[tuple[int, str, tuple[object, ...], str]] = []
    for index in range(shards):
        splits: dict[str, Split] = {}
        meaning: dict[str, tuple[str, str]] = {}
        for expansion in read_part(run.folder, "expand", index, Expansion):
            splits[expansion.persona.persona_id] = expansion.persona.split
            meaning |= {fact.fact_id: (fact.attribute, fact.value) for fact in expansion.facts}
        for stage in ("converse", "distract"):
            for session in read_part(run.folder, stage, index, Session):
                first = KEEP_FIRST[splits[session.persona_id]]
                rows.append((first, session.session_id, session.slot(meaning), session.user_text))
    rows.sort(key=lambda row: row[:2])
    return _split_off(run, "session", [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows])


def _items(run: Run, item_shards: int) -> tuple[list[str], list[Reject]]:
    items = [item for index in range(item_shards) for item in read_part(run.folder, "items", index, Item)]
    items.sort(key=lambda item: (KEEP_FIRST[item.split], item.item_id))
    slots = [(item.attribute, tuple(option.value for option in item.options)) for item in items]
    texts = ["\n".join((item.text, *(option.text for option in item.options))) for item in items]
    return _split_off(run, "item", [item.item_id for item in items], slots, texts)


def _split_off(
    run: Run, kind: RecordType, names: Sequence[str], slots: Sequence[tuple[object, ...]], texts: Sequence[str]
) -> tuple[list[str], list[Reject]]:
    """The names that stay, and the rejects of the others."""
    config = run.config.dedup
    found = find_duplicates(texts, slots, Limits(config.proposal_cosine, config.confirm_cosine, config.overlap))
    rejects = [
        Reject(
            record_id=names[duplicate.index], record_type=kind, stage=STAGE, reason="near_duplicate",
            detail=f"{duplicate.overlap:.0%} of its word 5-grams are in {names[duplicate.of]}", duplicate_of=names[duplicate.of],
            similarity=duplicate.similarity,
        )
        for duplicate in found
    ]  # fmt: skip
    gone = {duplicate.index for duplicate in found}
    return [name for index, name in enumerate(names) if index not in gone], rejects
