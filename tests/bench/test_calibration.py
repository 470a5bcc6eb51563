"""The calibration set is whole and split for good, and docs/quality.md says of the rules what they do on the frozen half."""

import re
from collections import Counter
from pathlib import Path

import pytest

from bench.calibration import NOT_MEASURED, RULES, Rule, entries, row
from validators.claim import Clause, Matter
from validators.unclaimed import clause_features, read_weights

QUALITY = (Path(__file__).parent.parent.parent / "docs" / "quality.md").read_text(encoding="utf-8")
SLOW = {"unclaimed"}
"""Rules that embed thousands of clauses: a minute or more."""


def documented(validator: str) -> str:
    """The row of the page."""
    (line,) = re.findall(rf"^\| `{validator}` \| .*$", QUALITY, re.MULTILINE)
    return str(line)


def test_every_entry_is_in_one_half_and_both_halves_have_all_flaws() -> None:
    halves = entries("tuning"), entries("frozen")
    names = [entry.name for half in halves for entry in half]
    assert len(names) == len(set(names)) == 549
    flaws = [Counter(entry.flaw for entry in half) for half in halves]
    assert set(flaws[0]) == set(flaws[1])
    assert {flaw for rule in RULES for flaw in rule.flaws} < set(flaws[0])


@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, marks=pytest.mark.slow) if rule.validator in SLOW else rule for rule in RULES],
    ids=lambda rule: rule.validator,
)
def test_the_page_says_what_the_rule_does_on_the_frozen_half(rule: Rule) -> None:
    assert documented(rule.validator) == row(rule, "frozen")


@pytest.mark.parametrize("judge", NOT_MEASURED)
def test_what_no_model_was_measured_on_is_called_not_measured(judge: str) -> None:
    assert documented(judge).count("not measured") == 2


def test_the_weights_are_of_the_features_that_are_computed() -> None:
    matter = Matter("black coffee", "drinks coffee black", "coffee")
    (numbers,) = clause_features(matter, [Clause("I drink my coffee black", "I drink my coffee black.")])
    assert set(read_weights().weights) == set(numbers)
    assert 0 < read_weights().threshold < 1
