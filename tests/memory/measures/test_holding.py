"""What a memory's lines hold, by hand; and that standing agrees with the solver on a real dataset."""

from pathlib import Path

import pytest

from memory.measures.holding import Standing, literals, overlaps, standing
from schemas.fact import Fact
from schemas.ids import normalise
from schemas.session import Session
from store.dataset import read_published
from tests.memory.measures.hand import fact, holding, noise, session, written
from text.words import content_stems
from validators.solver import about, bearing, believe

TEA = fact("u1/f1", "drink", "tea")
COFFEE = fact("u1/f2", "drink", "coffee", supersedes="u1/f1")
AGAIN = fact("u1/f3", "drink", "Tea.", supersedes="u1/f2")
CAT = fact("u1/f4", "pet", "a cat", cues_needed=2)
KEY = fact("u1/f5", "key", "a service key", repeatable=False)
MILK = fact("u1/t1", "drink", "milk", status="trap", owner="Ann")
FACTS = [TEA, COFFEE, AGAIN, CAT, KEY, MILK]
BLUE = "Earl Grey at four, as ever, in the blue pot"
FUR, DOOR = "Fur on the keyboard again this morning", "Somebody scratched at the bedroom door until five"
SESSIONS = [
    session("u1/s000", BLUE, fact_ids=("u1/f1",)),
    session("u1/s001", FUR, fact_ids=("u1/f4",), cue="faint"),
    session("u1/s002", DOOR, fact_ids=("u1/f4",), cue="faint"),
    noise("u1/s003", "Ann drinks milk, so what shall I buy?", "third_person", ["u1/t1"], "other"),
    session("u1/s004", "The call is send(auth='sk-test-ab12'), all of it", fact_ids=("u1/f5",)),
]


@pytest.mark.parametrize(
    ("said", "span", "same"),
    [
        ("has Earl Grey in a blue pot", BLUE, True),
        ("Earl Grey", BLUE, False),  # two words of a longer span are no evidence
        ("tea", "drinks tea", False),
        ("drinks tea daily", "tea", True),  # all that the span has
        (f"{BLUE}, and then a long talk about the fence, the hedge, the gate and a lorry", BLUE, True),
        ("the fence, the hedge, the gate, four lorries", BLUE, False),
        ("", "", False),
    ],
)
def test_overlap_by_hand(said: str, span: str, same: bool) -> None:
    assert overlaps(content_stems(said), content_stems(span)) is same


def test_a_line_shows_a_fact_of_its_owner_from_the_session_that_it_names() -> None:
    own = holding(SESSIONS, FACTS)

    def shows(line: str) -> list[tuple[str, str | None]]:
        return [pair for kept in own.read(line).lines for pair in kept.shows]

    assert shows(written("s000", BLUE)) == [("u1/f1", "u1/s000")]
    assert shows(written("s001", BLUE)) == []  # another session
    assert shows(written("s000", FUR)) == []  # other words
    assert shows(written("s000", BLUE, owner="Ann")) == []
    assert shows(written("", BLUE)) == []  # no session, and nobody to judge its words
    assert own.read("no line at all\n").lines == ()


def test_a_fact_of_hints_is_held_when_all_that_it_takes_are() -> None:
    own = holding(SESSIONS, FACTS)
    one, other = written("s001", FUR), written("s002", DOOR)
    assert own.read(one).facts == frozenset()
    assert own.read(f"{one}\n{one}").facts == frozenset()
    assert own.read(f"{one}\n{other}").facts == {"u1/f4"}
    assert own.read(written("s001 s002", f"{FUR}. {DOOR}")).facts == {"u1/f4"}


def test_only_active_lines_hold() -> None:
    own = holding(SESSIONS, FACTS)
    assert own.read(written("s000", BLUE)).facts == {"u1/f1"}
    for status in ("superseded", "forgotten"):
        found = own.read(written("s000", BLUE, status=status))
        assert found.facts == frozenset()
        assert found.lines[0].shows == (("u1/f1", "u1/s000"),)


def test_own_words_count_where_somebody_judges_them() -> None:
    own = holding(SESSIONS, FACTS, conveys=lambda text, statement: statement == "has a cat" and "feline" in text)
    assert own.read(written("s002", "owns a feline")).facts == {"u1/f4"}, "a hint is enough where the line says it outright"
    assert own.read(written("", "owns a feline")).facts == {"u1/f4"}
    assert own.read(written("s000", "owns a feline")).facts == frozenset(), "the session that it names says nothing of the kind"


def test_a_line_from_noise_is_known_by_its_session_unless_it_shows_a_true_fact() -> None:
    own = holding(SESSIONS, FACTS)
    assert own.read(written("s003", "drinks milk")).lines[0].tempted == ("u1/s003",)
    assert own.read(written("s000 s003", BLUE)).lines[0].tempted == ()
    assert own.read(written("s000", "drinks milk")).lines[0].tempted == ()


def test_standing_by_hand() -> None:
    facts = {one.fact_id: one for one in FACTS}
    coffee = session("u1/s005", "The grinder woke the house", fact_ids=("u1/f2",), role="update")
    again = session("u1/s006", "Back to the blue pot for good", fact_ids=("u1/f3",), role="update")
    forget = session("u1/s007", "Forget about the cat", fact_ids=("u1/f4",), role="forget", cue=None)
    nothing: frozenset[str] = frozenset()
    assert standing(SESSIONS[:2], facts) == Standing(frozenset({"u1/f1"}), nothing, nothing, nothing)  # one hint is none
    assert standing(SESSIONS, facts) == Standing(frozenset({"u1/f1", "u1/f4"}), nothing, nothing, frozenset({"u1/f5"}))
    assert standing([*SESSIONS, coffee], facts).superseded == {"u1/f1"}
    assert standing([*SESSIONS, coffee, again], facts).superseded == {"u1/f2"}, "tea is right again, whenever it was said"
    after = standing([*SESSIONS, forget], facts)
    assert [after.valid, after.forgotten] == [{"u1/f1"}, {"u1/f4"}]
    told = session("u1/s008", "The cat sleeps on my desk", fact_ids=("u1/f4",))
    once_more = standing([*SESSIONS, forget, told], facts)
    assert [once_more.valid, once_more.forgotten] == [{"u1/f1", "u1/f4"}, set()]
    hinted = standing([*SESSIONS[:2], forget, SESSIONS[2]], facts)
    assert [hinted.valid, hinted.forgotten] == [{"u1/f1"}, {"u1/f4"}], "hints are counted anew, and those before are to be forgotten"


def test_standing_agrees_with_the_solver(published: Path) -> None:
    data = published / "data"
    facts = {one.fact_id: one for one in read_published(data, "facts", Fact)}
    by_user: dict[str, list[Session]] = {}
    for one in sorted(read_published(data, "sessions", Session), key=lambda one: (one.started_at, one.session_id)):
        by_user.setdefault(one.persona_id, []).append(one)
    compared = 0
    for sessions in by_user.values():
        valid = standing(sessions, facts).valid
        for attribute in {facts[name].attribute for one in sessions for name in one.fact_ids}:
            told = [normalise(facts[name].value) for name in valid if facts[name].attribute == attribute]
            belief = believe(bearing(sessions, facts, about(attribute)), facts, about(attribute)).value
            assert told == ([] if belief is None else [belief])
            compared += 1
    assert compared > 10


def test_what_repeats_a_secret() -> None:
    assert literals("to GB00 TEST 8940, Ann Lee.") == {"gb00", "8940"}
    assert literals("auth='sk-test-ab12cd-EXAMPLE' is it") == {"sk-test-ab12cd-example"}
    assert literals("born 1997-02-02, flat 7, for 40 people") == {"1997-02-02"}
    assert literals("Removal to: 73 Michael Centers. Mail ann@example.com") == {"73 michael centers", "ann@example.com"}
    assert literals("We kiss in the archive, between one fifteen and 2.") == frozenset()
    assert holding([session("u1/s000", "Room 4711 at four", fact_ids=("u1/f1",))], FACTS).secrets == {}, "no secret"
    assert holding(SESSIONS, FACTS).secrets == {"u1/f5": {"sk-test-ab12"}}
