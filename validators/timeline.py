"""What is said fits its day and the stretch in which the fact holds, as far as dates, feasts and lengths of time in the text tell."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import sentences, typed, without_code


@dataclass(frozen=True, slots=True)
class Stretch:
    """When a fact holds: from its first day to the first on which it no longer does (None: to the end)."""

    since: date
    until: date | None
    replaced: bool
    """Whether it took the place of another value, so that it cannot be older than `since`."""


_FEASTS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = tuple(
    (re.compile(rf"\b(?:{names})\b", re.IGNORECASE), frozenset(months))
    for names, months in (
        ("christmas eve|christmas day|boxing day|christmas dinner", (12, 1)),
        ("new year's eve|hogmanay", (12, 1)),
        ("valentine's(?: day)?", (2,)),
        ("palm sunday|good friday|easter sunday|easter monday|easter eve", (3, 4, 5)),
        ("halloween", (10, 11)),
        ("bonfire night", (11,)),
        ("thanksgiving", (10, 11)),
    )
)
"""Months in which a feast can be near, in either calendar of the churches."""
_NEAR = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|this morning|this afternoon|this evening|last night|the day after tomorrow"
    r"|the day before yesterday)\b", re.IGNORECASE
)  # fmt: skip
_CLOCKS = re.compile(
    r"\bclocks (?:went|go|have gone) (?:back|forward)\b[^.!?]{0,40}\b(?:sunday|weekend|last night|yesterday|tonight|tomorrow|this)\b",
    re.IGNORECASE,
)
_CLOCK_MONTHS = frozenset((3, 4, 9, 10, 11))
_SINCE_YEAR = re.compile(r"\bsince (?:(?:the|about|around|early|late|spring|summer|autumn|winter|january|february|march|april"
    r"|may|june|july|august|september"
                         r"|october|november|december) )*((?:19|20)\d\d)\b", re.IGNORECASE)  # fmt: skip
_PAST_YEAR = re.compile(
    r"\b(?:back in|in|last seen in|gave up in|stopped in|began in|started in|until) ((?:19|20)\d\d)\b(?= (?:I|we|when|my|and)\b|,? when)",
    re.IGNORECASE,
)
_LONG_HABIT = re.compile(
    r"\b(?:for (?:the (?:last|past) )?(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty"
    r"|forty|many|several) (?:\w+ )?"
    r"(years|decades)|for decades|all my life|since (?:I was (?:a |\w+ )?\w+|childhood|school|college|university)"
    r"|as (?:I )?always (?:have|did))\b", re.IGNORECASE
)  # fmt: skip
_FIRST_TIME = re.compile(r"\bfor the (?:very )?first time (?:after|next|tomorrow|tonight|today|on|this)\b", re.IGNORECASE)
_NOT_YET = re.compile(
    r"\b(?:collect|fetch|pick up|get|adopt|start(?:ing)?|begin(?:ning)?|move in)\b[^.,;!?]{0,40}\bin (?:a|two|three|four|five"
    r"|six|\d+) (?:days?|weeks?|months?)\b",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"\b(?:right )?up (?:to|until) the (?:day|moment)\b|\buntil (?:last (?:spring|summer|autumn|winter"
    r"|year|month))\b",
    re.IGNORECASE,
)
_SETTLED_DAYS = 60
"""A fact that holds for longer is no longer about to begin."""


def check_timeline(record_id: str, messages: Sequence[Message], quotes: Sequence[str], on: date, stretch: Stretch) -> Verdict:
    """Passes unless the user's words contradict the day of the session, or those that show the fact contradict when it holds."""
    for message in messages:
        if message.role == "user":
            for sentence in sentences(without_code(typed(message.content))):
                for found in _out_of_season(sentence, on):
                    return _no(record_id, f"on {on} it cannot be said {found!r}")
    for quote in quotes:
        for found in _out_of_stretch(typed(quote), on, stretch):
            return _no(record_id, f"a fact that holds from {stretch.since} to {stretch.until or 'the end'} contradicts, on {on}, {found!r}")
    return Verdict(record_id=record_id, validator="timeline", passed=True, reason="")


def _out_of_season(sentence: str, on: date) -> Iterator[str]:
    """Words that point at a time of year, or at a year, that is not that of the day."""
    if _NEAR.search(sentence):
        yield from (sentence for feast, months in _FEASTS if on.month not in months and feast.search(sentence))
    if on.month not in _CLOCK_MONTHS and (found := _CLOCKS.search(sentence)):
        yield found[0]
    yield from (found[0] for pattern in (_SINCE_YEAR, _PAST_YEAR) for found in pattern.finditer(sentence) if int(found[1]) > on.year)


def _out_of_stretch(quote: str, on: date, stretch: Stretch) -> Iterator[str]:
    """Words by which the fact is older than it is, still to come, or over."""
    if stretch.replaced:
        yield from (found[0] for found in _SINCE_YEAR.finditer(quote) if int(found[1]) < stretch.since.year)
        if (found := _LONG_HABIT.search(quote)) and (on - stretch.since).days < 365:
            yield found[0]
    if (on - stretch.since).days > _SETTLED_DAYS and (found := _FIRST_TIME.search(quote) or _NOT_YET.search(quote)):
        yield found[0]
    if (stretch.until is None or stretch.until > on) and (found := _ENDED.search(quote)):
        yield found[0]


def _no(record_id: str, reason: str) -> Verdict:
    return Verdict(record_id=record_id, validator="timeline", passed=False, reason=reason)
