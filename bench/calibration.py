"""The calibration set in its two halves, and how the rules fare on them: `python -m bench.calibration` prints the table of docs/quality.md.

Rules are tuned on the half `tuning`. The half `frozen` is for the report alone: a rule that was changed after a look at what it got
wrong there would be measured on what it had seen.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from schemas.ids import unit_interval
from schemas.outcome import Verdict
from schemas.session import Message
from validators.agreement import wilson
from validators.claim import Matter
from validators.implicit import check_implicit
from validators.meta_talk import check_meta_talk
from validators.option_balance import check_option_balance
from validators.owned import check_owned
from validators.query_leak import check_query_leak
from validators.refusal import check_refusal
from validators.style import check_style
from validators.synthetic import check_synthetic
from validators.timeline import Stretch, check_timeline
from validators.unclaimed import check_unclaimed
from validators.user_text import check_user_text

Half = Literal["tuning", "frozen"]
CALIBRATION = Path(__file__).parent.parent / "tests" / "calibration"
NOT_MEASURED = ("judge_stated", "judge_inferable", "judge_owner", "judge_blind", "judge_profile", "judge_options")
"""What these are worth hangs on the model that judges."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled session or question, as it stands in its file."""

    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.fields["id"])

    @property
    def flaw(self) -> str | None:
        """What is wrong with it; None where it is good."""
        return self.fields["flaw"]  # type: ignore[no-any-return]

    @property
    def is_session(self) -> bool:
        """A session, or else a question."""
        return "messages" in self.fields

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns of a session."""
        return tuple(Message(role=role, content=text) for turn in self.fields["messages"] for role, text in turn.items())

    @property
    def half(self) -> Half:
        """The half to which a hash of the id gives it."""
        return "tuning" if unit_interval("calibration", self.name) < 0.5 else "frozen"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and the flaw that it is there to find."""

    validator: str
    flaws: frozenset[str]
    check: Callable[[Entry], Verdict]
    of_sessions: bool = True


@dataclass(frozen=True, slots=True)
class Figures:
    """How a rule fares on one half: of `flawed` entries it finds `found`; and it is wrong about `false` others, of `others`."""

    flawed: int
    found: int
    others: int
    false: int

    @property
    def recall(self) -> float:
        """Of the flawed, the share that is found."""
        return self.found / max(self.flawed, 1)

    @property
    def precision(self) -> float:
        """Of those that are refused, the share that has the flaw."""
        return self.found / max(self.found + self.false, 1)


@cache
def entries(half: Half) -> tuple[Entry, ...]:
    """The entries of one half, in order of files and places."""
    paths = sorted(CALIBRATION.glob("*.yaml"))
    everything = [Entry(fields) for path in paths for fields in yaml.safe_load(path.read_text(encoding="utf-8"))]
    return tuple(entry for entry in everything if entry.half == half)


def _stretch(fields: Mapping[str, Any]) -> Stretch:
    until: date | None = fields["until"]
    return Stretch(fields["since"], until, replaced=False)


def _matter(fields: Mapping[str, Any]) -> Matter:
    return Matter(fields["value"], fields["statement"], fields["topic"])


RULES = (
    Rule("implicit", frozenset({"stated"}), lambda one: check_implicit(one.name, one.messages, one.fields["value"])),
    Rule("unclaimed", frozenset({"stated"}), lambda one: check_unclaimed(one.name, one.messages, _matter(one.fields))),
    Rule("user_text", frozenset({"assistant_text"}), lambda one: check_user_text(one.name, one.messages, one.fields["cue"])),
    Rule("owned", frozenset({"not_owned"}), lambda one: check_owned(one.name, one.messages, one.fields["cue"])),
    Rule(
        "timeline",
        frozenset({"timeline"}),
        lambda one: check_timeline(one.name, one.messages, one.fields["cue"], one.fields["at"], _stretch(one.fields)),
    ),
    Rule("meta_talk", frozenset({"meta"}), lambda one: check_meta_talk(one.name, one.messages)),
    Rule("refusal", frozenset({"refusal"}), lambda one: check_refusal(one.name, one.messages)),
    Rule("style", frozenset({"style"}), lambda one: check_style(one.name, one.messages, one.fields["style"])),
    Rule("synthetic", frozenset({"real_data"}), lambda one: check_synthetic(one.name, one.messages)),
    Rule(
        "option_balance",
        frozenset({"length", "register"}),
        lambda one: check_option_balance(one.name, [option["text"] for option in one.fields["options"]]),
        of_sessions=False,
    ),
    Rule(
        "query_leak",
        frozenset({"leak"}),
        lambda one: check_query_leak(
            one.name, one.fields["query"], [option["value"] for option in one.fields["options"] if option["value"]]
        ),
        of_sessions=False,
    ),
)


def measure(rule: Rule, half: Half) -> Figures:
    """How `rule` fares on a half. Entries with another flaw count as others: they are not this rule's to refuse."""
    asked = [entry for entry in entries(half) if entry.is_session == rule.of_sessions]
    refused = {entry.name for entry in asked if not rule.check(entry).passed}
    flawed = [entry for entry in asked if entry.flaw in rule.flaws]
    found = sum(entry.name in refused for entry in flawed)
    return Figures(len(flawed), found, len(asked) - len(flawed), len(refused) - found)


def table(half: Half = "frozen") -> list[str]:
    """The rows of the table of docs/quality.md, one per rule, then the judges."""
    return [*(row(rule, half) for rule in RULES), *(f"| `{name}` | | | | not measured | not measured |" for name in NOT_MEASURED)]


def row(rule: Rule, half: Half) -> str:
    """The row of one rule."""
    figures = measure(rule, half)
    recall = _with_interval(figures.recall, figures.flawed)
    precision = _with_interval(figures.precision, figures.found + figures.false)
    flaws = ", ".join(f"`{flaw}`" for flaw in sorted(rule.flaws))
    return f"| `{rule.validator}` | {flaws} | {figures.flawed} | {figures.others} | {recall} | {precision} |"


def _with_interval(share: float, count: int) -> str:
    if not count:
        return "-"
    low, high = wilson(share, count)
    return f"{share:.2f} ({low:.2f}-{high:.2f})"


def main(arguments: Sequence[str]) -> None:
    """Print the table of the frozen half; of the tuning half with `--tuning`."""
    half: Half = "tuning" if "--tuning" in arguments else "frozen"
    sys.stdout.write("\n".join(table(half)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
