"""All checks of one session in order: cheap rules, then rules that embed, then judges. The first that fails is the last that is asked."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from author.offline.bank import load_bank
from schemas.fact import Fact
from schemas.ids import normalise, rng
from schemas.outcome import Verdict
from schemas.session import Cue, Message, SessionRole
from text.words import content_stems
from validators.claim import Matter
from validators.implicit import check_implicit
from validators.judge import Judge
from validators.meta_talk import check_meta_talk
from validators.owned import check_owned
from validators.refusal import check_refusal
from validators.style import check_style
from validators.synthetic import check_synthetic
from validators.timeline import Stretch, check_timeline
from validators.unclaimed import check_unclaimed
from validators.untold import check_untold
from validators.user_text import check_user_text

_OTHERS = 3
"""So many other values the judge chooses from."""
_Check = Callable[[], Verdict]


@dataclass(frozen=True, slots=True)
class Written:
    """A session as an author wrote it."""

    session_id: str
    messages: Sequence[Message]
    style: str
    """How the user writes, in the words of the profile."""


@dataclass(frozen=True, slots=True)
class Showing(Written):
    """A session in which a fact shows, or is to be forgotten."""

    role: SessionRole
    cue: Cue | None
    quotes: Sequence[str]
    fact: Fact
    topic: str
    on: date
    improvised: bool
    """Whether a model made up the words, rather than a bank whose words were read before."""


async def showing_verdicts(session: Showing, judge: Judge | None, seed: int) -> tuple[Verdict, ...]:
    """The verdicts on a session that shows or withdraws a fact; the last one has failed, or all have passed."""
    given = list(until_one_fails(_showing_rules(session)))
    if judge is None or not given[-1].passed or not _hidden(session):
        return tuple(given)
    name, messages, fact = session.session_id, session.messages, session.fact
    stated = {"messages": messages, "value": fact.value, "topic": session.topic}
    judges: list[Callable[[], Awaitable[Verdict]]] = [lambda: judge.vote("judge/stated", stated, seed, name)]
    if session.cue != "faint":  # of a hint alone a reader may not conclude anything
        judges += [
            lambda: judge.inferable(messages, session.topic, (fact.value, *other_values(fact, seed)), seed, name),
            lambda: judge.vote("judge/owner", {"messages": messages, "statement": fact.statement}, seed, name),
        ]
    for ask in judges:
        given.append(await ask())
        if not given[-1].passed:
            break
    return tuple(given)


def noise_verdicts(session: Written, facts: Sequence[Fact]) -> tuple[Verdict, ...]:
    """The verdicts on a noise session of a user who holds `facts`; the last one has failed, or all have passed."""
    checks = [*_common_rules(session, forgets=False), lambda: check_untold(session.session_id, session.messages, facts)]
    return tuple(until_one_fails(checks))


def _showing_rules(session: Showing) -> Iterator[_Check]:
    name, messages, quotes, fact = session.session_id, session.messages, session.quotes, session.fact
    yield lambda: check_user_text(name, messages, quotes)
    yield from _common_rules(session, forgets=session.role == "forget")
    if session.role != "forget":
        stretch = Stretch(fact.valid_from, fact.valid_until, fact.supersedes is not None)
        yield lambda: check_owned(name, messages, quotes)
        yield lambda: check_timeline(name, messages, quotes, session.on, stretch)
    if _hidden(session):
        yield lambda: check_implicit(name, messages, fact.value)
        if session.improvised:
            yield lambda: check_unclaimed(name, messages, Matter(fact.value, fact.statement, session.topic))


def _common_rules(session: Written, forgets: bool) -> Iterator[_Check]:
    name, messages = session.session_id, session.messages
    yield lambda: check_synthetic(name, messages)
    yield lambda: check_meta_talk(name, messages, may_remember=forgets)
    yield lambda: check_refusal(name, messages)
    yield lambda: check_style(name, messages, session.style)


def _hidden(session: Showing) -> bool:
    """Whether the value must not be said: who asks to forget something names it, and what is sensitive is said in passing."""
    return session.role != "forget" and session.fact.kind != "sensitive"


def other_values(fact: Fact, seed: int) -> tuple[str, ...]:
    """Three other values of the fact's attribute, from the bank, which has four for each attribute of the catalogue.

    A value that shares a content word with the fact's own is taken last, because it might hold as well.
    """
    mine, wanted = normalise(fact.value), content_stems(fact.value)
    labels = [value.label for value in load_bank().attributes[fact.attribute].values if normalise(value.label) != mine]
    drawn = rng(seed, fact.attribute, "others").sample(labels, len(labels))
    return tuple(sorted(drawn, key=lambda label: len(content_stems(label) & wanted))[:_OTHERS])


def until_one_fails(checks: Iterable[_Check]) -> Iterator[Verdict]:
    """The verdicts of `checks` one by one, the first failed one being the last."""
    for check in checks:
        verdict = check()
        yield verdict
        if not verdict.passed:
            return


def failed(given: Sequence[Verdict]) -> Verdict | None:
    """The verdict that is against the record; None where all are for it."""
    return next((verdict for verdict in given if not verdict.passed), None)
