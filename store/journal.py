"""The journal: every finished call to a language model, kept before its reply is used, so that no paid call is made twice.

Append-only JSON lines in segments, one segment per process, so that a line cut short by `kill -9` harms no other. Lines are synced in
groups: whoever adds while a sync is under way shares the next one, and nobody's `add` returns before its line is on the disk. What a
kill can lose is therefore at most the calls that were under way.

Two kinds of lines: a call with its request and reply, and `{"again": record_id}`, which makes earlier calls for that record count no
more (`subtext retry-failed`).
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.call import Call
from schemas.errors import SubtextError
from store.folder import disk_errors, sync

_CODEC = ("utf-8", "surrogatepass")
"""A broken reply may hold half a character, and is kept as it came."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished call: its figures, what was asked (chat messages) and what came back."""

    call: Call
    request: list[dict[str, str]]
    reply: str | None
    """The message's text; None where the server gave none (a refusal, an error that another try would meet again)."""
    problem: str = ""
    """What the server said instead of a reply."""


class Journal:
    """The journal in one folder. Reading is possible from any thread, adding from one event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[Path, int, int]] = {}
        self._generations: Counter[str] = Counter()
        self._segment: Path | None = None
        self._handle = -1
        self._size = 0
        self._waiting: list[tuple[bytes, str, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self.found: list[Call] = [call for segment in self._segments() for call in self._scan(segment)]
        """The finished calls of earlier runs, in the order they were written."""

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob("calls-[0-9][0-9][0-9][0-9][0-9].jsonl"))

    def _scan(self, segment: Path) -> Iterator[Call]:
        """Note where each line of `segment` lies; give the calls."""
        at = 0
        try:
            with segment.open("rb") as file:
                for line in file:
                    fields = _parsed(line)
                    if fields is not None and "again" in fields:
                        self._generations[str(fields["again"])] += 1
                    elif fields is not None:
                        call = Call.model_validate(fields["call"])
                        self._places[call.call_id] = (segment, at, len(line))
                        yield call
                    at += len(line)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SubtextError(
                f"{segment}: byte {at}: not a line of a journal ({str(error).splitlines()[0]}); move the file away to make its calls again"
            ) from error

    def generation(self, record_id: str) -> int:
        """How often calls for this record were declared void."""
        return self._generations[record_id]

    def find(self, call_id: str) -> Entry | None:
        """The finished call of this id."""
        place = self._places.get(call_id)
        if place is None:
            return None
        segment, at, length = place
        try:
            with segment.open("rb") as file:
                file.seek(at)
                fields = json.loads(file.read(length).decode(*_CODEC))
        except (OSError, ValueError) as error:
            raise SubtextError(f"{segment}: byte {at}: the call that stood there is gone ({error}); run the same command again") from error
        return Entry(Call.model_validate(fields["call"]), fields["request"], fields["reply"], fields.get("problem", ""))

    async def add(self, entry: Entry) -> None:
        """Keep a finished call; returns when it is on the disk. Raises SubtextError when it cannot be written."""
        fields = {"call": entry.call.model_dump(), "request": entry.request, "reply": entry.reply}
        if entry.problem:
            fields["problem"] = entry.problem
        await self._add(fields, entry.call.call_id)

    def void(self, record_ids: set[str]) -> None:
        """Let the calls made so far for these records count no more."""
        for record_id in sorted(record_ids):
            self._append(_line({"again": record_id}))
            self._generations[record_id] += 1
        self.close()

    async def _add(self, fields: dict[str, Any], call_id: str) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_line(fields), call_id, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        """Write and sync whatever waits. All of a group that fails are told, and find none of its lines in this run."""
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                for line, call_id, _ in group:
                    self._places[call_id] = self._append(line)
                await asyncio.to_thread(self._sync)
            except Exception as error:
                for _, call_id, _ in group:
                    self._places.pop(call_id, None)
                for _, _, done in group:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, _, done in group:
                if not done.done():
                    done.set_result(None)

    def _append(self, line: bytes) -> tuple[Path, int, int]:
        """Write `line` at the end of this process's segment; where it lies."""
        with self._errors():
            if self._segment is None or self._handle < 0:
                self._segment = self._open()
            at = self._size
            try:
                while rest := line[self._size - at :]:
                    self._size += os.write(self._handle, rest)
            except OSError:  # what was written of the line goes, or the next one would begin in its middle
                os.ftruncate(self._handle, at)
                self._size = at
                raise
        return self._segment, at, len(line)

    def _open(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        sync(self._folder.parent)
        numbers = [int(path.stem.rpartition("-")[2]) for path in self._segments()]
        segment = self._folder / f"calls-{max(numbers, default=-1) + 1:05d}.jsonl"
        handle = os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            sync(self._folder)
        except BaseException:
            os.close(handle)
            raise
        self._handle, self._size = handle, 0
        return segment

    def _sync(self) -> None:
        with self._errors():
            os.fsync(self._handle)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Any trouble with the disk stops the run, in words: what is paid for could not be kept."""
        try:
            with disk_errors(self._folder):
                yield
        except OSError as error:
            raise SubtextError(f"cannot write {self._folder}: {error.strerror}; mend that, then run the same command again") from error

    def close(self) -> None:
        """Let go of the segment; a later `add` begins another."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            try:
                with self._errors():
                    os.fsync(handle)
            finally:
                os.close(handle)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(*_CODEC) + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The fields of a line; None where it was cut short, which only the last of a segment can be."""
    if not line.endswith(b"\n"):
        return None
    fields = json.loads(line.decode(*_CODEC))
    if not isinstance(fields, dict):
        raise TypeError("not an object")
    return fields
