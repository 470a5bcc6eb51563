"""The options of an item are alike to whoever knows nothing of the user: in length, and in register as far as letters and marks show it."""

import re
from collections.abc import Sequence

from schemas.outcome import Verdict

LENGTH_BAND = 0.12
"""How far an option's length in characters may be from the mean of all, as a share of it: more, and length alone tells them apart."""
_REGISTERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("text speak or slang", re.compile(
        r"(?<![/`.'])\b(?:u|ur|thx|pls|plz|lol|lmao|omg|idk|tbh|gonna|wanna|gotta|bestie|dude|mate|yo|wot|innit"
        r"|literally just)\b(?![/`.:]|'\w| ?\d)", re.IGNORECASE)),
    ("emoji", re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]")),
    ("a list", re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)),
    ("old-fashioned or legal words", re.compile(
        r"\b(?:thou|thee|thy|thine|hath|doth|preparest|pursuant|hereby|herein|thereof|aforesaid|forthwith|the (?:speaker"
        r"|applicant|undersigned) shall|let there be)\b", re.IGNORECASE)),
    ("officialese", re.compile(r"\b(?:it is (?:recommended|advised|advisable|suggested) (?:that|to)|has been shown to"
        r"|have been shown to|is to be noted|shall be|in the event of)\b", re.IGNORECASE)),
    ("many exclamation marks", re.compile(r"!.*!", re.DOTALL)),
    ("telegraphese", re.compile(r"(?:\b\w[\w -]{0,24}: [^:.]{1,60}\. ?){3}")),
    ("hedges", re.compile(
        r"\b(?:perhaps|possibly|maybe|might|could be|sort of|kind of|you see|something like)\b.*\b(?:perhaps|possibly|maybe"
        r"|might|could be|sort of|kind of|something like)\b"
        r"|\byou (?:could|might) (?:perhaps|maybe|possibly)\b", re.IGNORECASE | re.DOTALL)),
)  # fmt: skip


def check_option_balance(record_id: str, options: Sequence[str]) -> Verdict:
    """Passes when every option's length is within the band around the mean, and none alone is in another register."""
    mean = sum(map(len, options)) / max(len(options), 1)
    far = max(options, key=lambda option: abs(len(option) - mean), default="")
    off = abs(len(far) - mean) / max(mean, 1)
    if not options or off > LENGTH_BAND:
        reason = f"an option of {len(far)} characters where the mean is {mean:.0f}: {far[:60]!r}" if options else "there are no options"
        return Verdict(record_id=record_id, validator="option_balance", passed=False, score=round(off, 3), reason=reason)
    for register, pattern in _REGISTERS:
        if len(found := [option for option in options if pattern.search(option)]) == 1:
            reason = f"one option alone has {register}: {found[0][:60]!r}"
            return Verdict(record_id=record_id, validator="option_balance", passed=False, score=round(off, 3), reason=reason)
    return Verdict(record_id=record_id, validator="option_balance", passed=True, score=round(off, 3), reason="")
