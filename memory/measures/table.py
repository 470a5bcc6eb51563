"""The results for people: a table of the arms, and in words what it says and what it does not."""

from collections.abc import Iterator, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from schemas.results import Comparison, Results

WIDTH = 100
_BLIND = ("chance", "longest_option", "no_context", "profile_only")
"""Arms that see nothing of the history: were one above chance, the questions could be guessed."""


def table_text(results: Results, width: int = WIDTH) -> str:
    """The arms, best first, then `findings`; lines of at most `width` columns."""
    table = Table("arm", box=None, pad_edge=False)
    for name in ("memory", "tokens/answer", "accuracy", "95 %", "gap closed", "95 %"):
        table.add_column(name, justify="right")
    for name, arm in sorted(results.arms.items(), key=lambda pair: (-pair[1].accuracy, pair[0])):
        budgeted = any(name in arms for arms in results.budgets.values())
        gap = arm.gap_closed
        table.add_row(
            name,
            f"{results.headline_budget:,}" if budgeted else "",
            f"{arm.tokens_per_query:,.0f}",
            f"{arm.accuracy:.1%}",
            _interval(arm.ci95, 100, 1),
            _plain(gap.value, 2) if gap else "",
            _interval(gap.ci95, 1, 2) if gap else "",
        )
    out = StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False, color_system=None)
    console.print(
        f"{results.exam.name}: {results.exam.users:,} users, {results.exam.questions:,} questions, all rotations of the options\n"
    )
    console.print(table)
    console.print()
    for line in findings(results):
        console.print(line)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def findings(results: Results) -> list[str]:
    """What the results say, one sentence each: which differences are certain, which are not, whether anything can be guessed."""
    return [*_compared(results), *_guessed(results), *_closed(results), *_remembered(results)]


def _compared(results: Results) -> Iterator[str]:
    own = sorted((one for one in results.comparisons if one.budget == results.headline_budget), key=lambda one: -one.difference)
    if not own:
        return
    arm, at = own[0].arm, f"{own[0].budget:,} tokens"
    better = [one for one in own if one.certain and one.difference > 0]
    worse = [one for one in own if one.certain and one.difference < 0]
    open_ = [one for one in own if not one.certain]
    if better:
        yield f"With {at} {arm} is right more often, for certain, than {_points(better)} (points)."
    if worse:
        yield f"With {at} {arm} is right less often, for certain, than {_points(worse)} (points)."
    if open_:
        least = max(one.detectable for one in open_)
        yield f"No difference is certain from {_points(open_)} (points); one of {100 * least:.1f} points would likely have shown."


def _guessed(results: Results) -> Iterator[str]:
    blind = [name for name in _BLIND if name in results.arms]
    above = [name for name in blind if results.arms[name].ci95[0] > results.exam.chance]
    chance = f"chance ({results.exam.chance:.1%})"
    if above:
        found = ", ".join(f"{name} ({results.arms[name].accuracy:.1%})" for name in above)
        yield f"Above {chance} without the history, each at 95 %: {found}. Right options may be guessed."
    elif blind:
        yield f"Without the history nobody is above {chance}: {', '.join(blind)}."


def _closed(results: Results) -> Iterator[str]:
    gap = next((arm.gap_closed for name, arm in results.arms.items() if name == "trained_memory"), None)
    if gap is not None:
        low, high = gap.ci95
        yield f"trained_memory closes {gap.value:.0%} ({low:.0%} to {high:.0%}) of the gap between no_context and oracle_evidence."


def _remembered(results: Results) -> Iterator[str]:
    """What the memories hold, whoever reads them: a reader that reads little between the lines hides the best of them."""
    for arm, memory in results.memory.get(str(results.headline_budget), {}).items():
        if memory.recall.value is not None and memory.precision.value is not None:
            yield (
                f"At the end {arm} holds {memory.recall.value:.0%} of what is true of the users, and {memory.precision.value:.0%} of its "
                "lines hold something of it."
            )


def _points(found: Sequence[Comparison]) -> str:
    return ", ".join(f"{one.other} ({100 * one.difference:+.1f})" for one in found)


def _interval(ends: tuple[float, float], times: int, places: int) -> str:
    return " to ".join(_plain(times * end, places) for end in ends)


def _plain(value: float, places: int) -> str:
    return f"{round(value, places) + 0.0:.{places}f}"  # no -0.0
