"""The door: `subtext COMMAND`. Errors are one or two lines on stderr; exit 0 done, 1 the work failed, 2 the input is wrong."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.audit import audit_command
from flows.evaluate import evaluate_command
from flows.exam import exam_command
from flows.memory_text import memory_group
from flows.serve import serve_llm
from flows.train import train_command
from schemas.errors import SubtextError
from schemas.stage import STAGES

if TYPE_CHECKING:
    from flows.pipeline import Outcome
    from schemas.config import Config

DEFAULT_CONFIG = "configs/demo.yaml"
_REPORT = ("audit.gate=report",)
_ALLOW_FAILING = "Publish even where the audit finds broken figures, with a warning in the card."


class _Door(click.Group):
    """Turns errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except SubtextError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"subtext: {error}", err=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"subtext: unexpected {type(error).__name__}: {error}; `subtext --debug ...` shows where", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("subtext: stopped; run the same command again to go on (finished parts are kept)", err=True)
            ctx.exit(130)


@click.group(cls=_Door, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="subtext")
def main(debug: bool) -> None:
    """Subtext makes datasets of conversations in which who the user is shows only in the subtext."""
    del debug  # read by _Door


main.add_command(serve_llm)
main.add_command(audit_command)
main.add_command(train_command)
main.add_command(exam_command)
main.add_command(memory_group)
main.add_command(evaluate_command)


@main.command(epilog="Example: subtext run configs/small.yaml --set run.seed=2 --version 0.2.0")
@click.argument("config", default=DEFAULT_CONFIG, type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--version", "dataset_version", metavar="NAME", help="Instead of dataset.version.")
@click.option("--out", default="output", show_default=True, type=click.Path(path_type=Path), help="Where datasets go.")
@click.option("--until", default="publish", show_default=True, type=click.Choice(STAGES), help="Stop after this stage.")
@click.option("--no-prefect", is_flag=True, help="The same work without a Prefect server.")
@click.option("--allow-failing", is_flag=True, help=_ALLOW_FAILING)
@click.option("--dry-run", is_flag=True, help="Only say what it will cost, measured on one persona, whose calls are kept.")
def run(  # noqa: PLR0913, PLR0917 (one parameter per option)
    config: Path, settings: tuple[str, ...], dataset_version: str | None, out: Path, until: str, no_prefect: bool, allow_failing: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Run the pipeline: seeds in, a published dataset out. Run it again, and it goes on where it was stopped."""
    from schemas.config import load_config

    loaded = load_config(config, (*settings, *_REPORT) if allow_failing else settings, dataset_version)
    if dry_run:
        from flows.estimate import estimate
        from flows.reporting import print_estimate

        print_estimate(estimate(loaded, out))
    else:
        _carry_out(loaded, out, until, no_prefect)


@main.command("retry-failed", epilog="Example: subtext retry-failed output/vllm/0.1.0 configs/vllm.yaml")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--version", "dataset_version", metavar="NAME", help="The new version; by default the old one with .retry1.")
@click.option("--no-prefect", is_flag=True, help="The same work without a Prefect server.")
@click.option("--allow-failing", is_flag=True, help=_ALLOW_FAILING)
def retry_failed(  # noqa: PLR0913, PLR0917 (one parameter per option)
    folder: Path, config: Path | None, settings: tuple[str, ...], dataset_version: str | None, no_prefect: bool, allow_failing: bool
) -> None:
    """Ask the author again for what was rejected for want of a usable reply. A finished version stays, and gets a new one beside it."""
    from flows.retry import prepare_retry

    retry = prepare_retry(folder, config, (*settings, *_REPORT) if allow_failing else settings, dataset_version)
    if not retry.records:
        click.echo(f"Nothing in {folder / 'rejects'} can be tried again.")
        return
    click.echo(f"Asking again for {retry.records} record(s), in version {retry.config.dataset.version}", err=True)
    _carry_out(retry.config, retry.out, "publish", no_prefect)


def _carry_out(config: "Config", out: Path, until: Any, no_prefect: bool) -> None:
    """Run, and report; a target that was not reached is a failure, and says so."""
    from flows.reporting import print_outcome

    outcome = _run_plainly(config, out, until) if no_prefect else _run_on_prefect(config, out, until)
    print_outcome(outcome, until)
    target = outcome.summary.get("target", {"reached": True})
    if not target["reached"]:
        counts = ", ".join(f"{one['accepted']} of {one['wanted']} {kind}" for kind, one in target.items() if isinstance(one, dict))
        raise SubtextError(
            f"the target was not reached: {counts} accepted, {target['attempted']} personas tried; raise target.max_attempts_ratio, "
            "or give more seeds (what was accepted is kept)"
        )
    if until == "publish" and config.agent.kind == "extractive":
        from flows.evaluate import finish_with_agent

        finish_with_agent(outcome.folder.root, config.agent, no_prefect)


def _run_plainly(config: "Config", out: Path, until: Any) -> "Outcome":
    from flows.pipeline import run_pipeline
    from flows.progress import Progress
    from flows.runner import ThreadRunner

    with Progress() as progress:
        return run_pipeline(config, out, ThreadRunner(config.run.concurrency, progress), progress, until)


def _run_on_prefect(config: "Config", out: Path, until: Any) -> "Outcome":
    from flows.prefect_flows import run_flow

    try:
        return run_flow(config, out, until)
    except Exception as error:
        if (isinstance(error, RuntimeError) and "API" in str(error)) or type(error).__name__ == "ConnectError":
            raise SubtextError(f"Prefect's server cannot be reached ({error}); start one, or run with --no-prefect") from error
        raise
    finally:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=10)  # or the server that stops with this process prints tracebacks of unsent events


@main.command(epilog="Example: subtext preview configs/demo.yaml --set run.seed=3")
@click.argument("config", default=DEFAULT_CONFIG, type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting; may be repeated.")
def preview(config: Path, settings: tuple[str, ...]) -> None:
    """Show one persona of a config with its facts and sessions, evidence marked. Nothing is kept."""
    from rich.console import Console

    from flows.preview import preview as show
    from schemas.config import load_config

    show(load_config(config, settings), Console(soft_wrap=False))


@main.command(epilog="""Example: subtext sql output/demo/0.1.0 "select scenario, count(*) from sessions group by 1" """)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("query")
def sql(folder: Path, query: str) -> None:
    """Ask DuckDB a question about a finished dataset, read-only."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from store.catalog import ask

    answer = ask(folder, query)
    if not sys.stdout.isatty():
        for row in (answer.columns, *answer.rows):
            click.echo("\t".join("" if cell is None else str(cell).replace("\t", " ").replace("\n", "\\n") for cell in row))
        return
    table = Table(*(escape(column) for column in answer.columns))
    for row in answer.rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console().print(table)


@main.command(epilog="Example: subtext review output/demo/0.1.0 --sample 50 --reviewer anna")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--sample", "size", default=50, show_default=True, type=click.IntRange(1), help="How many: half sessions, half questions.")
@click.option("--seed", default=1, show_default=True, help="Which: another seed draws others.")
@click.option("--reviewer", default="anonymous", show_default=True, metavar="NAME", help="Whose answers: review/NAME.jsonl.")
@click.option("--report", "only_report", is_flag=True, help="Ask nothing; show how far people agree with the labels and each other.")
def review(folder: Path, size: int, seed: int, reviewer: str, only_report: bool) -> None:
    """Read sampled sessions and questions of a finished dataset blind, and answer. Stop at any time; it goes on where it was."""
    from rich.console import Console

    from flows import review as reviewing

    if only_report:
        reviewing.print_agreement(reviewing.report(folder), Console(highlight=False, width=None if sys.stdout.isatty() else 160))
        return
    reviewing.review(folder, size, seed, reviewer, reviewing.Terminal(Console(highlight=False), sys.stdin))


if __name__ == "__main__":
    main()
