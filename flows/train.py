"""The door to training: `subtext train DIR --config FILE`, and the same as a Prefect flow."""

from pathlib import Path
from typing import Any

import click


@click.command("train", epilog="Example: subtext train output/demo/0.1.0 --config configs/train/cpu-smoke.yaml")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--config", "config", required=True, type=click.Path(path_type=Path), help="What is trained, and how: see configs/train.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--no-prefect", is_flag=True, help="The same work without a Prefect server.")
def train_command(folder: Path, config: Path, settings: tuple[str, ...], no_prefect: bool) -> None:
    """Train a memory agent on a finished dataset. Run it again, and it goes on where it was stopped."""
    done = (train_here if no_prefect else train_flow)(folder, config, settings)
    for stage, figures in done.items():
        click.echo(f"{stage}: {figures['steps']} steps, {folder / 'agent' / 'training'}/{figures['folder']}")


def train_here(folder: Path, config: Path, settings: tuple[str, ...]) -> dict[str, Any]:
    """Check the config, and train what its `kind` says."""
    from flows.train_llm import train_llm
    from schemas.training import load_training

    loaded = load_training(config, settings)
    return train_llm(folder, loaded, lambda text: click.echo(text, err=True))


def train_flow(folder: Path, config: Path, settings: tuple[str, ...]) -> dict[str, Any]:
    """`train_here` as the Prefect flow `train`."""
    import flows.prefect_settings  # noqa: F401  (before Prefect)

    # isort: split
    from prefect import flow
    from prefect.events.worker import EventsWorker

    named = flow(name="subtext-train", flow_run_name=folder.name, persist_result=False)(train_here)
    try:
        return named(folder, config, settings)
    finally:
        EventsWorker.drain_all(timeout=10)  # or the server that stops with this process prints tracebacks of unsent events
