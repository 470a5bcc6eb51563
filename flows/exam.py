"""`subtext exam`: let an agent sit the exam of a finished dataset; check the file that it leaves, and compare two of them."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.errors import SubtextError

if TYPE_CHECKING:
    from rich.console import Console

    from schemas.exam import ExamResult

_EPILOG = """Examples: subtext exam output/small/0.1.0 --agent "command:python docs/agent_example.py" --users 10; subtext exam --verify
output/small/0.1.0/agent/exam-mine.json output/small/0.1.0; subtext exam --compare mine.json theirs.json"""


@click.command("exam", epilog=_EPILOG)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--agent", "spec", metavar="AGENT", help="extractive, the path of a trained one, llm:MODEL@URL, command:…, or http://…")
@click.option("--split", default="test", show_default=True, help="Whose users.")
@click.option("--budget", "memory_tokens", default=512, show_default=True, type=click.IntRange(1), help="Tokens of memory.")
@click.option("--history", "history_tokens", default=32000, show_default=True, type=click.IntRange(1), help="Tokens of the histories.")
@click.option("--users", type=click.IntRange(1), help="Only so many: an exam of its own, by which others are not measured.")
@click.option("--name", help="What the result calls the agent; by default its model, command or address.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The result; by default FOLDER/agent/exam-NAME.json.")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Sign with this key; by default with your own, made once.")
@click.option("--verify", type=click.Path(path_type=Path), metavar="FILE", help="Check a result; with FOLDER, against the dataset too.")
@click.option("--compare", nargs=2, type=click.Path(path_type=Path), metavar="FILE FILE", help="How far two agents are apart.")
def exam_command(  # noqa: PLR0913, PLR0917 (one parameter per option)
    folder: Path | None, spec: str | None, split: str, memory_tokens: int, history_tokens: int, users: int | None, name: str | None,
    out: Path | None, key: Path | None, verify: Path | None, compare: tuple[Path, Path] | None,
) -> None:  # fmt: skip
    """Let an agent read the users' histories and answer, each question at its moment, and sign what it answered."""
    if sum(one is not None for one in (spec, verify, compare)) != 1:
        raise click.UsageError("give one of --agent, --verify and --compare")
    if verify is not None:
        _verify(verify, folder)
    elif compare is not None:
        if folder is not None:
            raise click.UsageError("--compare takes two results and no folder")
        _compare(*compare)
    elif folder is None or spec is None:
        raise click.UsageError("--agent wants the folder of a finished dataset, such as output/demo/0.1.0")
    else:
        _examine(folder, spec, split, memory_tokens, history_tokens, users, name, out, key)


def _examine(  # noqa: PLR0913, PLR0917 (as above)
    folder: Path, spec: str, split: str, memory_tokens: int, history_tokens: int, users: int | None, name: str | None,
    out: Path | None, key: Path | None,
) -> None:  # fmt: skip
    from flows.take_exam import Paper, take_exam
    from memory.agents import Spec, make_agent

    wanted = Spec.of(spec)
    paper = Paper.read(folder, split, history_tokens, users)
    file = out or folder / "agent" / f"exam-{_slug(name or wanted.name)}.json"
    with make_agent(wanted, memory_tokens, file.with_name(f"{file.stem}.calls"), name) as candidate:
        result = take_exam(paper, candidate, memory_tokens, file, key or own_key())
    console = _console()
    _print(result, console)
    console.print(f"\nSigned: {file}")


def own_key() -> Path:
    """`$SUBTEXT_CONFIG`, else the user's config folder: where the key lies that signs a person's results."""
    base = os.environ.get("SUBTEXT_CONFIG") or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "subtext"
    return Path(base) / "exam-key.pem"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:60] or "agent"


def _verify(file: Path, folder: Path | None) -> None:
    """Print what was found; SubtextError, a line for each, where something does not hold."""
    from flows.exam_results import faults, faults_against, read_result
    from flows.take_exam import Paper

    signed = read_result(file)
    result, found = signed.result, faults(signed)
    if folder is not None:
        paper = Paper.read(folder, result.exam.split, result.exam.history_tokens, result.exam.users)
        found += faults_against(result, paper)
    if found:
        raise SubtextError("\n".join(f"{file}: {one}" for one in found))
    console = _console()
    _print(result, console)
    against = (
        " and the dataset's questions and golds are these" if folder else "; give the dataset's folder to check questions and golds too"
    )
    console.print(f"\nIn order: signed by {signed.public_key}, the figures follow from the answers{against}.")


def _compare(first: Path, second: Path) -> None:
    from flows.exam_results import compare, faults, read_result

    read = []
    for file in (first, second):
        signed = read_result(file)
        if found := faults(signed):
            raise SubtextError("\n".join(f"{file}: {one}" for one in found))
        read.append(signed.result)
    difference = compare(*read)
    console = _console()
    for result in read:
        _print(result, console)
        console.print()
    one, other = (result.agent.name for result in read)
    console.print(
        f"{one} is {difference.value:+.1%} against {other}, 95 % interval {difference.low:+.1%} to {difference.high:+.1%}, "
        f"p = {difference.p:.3f}; the same users, resampled whole."
    )
    if difference.low <= 0 <= difference.high and difference.detectable:
        console.print(f"Not certain: of this size, the exam shows differences of {difference.detectable:.1%} in four of five cases.")


def _print(result: "ExamResult", console: "Console") -> None:
    """Who did how well on what, in three or four lines."""
    right, memory, tools = result.accuracy, result.memory, result.made_with
    console.print(f"{result.agent.name} ({result.agent.kind}) on {result.exam.name}, seal {result.exam.seal}")
    console.print(
        f"  right {right.value:.1%}, 95 % interval {right.low:.1%} to {right.high:.1%}; {result.exam.questions:,} questions in all "
        f"rotations, {result.exam.users} users, {right.unread} choices that were none"
    )
    used = "not shown" if memory.mean_tokens is None else f"{memory.mean_tokens:,.0f} tokens on average, {memory.most_tokens:,} at most"
    console.print(
        f"  memory {used}; budget {memory.budget:,}; "
        + (f"chunks of {tools.chunk_tokens:,}" if tools.chunk_tokens else "whole sessions handed over")
    )
    if memory.over_budget:
        console.print(f"  OVER BUDGET in {memory.over_budget} of {result.exam.questions} questions: not a fair result")
    if memory.hidden:
        console.print(f"  the memory was not shown in {memory.hidden} of {result.exam.questions} questions: nothing is known of its size")
    if result.spent:
        tokens = result.spent.get("tokens", {})
        calls = sum(account.get("calls", 0) for account in result.spent.get("calls", {}).values())
        read, wrote, cost = tokens.get("prompt", 0), tokens.get("completion", 0), result.spent.get("cost_usd", 0)
        console.print(f"  {calls:,} calls, {read:,} tokens read, {wrote:,} written, ${cost:,.4f}")


def _console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True, markup=False, highlight=False, width=None if sys.stdout.isatty() else 160)
