"""Shared by all tests: no network and no telemetry, and one tiny finished dataset."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a tiny dataset, finished. Do not change it: copy it first."""
    from tests.runs import run_here, tiny

    out = tmp_path_factory.mktemp("published")
    yield run_here(tiny(), out).folder.root
