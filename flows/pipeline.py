"""The pipeline: stages 1-8 chained over shards, on threads or on Prefect.

A persona's chain (expand, converse, distract) does not wait for another's; what needs all personas (items, ask, dedup, assemble,
publish) follows. Every stage first looks for parts that are already right, so running a stage "on its own" is running the pipeline
up to it.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flows.ask import ask_all
from flows.assemble import assemble_all
from flows.converse import converse_shard
from flows.dedup import dedup_all
from flows.distract import distract_shard
from flows.expand import expand_shard
from flows.items import attribute_shards, held_values, items_shard
from flows.progress import Progress, summarise
from flows.publish import is_published, made_with, publish
from flows.run import Run, make_run
from flows.runner import Chain, Runner, Step
from flows.seeds import read_shards, seeds_all
from schemas.config import Config
from schemas.errors import InputError, SubtextError
from schemas.stage import STAGES, StageName
from store.folder import RunFolder, open_run
from store.parts import Receipt, drop_surplus


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    folder: RunFolder
    summary: dict[str, Any]
    published: bool
    """Whether this run wrote the dataset (false: it was there, whole, or the run stopped at an earlier stage)."""


def run_pipeline(config: Config, out: Path, runner: Runner, progress: Progress, until: StageName = "publish") -> Outcome:
    """Run stages 1 to `until` on the run folder of `config` below `out`. Run again, it resumes."""
    with open_run(out, config) as folder, make_run(config, folder) as run:
        _refuse_change(run)
        receipts = _run_stages(run, runner, progress, until)
        summary = {
            "stages": summarise(receipts),
            **run.author.spent(),
            "author": run.author.kind,
        }
        if until != "publish":
            return Outcome(folder, summary, published=False)
        upstream = [receipt for group in receipts.values() for receipt in group]
        if is_published(run, upstream):
            return Outcome(folder, summary, published=False)
        publish(run, upstream, len(receipts["expand"]), summary)
        return Outcome(folder, summary, published=True)


def _refuse_change(run: Run) -> None:
    """A finished version may be repaired, byte for byte; what would write other bytes gets a version of its own."""
    if not run.folder.finished:
        return
    try:
        made_by = json.loads(run.folder.manifest.read_text(encoding="utf-8")).get("made_by")
    except (ValueError, AttributeError) as error:
        raise SubtextError(f"{run.folder.manifest} is not a manifest; delete it to publish this version again") from error
    if made_by != made_with(run):
        raise InputError(
            f"{run.folder.root} is finished and was made from other seeds, or with another release of the pipeline or its packages; "
            "give this run a version of its own with --version"
        )


def _run_stages(run: Run, runner: Runner, progress: Progress, until: StageName) -> dict[str, list[Receipt]]:
    wanted = STAGES[: STAGES.index(until) + 1]
    receipts: dict[str, list[Receipt]] = {}

    def once(stage: str, work: Any) -> list[Receipt]:
        """A stage of one part."""
        progress.expect(stage, 1)
        receipts[stage] = runner.run([[Step(stage, 0, lambda _: work())]], run.author.stop)[0]
        return receipts[stage]

    once("seeds", partial(seeds_all, run))
    shards = read_shards(run)
    chained = [stage for stage in ("expand", "converse", "distract") if stage in wanted]
    for stage in chained:
        drop_surplus(run.folder, stage, len(shards))
        progress.expect(stage, len(shards))
    chains: list[Chain] = [
        [
            Step("expand", index, lambda _, index=index, starts=starts: expand_shard(run, index, starts)),  # type: ignore[misc]
            Step("converse", index, lambda done, index=index: converse_shard(run, index, done[0])),  # type: ignore[misc]
            Step("distract", index, lambda done, index=index: distract_shard(run, index, done[0], done[1])),  # type: ignore[misc]
        ][: len(chained)]
        for index, starts in enumerate(shards)
    ]
    if chains and chained:
        for stage, column in zip(chained, zip(*runner.run(chains, run.author.stop), strict=True), strict=True):
            receipts[stage] = list(column)
    if "ask" in wanted:
        held = held_values(run, len(shards))
        groups = attribute_shards(held, run.config.run.shard_size)
        drop_surplus(run.folder, "items", len(groups))
        progress.expect("items", len(groups))
        done = runner.run(
            [
                [Step("items", index, lambda _, index=index, names=names: items_shard(run, index, names, held))]  # type: ignore[misc]
                for index, names in enumerate(groups)
            ],
            run.author.stop,
        )
        receipts["items"] = [receipt for (receipt,) in done]
        everything = [receipt for stage in ("expand", "converse", "distract", "items") for receipt in receipts[stage]]
        asked = once("ask", partial(ask_all, run, everything, len(shards), len(groups)))
        if "dedup" in wanted:
            kept = once("dedup", partial(dedup_all, run, [*everything, *asked], len(shards), len(groups)))
            if "assemble" in wanted:
                once("assemble", partial(assemble_all, run, [*everything, *asked, *kept], len(shards)))
    return receipts
