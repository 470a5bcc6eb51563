"""The door to evaluation: `subtext evaluate DIR`, and the last stage of a run whose config names an agent."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

if TYPE_CHECKING:
    from schemas.config import AgentConfig
    from schemas.results import Results


@click.command("evaluate", epilog="Example: subtext evaluate output/demo/0.1.0 --budgets 128,512")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--budget", default=512, show_default=True, type=click.IntRange(32), help="Tokens of memory that the table is headed by.")
@click.option("--budgets", default="128,256,512,1024,2048", show_default=True, help="At which budgets to evaluate.")
@click.option("--split", default="test", show_default=True, type=click.Choice(["test", "validation"]))
@click.option("--no-prefect", is_flag=True, help="The same work without a Prefect server.")
def evaluate_command(folder: Path, budget: int, budgets: str, split: str, no_prefect: bool) -> None:
    """Let the trained extractive agent and every arm that it is compared with sit the exam; results go to agent/results.json."""
    from flows.extractive import evaluate_extractive

    wanted, asked_of = _numbers(budgets, budget), cast("Literal['test', 'validation']", split)
    results = _evaluated(folder, lambda: evaluate_extractive(folder, wanted, budget, _say, asked_of), no_prefect)
    print_results(folder, results)


def finish_with_agent(root: Path, config: "AgentConfig", no_prefect: bool) -> None:
    """Train and evaluate the agent of a run that has been published, unless that has been done, and print what came of it."""
    from flows.extractive import evaluate_extractive, found_results, train_extractive
    from flows.one_flow import carried_out

    results = found_results(root, config.budgets, config.budget)
    if results is None:
        carried_out("train", root, lambda: train_extractive(root, config.budget, config.seed, _say), no_prefect)
        results = _evaluated(root, lambda: evaluate_extractive(root, config.budgets, config.budget, _say), no_prefect)
    print_results(root, results)


def print_results(root: Path, results: "Results") -> None:
    """The table of the arms, and what it says."""
    from memory.measures.table import table_text

    click.echo(f"\n{table_text(results)}")
    click.echo(f"\nAll of it: {root / 'agent' / 'results.json'}. What was remembered: subtext memory show {root}")


def _evaluated(root: Path, work: "Callable[[], Results]", no_prefect: bool) -> "Results":
    """Evaluate, and on Prefect leave the table as an artifact."""
    from flows.one_flow import carried_out

    def with_artifact() -> "Results":
        from prefect.artifacts import create_markdown_artifact

        from memory.measures.table import table_text

        found = work()
        create_markdown_artifact(markdown=f"```\n{table_text(found)}\n```", key="subtext-results", description="What the arms answered")
        return found

    return carried_out("evaluate", root, work if no_prefect else with_artifact, no_prefect)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _numbers(budgets: str, budget: int) -> tuple[int, ...]:
    from schemas.errors import InputError

    try:
        found = tuple(sorted({budget, *(int(part) for part in budgets.split(","))}))
    except ValueError as error:
        raise InputError(f"--budgets {budgets}: give whole numbers with commas between, such as 128,512,2048") from error
    if found[0] < 32:
        raise InputError(f"--budgets {budgets}: no line fits into {found[0]} tokens; give 32 or more")
    return found
