"""`subtext memory show` and `diff`: what an agent remembered, as a person reads it."""

import re
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli import main
from schemas.arrow import to_table
from schemas.results import MemoryRow
from store.parts import write_table

BEFORE = "2025-03-02 s003 | drinks coffee black\n2025-03-05 s004 | has a bad knee\n2025-03-05 s004 of Anna | keeps bees"
AFTER = "2025-05-01 s009 | drinks tea\nsuperseded 2025-03-02 s003 | drinks coffee black\n2025-03-05 s004 of Anna | keeps bees"


def row(write: int, memory: str, persona: str = "p1", arm: str = "trained_memory", budget: int = 512) -> MemoryRow:
    return MemoryRow(arm=arm, budget=budget, persona_id=persona, write=write, until=date(2025, 3 + write, 1), memory=memory)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        row(2, AFTER), row(1, BEFORE), row(1, "", "p2"), row(1, "2025-03-05 s004 | \x1b[31mred\x1b[0m", "p3"),
        row(1, "no line of a memory", "p4"), row(1, "2025-03-02 s001 | other arm", arm="untrained_memory"),
        row(1, "2025-03-02 s001 | other budget", budget=128),
    ]  # fmt: skip
    write_table(tmp_path / "agent" / "memories.parquet", to_table(rows, MemoryRow))
    return tmp_path


def memory(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["memory", *map(str, arguments)])


def test_the_last_memory_of_a_user_is_shown_or_that_after_a_write(folder: Path) -> None:
    done = memory("show", folder, "--persona", "p1")
    assert (done.exit_code, done.output) == (0, f"p1 after write 2, read until 2025-05-01 (trained_memory, 512 tokens)\n{AFTER}\n")
    assert memory("show", folder, "--persona", "p1", "--write", 1).output.endswith(f"\n{BEFORE}\n")
    assert "other arm" in memory("show", folder, "--arm", "untrained_memory").output
    assert "other budget" in memory("show", folder, "--budget", 128).output


def test_without_a_user_everybodys_is_shown(folder: Path) -> None:
    output = memory("show", folder).output
    assert re.findall(r"^(\w+) after write (\d)", output, re.MULTILINE) == [("p1", "2"), ("p2", "1"), ("p3", "1"), ("p4", "1")]
    assert "p2 after write 1, read until 2025-04-01 (trained_memory, 512 tokens)\n(nothing)\n\n" in output
    assert "no line of a memory" in output
    assert "other" not in output


def test_what_could_steer_the_terminal_is_not_printed(folder: Path) -> None:
    output = memory("show", folder, "--persona", "p3").output
    assert "\x1b" not in output and "| [31mred[0m" in output


def test_a_write_is_compared_with_another(folder: Path) -> None:
    done = memory("diff", folder, "--persona", "p1", "--write", 1, 2)
    assert done.output.splitlines() == [
        "p1, write 1 (2025-04-01) to 2 (2025-05-01)",
        "- 2025-03-05 s004 | has a bad knee",
        "~ 2025-03-02 s003 | drinks coffee black",
        "  superseded 2025-03-02 s003 | drinks coffee black",
        "+ 2025-05-01 s009 | drinks tea",
    ]
    assert memory("diff", folder, "--persona", "p1", "--write", 2, 2).output.splitlines()[1:] == ["(no change)"]


def test_plain_text_can_be_exported(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts" / "memory.txt"
    done = memory("show", folder, "--persona", "p1", "--export", file)
    assert (done.exit_code, done.output) == (0, f"Written: {file}\n")
    assert file.read_text("utf-8") == memory("show", folder, "--persona", "p1").output
    assert memory("diff", folder, "--persona", "p1", "--write", 1, 2, "--export", file).exit_code == 0
    assert "+ 2025-05-01 s009 | drinks tea\n" in file.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arm", "bm25"], "no memories of bm25; it has those of trained_memory, untrained_memory"),
        (["--budget", "64"], "trained_memory was not given 64 tokens; it had 128, 512"),
        (["--persona", "p9"], "no user p9; there are p1, p2, p3, p4"),
        (["--persona", "p1", "--write", "3"], "--write 3: p1 has writes 1 to 2"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(folder: Path, arguments: list[str], said: str) -> None:
    done = memory("show", folder, *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_dataset_that_was_not_evaluated_is_told(tmp_path: Path) -> None:
    done = memory("show", tmp_path)
    assert (done.exit_code, "evaluate the dataset first" in done.stderr) == (2, True)
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "memories.parquet").write_bytes(b"PAR1")
    assert memory("show", tmp_path).exit_code == 2
