"""Into which group each question falls, by hand."""

from dataclasses import replace

from memory.exam import Exam, Put
from memory.measures.groups import groups_of, seen_in
from tests.memory.measures.hand import fact, noise, question, session, sheet

FACTS = {
    one.fact_id: one
    for one in (
        fact("u1/f1", "drink", "tea"),
        fact("u1/f2", "drink", "coffee", supersedes="u1/f1"),
        fact("u1/f3", "pet", "a cat", cues_needed=2),
        fact("u1/t1", "drink", "milk", status="trap", owner="Ann"),
    )
}
SESSIONS = (
    session("u1/s000", "Earl Grey at four, as ever, in the blue pot", fact_ids=("u1/f1",), scenario="translation"),
    session("u1/s001", "The grinder woke the whole house again", fact_ids=("u1/f2",), role="update", scenario="coding_help"),
    session("u1/s002", "There is fur on the keyboard once more", fact_ids=("u1/f3",), cue="faint"),
    noise("u1/s003", "Ann says that she drinks milk", "third_person", ["u1/t1"], "other"),
)
VALUES = ["tea", "coffee", "milk", None]
QUESTIONS = (
    Put(question("u1/q0", VALUES, 0, fact_ids=("u1/f1",), evidence_session_ids=("u1/s000",)), 1, 1, 999),
    Put(question("u1/q1", VALUES, 1, kind="updated", fact_ids=("u1/f2", "u1/f1"), evidence_session_ids=("u1/s000", "u1/s001")), 2, 2, 1000),
    Put(question("u1/q2", VALUES, 3, kind="restraint", fact_ids=("u1/f3",), evidence_session_ids=("u1/s002",)), 3, 3, 40_000),
    Put(question("u1/q3", VALUES, 3, kind="ownership", fact_ids=("u1/t1",), evidence_session_ids=("u1/s003",)), 4, 4, 0),
    Put(question("u1/q4", VALUES, 3, kind="restraint"), 4, 4, None),
)
EXAM = Exam("small/test", (sheet("u1", SESSIONS, QUESTIONS),))


def test_every_dimension_by_hand() -> None:
    found = groups_of(EXAM, FACTS, lambda text: "fur" in text)
    assert found == {
        "kind": {"current": [0], "updated": [1], "ownership": [3], "restraint": [2, 4]},
        "gold": {"nothing": [2, 3, 4], "value": [0, 1]},
        "scenario": {"translation": [0], "coding_help": [1], "planning": [2], "none": [3, 4]},
        "owner": {"other": [3], "self": [0, 1, 2], "none": [4]},
        "noise": {"third_person": [3], "none": [0, 1, 2, 4]},
        "changes": {"0": [0, 2], "1": [1], "none": [3, 4]},
        "cues_needed": {"1": [0, 1], "2": [2], "none": [3, 4]},
        "cue": {"seen": [2], "unseen": [0, 1], "none": [3, 4]},
        "distance": {"0k-1k": [0, 3], "1k-2k": [1], "32k-": [2], "none": [4]},
        "position": {"end": [3, 4], "middle": [0, 1, 2]},
    }
    assert [list(found[name]) for name in ("kind", "scenario", "distance")] == [
        ["current", "updated", "ownership", "restraint"], ["translation", "coding_help", "planning", "none"],
        ["0k-1k", "1k-2k", "32k-", "none"],
    ], "labels stand in their natural order"  # fmt: skip


def test_labels_of_all_dimensions_cover_every_question_once() -> None:
    for labels in groups_of(EXAM, FACTS, seen_in(())).values():
        assert sorted(place for places in labels.values() for place in places) == [0, 1, 2, 3, 4]


def test_a_cue_is_seen_where_train_has_it_with_other_names() -> None:
    seen = seen_in(["The grinder woke the whole house again, said Tom, at six", "I had tea", "four words are here"])
    assert seen("The grinder woke the whole house again, said Ann, at nine")
    assert not seen("Nobody slept, because the grinder woke the whole floor of the guest house, and then the neighbours' dog as well")
    assert seen("four words ARE here")
    assert not seen("The grinder is broken, and the whole house slept until nine for once")
    assert not seen("I had tea and then a long walk")
    assert not seen_in(())("anything at all that somebody says")


def test_distances_have_edges_that_belong_to_the_farther_bin() -> None:
    edges = {0: "0k-1k", 999: "0k-1k", 1000: "1k-2k", 15_999: "8k-16k", 16_000: "16k-32k", 31_999: "16k-32k", 32_000: "32k-"}
    for tokens, label in edges.items():
        only = Exam("e", (sheet("u1", SESSIONS, [replace(QUESTIONS[0], distance_tokens=tokens)]),))
        assert groups_of(only, FACTS, seen_in(()))["distance"] == {label: [0]}
