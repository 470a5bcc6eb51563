"""Reading seed files: what stands in a file comes out, and what cannot be read says which line and why."""

import tracemalloc
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from store.seed_files import MOST_BYTES, Line, read_lines


def written(path: Path, content: bytes | str) -> str:
    """`content` in the file `path`; its name."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def lines(path: str, field: str = "persona") -> list[Line]:
    return list(read_lines(path, field))


def texts(path: str, field: str = "persona") -> list[str]:
    found = lines(path, field)
    assert not [line for line in found if line.problem]
    return [line.text for line in found]


def parquet(path: Path, **columns: object) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".JSONL"])
def test_json_lines_give_their_texts_with_their_numbers(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"seeds{ending}", '{"persona": "A nurse"}\n{"persona": "Ein Bäcker", "more": 1}')
    assert lines(path) == [Line(1, "A nurse", ""), Line(2, "Ein Bäcker", "")]


def test_blank_json_lines_are_no_seeds_but_count_as_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "seeds.jsonl", '\n  \n{"persona": "A nurse"}\n\n{"persona": "A baker"}\n\n')
    assert lines(path) == [Line(3, "A nurse", ""), Line(5, "A baker", "")]


@pytest.mark.parametrize(("name", "content"), [("s.jsonl", '{"persona": "A nurse"}\n'), ("s.csv", "persona\nA nurse\n")])
def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path: Path, name: str, content: str) -> None:
    assert texts(written(tmp_path / name, content.encode("utf-8-sig"))) == ["A nurse"]


def test_windows_line_ends_are_not_part_of_the_text(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "s.jsonl", '{"persona": "A nurse"}\r\n{"persona": "A baker"}\r\n')) == ["A nurse", "A baker"]
    assert texts(written(tmp_path / "s.csv", "persona\r\nA nurse\r\nA baker\r\n")) == ["A nurse", "A baker"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b'{"persona": "A nurse"', "not JSON"),
        (b"A nurse", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["A nurse"]', "not an object with 'persona' but list"),
        (b"null", "not an object with 'persona' but NoneType"),
        ('{"persona": "Ein Bäcker"}'.encode("latin-1"), "not UTF-8 at byte 19 of the line"),
        (b'{"seed": "A nurse", "id": 1}', "no 'persona' in it (it has: seed, id); name another with seeds.text_field"),
        (b"{}", "no 'persona' in it (it has: nothing)"),
        (b'{"persona": 7}', "'persona' is not text but int"),
        (b'{"persona": ["A nurse"]}', "'persona' is not text but list"),
        (b'{"persona": null}', "'persona' is empty"),
        (b'{"persona": " \\t "}', "'persona' is empty"),
    ],
)
def test_a_broken_json_line_has_its_number_and_its_problem_and_the_others_are_read(tmp_path: Path, broken: bytes, why: str) -> None:
    path = written(tmp_path / "seeds.jsonl", b'{"persona": "A nurse"}\n\n' + broken + b'\n{"persona": "A baker"}\n')
    before, bad, after = lines(path)
    assert (before, after) == (Line(1, "A nurse", ""), Line(4, "A baker", ""))
    assert bad.number == 3
    assert bad.text == ""
    assert why in bad.problem


def test_a_text_of_the_greatest_length_is_read_and_a_longer_line_is_not(tmp_path: Path) -> None:
    frame = len('{"persona": ""}')
    fits, over = "x" * (MOST_BYTES - frame), "x" * (MOST_BYTES - frame + 1)
    path = written(tmp_path / "seeds.jsonl", f'{{"persona": "{fits}"}}\n{{"persona": "{over}"}}\n{{"persona": "A baker"}}')
    first, second, third = lines(path)
    assert first.text == fits
    assert second == Line(2, "", "the line is longer than 1,000,000 bytes")
    assert third.text == "A baker"


def hundred_megabytes(path: Path, before: bytes, after: bytes) -> str:
    """A file with a line of 100 MB, most of it a hole that takes no place on the disk."""
    with path.open("wb") as file:
        file.write(before)
        file.seek(100_000_000)
        file.write(after)
    return str(path)


def test_a_json_line_of_100_mb_is_a_problem_of_that_line_and_not_of_the_memory(tmp_path: Path) -> None:
    path = hundred_megabytes(tmp_path / "s.jsonl", b'{"persona": "A nurse"}\n{"persona": "', b'"}\n{"persona": "A baker"}\n')
    tracemalloc.start()
    try:
        found = lines(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [Line(1, "A nurse", ""), Line(2, "", "the line is longer than 1,000,000 bytes"), Line(3, "A baker", "")]
    assert peak < 10 * MOST_BYTES


def test_a_csv_line_of_100_mb_is_a_problem_of_that_line(tmp_path: Path) -> None:
    before, bad, after = lines(hundred_megabytes(tmp_path / "s.csv", b"persona\nA nurse\n", b"\nA baker\n"))
    assert (before, after) == (Line(2, "A nurse", ""), Line(4, "A baker", ""))
    assert bad.text == ""
    assert bad.problem


def test_csv_cells_give_their_texts_with_the_line_on_which_they_begin(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", 'id,persona\n1,A nurse\n\n2,"A baker, who\nsings ""Carmen"""\n3,Ein Koch aus Köln\n')
    assert lines(path) == [Line(2, "A nurse", ""), Line(4, 'A baker, who\nsings "Carmen"', ""), Line(6, "Ein Koch aus Köln", "")]


def test_a_csv_cell_that_is_empty_missing_or_not_utf8_is_a_problem_of_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", "id,persona\n1,\n2\n3,Bäcker\n4,A nurse\n".encode("latin-1"))
    assert [(line.number, line.problem) for line in lines(path)] == [
        (2, "'persona' is empty"), (3, "1 cells under 2 column(s); put a text with commas in quotes"), (4, "not UTF-8"), (5, ""),
    ]  # fmt: skip


def test_parquet_cells_give_their_texts_or_their_problems_by_row(tmp_path: Path) -> None:
    path = parquet(tmp_path / "s.parquet", id=[1, 2, 3], persona=["A nurse", None, " "])
    assert lines(path) == [Line(1, "A nurse", ""), Line(2, "", "'persona' is empty"), Line(3, "", "'persona' is empty")]
    assert [line.problem for line in lines(path, "id")] == ["'id' is not text but int"] * 3


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_a_table_without_the_column_names_the_file_and_the_columns_it_has(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    _ = parquet(Path(path), seed=["A nurse"], id=[1]) if name.endswith("parquet") else written(Path(path), "seed,id\nA nurse,1\n")
    with pytest.raises(InputError) as caught:
        lines(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "no column 'persona' (it has: seed, id); name another with seeds.text_field" in str(caught.value)


def test_another_column_can_be_named(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "s.jsonl", '{"who": "A nurse"}'), "who") == ["A nurse"]
    assert texts(written(tmp_path / "s.csv", "who\nA nurse"), "who") == ["A nurse"]
    assert texts(parquet(tmp_path / "s.parquet", who=["A nurse"]), "who") == ["A nurse"]


@pytest.mark.parametrize("name", ["s.jsonl", "s.csv", "s.parquet"])
def test_an_empty_file_is_an_input_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, b"")
    with pytest.raises(InputError, match="the file is empty") as caught:
        lines(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["seeds.txt", "seeds", "seeds.jsonl.gz"])
def test_an_unknown_ending_says_which_endings_there_are(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, b"A nurse\n")
    with pytest.raises(InputError, match=r"read from \.jsonl, \.csv or \.parquet") as caught:
        lines(path)
    assert path in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no such seed file or folder") as caught:
        lines(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("cut", [10, -10])
def test_a_parquet_file_that_is_none_or_cut_short_is_named(tmp_path: Path, cut: int) -> None:
    path = Path(parquet(tmp_path / "s.parquet", persona=["A nurse"]))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="not a Parquet file") as caught:
        lines(str(path))
    assert str(path) in str(caught.value)


def test_parquet_with_another_encoding_is_an_input_error_that_names_the_file(tmp_path: Path) -> None:
    latin = pa.Array.from_buffers(pa.string(), 2, pa.array([b"A nurse", "Bäcker".encode("latin-1")]).buffers())
    path = parquet(tmp_path / "s.parquet", persona=latin)
    with pytest.raises(InputError, match="unreadable after row 0") as caught:
        lines(path)
    assert path in str(caught.value)


def test_a_folder_saved_by_datasets_is_read_with_all_its_splits(tmp_path: Path) -> None:
    one = datasets.Dataset.from_dict({"persona": ["A nurse", ""]})
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one, "test": datasets.Dataset.from_dict({"persona": ["A baker"]})}).save_to_disk(tmp_path / "two")
    empty = Line(2, "", "'persona' is empty")
    assert lines(str(tmp_path / "one")) == [Line(1, "A nurse", ""), empty]
    assert lines(str(tmp_path / "two")) == [Line(1, "A nurse", ""), empty, Line(3, "A baker", "")]
    with pytest.raises(InputError, match=r"no column 'who' \(it has: persona\)"):
        lines(str(tmp_path / "one"), "who")


def test_a_folder_that_holds_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load it") as caught:
        lines(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
