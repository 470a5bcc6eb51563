"""The pipeline: stages 1-8 chained over shards, on threads or on Prefect.

A persona's chain (expand, converse, distract) does not wait for another's; what needs all personas (items, dedup, ask, assemble,
publish) follows. Every stage first looks for parts that are already right, so running a stage "on its own" is running the pipeline
up to it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.audit import refuse_missing
from flows.progress import Progress, summarise
from flows.publish import is_published, made_with, publish
from flows.rounds import Crew, reached_target, run_rounds
from flows.run import Run, make_run
from flows.runner import Runner
from schemas.config import Config
from schemas.errors import InputError, SubtextError
from schemas.stage import StageName
from store.folder import RunFolder, open_run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    folder: RunFolder
    summary: dict[str, Any]
    published: bool
    """Whether this run wrote the dataset (false: it was there, whole, or the run stopped at an earlier stage)."""


def run_pipeline(config: Config, out: Path, runner: Runner, progress: Progress, until: StageName = "publish") -> Outcome:
    """Run stages 1 to `until` on the run folder of `config` below `out`. Run again, it resumes."""
    refuse_missing([Path(name) for name in config.audit.decontaminate])
    with open_run(out, config) as folder, make_run(config, folder) as run:
        progress.watch(run.author.status)
        _refuse_change(run)

        def give_up() -> None:
            run.author.stop()
            progress.say(run.author.status(), "; what is under way is waited for, Ctrl-C again drops it")

        receipts = run_rounds(run, Crew(runner, progress, give_up), until)
        summary = {"stages": summarise(receipts), **run.author.spent(), "author": run.author.kind}
        if (reached := reached_target(run, receipts)) is not None:
            summary["target"] = reached
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
