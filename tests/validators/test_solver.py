"""The solver on small lives, told by labels."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from schemas.fact import Fact
from schemas.session import Session
from validators.solver import Belief, about, among, believe, certify


def fact(name: str, value: str, **more: Any) -> Fact:
    fields: dict[str, Any] = {
        "fact_id": name, "persona_id": "p", "attribute": "drink", "value": value, "statement": value, "owner": "self", "status": "true",
        "kind": "neutral", "domain": "d", "polarity": "positive", "mutable": True, "repeatable": True, "cues_needed": 1,
        "valid_from": date(2025, 1, 1), "valid_until": None,
        "supersedes": None, "reason": None, "forget_requested_at": None, "bank_id": None, **more,
    }  # fmt: skip
    return Fact(**fields)


FACTS = {
    one.fact_id: one
    for one in (
        fact("tea", "Green tea."),
        fact("coffee", "coffee", supersedes="tea"),
        fact("trap", "cocoa", status="trap", owner="Ann"),
        fact("secret", "vodka", kind="sensitive", repeatable=False),
        fact("pet", "a cat", attribute="pet"),
        fact("hinted", "juice", cues_needed=2),
    )
}


def session(day: int, role: str, *facts: str, traps: tuple[str, ...] = (), cue: str = "clear") -> Session:
    return Session(
        session_id=f"s{day}", persona_id="p", started_at=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day), scenario="planning",
        owner="self" if facts else "other", role=role, noise_kind=None if facts else "third_person",
        cue=cue if facts else None, fact_ids=facts,
        trap_fact_ids=traps, messages=(), evidence=(), tokens=1,
    )  # fmt: skip


DRINK = about("drink")


def belief(*sessions: Session) -> Belief:
    return believe(sessions, FACTS, DRINK)


def test_what_was_told_last_counts_whatever_the_order_of_the_list() -> None:
    told, changed = session(1, "evidence", "tea"), session(9, "update", "coffee")
    assert belief(told) == Belief("green tea", "told")
    assert belief(changed, told) == Belief("coffee", "told")
    assert belief(session(1, "update", "coffee"), session(9, "evidence", "tea")) == Belief("green tea", "told")  # and back


def test_nothing_is_assumed_for_a_reason() -> None:
    trap = session(5, "noise", traps=("trap",))
    assert belief() == Belief(None, "never_told")
    assert belief(session(1, "evidence", "pet")) == Belief(None, "never_told")
    assert belief(trap) == Belief(None, "not_the_users")
    assert belief(session(1, "evidence", "secret"), trap) == Belief(None, "secret")
    assert belief(session(1, "evidence", "tea"), session(3, "forget", "tea"), trap) == Belief(None, "forgotten")
    assert belief(session(1, "evidence", "tea"), trap) == Belief("green tea", "told")


def test_what_is_told_after_a_request_to_forget_counts_again() -> None:
    forgotten = (session(1, "evidence", "tea"), session(3, "forget", "tea"))
    assert belief(*forgotten, session(5, "evidence", "coffee")) == Belief("coffee", "told")
    assert belief(session(1, "evidence", "coffee"), session(2, "evidence", "tea"), session(3, "forget", "tea")).reason == "forgotten"


def test_an_item_without_an_attribute_is_about_its_values() -> None:
    assert believe([session(1, "evidence", "pet")], FACTS, among({"a cat", "a dog"})) == Belief("a cat", "told")


def test_a_hint_is_not_yet_a_fact() -> None:
    first, second = session(1, "evidence", "hinted", cue="faint"), session(4, "evidence", "hinted", cue="faint")
    assert belief(first) == Belief(None, "too_little")
    assert belief(first, second) == Belief("juice", "told")
    assert belief(session(0, "evidence", "tea"), first) == Belief("green tea", "told")
    assert belief(session(1, "evidence", "tea", cue="faint")) == Belief(None, "too_little")  # however many, of what shows clearly once
    assert belief(session(1, "evidence", "tea", cue="faint"), session(2, "evidence", "tea", cue="faint")).reason == "too_little"


def certified(sessions: list[Session], evidence: set[str]) -> tuple[bool, bool]:
    """Whether all hangs on the evidence, and on nothing else."""
    found = certify(sessions, evidence, FACTS, DRINK, belief(*sessions).value)
    assert found.by == "solver"
    assert found.gold
    assert not certify(sessions, evidence, FACTS, DRINK, "another").gold
    return found.without_evidence, found.without_others


def test_a_certificate_holds_where_all_hangs_on_the_evidence_and_on_nothing_else() -> None:
    first, second, other = session(1, "evidence", "tea"), session(2, "evidence", "tea"), session(3, "evidence", "pet")
    assert certified([first, second, other], {"s1", "s2"}) == (True, True)
    assert certified([first, second, other], {"s1"}) == (False, True)  # without it the belief stays
    assert certified([first, other], {"s3"}) == (False, False)  # it is no evidence, and something else carries it
    assert certified([first], set()) == (True, False)
    assert certified([other], set()) == (True, True)
    assert certified([first, session(4, "forget", "tea")], {"s1", "s4"}) == (True, True)
    assert certified([first, session(4, "forget", "tea")], {"s1"}) == (False, False)  # the request is needed too
    hints = [session(1, "evidence", "hinted", cue="faint"), session(4, "evidence", "hinted", cue="faint")]
    assert certified(hints, {"s1", "s4"}) == (True, True)
    assert certified(hints, {"s1"}) == (True, False)  # the other hint is needed too
