"""Stage 5, ask, first half: items are written per attribute and split, before anybody is asked anything.

An item is one query with four complete answers: three for values of the attribute, one that assumes nothing. Each set of three
values gets an item of its own, so that whoever holds a value finds items that offer it.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from flows.run import Run, gather
from schemas.drafts import ItemDraft, ValuesDraft
from schemas.expansion import Expansion
from schemas.ids import derive, digest
from schemas.question import Item, ItemOption
from schemas.seed import SPLITS, Split
from store.parts import Produced, Receipt, ensure_part, read_part

STAGE = "items"
VERSION = 1
_QUERIES: dict[Split, int] = {"train": 2, "validation": 1, "test": 1}
"""Different queries per attribute and split."""
_MOST_VALUES = 5
"""Values of an attribute that its items offer; the commonest first."""

Held = dict[tuple[str, Split], tuple[str, ...]]


def held_values(run: Run, shards: int) -> Held:
    """The values that facts and traps of each split give to each attribute, commonest first."""
    seen: dict[tuple[str, Split], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for index in range(shards):
        for expansion in read_part(run.folder, "expand", index, Expansion):
            for fact in expansion.facts:
                seen[fact.attribute, expansion.persona.split][fact.value] += 1
    return {key: tuple(sorted(values, key=lambda value: (-values[value], value))) for key, values in seen.items()}


def attribute_shards(held: Held, size: int) -> list[tuple[str, ...]]:
    """The attributes in use, in shards of `size`."""
    names = sorted({attribute for attribute, _ in held})
    return [tuple(names[at : at + size]) for at in range(0, len(names), size)]


def items_shard(run: Run, index: int, attributes: Sequence[str], held: Held) -> Receipt:
    """Make (or find) the part of one shard of attributes."""
    mine = [(attribute, split, held[attribute, split]) for attribute in attributes for split in SPLITS if (attribute, split) in held]
    inputs = (VERSION, run.seed, run.author.id, mine)
    return ensure_part(run.folder, STAGE, index, inputs, lambda: _produce(run, mine))


def _produce(run: Run, wanted: Sequence[tuple[str, Split, tuple[str, ...]]]) -> Produced:
    written = gather([_write(run, *one) for one in wanted], run.config.run.concurrency)
    items = [item for group in written for item in group]
    return Produced(items, Item, [], {"item": len(items)}, {"item": len(items)})


async def _write(run: Run, attribute: str, split: Split, held: tuple[str, ...]) -> list[Item]:
    request = {"attribute": attribute, "split": split, "held": held}
    known = await run.author.write("ask/values", request, ValuesDraft, derive(run.seed, attribute, split, "values"))
    values = sorted(list(dict.fromkeys((*held, *known.values)))[:_MOST_VALUES])
    items: dict[str, Item] = {}
    for offered in combinations(values, 3):
        for variant in range(_QUERIES[split]):
            seed = derive(run.seed, attribute, split, offered, variant)
            draft = await run.author.write("ask/item", {**request, "values": offered, "variant": variant}, ItemDraft, seed)
            options = [ItemOption(text=text, value=value) for text, value in zip(draft.answers, offered, strict=True)]
            item_id = f"i{digest(split, attribute, draft.query, *offered, size=5)}"
            all_options = (*options, ItemOption(text=draft.no_assumption, value=None))
            items[item_id] = Item(item_id=item_id, split=split, attribute=attribute, text=draft.query, options=all_options)
    return list(items.values())
