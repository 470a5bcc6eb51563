"""The pipeline as Prefect flows: `pipeline` runs everything, and every stage is a flow of its own.

One task is one shard of one stage. Prefect's result cache is off: our own parts decide what is still valid. Prefect's telemetry is
off too (`flows.prefect_settings`).
"""

import flows.prefect_settings  # noqa: F401  (before Prefect)

# isort: split
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow, flow, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.pipeline import Outcome, run_pipeline
from flows.progress import Progress
from flows.runner import Chain, Step
from schemas.config import Config, load_config
from schemas.stage import STAGES, StageName
from store.parts import Receipt


@task(cache_policy=NO_CACHE, persist_result=False)
def shard(step: Step, done: list[Receipt]) -> Receipt:
    """One shard of one stage."""
    return step.work(done)


class PrefectRunner:
    """Chains as Prefect tasks of the flow that is running."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._artifact: UUID | None = None
        self._shown_at = 0.0

    def run(self, chains: Sequence[Chain], give_up: Callable[[], None]) -> list[list[Receipt]]:
        """See `flows.runner.Runner.run`."""
        try:
            futures = [self._submit(chain) for chain in chains]
            for future in as_completed([future for chain in futures for future in chain]):
                self._progress.done(future.result())
                self._show()
        except BaseException:
            give_up()
            raise
        self._show(last=True)
        return [[future.result() for future in chain] for chain in futures]

    def _submit(self, chain: Chain) -> list[PrefectFuture[Receipt]]:
        futures: list[PrefectFuture[Receipt]] = []
        for step in chain:
            named = shard.with_options(name=step.stage, task_run_name=f"{step.stage}-{step.index:05d}")
            futures.append(named.submit(step, list(futures)))  # type: ignore[arg-type]  # Prefect hands the task their results
        return futures

    def _show(self, last: bool = False) -> None:
        """Bring the progress artifact up to date, at most once a second or when these chains end: each update is a call to the server."""
        if not last and time.monotonic() - self._shown_at < 1:
            return
        self._shown_at = time.monotonic()
        share = round(100 * self._progress.share(), 1)
        if self._artifact is None:
            self._artifact = create_progress_artifact(
                progress=share, key="subtext-progress", description="Parts finished of those announced"
            )  # type: ignore[assignment]
        else:
            update_progress_artifact(self._artifact, progress=share)


def run_flow(config: Config, out: Path, until: StageName) -> Outcome:
    """Run stages 1 to `until` as the Prefect flow of that name."""
    name = "subtext" if until == "publish" else f"subtext-{until}"
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=config.run.concurrency)

    @flow(name=name, flow_run_name=f"{config.dataset.name}-{config.dataset.version}", task_runner=runner, persist_result=False)  # type: ignore[arg-type]
    def stages() -> Outcome:
        with Progress() as progress:
            outcome = run_pipeline(config, out, PrefectRunner(progress), progress, until)
        _leave_artifacts(outcome)
        return outcome

    return stages()


def _leave_artifacts(outcome: Outcome) -> None:
    """A table of what every stage kept and rejected, and where the dataset lies."""
    rows = [
        {"stage": stage, "record": kind, **counts}
        for stage, figures in outcome.summary["stages"].items()
        for kind, counts in figures["records"].items()
    ]
    create_table_artifact(table=rows, key="subtext-counts", description="Records requested, kept and rejected")
    name = f"{outcome.folder.root.parent.name} {outcome.folder.root.name}"
    lines = "\n".join(f"| {row['stage']} | {row['record']} | {row['requested']} | {row['kept']} | {row['rejected']} |" for row in rows)
    text = f"# {name}\n\n| stage | record | requested | kept | rejected |\n|---|---|--:|--:|--:|\n{lines}\n"
    create_markdown_artifact(markdown=text, key="subtext-summary", description="What this run made")


def _stage_flow(stage: StageName) -> Flow[..., dict[str, Any]]:
    """The flow of one stage, by config file: what is upstream is reused where it is still right, and made where it is not."""

    @flow(name=f"subtext-{stage}-from-config", persist_result=False)
    def from_config(config: str, settings: list[str] | None = None, out: str = "output") -> dict[str, Any]:
        return run_flow(load_config(Path(config), settings or []), Path(out), stage).summary

    return from_config


FLOWS: dict[StageName, Flow[..., dict[str, Any]]] = {stage: _stage_flow(stage) for stage in STAGES}
"""The flow of each stage."""
