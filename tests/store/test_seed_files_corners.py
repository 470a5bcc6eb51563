"""Seed files that are easily read wrongly: lost quotes, stray commas, half characters, lines of any length."""

import tracemalloc
from pathlib import Path

import pytest

from schemas.errors import InputError
from store.seed_files import MOST_BYTES, Line
from tests.store.test_seed_files import hundred_megabytes, lines, written


def test_a_csv_line_that_is_too_long_has_its_own_number(tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", "persona\nA nurse\n" + "x" * (MOST_BYTES + 1) + "\nA baker\n")
    assert [line.number for line in lines(path)] == [2, 3, 4]


def test_a_csv_quote_that_never_closes_is_a_problem(tmp_path: Path) -> None:
    found = lines(written(tmp_path / "s.csv", 'persona\nA nurse\n"A baker\nA cook\nA smith\n'))
    assert found[0] == Line(2, "A nurse", "")
    assert [line for line in found if line.problem]
    assert not [line for line in found if "A cook" in line.text and "A baker" in line.text]


def test_a_csv_text_cut_at_an_unquoted_comma_is_a_problem(tmp_path: Path) -> None:
    (found,) = lines(written(tmp_path / "s.csv", "persona\nA nurse, who sings in a choir\n"))
    assert found.number == 2
    assert found.text == ""
    assert found.problem


def test_a_csv_header_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        lines(written(tmp_path / "s.csv", "persona\nA nurse\n".encode("utf-16")))


def test_a_csv_line_of_100_mb_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = hundred_megabytes(tmp_path / "s.csv", b"persona\nA nurse\n", b"\nA baker\n")
    tracemalloc.start()
    try:
        lines(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * MOST_BYTES


def test_a_json_text_that_no_file_can_hold_is_a_problem(tmp_path: Path) -> None:
    (found,) = lines(written(tmp_path / "s.jsonl", '{"persona": "A \\ud800 nurse"}\n'))
    assert found.number == 1
    assert found.problem


def test_a_missing_relative_file_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such seed file"):
        lines("data/none.jsonl")
