"""Looking at real processes: who runs with a word in its command line, and waiting until nobody does."""

import time
from collections.abc import Callable
from pathlib import Path


def running(word: str) -> list[int]:
    """The processes, dead but unburied ones aside, that have `word` among their arguments; the newest last."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in arguments:
            found.append(int(folder.name))
    return sorted(found)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for `condition`. A minute is for machines that are busy, not a measurement."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)
