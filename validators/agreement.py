"""How far people who read blind agree with the labels, with the `implicit` rule, and with one another: Cohen's kappa.

Kappa and its interval are those of J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement
20 (1960) 37-46: (p_o - p_e) / (1 - p_e), with the agreement expected by chance p_e held fixed and an interval for p_o alone. Cohen's
interval for p_o is the normal one, which shrinks to a point when all agree; here it is that of E. B. Wilson, JASA 22 (1927) 209-212, which
does not. Of 25 records with a true kappa of 0.96 it covers the truth 96 times in 100, where the large-sample error of Fleiss, Cohen and
Everitt (1969) and the bootstrap cover it 50 times (`tests/validators/test_agreement.py`).

Values and options are compared by the place at which they were shown, which chance decided; "none of these" is a place of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from pathlib import Path

from schemas.base import Record
from schemas.fact import Fact
from schemas.question import Question
from schemas.review import Agreement, AgreementRow, Answer, Asked, KindRow, Reviewer
from schemas.session import Message, SessionHead
from store.answers import Answers, read_all
from store.dataset import read_published
from validators.implicit import check_implicit

_Z = 1.959963984540054
NONE = "none of these"
_COMPARED: tuple[Asked, ...] = ("value", "outright", "option")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement of two sides; a figure that cannot be had is None, and the note says why."""

    answers: int
    agreement: float | None
    kappa: float | None
    low: float | None
    high: float | None
    note: str


def cohen_kappa(pairs: Sequence[Pair], records: int | None = None) -> Kappa:
    """Kappa of pairs of categories. `records`: how many of the pairs count as independent, where several are of one record."""
    count = len(pairs)
    if not count:
        return Kappa(0, None, None, None, None, "nothing to compare")
    ours, theirs = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum(one == other for one, other in pairs) / count
    expected = sum(ours[category] * theirs[category] for category in ours) / count**2
    if len(ours) == len(theirs) == 1 and ours == theirs:
        return Kappa(count, observed, None, None, None, "both sides always say the same: kappa is undefined")
    value = (observed - expected) / (1 - expected)
    if min(len(ours), len(theirs)) == 1:
        return Kappa(count, observed, value, None, None, "one side never varies: kappa is 0 however often they agree")
    low, high = (max(-1.0, min(1.0, (bound - expected) / (1 - expected))) for bound in wilson(observed, records or count))
    return Kappa(count, observed, value, low, high, "")


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` (Wilson 1927)."""
    middle = share + _Z**2 / (2 * count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return (middle - half) / (1 + _Z**2 / count), (middle + half) / (1 + _Z**2 / count)


def fact_shown(session: SessionHead) -> str | None:
    """The fact that a session shows of its user; None for noise and forget requests."""
    return session.fact_ids[0] if session.role in ("evidence", "update") and session.fact_ids else None


class _Spoken(Record):
    session_id: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class _Label:
    """What the dataset says of a record."""

    kind: str
    value: str
    """Of a session, the value that it shows; else empty."""
    option: str
    """Of a question, the place of the gold option as shown, from 1; else empty."""
    outright: str
    """The `implicit` rule's word, `yes` where it finds the value said; empty where there is no value."""


def agreement_of(root: Path, data: Path | None = None) -> Agreement:
    """What people said of the dataset in the run folder `root`, against its labels; a state of its own where nobody has answered yet.

    It reads `review/` and the published tables, or those in the folder `data` where they are not in their place yet.
    """
    everyone = {
        name: answers for name, answers in read_all(root).items() if any({"value", "option"} & one.keys() for one in answers.values())
    }
    if not everyone:
        return Agreement(state="not reviewed by people")
    labels = _labels(data or root / "data", {record for answers in everyone.values() for record in answers})
    known = {name: {record: one for record, one in answers.items() if record in labels} for name, answers in everyone.items()}
    rows = [row for name, answers in known.items() for row in _against_labels(name, [answers], labels)]
    if len(known) > 1:
        rows = [*_against_labels("all", list(known.values()), labels), *rows]
    for one, other in combinations(known, 2):
        rows += _between(one, known[one], other, known[other])
    judged = [word for answers in known.values() for word in _words(answers, labels)]
    return Agreement(
        state="reviewed by people",
        reviewers=tuple(_reviewer(name, everyone[name], known[name]) for name in known),
        rows=tuple(rows),
        kinds=_kinds(judged),
        disagreed=tuple(sorted({word.record_id for word in judged if word.pair[0] != word.pair[1]})),
    )


def _labels(data: Path, wanted: set[str]) -> dict[str, _Label]:
    sessions = read_published(data, "sessions", SessionHead, only=("session_id", wanted))
    spoken = {one.session_id: one.messages for one in read_published(data, "sessions", _Spoken, only=("session_id", wanted))}
    shown = {name for session in sessions if (name := fact_shown(session))}
    values = {fact.fact_id: fact.value for fact in read_published(data, "facts", Fact, only=("fact_id", shown))}
    labels: dict[str, _Label] = {}
    for session in sessions:
        value = values.get(fact_shown(session) or "", "")
        said = value and not check_implicit(session.session_id, spoken[session.session_id], value).passed
        labels[session.session_id] = _Label(session.noise_kind or session.role, value, "", ("yes" if said else "no") if value else "")
    for question in read_published(data, "questions", Question, only=("question_id", wanted)):
        labels[question.question_id] = _Label(question.kind, "", str(question.gold_index + 1), "")
    return labels


@dataclass(frozen=True, slots=True)
class _Word:
    """One answer beside what it is held against."""

    record_id: str
    kind: str
    what: Asked
    against: str
    pair: Pair


def _place(answer: Answer, value: str) -> str:
    """The place of `value` among the choices of an answer."""
    return str(answer.choices.index(value) + 1) if value in answer.choices else NONE


def _words(answers: Answers, labels: Mapping[str, _Label]) -> Iterable[_Word]:
    """A reviewer's answers beside the labels, and beside the rule where the true value was found."""
    for record, given in answers.items():
        label = labels[record]
        if option := given.get("option"):
            yield _Word(record, label.kind, "option", "labels", (option.answer, label.option))
        if value := given.get("value"):
            yield _Word(record, label.kind, "value", "labels", (_place(value, value.answer), _place(value, label.value)))
            if (outright := given.get("outright")) and value.answer == label.value:
                yield _Word(record, label.kind, "outright", "implicit", (outright.answer, label.outright))


def _against_labels(name: str, everyone: Sequence[Answers], labels: Mapping[str, _Label]) -> list[AgreementRow]:
    words = [word for answers in everyone for word in _words(answers, labels)]
    return [_row(name, "implicit" if what == "outright" else "labels", what, [w for w in words if w.what == what]) for what in _COMPARED]


def _between(one: str, ours: Answers, other: str, theirs: Answers) -> list[AgreementRow]:
    """Two reviewers, where both answered the same of the same record; on what was said outright, where both chose the same value."""
    words: dict[Asked, list[_Word]] = defaultdict(list)
    for record in ours.keys() & theirs.keys():
        mine, yours = ours[record], theirs[record]
        for what in _COMPARED:
            if what not in mine or what not in yours:
                continue
            pair = (mine[what].answer, yours[what].answer)
            if what == "value":
                pair = (_place(mine[what], mine[what].answer), _place(mine[what], yours[what].answer))
            elif what == "outright" and _chosen(mine) != _chosen(yours):
                continue
            words[what].append(_Word(record, "", what, other, pair))
    return [_row(one, other, what, words[what]) for what in _COMPARED if words]


def _chosen(given: Mapping[Asked, Answer]) -> str:
    return given["value"].answer if "value" in given else ""


def _row(people: str, against: str, what: Asked, words: Sequence[_Word]) -> AgreementRow:
    records = len({word.record_id for word in words})
    found = cohen_kappa([word.pair for word in words], records)
    return AgreementRow(
        people=people, against=against, what=what, answers=found.answers, records=records, agreement=found.agreement, kappa=found.kappa,
        low=found.low, high=found.high, note=found.note,
    )  # fmt: skip


def _kinds(judged: Sequence[_Word]) -> tuple[KindRow, ...]:
    answers = Counter((word.what, word.kind) for word in judged)
    agreed = Counter((word.what, word.kind) for word in judged if word.pair[0] == word.pair[1])
    return tuple(KindRow(what=what, kind=kind, answers=answers[what, kind], agreed=agreed[what, kind]) for what, kind in sorted(answers))


def _reviewer(name: str, every: Answers, known: Answers) -> Reviewer:
    return Reviewer(
        name=name,
        sessions=sum("value" in given for given in known.values()),
        questions=sum("option" in given for given in known.values()),
        skipped=sum("skip" in given for given in known.values()),
        unknown=len(every) - len(known),
    )
