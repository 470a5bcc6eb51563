"""What a person sees of a run: a live table on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread
from types import TracebackType
from typing import Any, TextIO

from store.parts import Receipt

_CALLS = "calls"
_SHOW_S, _TELL_S = 0.5, 10.0
"""Seconds between two looks at what is said beside the stages: on a terminal, and elsewhere."""


class Progress:
    """Counts finished parts by stage and shows them. Use it in a `with`."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._lock = Lock()
        self._expected: dict[str, int] = {}
        self._receipts: dict[str, list[Receipt]] = {}
        self._began = time.monotonic()
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._status: Callable[[], str] = str
        self._told_at = 0.0

    def __enter__(self) -> "Progress":
        if self._out.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            columns = (
                TextColumn("{task.description:10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
            )
            self._bars = Bars(*columns, console=Console(file=self._out), transient=False)
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.stop()

    def watch(self, status: Callable[[], str]) -> None:
        """Show what `status` says too, beside the stages: on a terminal all the time, otherwise now and then. Empty words are not shown."""
        self._status = status
        if self._bars is not None:
            self._tasks[_CALLS] = self._bars.add_task(_CALLS, total=None, note="", visible=False)
            Thread(target=self._keep_showing, args=(self._bars,), daemon=True).start()

    def say(self, status: str, words: str) -> None:
        """Tell how things stand, with `words` on it, where there is anything to tell."""
        if status and self._bars is not None:
            self._bars.console.print(f"{status}{words}")
        elif status:
            self._tell(_CALLS, f"{status}{words}")

    def _keep_showing(self, bars: Any) -> None:
        while bars is self._bars:
            if said := self._status():
                bars.update(self._tasks[_CALLS], note=said, visible=True)
            time.sleep(_SHOW_S)

    def expect(self, stage: str, parts: int) -> None:
        """Announce a stage and how many parts it has."""
        with self._lock:
            self._expected[stage] = parts
            self._receipts[stage] = []  # a further round goes through a stage again
            if self._bars is None:
                return
            if stage in self._tasks:
                self._bars.reset(self._tasks[stage], total=parts)
            else:
                self._tasks[stage] = self._bars.add_task(stage, total=parts, note="")

    def done(self, receipt: Receipt) -> None:
        """Note a finished part."""
        with self._lock:
            receipts = self._receipts.setdefault(receipt.stage, [])
            receipts.append(receipt)
            note = describe(receipts)
            if self._bars is not None:
                self._bars.update(self._tasks[receipt.stage], completed=len(receipts), note=note)
            elif len(receipts) == self._expected.get(receipt.stage):
                self._tell(receipt.stage, note)
            now = time.monotonic()
            if self._bars is None and now - self._told_at > _TELL_S and (said := self._status()):
                self._told_at = now
                self._tell(_CALLS, said)

    def _tell(self, what: str, words: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {what:9} {words}", file=self._out, flush=True)

    def share(self) -> float:
        """How much of what was announced is done, in [0, 1]."""
        with self._lock:
            total = sum(self._expected.values())
            return sum(map(len, self._receipts.values())) / total if total else 0.0


def describe(receipts: list[Receipt]) -> str:
    """'7 parts (3 reused): session 120 kept, 2 rejected'."""
    totals: dict[str, list[int]] = {}
    for receipt in receipts:
        for kind, count in receipt.counts.items():
            kept, rejected = totals.setdefault(kind, [0, 0])
            totals[kind] = [kept + count.kept, rejected + count.rejected]
    reused = sum(receipt.reused for receipt in receipts)
    words = [f"{kind} {kept} kept" + (f", {rejected} rejected" if rejected else "") for kind, (kept, rejected) in totals.items()]
    return f"{len(receipts)} part{'s' * (len(receipts) != 1)}{f' ({reused} reused)' * bool(reused)}: {'; '.join(words)}"


def summarise(receipts: Mapping[str, list[Receipt]]) -> dict[str, dict[str, Any]]:
    """The `stages` of summary.json."""
    stages: dict[str, dict[str, Any]] = {}
    for stage, parts in receipts.items():
        records: dict[str, dict[str, int]] = {}
        for part in parts:
            for kind, count in part.counts.items():
                sums = records.setdefault(kind, {"requested": 0, "kept": 0, "rejected": 0})
                for name in sums:
                    sums[name] += getattr(count, name)
        stages[stage] = {
            "seconds": round(sum(part.seconds for part in parts), 3),
            "parts": len(parts),
            "reused": sum(part.reused for part in parts),
            "records": records,
        }
    return stages
