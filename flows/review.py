"""`subtext review`: people read sampled sessions and questions blind, and their answers are kept beside the dataset.

Blind means: no label, scenario, role or evidence mark is shown; what a session tells is asked before any value is offered; and sessions
are taken from one half of the people, questions from the other, so that no question gives a session away. What is offered, and in which
order, depends on the record alone: two readers see the same. A larger sample begins with the smaller one.
"""

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import TextIO, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prompts.catalogue import load_catalogue
from schemas.base import Record
from schemas.errors import InputError
from schemas.fact import Fact
from schemas.ids import derive, normalise, rng
from schemas.question import ItemOption, Option, Question
from schemas.review import Agreement, AgreementRow, Answer, Asked
from schemas.session import Message, SessionHead
from store.answers import AnswerFile, review_folder
from store.dataset import read_published, read_rows
from store.folder import RunFolder, write_json
from validators.agreement import NONE, agreement_of, fact_shown

VALUES_OFFERED = 4
ShownT = TypeVar("ShownT", SessionHead, Question)


class _Values(Record):
    """An item of the run, as far as it says which values can be told apart."""

    attribute: str
    options: tuple[ItemOption, ...]


class Conversation(Record):
    """A session as the assistant saw it."""

    session_id: str
    started_at: datetime
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A session or question to be read."""

    record_id: str
    conversations: Sequence[Conversation]
    query: str
    """Empty for a session."""
    matter: str
    """Of a session, what the values are about."""
    choices: Sequence[str]
    """Values of a session, options of a question; in the order shown."""


class Terminal:
    """Where the reader reads and writes; a pipe does too."""

    def __init__(self, console: Console, answers: TextIO) -> None:
        self.console, self._answers = console, answers
        if isinstance(answers, TextIOWrapper):
            answers.reconfigure(errors="replace")

    def say(self, text: str, style: str = "") -> None:
        """Print, without what could steer the terminal: models write these texts."""
        self.console.print(Text(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text), style=style))

    def ask(self, question: str, read: Callable[[str], str | None]) -> str:
        """Ask until `read` can make an answer of the line. Raises _Skip or _Leave."""
        while True:
            self.console.print(Text(f"{question}  ", style="bold"), end="" if self._answers.isatty() else "\n")
            line = self._answers.readline()
            said = line.strip()
            if said == "q" or not line.endswith("\n"):  # the end, perhaps in the middle of a line
                raise _Leave
            if said == "s":
                raise _Skip
            if (answer := read(said)) is not None:
                return answer
            self.say(f"{said!r} is no answer to that; s skips, q stops")


class _Leave(Exception):  # noqa: N818 (no error)
    """The reader wants to stop."""


class _Skip(Exception):  # noqa: N818 (no error)
    """The reader passes over a record."""


def review(root: Path, size: int, seed: int, reviewer: str, terminal: Terminal) -> None:
    """Show what of the sample `reviewer` has not answered yet, one after the other, until the end of it or of the answers."""
    _finished(root)
    with AnswerFile(root, reviewer) as file:
        exhibits = sample(root, size, seed)
        terminal.say(f"{len(exhibits)} to read, {sum(_done(one, file) for one in exhibits)} of them done. s: skip this one, q: stop.")
        for number, exhibit in enumerate(exhibits, 1):
            if _done(exhibit, file):
                continue
            terminal.console.rule(f"{number} of {len(exhibits)}", align="left")
            try:
                _Sitting(exhibit, file, terminal).hold()
            except _Skip:
                file.add(Answer(record_id=exhibit.record_id, asked="skip", answer=""))
            except _Leave:
                left = sum(not _done(one, file) for one in exhibits)
                terminal.say(f"\nStopped with {left} to go; the same command goes on here.")
                return
        terminal.say(f"All read. How far people and labels agree: subtext review {shlex.quote(str(root))} --report")


def report(root: Path) -> Agreement:
    """The agreement of everybody who reviewed; kept as `review/agreement.json` where anybody has."""
    _finished(root)
    found = agreement_of(root)
    if found.rows:
        write_json(review_folder(root) / "agreement.json", found.model_dump(mode="json"))
    return found


def print_agreement(found: Agreement, console: Console) -> None:
    """Who reviewed how much; kappa with its interval, row by row; and the labels by kind of record."""
    if not found.rows:
        console.print(Text(f"{found.state}: subtext review DIR"))
        return
    for one in found.reviewers:
        unknown = f", {one.unknown} of other records (ignored)" if one.unknown else ""
        console.print(Text(f"{one.name}: {one.sessions} sessions, {one.questions} questions, {one.skipped} skipped{unknown}"))
    console.print()
    console.print(agreement_table(found.rows))
    console.print()
    for kind in found.kinds:
        console.print(Text(f"{kind.what}, {kind.kind}: agreed {kind.agreed} of {kind.answers}"))


def agreement_table(rows: Sequence[AgreementRow]) -> Table:
    """Who agrees how far with whom, on what."""
    table = Table("people", "against", "what", box=None, pad_edge=False)
    for name in ("n", "agree", "kappa", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        interval = "-" if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}"
        table.add_row(
            row.people, row.against, row.what, str(row.answers), _figure(row.agreement), _figure(row.kappa), interval, Text(row.note)
        )
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _finished(root: Path) -> None:
    if not RunFolder(root).finished:
        raise InputError(f"{root}: no finished dataset there (no manifest.json); give the folder of a version, such as output/demo/0.1.0")


def _done(exhibit: Exhibit, file: AnswerFile) -> bool:
    given = file.answers.get(exhibit.record_id, {})
    return bool({"skip", "option", "outright"} & given.keys()) or ("value" in given and not given["value"].answer)


class _Sitting:
    """One exhibit before one reader; what was answered earlier is not asked again."""

    def __init__(self, exhibit: Exhibit, file: AnswerFile, terminal: Terminal) -> None:
        self._exhibit, self._file, self._terminal = exhibit, file, terminal

    def hold(self) -> None:
        """Show it and ask. Raises _Skip or _Leave."""
        one = self._exhibit
        if one.query:
            self._ask_question(one)
        else:
            self._ask_session(one)

    def _ask_session(self, one: Exhibit) -> None:
        self._show(one.conversations[0])
        self._keep("tells", lambda: self._terminal.ask("What does this tell you about the user? (one line, empty: nothing)", _anything))
        choices = (*one.choices, NONE)
        self._keep("value", lambda: self._value(choices), tuple(one.choices))
        if self._file.answers[one.record_id]["value"].answer:
            self._keep("outright", lambda: self._terminal.ask("Was it said outright? y/n", _yes_or_no))

    def _value(self, choices: Sequence[str]) -> str:
        self._list(choices)
        question = f"About {self._exhibit.matter}: which of these fits what it tells about the user? 1-{len(choices)}"
        chosen = int(self._terminal.ask(question, _number(len(choices))))
        return choices[chosen - 1] if chosen < len(choices) else ""

    def _ask_question(self, one: Exhibit) -> None:
        if not one.conversations:
            self._terminal.say("(No conversation bears on what is asked.)", "dim")
        for conversation in one.conversations:
            self._terminal.say(f"{conversation.started_at:%d %B %Y}", "bold")
            self._show(conversation)
        self._terminal.say("The user now asks:", "bold")
        self._terminal.say(f"{one.query}\n")
        self._list(one.choices)
        question = f"Which option would suit them? 1-{len(one.choices)}"
        self._keep("option", lambda: self._terminal.ask(question, _number(len(one.choices))))

    def _keep(self, asked: Asked, ask: Callable[[], str], choices: tuple[str, ...] = ()) -> None:
        if asked not in self._file.answers.get(self._exhibit.record_id, {}):
            self._file.add(Answer(record_id=self._exhibit.record_id, asked=asked, answer=ask(), choices=choices))

    def _show(self, conversation: Conversation) -> None:
        for message in conversation.messages:
            self._terminal.say(f"{message.role}: {message.content}\n", "" if message.role == "user" else "dim")

    def _list(self, choices: Sequence[str]) -> None:
        for number, choice in enumerate(choices, 1):
            self._terminal.say(f"  {number}. {choice}")


def _anything(said: str) -> str:
    return said


def _yes_or_no(said: str) -> str | None:
    return {"y": "yes", "yes": "yes", "n": "no", "no": "no"}.get(said.casefold())


def _number(most: int) -> Callable[[str], str | None]:
    allowed = {str(number) for number in range(1, most + 1)}
    return lambda said: said if said in allowed else None


def sample(root: Path, size: int, seed: int) -> list[Exhibit]:
    """`size` exhibits, sessions and questions by turns; fewer where the dataset has no more to show."""
    data = RunFolder(root).data
    heads = read_published(data, "sessions", SessionHead)
    questions = read_published(data, "questions", Question)
    offers = _Offers(root, read_published(data, "facts", Fact), questions)
    people = sorted({head.persona_id for head in heads}, key=lambda name: derive(seed, "review", name))
    of_sessions = set(people[::2])
    sessions = _draw_sessions([head for head in heads if head.persona_id in of_sessions and offers.fact(head)], seed)
    others = [one for one in questions if one.persona_id not in of_sessions or len(people) == 1]
    pairs = zip_longest(sessions, _draw_questions(others, seed))
    drawn = [one for pair in pairs for one in pair if one is not None][:size]
    needed = {name for one in drawn for name in (one.evidence_session_ids if isinstance(one, Question) else (one.session_id,))}
    spoken = {one.session_id: one for one in read_published(data, "sessions", Conversation, only=("session_id", needed))}
    return [_of_question(one, spoken) if isinstance(one, Question) else _of_session(one, spoken[one.session_id], offers) for one in drawn]


def _draw_sessions(heads: Sequence[SessionHead], seed: int) -> list[SessionHead]:
    """By turns one that shows a fact and one of noise, the noise of each kind in turn. Requests to forget are left out."""
    kinds: dict[str, list[SessionHead]] = defaultdict(list)
    for head in heads:
        if head.noise_kind:
            kinds[head.noise_kind].append(head)
    noise = _by_turns([_spread(kinds[kind], seed) for kind in sorted(kinds)])
    return _by_turns([_spread([head for head in heads if fact_shown(head)], seed), noise])


def _draw_questions(questions: Sequence[Question], seed: int) -> list[Question]:
    """Of every kind as many as come; each item once, as long as there are others."""
    first: list[Question] = []
    again: list[Question] = []
    seen: set[str] = set()
    for question in _spread(questions, seed):
        (again if question.item_id in seen else first).append(question)
        seen.add(question.item_id)
    return [*first, *again]


def _by_turns(groups: Sequence[Sequence[ShownT]]) -> list[ShownT]:
    return [one for row in zip_longest(*groups) for one in row if one is not None]


def _spread(records: Sequence[ShownT], seed: int) -> list[ShownT]:
    """In an order drawn by hash in which nobody comes again before everybody has come."""
    drawn = sorted(records, key=lambda one: derive(seed, "review", _id(one)))
    turns: Counter[str] = Counter()
    ranked: list[tuple[int, ShownT]] = []
    for one in drawn:
        ranked.append((turns[one.persona_id], one))
        turns[one.persona_id] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def _id(one: SessionHead | Question) -> str:
    return one.question_id if isinstance(one, Question) else one.session_id


class _Offers:
    """What can be offered of an attribute: the values that an item tells apart, of other items, of facts."""

    def __init__(self, root: Path, facts: Sequence[Fact], questions: Sequence[Question]) -> None:
        self._facts = {fact.fact_id: fact for fact in facts}
        self._held: dict[str, list[Fact]] = defaultdict(list)
        self._items: dict[str, list[set[str]]] = defaultdict(list)
        self._values: dict[str, set[str]] = defaultdict(set)
        for fact in facts:
            self._values[fact.attribute].add(fact.value)
            if fact.status == "true":
                self._held[fact.persona_id].append(fact)
        for question in questions:
            if question.fact_ids:
                self._add_item(self._facts[question.fact_ids[0]].attribute, question.options)
        for item in read_rows(sorted((root / "stages" / "items").glob("part-*.parquet")), _Values):  # none in a copy of data/ alone
            self._add_item(item.attribute, item.options)

    def _add_item(self, attribute: str, options: Sequence[Option] | Sequence[ItemOption]) -> None:
        values = {option.value for option in options if option.value is not None}
        self._items[attribute].append(values)
        self._values[attribute] |= values

    def fact(self, session: SessionHead) -> Fact | None:
        """The fact that shows, or the trap; of noise without a trap any fact of its user. None where too few values can be offered."""
        named = [*session.fact_ids, *session.trap_fact_ids]
        held = self._held[session.persona_id]
        fact = self._facts[named[0]] if named else rng("review", session.session_id).choice(held) if held else None
        return fact if fact and len({normalise(value) for value in self._values[fact.attribute]}) >= VALUES_OFFERED else None

    def choices(self, session: SessionHead, fact: Fact) -> list[str]:
        """The fact's value among others, in an order that `session` decides."""
        chance = rng("review", session.session_id, "choices")
        near = {value for item in self._items[fact.attribute] if fact.value in item for value in item}
        found = {normalise(fact.value): fact.value}
        for group in (near, self._values[fact.attribute] - near):
            for value in chance.sample(sorted(group), len(group)):
                if len(found) < VALUES_OFFERED:
                    found.setdefault(normalise(value), value)
        return chance.sample(list(found.values()), len(found))


def _of_session(head: SessionHead, spoken: Conversation, offers: _Offers) -> Exhibit:
    fact = offers.fact(head)
    assert fact is not None  # noqa: S101 (only such are drawn)
    entry = load_catalogue().get(fact.attribute)
    matter = f'"{entry.topic}"' if entry else fact.attribute.replace("_", " ")
    return Exhibit(head.session_id, [spoken], "", matter, offers.choices(head, fact))


def _of_question(question: Question, spoken: Mapping[str, Conversation]) -> Exhibit:
    needed = sorted((spoken[name] for name in question.evidence_session_ids), key=lambda one: (one.started_at, one.session_id))
    return Exhibit(question.question_id, needed, question.text, "", [option.text for option in question.options])
