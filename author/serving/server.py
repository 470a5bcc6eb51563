"""A model server of our own: started, waited for until it really answers, started again when it dies, and never left behind.

Ready means that a completion came back, not that a health page did. A server that dies while it starts fails at once, with the last
lines of its log that say something. Later deaths are repaired at the same address, with growing pauses; a server that keeps dying is
given up, and `problem` says why. The process runs on a leash (leash.py), so whatever ends us ends it.
"""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from author.serving import leash
from author.serving.port import HOST, ask, free_port
from author.serving.tail import tail
from schemas.errors import SubtextError


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server, and how often to start it again."""

    start_s: float = 900
    """Until it must answer, from its start. Large models load for minutes."""
    restarts: int = 5
    """So often within `window_s` seconds; the next death is the last."""
    window_s: float = 1800
    pause_s: float = 1
    """Before the first restart in a window; doubled for each further one."""


class Server:
    """A running model server; answers when the constructor returns. Safe to use from several threads. Close it, or use it in a `with`."""

    def __init__(  # noqa: PLR0913 (a server is a command, a name and a place for its words; the rest has defaults)
        self,
        command: Callable[[int], Sequence[str]],
        model: str,
        log: Path,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        notice: Callable[[str], None] | None = None,
        closing: threading.Event | None = None,
    ) -> None:
        """Start `command(port)`, which is to serve `model`, and wait until it answers.

        What it prints is appended to `log`. `notice` is told, in a line each, of deaths and restarts. Set
        `closing` in another thread to give up a start that is under way. Raises SubtextError when it does
        not come to answer, and InputError when `port` is taken.
        """
        self.model = model
        """The name to send in requests."""
        self.log = log
        self.restarts = 0
        """How often it was started again."""
        self.problem: SubtextError | None = None
        """Why it was given up, once it was."""
        self._port = free_port(port)
        self._command = command(self._port)
        self._environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._patience = patience or Patience()
        self._notice = notice or (lambda _: None)
        self._closing, self._over = closing or threading.Event(), threading.Event()
        self._starting = threading.Lock()
        try:
            self._process = self._start()
            self._await_answer(self._process)
        except BaseException:
            self.close()
            raise
        self._watcher = threading.Thread(target=self._watch, name=f"server {model}", daemon=True)
        self._watcher.start()

    @property
    def url(self) -> str:
        """Where it is, up to `/v1`. Stays the same over restarts."""
        return f"http://{HOST}:{self._port}/v1"

    def wait(self) -> None:
        """Return when the server is closed. Raises `problem` when it is given up."""
        self._over.wait()
        if self.problem is not None:
            raise self.problem

    def close(self) -> None:
        """Stop the server and everything that it started, and wait until they are gone. Does nothing the second time."""
        with self._starting:
            self._closing.set()
            process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is not None:
            _stop(process)
        watcher: threading.Thread | None = getattr(self, "_watcher", None)
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        self._over.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._closing.is_set():
                raise SubtextError(f"the server of {self.model} was closed before it started")
            try:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with self.log.open("ab") as output:
                    output.write(f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} start of {self.model} at {self.url}\n".encode())
                    output.flush()
                    self._log_begins = output.tell()
                    self._process = subprocess.Popen(
                        [sys.executable, "-P", leash.__file__, "--", *self._command],
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                        env=self._environment,
                        start_new_session=True,  # Ctrl-C is for us to hear, and to end it in order
                    )
            except OSError as error:
                raise SubtextError(f"cannot write the server's log {self.log}: {error.strerror}") from error
            return self._process

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        """Return once a completion came back. Raises SubtextError when the process dies, refuses, or takes too long."""
        until = time.monotonic() + self._patience.start_s
        pause = 0.1
        while (left := until - time.monotonic()) > 0:
            if self._closing.is_set():
                raise SubtextError(f"the server of {self.model} was closed before it answered")
            answer = ask(self._port, self.model, min(left, 120))
            if process.poll() is None and answer == "":
                return
            if answer:
                raise SubtextError(f"the server of {self.model} refuses to answer ({answer}). Its log is {self.log}")
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(pause, left))
            if process.poll() is not None:
                raise self._failure(f"ended with status {process.returncode} before it answered")
            pause = min(pause * 1.5, 2)
        raise self._failure(f"did not answer within {self._patience.start_s:g} s")

    def _failure(self, what: str) -> SubtextError:
        lines = "".join(f"\n  | {line}" for line in tail(self.log, self._log_begins))
        return SubtextError(f"the server of {self.model} {what}. Its log is {self.log}{', which ends with' + lines if lines else ''}")

    def _watch(self) -> None:
        try:
            self._repair()
        except Exception as error:
            self.problem = SubtextError(f"the server of {self.model} is no longer watched: {type(error).__name__}: {error}")
        finally:
            self._over.set()

    def _repair(self) -> None:
        deaths: deque[float] = deque()
        while not self._closing.is_set():
            self._process.wait()
            _stop(self._process)  # gone already; this closes what is left of it with us
            if self._closing.is_set():
                return
            deaths.append(time.monotonic())
            while deaths[0] < deaths[-1] - self._patience.window_s:
                deaths.popleft()
            if len(deaths) > self._patience.restarts:
                self.problem = self._failure(f"died {len(deaths)} times (last with status {self._process.returncode}); it is given up")
                return
            pause = self._patience.pause_s * 2 ** (len(deaths) - 1)
            self._notice(f"the server of {self.model} died (status {self._process.returncode}); starting it again in {pause:g} s")
            if not self._closing.wait(pause):
                self._start_again()

    def _start_again(self) -> None:
        """Start at the same address. One that does not come to answer is dead, for `_repair` to count."""
        self.restarts += 1
        try:
            process = self._start()
            self._await_answer(process)
            self._notice(f"the server of {self.model} answers again at {self.url}")
        except SubtextError as error:
            if not self._closing.is_set():
                self._notice(str(error).partition("\n")[0])
            _stop(self._process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a leash's input, so that it ends the rest; wait for it."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(3 * leash.GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
