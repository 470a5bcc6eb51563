"""Published tables: the bytes depend on the rows alone, and a data folder appears whole."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.outcome import Survivor
from store.dataset import ROWS_PER_FILE, ROWS_PER_GROUP, DataFolder, splits_present
from store.folder import RunFolder
from tests.store.children import everything_below, refusal
from tests.store.test_parts import Work

MANY = [
    Survivor(record_id=f"s{number * 7919 % 1_000_003}", record_type="session") for number in range(ROWS_PER_FILE + 2 * ROWS_PER_GROUP + 7)
]


def publish(root: Path, rows: Sequence[Survivor], sizes: Sequence[int]) -> dict[str, bytes]:
    """Publish `rows`, added in pieces of `sizes` (over and over); the files' names and bytes."""
    data = DataFolder(RunFolder(root))
    with data.table("sessions", "train", Survivor, len(rows)) as table:
        at = turn = 0
        while at < len(rows):
            table.add(rows[at : at + sizes[turn % len(sizes)]])
            at, turn = at + sizes[turn % len(sizes)], turn + 1
    data.appear()
    return {path.name: path.read_bytes() for path in sorted((root / "data" / "sessions").iterdir())}


@pytest.mark.parametrize("sizes", [(1,), (0, 3, 1021), (ROWS_PER_GROUP,), (ROWS_PER_GROUP + 1, 5), (ROWS_PER_FILE - 1, 2)])
def test_the_bytes_do_not_depend_on_how_the_rows_were_added(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    assert publish(tmp_path / "pieces", MANY, sizes) == publish(tmp_path / "whole", MANY, (len(MANY),))


def test_files_and_row_groups_are_cut_by_numbers_of_rows_and_no_row_is_lost(tmp_path: Path) -> None:
    publish(tmp_path, MANY, (1000,))
    folder = tmp_path / "data" / "sessions"
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    groups = [[pq.ParquetFile(file).metadata.row_group(i).num_rows for i in range(pq.ParquetFile(file).num_row_groups)] for file in files]
    assert groups == [[ROWS_PER_GROUP] * (ROWS_PER_FILE // ROWS_PER_GROUP), [ROWS_PER_GROUP, ROWS_PER_GROUP, 7]]
    found = [name for file in files for name in pq.read_table(file)["record_id"].to_pylist()]
    assert found == [row.record_id for row in MANY]


@pytest.mark.parametrize(("rows", "files"), [(0, 1), (1, 1), (ROWS_PER_GROUP, 1), (ROWS_PER_FILE, 1), (ROWS_PER_FILE + 1, 2)])
def test_a_table_of_any_size_has_the_files_that_its_names_announce(tmp_path: Path, rows: int, files: int) -> None:
    found = publish(tmp_path, MANY[:rows], (4096,))
    assert list(found) == [f"train-{number:05d}-of-{files:05d}.parquet" for number in range(files)]
    assert pq.read_table(tmp_path / "data" / "sessions").num_rows == rows


@pytest.mark.parametrize("announced", [2, 4])
def test_another_number_of_rows_than_announced_is_an_error_and_nothing_appears(tmp_path: Path, announced: int) -> None:
    data = DataFolder(RunFolder(tmp_path))
    with (
        pytest.raises(AssertionError, match=f"3 rows written, {announced} announced"),
        data.table("facts", "test", Survivor, announced) as table,
    ):
        table.add(MANY[:3])
    assert not (tmp_path / "data").exists()


def test_until_it_appears_nothing_is_seen_and_afterwards_nothing_lies_beside_it(tmp_path: Path) -> None:
    data = DataFolder(RunFolder(tmp_path))
    with data.table("facts", "test", Survivor, 1) as table:
        table.add(MANY[:1])
    assert not (tmp_path / "data").exists()
    data.appear()
    assert everything_below(tmp_path) == ["data/facts/test-00000-of-00001.parquet"]


def test_a_new_data_folder_replaces_the_old_one_whole_and_a_given_up_one_is_cleared(tmp_path: Path) -> None:
    publish(tmp_path, MANY[:3], (3,))
    given_up = DataFolder(RunFolder(tmp_path))
    with given_up.table("never", "train", Survivor, 1) as table:
        table.add(MANY[:1])
    again = DataFolder(RunFolder(tmp_path))
    with again.table("facts", "validation", Survivor, 2) as table:
        table.add(MANY[:2])
    again.appear()
    assert everything_below(tmp_path) == ["data/facts/validation-00000-of-00001.parquet"]


def test_the_splits_of_a_config_are_those_that_have_files_in_their_usual_order(tmp_path: Path) -> None:
    data = DataFolder(RunFolder(tmp_path))
    for split in ("test", "train"):
        with data.table("facts", split, Survivor, 1) as table:
            table.add(MANY[:1])
    data.appear()
    assert splits_present(tmp_path / "data", "facts") == ["train", "test"]
    assert splits_present(tmp_path / "data", "questions") == []


def test_past_the_file_size_limit_the_error_says_what_to_do_and_no_data_appear(tmp_path: Path) -> None:
    Work(RunFolder(tmp_path)).ensure()
    said = refusal(
        "from schemas.outcome import Survivor\nfrom store.dataset import DataFolder\nfrom store.folder import RunFolder\n"
        "rows = [Survivor(record_id=f'{i * 7919 % 10007}', record_type='seed') for i in range(9000)]\n"
        "data = DataFolder(RunFolder(root))\n"
        "with data.table('facts', 'train', Survivor, 9000) as table: table.add(rows)\n"
        "data.appear()",
        tmp_path,
        limit=10_000,
    )
    assert said.startswith("SubtextError: cannot write")
    assert "the file would pass the file-size limit; raise it (ulimit -f)" in said
    assert not (tmp_path / "data").exists()
