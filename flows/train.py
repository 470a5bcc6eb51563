"""The door to training: `subtext train DIR`, the embedded agent; with `--config FILE`, a language model. Both also as a Prefect flow."""

from pathlib import Path

import click

from flows.one_flow import carried_out
from schemas.errors import InputError


@click.command("train", epilog="Example: subtext train output/demo/0.1.0, or with a language model: --config configs/train/cpu-smoke.yaml")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--config", "config", type=click.Path(path_type=Path), help="Train a language model, and how: see configs/train.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting of the config; may be repeated.")
@click.option("--budget", type=click.IntRange(32), help="Tokens of memory that the embedded agent is trained for.  [default: 512]")
@click.option("--seed", type=int, help="Of the embedded agent's training.  [default: 1]")
@click.option("--no-prefect", is_flag=True, help="The same work without a Prefect server.")
def train_command(  # noqa: PLR0913, PLR0917 (one parameter per option)
    folder: Path, config: Path | None, settings: tuple[str, ...], budget: int | None, seed: int | None, no_prefect: bool
) -> None:
    """Train a memory agent on a finished dataset: the embedded extractive one, or (--config) a language model, which goes on where it was
    stopped.
    """
    if config is None:
        if settings:
            raise InputError(f"--set {settings[0]}: belongs to a --config; the embedded agent has --budget and --seed")
        _train_extractive(folder, budget or 512, 1 if seed is None else seed, no_prefect)
        return
    if budget is not None or seed is not None:
        raise InputError("--budget and --seed are the embedded agent's; with --config, use --set memory.tokens=… and --set run.seed=…")
    from flows.train_llm import train_llm
    from schemas.training import load_training

    loaded = load_training(config, settings)
    done = carried_out("train", folder, lambda: train_llm(folder, loaded, _say), no_prefect)
    for stage, figures in done.items():
        click.echo(f"{stage}: {figures['steps']} steps, {folder / 'agent' / 'training'}/{figures['folder']}")


def _train_extractive(folder: Path, budget: int, seed: int, no_prefect: bool) -> None:
    from flows.extractive import MODEL, train_extractive

    learned = carried_out("train", folder, lambda: train_extractive(folder, budget, seed, _say), no_prefect)
    click.echo(f"mean reward by epoch: {', '.join(f'{one:.3f}' for one in learned.rewards)}")
    click.echo(f"{folder / MODEL}; evaluate it with: subtext evaluate {folder}")


def _say(text: str) -> None:
    click.echo(text, err=True)
