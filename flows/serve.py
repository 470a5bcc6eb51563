"""`subtext serve-llm`: a model server of one's own in the foreground, until Ctrl-C. How to use it is on stdout, all else on stderr."""

import signal
from pathlib import Path
from typing import Any

import click

from schemas.errors import InputError


@click.command("serve-llm", epilog="Example: subtext serve-llm Qwen/Qwen3-4B-Instruct-2507 --replicas 2")
@click.argument("model", required=False)
@click.option("--local", is_flag=True, help="The small model on llama.cpp, for trying: no GPU, no download.")
@click.option("--replicas", default=1, show_default=True, type=click.IntRange(1, 64), help="Data-parallel copies of the model.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where to listen; default: any free port.")
@click.option("--python", metavar="PATH", help="The interpreter of the environment that vLLM is installed in; default: this one.")
@click.option("--log", default="output/serve-llm.log", show_default=True, type=click.Path(path_type=Path), help="Where its words go.")
def serve_llm(  # noqa: PLR0913, PLR0917 (one parameter per option)
    model: str | None, local: bool, replicas: int, port: int | None, python: str | None, log: Path
) -> None:
    """Serve MODEL (a folder, or a name on the Hub) with vLLM, and start it again should it die. Ends with Ctrl-C."""
    from author.serving.launch import launch
    from schemas.config import AuthorConfig

    if local == (model is not None):
        raise InputError("serve-llm needs a MODEL (a folder, or a name on the Hub), or else --local for the small model of the packages")
    config = AuthorConfig(kind="openai", model=model, launch="local" if local else "vllm", replicas=replicas, python=python)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop in either way, we see the server out
    click.echo(f"starting; its log is {log}", err=True)
    try:
        with launch(config, log, port=port, notice=_notice) as server:
            click.echo(f"{server.model} answers at {server.url}. In another terminal:")
            settings = {"kind": "openai", "launch": "none", "base_url": server.url, "model": server.model}
            click.echo(f"  subtext run configs/{'local-llm' if local else 'vllm'}.yaml {_settings(settings)}")
            click.echo("Ctrl-C stops it.")
            server.wait()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _settings(author: dict[str, Any]) -> str:
    return " ".join(f"--set author.{key}={value}" for key, value in author.items())


def _notice(line: str) -> None:
    click.echo(line, err=True)
