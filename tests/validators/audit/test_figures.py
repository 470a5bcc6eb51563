"""Figures against values that can be worked out by hand, and what is only reported."""

import math
from datetime import timedelta
from typing import Any

import pytest

from schemas.question import Certificate
from schemas.session import Session
from tests.validators.audit.dataset import START, Maker, clean, spoil
from validators.audit.audit import _row, all_figures, audit, card_rows, earlier_versions, limit_text, value_text
from validators.audit.choosing import credit
from validators.audit.reported import _distinct, _self_bleu, reported
from validators.audit.statistics import Figure, Judged, Units, all_of
from validators.audit.tables import Published


def figure(published: Published, name: str) -> Figure:
    return next(one for one in all_figures(published) if one.name == name)


@pytest.mark.parametrize(
    ("scores", "gold", "earned"),
    [([3, 1, 2, 0], 0, 1), ([3, 1, 2, 0], 2, 0), ([3, 3, 2, 0], 1, 0.5), ([1, 1, 1, 1], 3, 0.25), ([3, 3, 3, 0], 3, 0)],
)
def test_equal_options_share_the_answer(scores: list[float], gold: int, earned: float) -> None:
    assert credit(scores, gold) == earned


def test_nearly_equal_cosines_are_equal() -> None:
    assert credit([0.5, 0.5 + 1e-8, 0.1, 0.1], 0, same=1e-6) == 0.5


def test_an_audit_says_the_same_each_time_and_twins_score_chance() -> None:
    found = audit(clean())
    assert audit(clean()) == found
    assert found["passed"] is True
    assert {found["figures"][name]["value"] for name in ("choose_longest", "choose_shortest", "probe_options")} == {0.25}
    assert found["figures"]["choose_longest"]["personamem_v2"] == 0.447


def test_a_question_in_no_history_has_no_certificate() -> None:
    lost = clean().questions[0].question_id
    published = spoil(
        clean(), "histories",
        lambda row: row.model_copy(update={"questions": tuple(one for one in row.questions if one.question_id != lost)}),
    )  # fmt: skip
    n = len(clean().questions)
    assert figure(published, "solver_agrees").value == figure(published, "deletion_certificate").value == 1 - 1 / n


def test_values_and_limits_for_people() -> None:
    rows = audit(clean())["figures"]
    limits = {
        "choose_longest": "25 ± 2 %", "probe_options": "≤ 28 %", "solver_agrees": "100 %", "shared_items": "0",
        "evidence_position_end": "≤ 0.05",
    }  # fmt: skip
    assert {name: limit_text(rows[name]) for name in limits} == limits
    assert [value_text(rows[name]) for name in ("choose_longest", "shared_items", "contamination")] == ["25.0 %", "0", "-"]
    assert "solver_agrees" not in {row["name"] for row in card_rows({"figures": rows})}


def test_one_violation_in_a_hundred_thousand_is_not_rounded_away() -> None:
    row = _row(all_of("x", 1, Units(100_000, "x")), Judged("broken"))
    assert (row["value"], value_text(row)) == (0.9999, "99.99 %")
    assert _row(all_of("x", 0, Units(3, "x")), Judged("ok"))["value"] == 1


def test_versions_are_ordered_by_number(tmp_path: Any) -> None:
    for name in ("0.9.0", "0.10.0", "0.10.0.retry1", "unfinished", "0.2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "splits.parquet").touch()
        if name != "unfinished":
            (tmp_path / name / "manifest.json").touch()
    assert [path.parent.name for path in earlier_versions(tmp_path / "0.10.0")] == ["0.2", "0.9.0"]
    assert len(earlier_versions(tmp_path / "0.10.0.retry1")) == 3


def test_diversity_of_words() -> None:
    assert _distinct([["a", "b", "a"], ["a", "b"]], 1) == 2 / 5
    assert _distinct([["a", "b", "a"], ["a", "b"]], 2) == 2 / 3
    same = "the same five words here".split()
    assert _self_bleu([same, same]) == pytest.approx(1)
    other = "nothing that anybody else said".split()
    by_n = [math.log(0.1 / (5 - n)) for n in range(4)]  # no n-gram in common counts as a tenth of one
    assert _self_bleu([same, other]) == pytest.approx(math.exp(sum(by_n) / 4))


def test_chains_of_changes() -> None:
    """A drink that changes twice and goes back, of whose middle value nothing is in the history; and a pet that changes once."""
    persona = clean().splits["test"].personas[0].persona_id
    maker = Maker(1)
    lives = {"tea": None, "coffee": "tea", "Tea.": "coffee", "cat": None, "dog": "cat"}
    facts = [maker.fact(persona, name, "a", name, "current").model_copy(update={"supersedes": old}) for name, old in lives.items()]
    sessions = [
        maker.session(persona, place, role, fact).model_copy(update={"tokens": 10**place})
        for place, (role, fact) in enumerate([("evidence", "tea"), ("noise", None), ("update", "Tea."), ("evidence", "tea")])
    ]
    tables = clean().splits["test"]
    history = tables.histories[0].model_copy(update={"session_ids": tuple(one.session_id for one in sessions), "questions": ()})
    found = reported(Published(clean().plan, {"test": type(tables)(tables.personas[:2], facts, sessions, (), [history])}))
    names = ("changes_per_persona", "changes_per_changing_fact", "changes_back", "update_distance_tokens")
    assert [(found[name]["value"], found[name]["n"]) for name in names] == [(1.5, 2), (1.5, 2), (0.3333, 3), (10, 1)]


def test_certificates_by_judges_are_counted_and_the_solvers_are_not() -> None:
    def certified(question: Any) -> Any:
        by_hand = [("solver", False)] if question.kind != "current" else [("solver", True), ("a model", question.gold_index != 0)]
        made = tuple(Certificate(by=by, gold=True, without_evidence=holds, without_others=True) for by, holds in by_hand)
        return question.model_copy(update={"certificates": made})

    judged = [question for question in clean().questions if question.kind == "current"]
    row = reported(spoil(clean(), "questions", certified))["judge_certificates"]
    assert row["n"] == len(judged)
    assert row["value"] == round(sum(question.gold_index != 0 for question in judged) / len(judged), 4)
    assert reported(clean())["judge_certificates"]["value"] is None


def test_distances_run_from_the_last_session_that_showed_the_fact() -> None:
    persona = clean().splits["test"].personas[0].persona_id
    maker, facts = Maker(1), {"old": "tea", "new": "coffee", "gone": "cats"}
    plan = [
        ("evidence", "old"),
        ("evidence", "gone"),
        ("evidence", "old"),
        ("noise", None),
        ("update", "new"),
        ("forget", "gone"),
        ("update", "new"),
    ]
    sessions: list[Session] = [
        maker.session(persona, place, role, fact).model_copy(update={"tokens": 10**place, "started_at": START + timedelta(days=2 * place)})
        for place, (role, fact) in enumerate(plan)
    ]
    told = [maker.fact(persona, name, "pet" if name == "gone" else "drink", value, "current") for name, value in facts.items()]
    told = [fact.model_copy(update={"supersedes": "old"}) if fact.fact_id == "new" else fact for fact in told]
    tables = clean().splits["test"]
    history = tables.histories[0].model_copy(update={"session_ids": tuple(one.session_id for one in sessions), "questions": ()})
    one = Published(clean().plan, {"test": type(tables)(tables.personas[:1], told, sessions, (), [history])})
    found = reported(one)
    assert found["changes_per_persona"]["value"] == 1
    assert (found["update_distance_tokens"]["value"], found["update_distance_days"]["value"]) == (1000, 4)
    assert (found["forget_distance_tokens"]["value"], found["forget_distance_days"]["value"]) == (100 + 1000 + 10000, 8)
    assert found["forget_distance_tokens"]["n"] == found["update_distance_tokens"]["n"] == 1
