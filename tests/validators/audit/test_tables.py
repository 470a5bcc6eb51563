"""What is read back from disk is what was made; what is no finished dataset is refused in a line."""

import json
from pathlib import Path

import pytest

from schemas.errors import InputError
from tests.validators.audit.dataset import clean, spoil, store
from validators.audit.tables import read_published


def test_a_stored_dataset_reads_back(tmp_path: Path) -> None:
    found = read_published(store(clean(), tmp_path))
    assert found == clean()
    assert len(found.placed) == len(found.questions)


def test_what_is_no_finished_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished dataset"):
        read_published(tmp_path)
    store(clean(), tmp_path)
    for path in (tmp_path / "data" / "sessions").iterdir():
        path.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read as sessions"):
        read_published(tmp_path)
    for folder in (tmp_path / "data").iterdir():
        folder.rename(tmp_path / folder.name)
    with pytest.raises(InputError, match="lacks personas, facts, sessions, questions, histories"):
        read_published(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {}}), encoding="utf-8")
    with pytest.raises(InputError, match="manifest"):
        read_published(tmp_path)


def test_a_gold_that_is_no_option_is_refused(tmp_path: Path) -> None:
    root = store(spoil(clean(), "questions", lambda row: row.model_copy(update={"gold_index": 4})), tmp_path)
    with pytest.raises(InputError, match="gold_index is 4, of 4 options"):
        read_published(root)
