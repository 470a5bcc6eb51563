"""All checks of one session in order: cheap rules, then rules that embed, then judges. The first that fails is the last that is asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas.fact import Fact
from schemas.outcome import Verdict
from schemas.session import Message, SessionRole
from validators.implicit import check_implicit
from validators.judge import Judge
from validators.user_text import check_user_text


@dataclass(frozen=True, slots=True)
class Showing:
    """A session in which something of the user shows, as it was written."""

    session_id: str
    role: SessionRole
    messages: Sequence[Message]
    quotes: Sequence[str]
    fact: Fact
    topic: str


async def showing_verdicts(session: Showing, judge: Judge | None, seed: int) -> tuple[Verdict, ...]:
    """The verdicts on a session that shows or withdraws a fact; the last one has failed, or all have passed."""
    given = tuple(until_one_fails(_rules(session)))
    if judge is not None and all(one.passed for one in given) and _hidden(session):
        statement = {"messages": session.messages, "value": session.fact.value, "topic": session.topic}
        given = (*given, await judge.vote("judge/stated", statement, seed, session.session_id))
    return given


def _rules(session: Showing) -> Iterator[Callable[[], Verdict]]:
    yield lambda: check_user_text(session.session_id, session.messages, session.quotes)
    if _hidden(session):
        yield lambda: check_implicit(session.session_id, session.messages, session.fact.value)


def _hidden(session: Showing) -> bool:
    """Whether the value must not be said: who asks to forget something names it, and what is sensitive is said in passing."""
    return session.role != "forget" and session.fact.kind != "sensitive"


def until_one_fails(checks: Iterable[Callable[[], Verdict]]) -> Iterator[Verdict]:
    """The verdicts of `checks` one by one, the first failed one being the last."""
    for check in checks:
        verdict = check()
        yield verdict
        if not verdict.passed:
            return


def failed(given: Sequence[Verdict]) -> Verdict | None:
    """The verdict that is against the record; None where all are for it."""
    return next((verdict for verdict in given if not verdict.passed), None)
