"""Runs a command that must not outlive us: `python -m author.serving.leash -- CMD...`

The command gets a process group of its own. The whole group is ended, politely (TERM) and after ten seconds for good (KILL), when our
standard input ends, which happens however the process at its other end died (`kill -9` included), when we are told to stop, and when
the command itself ends but leaves others behind. We exit with the command's status, 128 + n where signal n ended it.

Standard library only, so that it starts in a few hundredths of a second. On Linux we also adopt the orphans of the group, to bury them
where no init does, and a `kill -9` of ourselves takes the command along.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

GRACE_S = 10
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # prctl's PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER


class _Leash:
    def __init__(self, command: Sequence[str]) -> None:
        self._told_to_stop = False
        self._status: int | None = None
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # does nothing, but ends our wait
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        self._child = _start(command)  # kept, never polled: a Popen that goes out of sight buries its process and keeps the status
        self._pid = self._child.pid

    def _stop(self, *_: object) -> None:
        self._told_to_stop = True

    def run(self) -> int:
        """Wait for the end of the command or of our input, then end the group. The command's status."""
        while not self._told_to_stop and self._running():
            if sys.stdin.fileno() in self._wait(None) and not os.read(sys.stdin.fileno(), 4096):
                break
        for number, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
            if not self._tell_group(number):
                break
            until = time.monotonic() + patience
            while self._tell_group(0) and (left := until - time.monotonic()) > 0:
                self._wait(min(left, 0.1))
        self._running()
        return 128 + signal.SIGKILL if self._status is None else self._status

    def _wait(self, seconds: float | None) -> list[int]:
        """Wait for a signal, or, where `seconds` is None, for our input too. Which of the two came."""
        watched = [self._woken, sys.stdin.fileno()] if seconds is None else [self._woken]
        ready: list[int] = select.select(watched, [], [], seconds)[0]
        if self._woken in ready:
            os.read(self._woken, 4096)
        return ready

    def _running(self) -> bool:
        """Bury the dead, and say whether the command is not among them."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._pid:
                    code = os.waitstatus_to_exitcode(status)
                    self._status = code if code >= 0 else 128 - code
        except ChildProcessError:
            pass
        return self._status is None

    def _tell_group(self, number: int) -> bool:
        """Send a signal to the group (0: none), and say whether anybody is in it."""
        self._running()
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # macOS says this of a group of the dead
            return False
        return True


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if prctl is not None:
        prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    us = os.getpid()

    def in_child() -> None:
        if prctl is not None:
            prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != us:
                os._exit(1)

    # preexec_fn is safe here: one thread, and nothing but system calls
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=in_child)  # noqa: PLW1509


def main(arguments: Sequence[str]) -> int:
    """Run the command after `--`."""
    if len(arguments) < 2 or arguments[0] != "--":
        sys.stderr.write("usage: python -m author.serving.leash -- COMMAND [ARGUMENT...]\n")
        return 2
    try:
        return _Leash(arguments[1:]).run()
    except OSError as error:
        sys.stderr.write(f"{arguments[1]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
