"""Stage 5, ask, first half: items are written per attribute and split, before anybody is asked anything.

An item is one query with four complete answers: three for values of the attribute, one that assumes nothing. The values that users
hold are taken in blocks of four; for a block the author writes a query with an answer for each value in one go, and every three of
the four make an item. So a text is written once and asked of all its users, and a value that turns up later starts or fills the last
block and leaves the others as they are.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from author.seam import Unwritten
from flows.run import Run, gather, unwritten
from prompts.catalogue import load_catalogue
from schemas.drafts import AnswerDraft, ItemDraft
from schemas.expansion import Expansion
from schemas.ids import derive, digest, normalise
from schemas.outcome import RecordType, Reject, Verdict
from schemas.question import Item, ItemOption
from schemas.seed import SPLITS, Split
from store.parts import Produced, Receipt, ensure_part, read_part
from text.encoder import encoder_id
from validators.item_checks import Holder, item_verdicts
from validators.session_checks import failed

STAGE = "items"
VERSION = 3
QUERIES: dict[Split, int] = {"train": 2, "validation": 1, "test": 1}
"""Different queries per attribute and split."""
BLOCK = 4
"""Values for which one query is written."""


@dataclass(frozen=True, slots=True)
class HeldValues:
    """The values of one attribute in one split, as they first come up in order of the shards."""

    values: tuple[str, ...]
    holders: tuple[Holder, ...]
    """Of each value, the first person of whom it is true; nobody where there is no judge to read profiles."""


Held = dict[tuple[str, Split], HeldValues]


def held_values(run: Run, shards: int) -> Held:
    """The values that facts and traps of each split give to each attribute."""
    seen: dict[tuple[str, Split], dict[str, str]] = defaultdict(dict)
    holders: dict[tuple[str, Split], dict[str, Holder]] = defaultdict(dict)
    for index in range(shards):
        for expansion in read_part(run.folder, "expand", index, Expansion):
            for fact in expansion.facts:
                key, value = (fact.attribute, expansion.persona.split), normalise(fact.value)
                seen[key].setdefault(value, fact.value)
                if run.judge is not None and fact.status == "true":
                    holders[key].setdefault(value, (expansion.persona, fact.value))
    return {key: HeldValues(tuple(values.values()), tuple(holders[key].values())) for key, values in seen.items()}


def attribute_shards(held: Held, size: int) -> list[tuple[str, ...]]:
    """The attributes in use, in shards of `size`."""
    names = sorted({attribute for attribute, _ in held})
    return [tuple(names[at : at + size]) for at in range(0, len(names), size)]


def items_shard(run: Run, index: int, attributes: Sequence[str], held: Held) -> Receipt:
    """Make (or find) the part of one shard of attributes."""
    mine = [(attribute, split, held[attribute, split]) for attribute in attributes for split in SPLITS if (attribute, split) in held]
    inputs = (VERSION, run.seed, run.author.id_for("ask"), load_catalogue(), encoder_id(), *run.judged(), mine)
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, mine))


def _produce(run: Run, wanted: Sequence[tuple[str, Split, HeldValues]]) -> Produced:
    blocks = [
        _Block(attribute, split, number, held.values[at : at + BLOCK], held.holders)
        for attribute, split, held in wanted
        for number, at in enumerate(range(0, len(held.values), BLOCK))
    ]
    written = gather([_write(run, block) for block in blocks])
    items = {item.item_id: item for done in written for item in done.items}
    rejects = [reject for done in written for reject in done.rejects]
    verdicts = {(verdict.record_id, verdict.validator): verdict for done in written for verdict in done.verdicts}
    counts: dict[RecordType, int] = {"item": len(items) + len(rejects)}
    return Produced(list(items.values()), Item, rejects, counts, {"item": len(items)}, list(verdicts.values()))


@dataclass(frozen=True, slots=True)
class _Block:
    """Values for which a query is written."""

    attribute: str
    split: Split
    number: int
    held: tuple[str, ...]
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of one block."""

    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    """Of a draft that was refused, by the draft's id; else of each item that was made of it."""


async def _write(run: Run, block: _Block) -> _Done:
    """The items of one block; the queries one after another, because each must differ from those before it."""
    done, attribute, split, held = _Done(), block.attribute, block.split, block.held
    earlier: list[str] = []
    for variant in range(QUERIES[split]):
        record_id = f"i{digest(split, attribute, block.number, variant, size=5)}"
        request = {
            "attribute": attribute, "topic": load_catalogue()[attribute].topic, "split": split, "values": held, "size": BLOCK,
            "variant": variant, "earlier": tuple(earlier),
        }  # fmt: skip
        try:
            draft = await run.author.write("ask/item", request, ItemDraft, derive(run.seed, attribute, split, held, variant), record_id)
        except Unwritten as gone:
            done.rejects.append(unwritten(gone, record_id, "item", STAGE))
            continue
        answers = {normalise(answer.value): answer for answer in draft.answers}
        if missing := [value for value in held if normalise(value) not in answers]:
            done.rejects.append(_unfit(run, record_id, "incomplete", f"no answer for {missing[0]!r}", draft))
        elif len(answers) < 3:
            few = f"answers for {len(answers)} values only, three are needed"
            done.rejects.append(_unfit(run, record_id, "incomplete", few, draft))
        else:
            given = await item_verdicts(record_id, draft, block.holders, run.judge, derive(run.seed, record_id, "judge"))
            if (verdict := failed(given)) is not None:
                done.rejects.append(_unfit(run, record_id, verdict.validator, verdict.reason, draft))
                done.verdicts.extend(given)
                continue
            earlier.append(draft.query)
            twins = _twins(split, attribute, draft, {normalise(value): value for value in held}, answers)
            done.items.extend(twins)
            done.verdicts.extend(verdict.model_copy(update={"record_id": item.item_id}) for item in twins for verdict in given)
    return done


def _twins(split: Split, attribute: str, draft: ItemDraft, held: Mapping[str, str], answers: Mapping[str, AnswerDraft]) -> list[Item]:
    """An item for every three of the values; users' values as the users have them."""
    nobody = ItemOption(text=draft.no_assumption, value=None)
    items = []
    for names in combinations(sorted(answers), 3):
        offered = [held.get(name, answers[name].value) for name in names]
        item_id = f"i{digest(split, attribute, draft.query, *offered, size=5)}"
        options = [ItemOption(text=answers[name].text, value=value) for name, value in zip(names, offered, strict=True)]
        items.append(Item(item_id=item_id, split=split, attribute=attribute, text=draft.query, options=(*options, nobody)))
    return items


def _unfit(run: Run, record_id: str, reason: str, detail: str, draft: ItemDraft) -> Reject:
    retry = record_id if run.author.varies else None
    return Reject(
        record_id=record_id, record_type="item", stage=STAGE, reason=reason, detail=detail, raw=draft.model_dump_json(), retry=retry
    )
