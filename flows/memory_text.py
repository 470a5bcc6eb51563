"""`subtext memory`: what agents remembered, for people to read: a user's memory after any write, and what a write changed."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.errors import InputError

if TYPE_CHECKING:
    from schemas.memory import MemoryLine
    from schemas.results import MemoryRow

FILE = Path("agent") / "memories.parquet"
Styled = tuple[str, str]
"""A line, and the style in which a terminal shows it."""
_ARM = click.option("--arm", default="trained_memory", show_default=True, help="Which of the agents that were evaluated.")
_BUDGET = click.option("--budget", default=512, show_default=True, type=click.IntRange(1), help="Tokens that it was allowed.")
_EXPORT = click.option("--export", type=click.Path(path_type=Path), metavar="FILE", help="Write plain text to this file instead.")


@click.group("memory")
def memory_group() -> None:
    """Read what agents remembered when a dataset was evaluated."""


@memory_group.command(epilog="Example: subtext memory show output/demo/0.1.0 --persona p3f9a1c07de")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--persona", metavar="ID", help="Of one user; by default of all, one after the other.")
@_ARM
@_BUDGET
@click.option("--write", type=click.IntRange(1), metavar="N", help="After this write; by default after the last.")
@_EXPORT
def show(  # noqa: PLR0913, PLR0917 (one parameter per option)
    folder: Path, persona: str | None, arm: str, budget: int, write: int | None, export: Path | None
) -> None:  # fmt: skip
    """Show memories as they were after a write."""
    rows = _read(folder, arm, budget, persona)
    users = [persona] if persona else list(dict.fromkeys(row.persona_id for row in rows))
    lines: list[Styled] = []
    for user in users:
        lines += [*_shown(_after(rows, user, write)), ("", "")]
    _give(lines[:-1], export)


@memory_group.command(epilog="Example: subtext memory diff output/demo/0.1.0 --persona p3f9a1c07de --write 3 4")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--persona", required=True, metavar="ID", help="Of this user.")
@_ARM
@_BUDGET
@click.option("--write", "writes", required=True, nargs=2, type=click.IntRange(1), metavar="A B", help="From the one write to the other.")
@_EXPORT
def diff(  # noqa: PLR0913, PLR0917 (one parameter per option)
    folder: Path, persona: str, arm: str, budget: int, writes: tuple[int, int], export: Path | None
) -> None:  # fmt: skip
    """Show what became of a memory: + added, - dropped, ~ the same words with another status, other dates or sessions."""
    rows = _read(folder, arm, budget, persona)
    _give(list(_compared(*(_after(rows, persona, write) for write in writes))), export)


def _read(folder: Path, arm: str, budget: int, persona: str | None) -> "list[MemoryRow]":
    """The rows of this arm and budget, in order of users and writes. InputError where there are none; it says which there are."""
    from schemas.results import MemoryRow
    from store.dataset import read_rows

    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path}: no such file; evaluate the dataset first, or give the folder of a version that was evaluated")
    of_arm = read_rows([path], MemoryRow, ("arm", {arm}))
    if not of_arm:
        raise InputError(f"{path}: no memories of {arm}; it has those of {', '.join(sorted(_column(path, 'arm'))) or 'nobody'}")
    rows = [row for row in of_arm if row.budget == budget]
    if not rows:
        raise InputError(
            f"{path}: {arm} was not given {budget} tokens; it had {', '.join(map(str, sorted({row.budget for row in of_arm})))}"
        )
    if persona is not None and (rows := [row for row in rows if row.persona_id == persona]) == []:
        raise InputError(f"{path}: no user {persona}; there are {_some(sorted({row.persona_id for row in of_arm}))}")
    return sorted(rows, key=lambda row: (row.persona_id, row.write))


def _column(path: Path, name: str) -> set[str]:
    import pyarrow.parquet as pq

    return {str(value) for value in pq.read_table(path, columns=[name])[name].to_pylist()}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _after(rows: "Sequence[MemoryRow]", user: str, write: int | None) -> "MemoryRow":
    own = [row for row in rows if row.persona_id == user]
    found = own[-1:] if write is None else [row for row in own if row.write == write]
    if not found:
        raise InputError(f"--write {write}: {user} has writes 1 to {own[-1].write}")
    return found[0]


def _lines(row: "MemoryRow") -> "Iterator[tuple[str, MemoryLine | None]]":
    """The memory's lines as text, each with what it says; None where it cannot be read."""
    from memory.notes import read_memory

    for text in row.memory.splitlines():
        found = read_memory(text, row.persona_id).memory.lines
        yield text, found[0] if found else None


def _shown(row: "MemoryRow") -> Iterator[Styled]:
    yield f"{row.persona_id} after write {row.write}, read until {row.until} ({row.arm}, {row.budget} tokens)", "bold"
    if not row.memory.strip():
        yield "(nothing)", "dim"
    for text, line in _lines(row):
        yield text, "red" if line is None else "" if line.status == "active" else "dim"


def _compared(before: "MemoryRow", after: "MemoryRow") -> Iterator[Styled]:
    from memory.notes import changes, read_memory, write_line

    yield f"{before.persona_id}, write {before.write} ({before.until}) to {after.write} ({after.until})", "bold"
    old, new = (read_memory(row.memory, row.persona_id).memory for row in (before, after))
    found = changes(old, new)
    yield from ((f"- {write_line(line)}", "red") for line in found.dropped)
    for was, line in found.rewritten:
        yield f"~ {write_line(was)}", "dim"
        yield f"  {write_line(line)}", "yellow"
    yield from ((f"+ {write_line(line)}", "green") for line in found.added)
    if not (found.dropped or found.rewritten or found.added):
        yield "(no change)", "dim"


def _give(lines: Sequence[Styled], export: Path | None) -> None:
    if export is not None:
        from store.folder import write_text

        write_text(export, "\n".join(text for text, _ in lines) + "\n")
        click.echo(f"Written: {export}")
        return
    from rich.console import Console

    from flows.review import Terminal

    terminal = Terminal(Console(highlight=False, soft_wrap=True), sys.stdin)
    for text, style in lines:
        terminal.say(text, style)
