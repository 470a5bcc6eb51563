"""Rewards by hand."""

from datetime import UTC, datetime

import pytest

from memory.agent import Answer
from memory.rewards import answer_reward, overrun_penalty
from schemas.question import Option, OptionRole, Question, QuestionKind


def question(kind: QuestionKind, *roles: OptionRole) -> Question:
    options = tuple(Option(text=role, value=None if role == "no_assumption" else role, role=role) for role in roles)
    return Question(
        question_id="p/q000", item_id="i", persona_id="p", attribute="a", asked_at=datetime(2025, 1, 1, tzinfo=UTC), text="?", kind=kind,
        fact_ids=(), evidence_session_ids=(), options=options, gold_index=roles.index("gold"), rubric="", certificates=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "reward"), [(0, 1.0), (1, -0.5), (2, 0.0), (3, 0.0), (None, -0.25), (4, -0.25), (-1, -0.25)]
)  # fmt: skip
def test_what_should_be_forgotten_costs_more_than_a_miss(choice: int | None, reward: float) -> None:
    asked = question("forget", "gold", "leak", "other_value", "other_value")
    assert answer_reward(Answer(choice=choice), asked) == reward


def test_a_trap_costs_less_than_a_leak_and_more_than_a_miss() -> None:
    asked = question("ownership", "trap", "gold", "other_value", "no_assumption")
    assert [answer_reward(Answer(choice=place), asked) for place in range(4)] == [-0.25, 1.0, 0.0, 0.0]
    assert answer_reward(Answer(shares=(0.1, 0.6, 0.2, 0.1)), asked) == 1.0
    assert answer_reward(Answer(), asked) < 0


def test_what_is_over_the_budget_costs_by_its_share() -> None:
    assert overrun_penalty(512, 512) == 0
    assert overrun_penalty(1024, 512) == -0.05
    assert overrun_penalty(0, 512) == 0
