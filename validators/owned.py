"""The evidence is the user's own, as far as rules can tell: not quoted from somebody, not of a third person, no story, no supposition.

It looks at the words that show the fact and at those directly before them. Whether "I" is the user in a pasted text without a word on who
wrote it, a rule cannot tell; that is asked of the judge.
"""

import re
from collections.abc import Iterator, Sequence

from schemas.outcome import Verdict
from schemas.session import Message
from text.words import typed

_FIRST = re.compile(r"\b(?:I|I'\w+|i'?m|i'?ve|me|my|mine|myself|we|us|our|ours|we'\w+)\b", re.IGNORECASE)
_THIRD = re.compile(r"\b(?:he|she|his|himself|herself)\b", re.IGNORECASE)
_KIN = (
    r"(?:mother|father|mum|mom|dad|sister|brother|aunt|great-aunt|uncle|cousin|niece|nephew|son|daughter|wife|husband|partner"
    r"|friend|mate|boss|colleague"
    r"|neighbour|neighbor|flatmate|roommate|lodger|landlady|landlord|gran|grandmother|grandfather|client|pupil|student|patient"
    r"|teacher|coach|in-law)"
)
_SAYS = r"(?:sent|wrote|writes|written|says|said|posted|texted|told|replied|answered|asked|left|mailed|emailed|signed)"
_WHO = rf"(?:(?-i:[A-Z])\w+|(?:my|our|the|a|his|her)(?: [\w-]+){{0,2}} {_KIN}|he|she|they|somebody|someone)"
_ATTRIBUTED = re.compile(
    rf"\b{_WHO}(?: \w+)? {_SAYS}\b[^\n]{{0,120}}$|\bfrom {_WHO}\b[^.!?\n]{{0,30}}:\s*$"
    rf"|\b(?:(?-i:[A-Z])\w+|{_KIN})'s (?:note|message|mail|email|letter|list|review|comment|text|postcard|words|essay|profile"
    rf"|reply)\b[^.!?\n]{{0,20}}:\s*$",
    re.IGNORECASE,
)  # fmt: skip
"""Right before a quotation, or before the evidence on its own line: whose words come."""
_ON_BEHALF = re.compile(
    rf"\b(?:profile|bio|speech|letter|post|statement|page)\b[^.!?]{{0,40}} for (?:a|my|our) (?:\w+ )?{_KIN}\b"
    r"|\b(?:interviewee|participant|respondent|athlete|patient|customer) no\.? ?\d|\b(?-i:P\d+[-: ]\d)"
    r"|\bmarking (?:\w+ )?essays\b|\bessays? by\b"
    r"|\bpinned up\b|\bcoaching log\b",
    re.IGNORECASE,
)  # fmt: skip
_FICTION = re.compile(
    r"\b(?:my|our|the|a|this) (?:\w+ )?(?:story|novel|novella|protagonist|main character|character|villain|heroine|hero"
    r"|narrator|screenplay|fan ?fiction|role ?-?play"
    r"|chapter|short story)\b",
    re.IGNORECASE,
)  # fmt: skip
_SUPPOSED = re.compile(
    r"\b(?:suppose|supposing|imagine|pretend|let's say|say I|what if|if I (?:were|was|had|ever)|as if I|hypothetically"
    r"|in another life|assume|assuming)\b[^.!?;\n]*$",
    re.IGNORECASE,
)  # fmt: skip
_IRONY = re.compile(
    r"^[\s\"'.,!]*(?:(?:just |only )?kidding\b|not really\b|i wish\b|as if\b|yeah,? right\b|/s\b|said no one\b|nah\b|joke\b)",
    re.IGNORECASE,
)


def check_owned(record_id: str, messages: Sequence[Message], quotes: Sequence[str]) -> Verdict:
    """Passes unless all evidence is, by its words or those around it, somebody else's or nobody's."""
    doubts: list[str] = []
    for quote in quotes:
        doubt = next(_doubts(messages, quote), "")
        if not doubt:
            return Verdict(record_id=record_id, validator="owned", passed=True, reason="")
        doubts.append(doubt)
    reason = doubts[0] if doubts else "no evidence was named"
    return Verdict(record_id=record_id, validator="owned", passed=False, reason=reason)


def _doubts(messages: Sequence[Message], quote: str) -> Iterator[str]:
    """Why the evidence might not be the user's."""
    quote, spoken = typed(quote), [typed(message.content) for message in messages if message.role == "user"]
    text, start = next(((text, at) for text in spoken if (at := text.find(quote)) >= 0), (quote, 0))
    before, after = text[:start], text[start + len(quote) :]
    opened = _opened(before)
    lead = (before[:opened] if opened is not None else before.rpartition("\n")[2]).rstrip()
    first = bool(_FIRST.search(quote))
    if _THIRD.search(quote) and not first and not re.search(r"\bthird person\b", text, re.IGNORECASE):
        yield f"it is of a third person: {quote!r}"
    if (opened is not None or lead.endswith(":")) and (found := _ATTRIBUTED.search(lead)):
        yield f"somebody else says it: {found[0]!r}"
    if found := _ON_BEHALF.search(text):
        yield f"it is written for, or by, somebody else: {found[0]!r}"
    if opened is not None and not first and (found := _FICTION.search(text)):
        yield f"it stands in a story: {found[0]!r}"
    if found := _SUPPOSED.search(before):
        yield f"it is only supposed: {found[0]!r}"
    if found := _IRONY.search(after):
        yield f"it is taken back: {found[0]!r}"


def _opened(before: str) -> int | None:
    """Where the quotation opens that is still open at the end of `before`; None where none is."""
    return before.rfind('"') if before.count('"') % 2 else None
