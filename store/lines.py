"""A file of lines that grows by one at a time, each on the disk before `add` returns. One process at a time writes it (flock).

A kill loses at most the line under way: what was cut short is not read, and goes with the next line.
"""

import fcntl
import os
from pathlib import Path

from schemas.errors import SubtextError
from store.folder import sync


class LineFile:
    """A file of lines, open for adding. Use it in a `with`.

    SubtextError where it cannot be written, or another process is writing it: `by` says what that is, `instead` what to do.
    """

    def __init__(self, path: Path, by: str, instead: str) -> None:
        self._path = path
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync(self._path.parent)
            text = self._path.read_bytes()
            self.lines = text.split(b"\n")[:-1]
            """The lines that were there when it was opened, without their ends."""
            self._size = text.rfind(b"\n") + 1
        except BlockingIOError as error:
            os.close(self._handle)
            raise SubtextError(f"{self._path} is being written by {by}; {instead}") from error
        except OSError as error:
            os.close(self._handle)
            raise self._unwritable(error) from error
        except BaseException:
            os.close(self._handle)
            raise

    def __enter__(self) -> "LineFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)

    def add(self, text: bytes) -> None:
        """Add a line, `text` being without its end; returns when it is on the disk."""
        line = text + b"\n"
        end = self._size + len(line)
        try:
            os.ftruncate(self._handle, self._size)  # a line that was cut short
            while rest := line[len(line) - (end - self._size) :]:
                self._size += os.write(self._handle, rest)
            os.fsync(self._handle)
        except OSError as error:
            self._size = end - len(line)  # what was written of the line goes, or the next one would begin in its middle
            os.ftruncate(self._handle, self._size)
            raise self._unwritable(error) from error

    def clear(self) -> None:
        """Drop all lines."""
        os.ftruncate(self._handle, 0)
        self._size = 0

    def remove(self) -> None:
        """Drop the file itself."""
        self._path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> SubtextError:
        why = error.strerror or str(error)
        return SubtextError(f"cannot write {self._path}: {why}; mend that, then run the same command again (earlier answers are kept)")
