"""The server that a config asks for, started: `author.launch` `vllm` or `local`."""

import threading
from collections.abc import Callable
from pathlib import Path

from author.serving import local, vllm
from author.serving.server import Patience, Server
from schemas.config import AuthorConfig


def launch(  # noqa: PLR0913 (the last four are Server's, for those who need them)
    config: AuthorConfig,
    log: Path,
    *,
    port: int | None = None,
    notice: Callable[[str], None] | None = None,
    patience: Patience | None = None,
    closing: threading.Event | None = None,
) -> Server:
    """Start the server of `config`, with its log in `log`, and return it when it answers.

    `notice` is told, in a line each, what could not be checked, and of deaths and restarts; `closing`, set in another thread, gives up
    a start that is under way. Raises SubtextError where it cannot work here, with what to do or the end of the log.
    """
    if config.launch == "local":
        local.weights()
        return Server(local.command, local.MODEL, log, port=port, patience=patience, notice=notice, closing=closing)
    if config.launch == "none":
        raise ValueError("this config launches no server")
    command = vllm.plan(config, notice or (lambda _: None))
    name = vllm.name_of(config.model or "")
    environment = vllm.ENVIRONMENT
    return Server(command, name, log, port=port, environment=environment, patience=patience, notice=notice, closing=closing)
