import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from author.serving import leash
from tests.author.serving.processes import running, until

LEASH = (sys.executable, "-P", leash.__file__, "--")


@pytest.fixture
def mark() -> Iterator[str]:
    """A word to know one's processes by. Whatever a failing test leaves behind is ended."""
    word = f"mark-{uuid4().hex}"
    yield word
    for pid in running(word):
        os.kill(pid, signal.SIGKILL)


def start(script: str, mark: str, command: tuple[str, ...] = LEASH, first: str = ":") -> subprocess.Popen[bytes]:
    """Run `script` on a leash, in `sh` twice, after `first`: one is the command, and one in its background."""
    both = f"{first}; sh -c '{script}' {mark} {mark} & echo up; {script}"
    process = subprocess.Popen([*command, "sh", "-c", both, mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    until(lambda: len(running(mark)) == 3, "the leash, the command and its child")
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    status = process.wait(60)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
    return status


def test_the_end_of_its_input_ends_the_command_and_its_children(mark: str) -> None:
    process = start("sleep 600 & wait", mark)
    assert process.stdin is not None
    process.stdin.close()
    assert ended(process) == 128 + signal.SIGTERM
    assert running(mark) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_its_children(mark: str, number: signal.Signals) -> None:
    process = start("sleep 600 & wait", mark)
    process.send_signal(number)
    assert ended(process) == 128 + signal.SIGTERM
    assert running(mark) == []


def test_whoever_ignores_a_polite_word_is_killed(mark: str) -> None:
    code = "import sys; from author.serving import leash; leash.GRACE_S = 0.3; sys.exit(leash.main(sys.argv[1:]))"
    process = start("sleep 600; :", mark, (sys.executable, "-c", code, "--"), first="trap '' TERM")
    assert process.stdin is not None
    process.stdin.close()
    assert ended(process) == 128 + signal.SIGKILL
    assert running(mark) == []


def test_a_command_that_ends_leaves_nobody_behind(mark: str) -> None:
    process = subprocess.Popen([*LEASH, "sh", "-c", f"sh -c 'sleep 600; :' {mark} & exit 4", mark], stdin=subprocess.PIPE)
    assert process.wait(60) == 4
    assert running(mark) == []
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_killing_the_leash_ends_the_command(mark: str) -> None:
    process = subprocess.Popen([*LEASH, "sleep", "600"], stdin=subprocess.PIPE, env={**os.environ, "MARK": mark})
    until(lambda: children(process.pid), "the command")
    (command,) = children(process.pid)
    process.kill()
    process.wait(60)
    until(lambda: not alive(command), "the command's end")
    assert process.stdin is not None
    process.stdin.close()


def test_a_command_that_does_not_exist_is_named() -> None:
    done = subprocess.run([*LEASH, "no-such-command"], capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "no-such-command: No such file or directory\n"


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run([*LEASH[:-1], "sleep"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "-- COMMAND" in done.stderr


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
