"""A file of lines: what was added is there, what was cut short is not, and one writes at a time."""

from pathlib import Path

import pytest

from schemas.errors import SubtextError
from store.lines import LineFile


def opened(path: Path) -> LineFile:
    return LineFile(path, "another exam", "wait for it")


def test_lines_are_read_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines"
    with opened(path) as file:
        assert file.lines == []
        file.add(b"one")
        file.add("zweï".encode())
    with opened(path) as file:
        assert file.lines == [b"one", "zweï".encode()]


def test_a_line_cut_short_is_not_read_and_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntw")
    with opened(path) as file:
        assert file.lines == [b"one"]
    assert path.read_bytes() == b"one\ntw"
    with opened(path) as file:
        file.add(b"three")
    assert path.read_bytes() == b"one\nthree\n"


def test_it_can_be_begun_anew_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\n")
    with opened(path) as file:
        file.clear()
        file.add(b"three")
        assert path.read_bytes() == b"three\n"
        file.remove()
        assert not path.exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with opened(path), pytest.raises(SubtextError, match="lines is being written by another exam; wait for it"):
        opened(path)
    with opened(path):
        pass


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SubtextError, match=r"cannot write .*: .*; mend that"):
        opened(tmp_path / "file" / "lines")
    with pytest.raises(SubtextError, match="cannot write"):
        opened(tmp_path)
