"""Cohen's kappa against figures worked by hand and published ones, its interval against simulation; people's answers against labels."""

import random
import shutil
from collections.abc import Callable, Iterable
from math import sqrt
from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.fact import Fact
from schemas.question import Question
from schemas.review import AgreementRow, Answer, Asked
from schemas.session import Session
from store.answers import AnswerFile
from store.dataset import read_published
from validators.agreement import Kappa, Pair, agreement_of, cohen_kappa, wilson

Interval = tuple[float, float]


def pairs(*rows: Iterable[int]) -> list[Pair]:
    """The pairs that a table of counts stands for."""
    return [(str(i), str(j)) for i, row in enumerate(rows) for j, count in enumerate(row) for _ in range(count)]


@pytest.mark.parametrize(
    ("table", "agreement", "kappa"),
    [
        # p_o = 35/50, p_e = (25*30 + 25*20)/50^2 = 1/2
        ([[20, 5], [10, 15]], 0.7, 0.4),
        # p_o = 60/100, p_e = (60*70 + 40*30)/100^2 = 0.54: 0.06/0.46
        ([[45, 15], [25, 15]], 0.6, 0.06 / 0.46),
        # three categories: p_o = 10/12, p_e = (4*5 + 4*4 + 4*3)/12^2 = 1/3: (5/6 - 1/3)/(2/3)
        ([[4, 0, 0], [1, 3, 0], [0, 1, 3]], 10 / 12, 0.75),
        # never: p_o = 0, p_e = 1/2
        ([[0, 5], [5, 0]], 0.0, -1.0),
        # by chance: p_o = p_e
        ([[9, 3], [3, 1]], 10 / 16, 0.0),
        # published: statpsych's ci.kappa(.05, 31, 12, 4, 58)
        ([[58, 4], [12, 31]], 89 / 105, 0.6756757),
    ],
)
def test_kappa_is_what_a_hand_finds(table: list[list[int]], agreement: float, kappa: float) -> None:
    found = cohen_kappa(pairs(*table))
    assert found.agreement == pytest.approx(agreement)
    assert found.kappa == pytest.approx(kappa, abs=1e-7)
    assert found.note == ""
    assert found.low is not None and found.high is not None and found.kappa is not None
    assert -1 <= found.low <= found.kappa <= found.high <= 1


def test_the_interval_is_wilsons_of_the_agreement_with_chance_held_fixed() -> None:
    assert wilson(0.9, 10) == pytest.approx((0.595850, 0.982124), abs=1e-6)  # 9 of 10, as printed in tables
    found = cohen_kappa(pairs([5, 0], [1, 4]))  # p_o = 9/10, p_e = (5*6 + 5*4)/10^2 = 1/2
    assert (found.low, found.high) == pytest.approx(((0.595850 - 0.5) / 0.5, (0.982124 - 0.5) / 0.5), abs=1e-5)


def test_all_agreeing_is_no_certainty() -> None:
    found = cohen_kappa(pairs([5, 0], [0, 5]))
    assert found.kappa == 1.0
    assert found.high == pytest.approx(1.0)
    assert found.low == pytest.approx((0.722467 - 0.5) / 0.5, abs=1e-5)  # 10 of 10: at least 72 %


def test_answers_to_the_same_records_do_not_count_as_more() -> None:
    alone, doubled = cohen_kappa(pairs([5, 0], [1, 4])), cohen_kappa(pairs([10, 0], [2, 8]), records=10)
    assert (doubled.answers, alone.answers) == (20, 10)
    assert (doubled.low, doubled.high, doubled.kappa) == pytest.approx((alone.low, alone.high, alone.kappa))


@pytest.mark.parametrize(
    ("given", "kappa", "note"),
    [
        ([], None, "nothing to compare"),
        ([("no", "no")] * 9, None, "undefined"),
        ([("no", "no")] * 8 + [("yes", "no")], 0.0, "one side never varies"),
        ([("yes", "no")] * 9, 0.0, "one side never varies"),
    ],
)
def test_what_cannot_be_known_is_said(given: list[Pair], kappa: float | None, note: str) -> None:
    found = cohen_kappa(given)
    assert found.kappa == kappa
    assert (found.low, found.high) == (None, None)
    assert note in found.note
    assert found.agreement == (sum(a == b for a, b in given) / len(given) if given else None)


def large_sample(given: list[Pair], found: Kappa) -> Interval:
    """The interval of Fleiss, Cohen and Everitt (1969)."""
    assert found.kappa is not None and found.agreement is not None
    n, k, names = len(given), found.kappa, sorted({name for pair in given for name in pair})
    p = {(a, b): given.count((a, b)) / n for a in names for b in names}
    row, column = ({a: sum(p[a, b] for b in names) for a in names}, {a: sum(p[b, a] for b in names) for a in names})
    chance = sum(row[a] * column[a] for a in names)
    first = sum(p[a, a] * (1 - (row[a] + column[a]) * (1 - k)) ** 2 for a in names)
    second = (1 - k) ** 2 * sum(p[a, b] * (column[a] + row[b]) ** 2 for a in names for b in names if a != b)
    half = 1.959964 * sqrt(max(0.0, first + second - (k - chance * (1 - k)) ** 2) / n) / (1 - chance)
    return k - half, k + half


def test_the_large_sample_interval_of_this_test_is_the_published_one() -> None:
    given = pairs([58, 4], [12, 31])
    assert large_sample(given, cohen_kappa(given)) == pytest.approx((0.5317210, 0.8196303), abs=1e-6)


def bootstrap(given: list[Pair], chance: random.Random) -> Interval:
    """The percentile interval of resampled pairs."""
    drawn = [cohen_kappa(chance.choices(given, k=len(given))).kappa for _ in range(200)]
    known = sorted(kappa for kappa in drawn if kappa is not None)
    return known[int(0.025 * len(known))], known[int(0.975 * len(known))]


def test_few_records_of_high_agreement_are_where_the_interval_must_not_shrink() -> None:
    chance = random.Random(1)
    covered = {"ours": 0, "large sample": 0, "bootstrap": 0}
    times, truth = 200, 1 - 0.03 / 0.75  # four places, right 97 times in 100: p_o = 0.97, p_e = 0.25
    for _ in range(times):
        given = []
        for _ in range(25):
            gold = chance.randrange(4)
            said = gold if chance.random() < 0.97 else (gold + chance.randint(1, 3)) % 4
            given.append((str(said), str(gold)))
        found = cohen_kappa(given)
        assert found.low is not None and found.high is not None
        intervals = {"ours": (found.low, found.high), "large sample": large_sample(given, found), "bootstrap": bootstrap(given, chance)}
        for name, (low, high) in intervals.items():
            covered[name] += low <= truth <= high
    assert covered["ours"] >= 0.93 * times
    assert covered["large sample"] <= 0.7 * times
    assert covered["bootstrap"] <= 0.7 * times


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The tiny dataset, to write beside."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


def keep(folder: Path, reviewer: str, *answers: tuple[str, Asked, str, tuple[str, ...]]) -> None:
    """Let a reviewer answer."""
    with AnswerFile(folder, reviewer) as file:
        for record, asked, answer, choices in answers:
            file.add(Answer(record_id=record, asked=asked, answer=answer, choices=choices))


def row(folder: Path, people: str, against: str, what: Asked) -> AgreementRow:
    """One row of the agreement."""
    (found,) = [one for one in agreement_of(folder).rows if (one.people, one.against, one.what) == (people, against, what)]
    return found


def golds(folder: Path) -> dict[str, int]:
    """The number of the gold option of each question, as shown."""
    return {one.question_id: one.gold_index + 1 for one in read_published(folder / "data", "questions", Question)}


def shown(folder: Path) -> dict[str, str]:
    """The value that shows in each session of evidence or an update."""
    values = {fact.fact_id: fact.value for fact in read_published(folder / "data", "facts", Fact)}
    sessions = read_published(folder / "data", "sessions", Session)
    return {one.session_id: values[one.fact_ids[0]] for one in sessions if one.role in ("evidence", "update")}


def noise(folder: Path) -> list[str]:
    """Sessions that show nothing."""
    return [one.session_id for one in read_published(folder / "data", "sessions", Session) if one.role == "noise"]


def test_nobody_reviewed(folder: Path) -> None:
    assert agreement_of(folder).state == "not reviewed by people"
    assert not (folder / "review").exists()
    (folder / "review").mkdir()
    assert agreement_of(folder).state == "not reviewed by people"
    record = next(iter(golds(folder)))
    keep(folder, "anna", (record, "skip", "", ()))
    assert agreement_of(folder).state == "not reviewed by people"
    keep(folder, "ben", (record, "option", "1", ()))
    assert agreement_of(folder).state == "reviewed by people"


def test_options_are_held_against_the_gold_one(folder: Path) -> None:
    everything = list(golds(folder).items())[:16]
    wrong = {name for name, _ in everything[:4]}
    keep(folder, "anna", *((name, "option", str(gold % 4 + 1 if name in wrong else gold), ()) for name, gold in everything))
    found = row(folder, "anna", "labels", "option")
    assert (found.answers, found.agreement) == (16, 0.75)
    assert found.kappa is not None and 0.5 < found.kappa < 0.75
    assert set(agreement_of(folder).disagreed) == wrong
    assert sum(kind.answers for kind in agreement_of(folder).kinds) == 16
    assert sum(kind.agreed for kind in agreement_of(folder).kinds) == 12


def test_values_are_held_against_what_shows_and_noise_against_nothing(folder: Path) -> None:
    true = list(shown(folder).items())[:4]
    empty = noise(folder)[:4]
    given: list[tuple[str, Asked, str, tuple[str, ...]]] = [(name, "value", value, (value, "x", "y")) for name, value in true[:3]]
    given += [(true[3][0], "value", "x", ("x", true[3][1]))]
    given += [(name, "value", "", ("x", "y")) for name in empty[:3]]
    given += [(empty[3], "value", "y", ("x", "y"))]
    keep(folder, "anna", *given)
    found = row(folder, "anna", "labels", "value")
    assert (found.answers, found.agreement) == (8, 0.75)
    # said: 1 four times, none three times, 2 once; labels: 1 three times, 2 once, none four times
    assert found.kappa == pytest.approx((0.75 - (4 * 3 + 1 * 1 + 3 * 4) / 64) / (1 - 25 / 64))
    assert set(agreement_of(folder).disagreed) == {true[3][0], empty[3]}


def test_the_rule_is_asked_only_where_the_true_value_was_found(folder: Path) -> None:
    (first, value), (second, other), (third, _) = list(shown(folder).items())[:3]
    keep(
        folder, "anna",
        (first, "value", value, (value, "x")), (first, "outright", "yes", ()),
        (second, "value", other, (other, "x")), (second, "outright", "no", ()),
        (third, "value", "x", ("x",)), (third, "outright", "yes", ()),
    )  # fmt: skip
    found = row(folder, "anna", "implicit", "outright")
    assert (found.answers, found.agreement, found.kappa) == (2, 0.5, 0.0)  # the rule passed both, or they would not be published
    assert "never varies" in found.note
    assert set(agreement_of(folder).disagreed) == {first, third}


def test_two_reviewers_are_compared_where_both_answered_the_same(folder: Path) -> None:
    numbers = [(name, gold) for name, gold in golds(folder).items()][:10]
    keep(folder, "anna", *((name, "option", str(gold), ()) for name, gold in numbers[:8]))
    keep(folder, "ben", *((name, "option", str(gold % 4 + 1 if name == numbers[4][0] else gold), ()) for name, gold in numbers[4:]))
    keep(folder, "cleo", *((name, "option", str(gold), ()) for name, gold in numbers[9:]))
    between = row(folder, "anna", "ben", "option")
    assert (between.answers, between.agreement) == (4, 0.75)
    every = row(folder, "all", "labels", "option")
    assert (every.answers, every.records, every.agreement) == (15, 10, 14 / 15)
    assert not [one for one in agreement_of(folder).rows if {one.people, one.against} == {"anna", "cleo"}]


def test_outright_is_compared_where_both_chose_the_same_value(folder: Path) -> None:
    (first, value), (second, other) = list(shown(folder).items())[:2]
    for reviewer, choice in (("anna", other), ("ben", "x")):
        keep(
            folder, reviewer,
            (first, "value", value, (value, "x")), (first, "outright", "no", ()),
            (second, "value", choice, (other, "x")), (second, "outright", "no", ()),
        )  # fmt: skip
    assert row(folder, "anna", "ben", "outright").answers == 1
    assert row(folder, "anna", "ben", "value").agreement == 0.5


def test_answers_to_records_of_another_dataset_count_nowhere(folder: Path) -> None:
    name, gold = next(iter(golds(folder).items()))
    keep(folder, "anna", (name, "option", str(gold), ()), ("p0000000000/q000", "option", "1", ()))
    (anna,) = agreement_of(folder).reviewers
    assert (anna.questions, anna.unknown) == (1, 1)
    assert row(folder, "anna", "labels", "option").answers == 1


def damaged(path: Path) -> None:
    """Somebody edited a line."""
    path.write_text('{"record_id": "p/q000", "asked": "option", "answer": "1"}\n{"asked": 3}\n{}\n')


def foreign(path: Path) -> None:
    """The file is something else."""
    path.write_bytes(b"\xff\xfe\n")


@pytest.mark.parametrize(("damage", "line"), [(damaged, 2), (foreign, 1)])
def test_a_damaged_line_is_named(folder: Path, damage: Callable[[Path], None], line: int) -> None:
    (folder / "review").mkdir()
    damage(folder / "review" / "anna.jsonl")
    with pytest.raises(InputError, match=rf"anna\.jsonl: line {line} is not an answer"):
        agreement_of(folder)
