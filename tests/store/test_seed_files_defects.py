"""Seed files that are read wrongly today: each test states what must hold, and is to be moved to `test_seed_files.py` when it does."""

import tracemalloc
from pathlib import Path

import pytest

from schemas.errors import InputError
from store.seed_files import MOST_BYTES, Line
from tests.store.test_seed_files import hundred_megabytes, lines, written


@pytest.mark.xfail(strict=True, reason="rows.line_num of a DictReader stands still when a row fails: rows.reader.line_num is right")
def test_a_csv_line_that_is_too_long_has_its_own_number(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", "persona\nA nurse\n" + "x" * (MOST_BYTES + 1) + "\nA baker\n")
    assert [line.number for line in lines(path)] == [2, 3, 4]


@pytest.mark.xfail(strict=True, reason="csv hands out what follows a lost quote as one text: read with strict=True")
def test_a_csv_quote_that_never_closes_is_a_problem(tmp_path: Path) -> None:
    found = lines(written(tmp_path / "s.csv", 'persona\nA nurse\n"A baker\nA cook\nA smith\n'))
    assert found[0] == Line(2, "A nurse", "")
    assert [line for line in found if line.problem]
    assert not [line for line in found if "A cook" in line.text and "A baker" in line.text]


@pytest.mark.xfail(strict=True, reason="what follows an unquoted comma is dropped without a word: row.get(None) holds it")
def test_a_csv_text_cut_at_an_unquoted_comma_is_a_problem(tmp_path: Path) -> None:
    (found,) = lines(written(tmp_path / "s.csv", "persona\nA nurse, who sings in a choir\n"))
    assert found.number == 2
    assert found.text == ""
    assert found.problem


@pytest.mark.xfail(strict=True, reason="only cells are checked for their encoding, not the header")
def test_a_csv_header_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        lines(written(tmp_path / "s.csv", "persona\nA nurse\n".encode("utf-16")))


@pytest.mark.xfail(strict=True, reason="csv reads the whole line into memory before it measures the field")
def test_a_csv_line_of_100_mb_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = hundred_megabytes(tmp_path / "s.csv", b"persona\nA nurse\n", b"\nA baker\n")
    tracemalloc.start()
    try:
        lines(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * MOST_BYTES


@pytest.mark.xfail(strict=True, reason="a lone surrogate passes as text and no file can hold it: the part cannot be written")
def test_a_json_text_that_no_file_can_hold_is_a_problem(tmp_path: Path) -> None:
    (found,) = lines(written(tmp_path / "s.jsonl", '{"persona": "A \\ud800 nurse"}\n'))
    assert found.number == 1
    assert found.problem


@pytest.mark.xfail(strict=True, reason="folder/name.jsonl looks like the name owner/dataset and is looked for on the Hub")
def test_a_missing_relative_file_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such seed file"):
        lines("data/none.jsonl")
