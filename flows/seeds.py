"""Stage 1, seeds: descriptions of people are read, made comparable, freed of duplicates, and given their split.

Identity and split come from a hash of the text, so neither moves when seeds are added. Only where a split would stay empty is one
seed moved to it, and where an earlier version's `splits.parquet` is given, its word counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from author.offline.people import load_people
from flows.run import Run, Start, shards_of
from schemas.config import SeedsConfig, without_folder
from schemas.errors import InputError, SubtextError
from schemas.ids import digest, normalise, persona_id, rng, seed_id, unit_interval
from schemas.outcome import Reject
from schemas.seed import SPLITS, Seed, Split
from store.parts import Produced, Receipt, ensure_part, file_hash, read_part
from store.seed_files import Line, read_lines
from text.encoder import encoder_id
from text.neardup import Limits, find_duplicates

STAGE = "seeds"
VERSION = 1
SHARES: dict[Split, float] = {"train": 0.72, "validation": 0.08, "test": 0.2}
_MOST_COPIES = 100
"""The most personas that a seed can have had in an earlier version."""
BUILTIN_LICENSE = "Apache-2.0"


def seeds_all(run: Run) -> Receipt:
    """Make (or find) the one part of this stage."""
    return ensure_part(run.folder, STAGE, 0, inputs(run), partial(_produce, run))


def inputs(run: Run) -> tuple[object, ...]:
    """Everything that decides this stage's output, the contents of files included."""
    config = run.config.seeds
    source = _content(Path(config.path)) if config.path else load_people()
    splits = _content(Path(config.splits_from)) if config.splits_from else None
    return (
        VERSION, run.seed, _count(run), encoder_id(), run.config.dedup.model_dump_json(), splits, source,
        config.model_dump_json(exclude={"personas_per_seed", "splits_from", "path"}),
    )  # fmt: skip


def _count(run: Run) -> int | None:
    """How many seeds are wanted; none: all of a file. A target draws as many builtin seeds as it may try."""
    config, attempted = run.config.seeds, run.config.personas_attempted
    if config.path:
        return config.limit
    return config.builtin_count if attempted is None else -(-attempted // config.personas_per_seed)


def _content(path: Path) -> object:
    """What stands for a seed source in the part's key: its bytes; of a dataset elsewhere, its name."""
    try:
        if path.is_dir():
            return [(file.relative_to(path).as_posix(), file_hash(file)) for file in sorted(path.rglob("*")) if file.is_file()]
        return file_hash(path) if path.is_file() else str(path)
    except OSError as error:
        raise InputError(f"{path}: cannot read the seeds ({error.strerror})") from error


def read_shards(run: Run) -> list[tuple[Start, ...]]:
    """The personas to be, in shards, from the finished part."""
    seeds = read_part(run.folder, STAGE, 0, Seed)
    return shards_of((Start(seed, copy) for seed in seeds for copy in range(run.config.seeds.personas_per_seed)), run.config.run.shard_size)


def _produce(run: Run) -> Produced:
    config = run.config.seeds
    name = config.source or (without_folder(config.path) if config.path else "builtin")
    limit = _count(run)
    lines = list(read_lines(config.path, config.text_field)) if config.path else _builtin(limit or 1, run.seed)
    broken = [line for line in lines if line.problem]
    if broken and config.on_error == "fail":
        more = f" (and {len(broken) - 1} more such lines)" if len(broken) > 1 else ""
        raise InputError(
            f"{config.path}: line {broken[0].number}: {broken[0].problem}{more}; mend it, or pass --set seeds.on_error=skip to leave it out"
        )
    rejects = [_reject(f"{name}:{line.number}", "unreadable", line.problem) for line in broken]
    near, far = _within_reach(run, [line for line in lines if not line.problem], limit)
    rejects += [_reject(f"{name}:{line.number}", "not_drawn", "beyond the number of seeds asked for") for line in far]
    kept, duplicates = _distinct(run, name, near)
    if not kept:
        raise InputError(f"{config.path}: no usable seed in {len(lines)} line(s)")
    licence = config.license or (BUILTIN_LICENSE if not config.path else None)
    splits = _splits([line.text for line in kept], config)
    seeds = [
        Seed(seed_id=seed_id(line.text), text=" ".join(line.text.split()), source=name, license=licence, split=split)
        for line, split in zip(kept, splits, strict=True)
    ]
    chosen, rest = _draw(run, seeds, limit)
    rejects += duplicates + [_reject(seed.seed_id, "not_drawn", "beyond the number of seeds asked for") for seed in rest]
    chosen.sort(key=lambda seed: seed.seed_id)
    return Produced(chosen, Seed, rejects, {"seed": len(lines)}, {"seed": len(chosen)})


def _within_reach(run: Run, lines: list[Line], limit: int | None) -> tuple[list[Line], list[Line]]:
    """The lines among which the draw may choose, with room for duplicates; of a file much larger than `limit`, not all."""
    if limit is None or len(lines) <= 2 * limit + 100:
        return lines, []
    reach = {split: 2 * quota + 20 for split, quota in split_quotas(limit).items()}
    near: list[Line] = []
    far: list[Line] = []
    for line in sorted(lines, key=lambda line: digest("draw", run.seed, seed_id(line.text))):
        split = hashed_split(line.text)
        reach[split] -= 1
        (near if reach[split] >= 0 else far).append(line)
    return sorted(near), sorted(far)


def _reject(record_id: str, reason: str, detail: str, of: str | None = None, similarity: float | None = None) -> Reject:
    return Reject(
        record_id=record_id, record_type="seed", stage=STAGE, reason=reason, detail=detail, duplicate_of=of, similarity=similarity
    )


def _distinct(run: Run, name: str, lines: Sequence[Line]) -> tuple[list[Line], list[Reject]]:
    """The lines without exact and near duplicates; the first of each group stays."""
    dedup = run.config.dedup
    limits = Limits(dedup.proposal_cosine, dedup.confirm_cosine, dedup.overlap)
    found = find_duplicates([line.text for line in lines], [STAGE] * len(lines), limits)
    rejects = [
        _reject(
            f"{name}:{lines[duplicate.index].number}", "duplicate" if duplicate.exact else "near_duplicate",
            f"repeats line {lines[duplicate.of].number}: {lines[duplicate.of].text[:80]!r}", seed_id(lines[duplicate.of].text),
            duplicate.similarity,
        )
        for duplicate in found
    ]  # fmt: skip
    gone = {duplicate.index for duplicate in found}
    return [line for index, line in enumerate(lines) if index not in gone], rejects


def hashed_split(text: str) -> Split:
    """The split of a seed with this text, by its hash alone."""
    place = unit_interval("split", normalise(text))
    if place < SHARES["train"]:
        return "train"
    return "validation" if place < SHARES["train"] + SHARES["validation"] else "test"


def _splits(texts: Sequence[str], config: SeedsConfig) -> list[Split]:
    """The split of each text."""
    earlier = _earlier_splits(config.splits_from) if config.splits_from else {}
    names = [[persona_id(text, copy) for copy in range(_MOST_COPIES)] if earlier else [] for text in texts]
    known = [next((earlier[name] for name in copies if name in earlier), None) for copies in names]
    splits = [split or hashed_split(text) for split, text in zip(known, texts, strict=True)]
    for missing in SPLITS:
        if len(texts) >= len(SPLITS) and missing not in splits:
            spare = [i for i, split in enumerate(splits) if known[i] is None and splits.count(split) > 1]
            if spare:
                splits[min(spare, key=lambda i: (-splits.count(splits[i]), digest("moved", normalise(texts[i]))))] = missing
    return splits


def _earlier_splits(path: str) -> dict[str, Split]:
    try:
        table = pq.read_table(path, columns=["persona_id", "split"])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: seeds.splits_from must be a splits.parquet of an earlier version ({error})") from error
    splits = {str(row["persona_id"]): row["split"] for row in table.to_pylist()}
    if strange := set(splits.values()) - set(SPLITS):
        raise InputError(f"{path}: seeds.splits_from: {', '.join(map(str, strange))} is no split; they are {', '.join(SPLITS)}")
    return splits


def _draw(run: Run, seeds: Sequence[Seed], limit: int | None) -> tuple[list[Seed], list[Seed]]:
    """At most `limit` seeds, spread over the splits by their shares; the others."""
    if limit is None or limit >= len(seeds):
        return list(seeds), []
    order = sorted(seeds, key=lambda seed: digest("draw", run.seed, seed.seed_id))
    quotas = split_quotas(limit)
    chosen = [seed for split in SPLITS for seed in [s for s in order if s.split == split][: quotas[split]]]
    taken = {seed.seed_id for seed in chosen}
    chosen += [seed for seed in order if seed.seed_id not in taken][: limit - len(chosen)]
    taken = {seed.seed_id for seed in chosen}
    return chosen, [seed for seed in seeds if seed.seed_id not in taken]


def split_quotas(total: int) -> dict[Split, int]:
    """`total` personas spread over the splits; each gets one where there are three or more."""
    least = 1 if total >= len(SPLITS) else 0
    quotas = {split: max(least, round(SHARES[split] * total)) for split in SPLITS}
    quotas["train"] = max(total - quotas["validation"] - quotas["test"], 0)
    return quotas


def _builtin(total: int, run_seed: int) -> list[Line]:
    """`total` builtin seeds, spread over the splits: hand-written one-liners, and where those are used up, composed ones.

    Of composed ones a few in a thousand are near duplicates, so a few more are given for the draw to choose from.
    """
    one_liners = sorted(load_people().one_liners, key=lambda text: digest("draw", run_seed, text))
    texts = _by_quota(one_liners, split_quotas(total))
    if len(texts) < total:
        wanted = total + total // 50 + 2
        texts = _by_quota(chain(one_liners, islice(composed_seeds(run_seed), 40 * total + 1000)), split_quotas(wanted))
    if len(texts) < total:
        raise SubtextError(f"the builtin lists give only {len(texts)} of {total} seeds")
    return [Line(number, text, "") for number, text in enumerate(texts, start=1)]


def _by_quota(texts: Iterable[str], quotas: Mapping[Split, int]) -> list[str]:
    """The first texts of each split, as many as its quota."""
    chosen: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for text in texts:
        split = hashed_split(text)
        if len(chosen[split]) < quotas[split]:
            chosen[split].append(text)
            if all(len(chosen[split]) == quotas[split] for split in SPLITS):
                break
    return [text for split in SPLITS for text in chosen[split]]


def composed_seeds(run_seed: int) -> Iterator[str]:
    """Endless distinct builtin seeds: occupation x place x life situation x trait."""
    people, seen = load_people(), set()
    for number in count():
        chance = rng(run_seed, "builtin", number)
        occupation, place = chance.choice(people.occupations), chance.choice(people.places)
        article = "An" if occupation.name[0] in "aeiou" else "A"
        text = f"{article} {occupation.name} in {place.place} who {chance.choice(people.situations)} and {chance.choice(people.traits)}"
        if text not in seen:
            seen.add(text)
            yield text
