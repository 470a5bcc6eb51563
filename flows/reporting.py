"""What the command line prints of a run: what every stage kept, what the language model took, where things lie; and of an estimate."""

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.estimate import ACCEPTANCE, Estimate
from flows.pipeline import Outcome


def _console() -> Console:
    wide = None if sys.stdout.isatty() else 130  # a pipe has no width, and a table cut to 80 columns hides its figures
    return Console(soft_wrap=True, markup=False, highlight=False, width=wide)


def print_outcome(outcome: Outcome, until: str) -> None:
    """A table of what every stage kept, and where things lie."""
    table = Table("stage", "record", box=None, pad_edge=False)
    for name in ("requested", "kept", "rejected"):
        table.add_column(name, justify="right")
    for stage, figures in outcome.summary["stages"].items():
        for kind, counts in figures["records"].items():
            table.add_row(stage, kind, *(f"{counts[name]:,}" for name in ("requested", "kept", "rejected")))
    console = _console()
    console.print(table)
    if calls := outcome.summary.get("calls"):
        console.print()
        console.print(_calls_table(calls))
        _total(console, outcome.summary)
    root = shlex.quote(str(outcome.folder.root))
    if until != "publish":
        console.print(f"\nStopped after {until}, as asked. Parts are in {outcome.folder.root / 'stages'}.")
        return
    console.print(f"\n{'Published' if outcome.published else 'Already published, nothing to do'}: {root}")
    if broken := outcome.summary.get("broken"):
        console.print(f"  marked as failing its audit: {', '.join(broken)}")
    query = "select kind, count(*) from questions group by 1 order by 2 desc"
    console.print(f'  subtext sql {root} "{query}"')
    console.print(f'  datasets.load_dataset({str(outcome.folder.root)!r}, "questions")')


def _calls_table(calls: Mapping[str, Mapping[str, Any]]) -> Table:
    """The ledger by prompt."""
    columns = ("calls", "retries", "repairs", "replayed", "prompt_tokens", "cached_tokens", "completion_tokens", "latency_p50_s")
    table = Table("prompt", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("latency_p50_s", "median_s").replace("_", " "), justify="right")
    for prompt, account in calls.items():
        table.add_row(prompt, *(f"{account[key]:,}" for key in columns))
    return table


def _total(console: Console, summary: Mapping[str, Any]) -> None:
    """The whole in a line or two: calls, tokens, dollars, calls per accepted question, and what went wrong on the way."""
    calls, tokens = summary["calls"], summary["tokens"]
    made = sum(account["calls"] for account in calls.values())
    accepted = summary["stages"].get("assemble", {"records": {}})["records"].get("question", {"kept": 0})["kept"]
    each = f"; {made / accepted:.1f} calls per accepted question" if accepted else ""
    cost = f", ${summary['cost_usd']:,.4f}" if summary["cost_usd"] else ""
    console.print(f"{made:,} calls, {tokens['prompt'] + tokens['completion']:,} tokens{cost}{each}")
    faults: dict[str, int] = {}
    for account in calls.values():
        for kind, count in account["faults"].items():
            faults[kind] = faults.get(kind, 0) + count
    if faults:
        console.print("met: " + ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))


def print_estimate(estimate: Estimate) -> None:
    """The table of an estimate, and the arithmetic of an accepted question."""
    table = Table("prompt", box=None, pad_edge=False)
    for name in ("calls", "prompt tokens", "completion tokens", "US$"):
        table.add_column(name, justify="right")
    rows = [(line.prompt, line) for line in estimate.lines]
    for name, line in rows:
        table.add_row(name, f"{line.calls:,.0f}", f"{line.prompt_tokens:,.0f}", f"{line.completion_tokens:,.0f}", f"{line.cost_usd:,.2f}")
    sums = [sum(getattr(line, key) for line in estimate.lines) for key in ("calls", "prompt_tokens", "completion_tokens", "cost_usd")]
    table.add_row("all", *(f"{number:,.0f}" for number in sums[:3]), f"{sums[3]:,.2f}")
    console = _console()
    console.print(table)
    console.print(
        f"\n{estimate.personas:,} personas, {estimate.questions:,} questions dealt: {estimate.calls_per_question:.1f} calls per accepted "
        f"question if {ACCEPTANCE:.0%} are accepted. Repairs are in it at the rate of the sample; items are counted as if no two users "
        "held the same value."
    )
    console.print(f"Measured with {estimate.sampled_calls} calls just now; they are kept, and the run will not make them again.")
