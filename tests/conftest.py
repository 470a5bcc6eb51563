"""Shared by all tests: no network and no telemetry, and one tiny finished dataset."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell: the tests' children would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a tiny dataset, finished. Do not change it: copy it first."""
    from tests.runs import run_here, tiny

    out = tmp_path_factory.mktemp("published")
    yield run_here(tiny(), out).folder.root
