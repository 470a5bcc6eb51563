"""The stages in their order, in as many rounds as a target needs.

Without a target there is one round of all shards. With one, the first round has the shards that would do if everything were accepted;
each further round adds whole shards, in the order of their ids, as many as the share accepted so far lets expect to be enough. The
number depends on what was accepted alone, so a run that was stopped goes the same way again.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flows.ask import ask_all
from flows.assemble import assemble_all
from flows.converse import converse_shard
from flows.dedup import dedup_all
from flows.distract import distract_shard
from flows.expand import Pools, attribute_pools, expand_shard
from flows.items import attribute_shards, held_values, items_shard
from flows.progress import Progress
from flows.run import Run, Start
from flows.runner import Chain, Runner, Step
from flows.seeds import read_shards, seeds_all
from schemas.history import History
from schemas.stage import STAGES, StageName
from store.parts import Receipt, drop_surplus, read_part

Receipts = dict[str, list[Receipt]]


@dataclass(frozen=True, slots=True)
class Crew:
    """Who carries the steps out, who watches, and what to do when they are to end early."""

    runner: Runner
    progress: Progress
    give_up: Callable[[], None]

    def run(self, chains: Sequence[Chain]) -> list[list[Receipt]]:
        """See `flows.runner.Runner.run`."""
        return self.runner.run(chains, self.give_up)


def run_rounds(run: Run, crew: Crew, until: StageName) -> Receipts:
    """Run the stages up to `until` until the target is reached or no more may be tried; the receipts of the last round."""
    seeds = _once(crew, "seeds", partial(seeds_all, run))
    shards = read_shards(run)
    most = len(shards) if run.config.personas_attempted is None else min(len(shards), _shards(run, run.config.personas_attempted))
    taken = most if run.config.personas_wanted is None else min(most, _shards(run, run.config.personas_wanted))
    if run.folder.finished:
        taken = min(most, int(json.loads(run.folder.manifest.read_text(encoding="utf-8")).get("shards", taken)))
    pools = attribute_pools(run, [start for shard in shards[:most] for start in shard])
    while True:
        receipts = {"seeds": seeds, **_run_round(run, crew, until, shards[:taken], pools)}
        reached = reached_target(run, receipts)
        if reached is None or taken == most or run.folder.finished or (reached["reached"] and _all_splits(run, shards)):
            break
        share = min((one["accepted"] / one["wanted"] for one in _counted(reached)), default=1.0)
        taken = min(most, max(taken + 1, math.ceil(taken / max(share, taken / most))))
    for stage, parts in receipts.items():
        drop_surplus(run.folder, stage, len(parts))
    return receipts


def reached_target(run: Run, receipts: Receipts) -> dict[str, Any] | None:
    """What of the target was accepted: for personas and questions `wanted` and `accepted`, `attempted` personas, `reached`."""
    target = run.config.target
    if run.config.personas_wanted is None or "assemble" not in receipts:
        return None
    (assembled,) = receipts["assemble"]
    wanted = {"persona": target.personas, "question": target.questions}
    accepted = {kind: assembled.counts[kind].kept if kind in assembled.counts else 0 for kind in ("persona", "question")}
    counted: dict[str, Any] = {
        f"{kind}s": {"wanted": number, "accepted": accepted[kind]} for kind, number in wanted.items() if number is not None
    }
    reached = all(one["accepted"] >= one["wanted"] for one in counted.values())
    attempted = sum(receipt.counts["persona"].requested for receipt in receipts["expand"])
    return {**counted, "attempted": attempted, "reached": reached}


def _all_splits(run: Run, shards: Sequence[tuple[Start, ...]]) -> bool:
    """Whether every split that has seeds has an accepted persona: no dataset is published without one."""
    split_of = {start.persona_id: start.seed.split for shard in shards for start in shard}
    return {split_of[history.persona_id] for history in read_part(run.folder, "assemble", 0, History)} == set(split_of.values())


def _counted(reached: dict[str, Any]) -> list[dict[str, int]]:
    return [one for one in reached.values() if isinstance(one, dict)]


def _shards(run: Run, personas: int) -> int:
    return math.ceil(personas / run.config.run.shard_size)


def _once(crew: Crew, stage: str, work: Any) -> list[Receipt]:
    """A stage of one part."""
    crew.progress.expect(stage, 1)
    return crew.run([[Step(stage, 0, lambda _: work())]])[0]


def _run_round(run: Run, crew: Crew, until: StageName, shards: Sequence[tuple[Start, ...]], pools: Pools) -> Receipts:
    """Stages 2 to `until` on some shards."""
    wanted = STAGES[: STAGES.index(until) + 1]
    receipts: Receipts = _chained(run, crew, [stage for stage in ("expand", "converse", "distract") if stage in wanted], shards, pools)
    if "dedup" not in wanted:
        return receipts
    held = held_values(run, len(shards))
    groups = attribute_shards(held, run.config.run.shard_size)
    crew.progress.expect("items", len(groups))
    chains: list[Chain] = [
        [Step("items", index, lambda _, index=index, names=names: items_shard(run, index, names, held))]  # type: ignore[misc]
        for index, names in enumerate(groups)
    ]
    receipts["items"] = [receipt for (receipt,) in crew.run(chains)]
    everything = [receipt for stage in ("expand", "converse", "distract", "items") for receipt in receipts[stage]]
    receipts["dedup"] = _once(crew, "dedup", partial(dedup_all, run, everything, len(shards), len(groups)))
    everything += receipts["dedup"]
    if "ask" in wanted:
        receipts["ask"] = _once(crew, "ask", partial(ask_all, run, everything, len(shards), len(groups)))
        everything += receipts["ask"]
    if "assemble" in wanted:
        receipts["assemble"] = _once(crew, "assemble", partial(assemble_all, run, everything, len(shards)))
    return receipts


def _chained(run: Run, crew: Crew, stages: Sequence[str], shards: Sequence[tuple[Start, ...]], pools: Pools) -> Receipts:
    """The stages in which a shard does not wait for another."""
    if not stages:
        return {}
    for stage in stages:
        crew.progress.expect(stage, len(shards))
    chains: list[Chain] = [
        [
            Step("expand", index, lambda _, index=index, starts=starts: expand_shard(run, index, starts, pools)),  # type: ignore[misc]
            Step("converse", index, lambda done, index=index: converse_shard(run, index, done[0])),  # type: ignore[misc]
            Step("distract", index, lambda done, index=index: distract_shard(run, index, done[0], done[1])),  # type: ignore[misc]
        ][: len(stages)]
        for index, starts in enumerate(shards)
    ]
    columns = zip(*crew.run(chains), strict=True)
    return {stage: list(column) for stage, column in zip(stages, columns, strict=True)}
