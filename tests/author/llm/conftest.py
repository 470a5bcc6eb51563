"""Shared by the tests of the language-model author."""

from pathlib import Path

import pytest

from tests.author.llm.asks import KEY_ENV


@pytest.fixture
def no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the person who runs the tests: neither in the environment nor in a `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY_ENV, raising=False)
