"""Corners of the seeds stage: folders that change, splits that are not splits, splits that would stay empty."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.seeds import composed_seeds, hashed_split, seeds_all
from schemas.errors import InputError
from schemas.ids import persona_id
from schemas.seed import SPLITS
from tests.flows.test_seeds import TEXTS, NewRun, jsonl, kept, new_run, rejected

__all__ = ["new_run"]  # the fixture


def earlier(path: Path, texts: Sequence[str], split: str) -> str:
    """A `splits.parquet` that has put all `texts` in `split`."""
    pq.write_table(pa.table({"persona_id": [persona_id(text, 0) for text in texts], "split": [split] * len(texts)}), path)
    return str(path)


def test_the_stage_is_done_again_when_a_saved_folder_changes(tmp_path: Path, new_run: NewRun) -> None:
    run = new_run(path=str(tmp_path / "saved"))
    datasets.Dataset.from_dict({"persona": TEXTS[:4]}).save_to_disk(tmp_path / "saved")
    assert len(kept(run)) == 4
    datasets.Dataset.from_dict({"persona": TEXTS[:5]}).save_to_disk(tmp_path / "saved")
    assert len(kept(run)) == 5


def test_an_earlier_split_that_there_is_not_is_an_input_error(tmp_path: Path, new_run: NewRun) -> None:
    splits = earlier(tmp_path / "splits.parquet", TEXTS[:3], "dev")
    with pytest.raises(InputError, match=r"splits\.parquet.*dev"):
        seeds_all(new_run(path=jsonl(tmp_path / "s.jsonl", TEXTS[:3]), splits_from=splits))


def test_an_empty_split_gets_a_new_seed_of_whatever_split_has_one_to_spare(tmp_path: Path, new_run: NewRun) -> None:
    tests = list(islice((text for text in composed_seeds(3) if hashed_split(text) == "test"), 2))
    splits = earlier(tmp_path / "splits.parquet", TEXTS[:5], "train")
    found = kept(new_run(path=jsonl(tmp_path / "s.jsonl", [*TEXTS[:5], *tests]), splits_from=splits))
    assert {seed.split for seed in found} == set(SPLITS)


def test_with_skip_a_text_that_no_file_can_hold_is_a_rejected_row(tmp_path: Path, new_run: NewRun) -> None:
    run = new_run(path=jsonl(tmp_path / "s.jsonl", ["A nurse", "A \ud800 baker"]), on_error="skip")
    assert [seed.text for seed in kept(run)] == ["A nurse"]
    assert [reject.record_id for reject in rejected(run)] == ["s.jsonl:2"]
