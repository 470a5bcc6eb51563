"""The end of a server's log, without what nobody reads: frames of tracebacks, progress bars, colours, the loggers' own prefixes, and,
where there is anything else, what was only for information.

vLLM reports one failure in several processes over hundreds of lines. Without the frames, the exceptions themselves, the first
cause among them, are what is left in the last lines.
"""

import re
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PREFIX = re.compile(r"^(\([^()]*pid=\d+\)\s?)?((ERROR|WARNING|INFO|DEBUG) \d\d-\d\d [\d:.]+ \[[^\]]+\]\s?)?")
_FRAME = re.compile(r'^\s*File ".*", line \d+')
_NOISE = re.compile(r"^\s{4,}\S|^\s*[~^]+$|^Traceback \(|^During handling of|^The above exception|\d+%\|")
_INFORMATION = re.compile(r"^(\([^()]*pid=\d+\)\s?)?(INFO|DEBUG)\b")
_READ = 200_000


def tail(log: Path, begins: int = 0, lines: int = 15) -> list[str]:
    """The last `lines` lines of `log` that say something, from byte `begins` on. None, where the log cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(begins, file.seek(0, 2) - _READ))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    all_lines = [_COLOUR.sub("", line) for line in text.replace("\r", "\n").split("\n")]
    complaints = [line for line in all_lines if not _INFORMATION.match(line)]
    return (_telling(complaints) or _telling(all_lines))[-lines:]


def _telling(lines: list[str]) -> list[str]:
    said: dict[str, None] = {}
    in_frame = False
    for raw in lines:
        line = _PREFIX.sub("", raw).rstrip()
        source_line, in_frame = in_frame, _FRAME.match(line) is not None
        if line and not source_line and not in_frame and not _NOISE.search(line):
            said.pop(line, None)  # the same complaint of another process: told once, where it was told last
            said[line] = None
    return [line[:300] for line in said]
