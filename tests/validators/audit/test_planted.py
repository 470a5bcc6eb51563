"""Every flaw that a figure is there for, planted in a clean dataset: the audit names it. And clean datasets are left in peace."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.fact import Fact
from schemas.history import History
from schemas.question import Question
from schemas.session import Evidence, Message, Session
from tests.validators.audit.dataset import START, clean, copied, spoil
from validators.audit.audit import all_figures, audit
from validators.audit.findings import NOTHING, Findings, Guesses
from validators.audit.guessing import LIMITS
from validators.audit.tables import Published

Change = Callable[[Any], Any]


def broken(published: Published, earlier: Sequence[Path] = (), against: Sequence[Path] = (), known: Findings = NOTHING) -> set[str]:
    """The figures that the audit calls broken."""
    return {name for name, figure in audit(published, earlier, against, known)["figures"].items() if figure["verdict"] == "broken"}


def gold_text(change: Callable[[Question, str], str]) -> Change:
    """Write the gold option's text anew."""

    def of(question: Question) -> Question:
        options = list(question.options)
        gold = options[question.gold_index]
        options[question.gold_index] = gold.model_copy(update={"text": change(question, gold.text)})
        return question.model_copy(update={"options": tuple(options)})

    return of


def some(change: Change, every: int = 2) -> Change:
    """Change every so-manieth row only; rows that `change` returns as they are do not count."""
    seen = [0]

    def of(row: Any) -> Any:
        new = change(row)
        if new is row:
            return row
        seen[0] += 1
        return new if seen[0] % every == 0 else row

    return of


def once(change: Change) -> Change:
    """Change the first row that can be."""
    done: list[bool] = []

    def of(row: Any) -> Any:
        new = row if done else change(row)
        if new is not row:
            done.append(True)
        return new

    return of


def gold_first(question: Question) -> Question:
    options = list(question.options)
    gold = options.pop(question.gold_index)
    return question.model_copy(update={"options": (gold, *options), "gold_index": 0})


def wrong_gold(question: Question) -> Question:
    return question.model_copy(update={"gold_index": (question.gold_index + 1) % 4})


def wrong_evidence(question: Question) -> Question:
    """Rest it on a session that says nothing of the matter."""
    if question.kind != "current":
        return question
    silent = next(one for one in clean().sessions if one.persona_id == question.persona_id and one.noise_kind == "unrelated")
    return question.model_copy(update={"evidence_session_ids": (silent.session_id,)})


def cue_of_the_assistant(session: Session) -> Session:
    if session.role != "evidence":
        return session
    said, _ = session.messages
    span = session.evidence[0]
    cue = said.content[span.start : span.end]
    return session.model_copy(
        update={
            "messages": (said, Message(role="assistant", content=cue)),
            "evidence": (Evidence(message=1, start=0, end=len(cue), fact_id=span.fact_id),),
        }
    )


def said_outright(session: Session) -> Session:
    if session.role != "evidence":
        return session
    said, answered = session.messages
    value = clean().facts[session.fact_ids[0]].value
    return session.model_copy(update={"messages": (Message(role="user", content=f"{said.content}\nIt is {value}."), answered)})


def lost_from_history(history: History) -> History:
    needed = {name for question in clean().questions for name in question.evidence_session_ids}
    gone = next(name for name in history.session_ids if name in needed)
    return history.model_copy(update={"session_ids": tuple(name for name in history.session_ids if name != gone)})


def asked_too_early(question: Question) -> Question:
    if not question.evidence_session_ids or question.evidence_session_ids[0].endswith("s000"):
        return question
    return question.model_copy(update={"asked_at": START.replace(hour=12)})


def near(at_end: bool) -> Change:
    """Ask soon after the evidence."""

    def of(history: History) -> History:
        ends = len(history.session_ids)
        moved = [
            place.model_copy(update={"distance_tokens": place.distance_tokens // 4})
            if place.distance_tokens and (place.position == ends) == at_end
            else place
            for place in history.questions
        ]
        return history.model_copy(update={"questions": tuple(moved)})

    return of


def words_of(session: Session, last: str = "") -> Change:
    """Give another session of the same sort the same words (but for the last two, where others are given)."""

    def of(row: Session) -> Session:
        if row.role != session.role or row.noise_kind != session.noise_kind or row.session_id == session.session_id:
            return row
        said = session.messages[0].content
        content = f"{said.rsplit(' ', 2)[0]} {last}" if last else said
        span = tuple(Evidence(message=0, start=0, end=len(content), fact_id=name) for name in row.fact_ids)
        return row.model_copy(update={"messages": (Message(role="user", content=content), row.messages[1]), "evidence": span})

    return of


def of_train(role: str) -> Session:
    return next(one for one in clean().splits["train"].sessions if one.role == role and one.noise_kind in (None, "unrelated"))


def spoilt(table: str, change: Change, split: Any = None) -> Published:
    return spoil(clean(), table, change, split)


def profile_of(question: Question) -> str:
    return next(one.profile_text for one in clean().personas if one.persona_id == question.persona_id)


def first_of_train(row: Any) -> bool:
    return bool(row.persona_id == "ptrain00")


def without_item(name: str) -> Change:
    """Leave an item out wherever it is asked, so that what is left is balanced."""
    return lambda question: None if question.item_id in {f"i{split}{name}" for split in clean().splits} else question


def of_the_old_fact(session: Session) -> Session:
    """Let what showed the new value show the old one again."""
    if session.role != "update":
        return session
    old = clean().facts[session.fact_ids[0]].supersedes
    span = session.evidence[0].model_copy(update={"fact_id": old})
    return session.model_copy(update={"fact_ids": (old,), "evidence": (span,)})


def relabelled(field: str, old: Any, new: Any) -> Change:
    """Call rows something else."""
    return lambda row: row.model_copy(update={field: new}) if getattr(row, field) == old else row


TEXTS: dict[str, Change] = {
    "choose_longest": gold_text(lambda _, text: text + " and then some"),
    "choose_shortest": gold_text(lambda _, text: text[:12]),
    "choose_like_profile": gold_text(lambda question, text: profile_of(question)[: len(text)]),
    "probe_options": gold_text(lambda _, text: text.replace("e", "3")),
    "probe_query_options": gold_text(lambda question, text: question.text[: len(text)]),
}
"""What half of the golds look like. Such flaws show in more than one figure."""
DUPLICATES = {"near_duplicates_left", "shared_near_duplicates"}
LOST = {"evidence_before_question", "solver_agrees", "deletion_certificate"}
EXACTLY: dict[str, tuple[Callable[[], Published], set[str]]] = {
    "solver_agrees": (lambda: spoilt("questions", once(wrong_gold)), {"twin_balance"}),
    "deletion_certificate": (lambda: spoilt("questions", once(wrong_evidence)), set()),
    "spans_in_user_text": (lambda: spoilt("sessions", once(cue_of_the_assistant)), set()),
    "spans_in_history": (lambda: spoilt("histories", once(lost_from_history)), LOST),
    "evidence_before_question": (lambda: spoilt("questions", once(asked_too_early)), LOST),
    "stated_outright": (lambda: spoilt("sessions", some(said_outright, 8)), set()),
    "shared_personas": (lambda: copied(clean(), "train", "test", "personas", first_of_train), {"shared_seeds"}),
    "shared_seeds": (lambda: spoilt("personas", once(relabelled("seed_id", "sptest00", "sptrain00"))), set()),
    "shared_items": (lambda: spoilt("questions", relabelled("item_id", "itest0", "itrain0")), set()),
    "shared_sessions": (lambda: spoilt("sessions", once(words_of(of_train("evidence"))), "test"), DUPLICATES),
    "shared_padding": (lambda: spoilt("sessions", once(words_of(of_train("noise"))), "test"), DUPLICATES),
    "shared_near_duplicates": (lambda: spoilt("sessions", once(words_of(of_train("noise"), "river stone")), "test"), DUPLICATES),
    "near_duplicates_left": (lambda: spoilt("sessions", once(words_of(of_train("noise"), "river stone")), "train"), set()),
    "gold_position": (lambda: spoilt("questions", some(gold_first)), set()),
    "kinds": (lambda: spoilt("questions", some(relabelled("kind", "current", "updated"))), set()),
    "scenarios": (lambda: spoilt("sessions", lambda row: row.model_copy(update={"scenario": "coding_help"})), set()),
    "noise": (lambda: spoilt("sessions", some(relabelled("noise_kind", "third_person", "quoted"))), set()),
    "updates": (lambda: spoilt("facts", lambda row: None if row.supersedes else row), set()),
    "forgets": (lambda: spoilt("facts", lambda row: row.model_copy(update={"forget_requested_at": None})), set()),
    "graded": (lambda: spoilt("facts", some(relabelled("cues_needed", 1, 2))), set()),
    "evidence_per_fact": (lambda: spoilt("sessions", of_the_old_fact), set()),
    "questions_per_persona": (lambda: spoilt("questions", without_item("0")), set()),
    "evidence_position_middle": (lambda: spoilt("histories", near(at_end=False)), set()),
    "evidence_position_end": (lambda: spoilt("histories", near(at_end=True)), set()),
    "twin_balance": (lambda: spoilt("questions", once(lambda _: None)), set()),
}
"""Flaws with all that they break beside the figure by which they are named."""


@pytest.mark.parametrize("figure", TEXTS)
def test_a_look_that_golds_have_is_named(figure: str) -> None:
    assert figure in broken(spoilt("questions", some(TEXTS[figure])))


@pytest.mark.parametrize("figure", EXACTLY)
def test_a_planted_flaw_is_named_and_nothing_else(figure: str) -> None:
    plant, beside = EXACTLY[figure]
    assert broken(plant()) == {figure, *beside}


def test_personas_that_moved_since_an_earlier_version_are_named(tmp_path: Path) -> None:
    splits = {one.persona_id: one.split for one in clean().personas}
    same, moved = tmp_path / "same.parquet", tmp_path / "moved.parquet"
    pq.write_table(pa.table({"persona_id": [*splits], "split": [*splits.values()]}), same)
    pq.write_table(pa.table({"persona_id": ["ptrain00"], "split": ["test"]}), moved)
    assert broken(clean(), earlier=[same]) == set()
    assert broken(clean(), earlier=[same, moved]) == {"moved_personas"}


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_overlap_with_given_texts_is_named(tmp_path: Path, kind: str) -> None:
    said = next(one.messages[0].content for one in clean().sessions if len(one.messages[0].content.split()) > 15)
    path = tmp_path / f"benchmark.{kind}"
    record = {"rows": [{"text": f"Before: {said.upper()} after"}]}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    else:
        path.write_text(json.dumps(record) + "\n" if kind == "jsonl" else record["rows"][0]["text"], encoding="utf-8")
    assert broken(clean(), against=[path]) == {"contamination"}
    path = tmp_path / "other.txt"
    path.write_text(" ".join(said.split()[:12]), encoding="utf-8")
    assert broken(clean(), against=[path]) == set()


@pytest.mark.parametrize(("figure", "limit"), LIMITS.items())
def test_guesses_that_are_too_good_are_named(figure: str, limit: float) -> None:
    def guessed(share: float) -> set[str]:
        earned = {question.question_id: share for question in clean().splits["test"].questions}
        return broken(clean(), known=Findings(guesses={figure: Guesses(by="a model", earned=earned)}))

    assert guessed(limit + 0.01) == {figure}
    assert guessed(limit) == set()


def test_every_figure_has_a_planted_flaw() -> None:
    assert {figure.name for figure in all_figures(clean())} == {*TEXTS, *EXACTLY, *LIMITS, "moved_personas", "contamination"}


def test_clean_datasets_are_left_in_peace() -> None:
    found = [(seed, name) for seed in range(20) for name in broken(clean(seed))]
    assert len(found) <= 1, found


def test_what_checks_may_take_away_fails_no_dataset() -> None:
    def steady(fact: Fact) -> Fact:
        return fact.model_copy(update={"forget_requested_at": None})

    found = audit(spoil(clean(), "facts", steady))
    assert found["figures"]["forgets"]["verdict"] == "broken"
    assert {name for name, figure in found["figures"].items() if not figure["blocks"]} == {
        "updates", "forgets", "graded", "evidence_per_fact", "questions_per_persona",
    }  # fmt: skip
    assert found["passed"]
    assert not audit(spoil(clean(), "questions", lambda question: question.model_copy(update={"gold_index": 0})))["passed"]
