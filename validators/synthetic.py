"""Personal data is synthetic: whatever looks like an address, a number or a key is one that can belong to nobody.

Reserved names: RFC 2606 and RFC 6761. Telephone numbers: 555-0100 to 555-0199 (North American Numbering Plan Administrator), Ofcom's
"Telephone numbers for use in TV and radio drama programmes", ACMA's numbers for creative works, the German Bundesnetzagentur's
"Drama numbers", ARCEP decision 2018-0881 (France). Cards: the check digit of ISO/IEC 7812-1 (H. P. Luhn, US patent 2,950,048).
Bank accounts: the check digits of ISO 13616 (remainder 1 modulo 97). Social security: areas 000, 666 and 900 to 999 are never issued.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from schemas.outcome import Verdict
from schemas.session import Message

_RESERVED_HOSTS = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w/:])([\w.+'-]+)@((?:[\w-]+\.)+[a-z]{2,})\b", re.IGNORECASE)
_SPELLED_EMAIL = re.compile(
    r"\b[\w.-]+(?: (?:dot|underscore|dash) [\w-]+)* (?:at|\(at\)|\[at\]) ([\w-]+(?: (?:dot|\(dot\)"
    r"|\[dot\]) [a-z]{2,}){1,3})\b", re.IGNORECASE
)  # fmt: skip
_TEST_CARDS = frozenset(
    "4111111111111111 4242424242424242 4000056655665556 4012888888881881 4222222222222 5555555555554444 5105105105105100 2223003122003222 "
    "378282246310005 371449635398431 378734493671000 6011111111111117 6011000990139424 3530111333300000 3566002020360505 "
    "30569309025904 38520000023237 4000000000000002".split()
)
"""Published by card processors for tests: no account stands behind them."""
_PUBLISHED_IBANS = frozenset(("DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "GB29NWBK60161331926819"))
_FICTIONAL_PHONES = re.compile(
    r"1?\d{3}55501\d\d"  # North America
    r"|(?:44|0)(?:1632960\d{3}|7700900\d{3}|2079460\d{3}|1134960\d{3}|1144960\d{3}|1154960\d{3}|1164960\d{3}|1174960\d{3}|1184960\d{3}"
    r"|1214960\d{3}|1314960\d{3}|1414960\d{3}|1514960\d{3}|1614960\d{3}|1914980\d{3}|2890180\d{3}|2920180\d{3}|8081570\d{3}|9098790\d{3}"
    r"|3069990\d{3})"  # Ofcom
    r"|(?:61|0)(?:[2378](?:5550|7010)\d{4}|491570\d{3})"  # ACMA
    r"|(?:49|0)(?:3023125\d{3}|6990009\d{3}|4066969\d{3}|2214710\d{3}|8999998\d{3}|17139200\d{2})"  # Bundesnetzagentur
    r"|(?:33|0)(?:19900\d{4}|26191\d{4}|35301\d{4}|46571\d{4}|53649\d{4}|63998\d{4})"  # ARCEP
)
_PHONE = re.compile(
    r"(?<![\w.,/-])(?<!\d )(?:\+\d{1,3}[ .-]?(?:\(0\))?|\(0?\d{2,5}\)[ .-]?|0[1-9])\d(?:[ .-]?\d){5,10}(?![\w-]|[.,]\d)"
    r"|(?<![\w.,/-])(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-]|[.,]\d)"
)
_CARD = re.compile(
    r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\w-]|[.,]\d)|(?<![\w.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\w-]|[.,]\d)"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_SSN = re.compile(r"(?<![\w-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_NIR = re.compile(r"(?<!\d)([12]) ?(\d{2}) ?(0[1-9]|1[0-2]) ?(\d{2}|2[AB]) ?(\d{3}) ?(\d{3}) ?(\d{2})(?!\d)")
_UK_POSTCODE = re.compile(r"\b(?!ZZ)[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b")
_KEY = re.compile(
    r"\b(?:sk-[\w-]{20,}|sk_live_\w{16,}|gh[pousr]_\w{30,}|github_pat_\w{30,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|xox[abprs]-[\w-]{20,}|glpat-[\w-]{20,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
_MANY_DIGITS = re.compile(r"\d[\d ().-]{6,}\d")
"""The number patterns fit no text without this."""
_KEY_HINTS = ("sk-", "sk_live", "gh", "github_pat", "AKIA", "AIza", "xox", "glpat", "eyJ", "PRIVATE KEY")
_KEY_BITS = 2.5
"""Bits of entropy per character below which a key is a dummy, such as `sk-xxxxxxxx`."""


def check_synthetic(record_id: str, messages: Sequence[Message]) -> Verdict:
    """Passes when no message holds personal data that could be somebody's."""
    for message in messages:
        for kind, found in _real_data(message.content):
            reason = f"the {message.role} gives {kind} that may be somebody's: {found.strip()!r}"
            return Verdict(record_id=record_id, validator="synthetic", passed=False, reason=reason)
    return Verdict(record_id=record_id, validator="synthetic", passed=True, reason="")


def _real_data(text: str) -> Iterator[tuple[str, str]]:
    """What in `text` may be real, each with its kind."""
    if _MANY_DIGITS.search(text) or _UK_POSTCODE.search(text):
        yield from (("a bank account", found[0]) for found in _IBAN.finditer(text) if _real_iban(found))
        rest = _IBAN.sub(" ", text)  # its groups of digits are no telephone numbers
        for kind, pattern, real in _NUMBERS:
            yield from ((kind, found[0]) for found in pattern.finditer(rest) if real(found))
    for found in _EMAIL.finditer(text) if "@" in text else ():
        if not _RESERVED_HOSTS.search(found[2]) and found[1] != "git":
            yield "an e-mail address", found[0]
    for found in _SPELLED_EMAIL.finditer(text) if "dot" in text.casefold() else ():
        if not _RESERVED_HOSTS.search(re.sub(r"\W*dot\W*", ".", found[1], flags=re.IGNORECASE)):
            yield "an e-mail address", found[0]
    for found in _KEY.finditer(text) if any(hint in text for hint in _KEY_HINTS) else ():
        if not re.search(r"example|test", found[0], re.IGNORECASE) and (" " in found[0] or _bits(found[0]) >= _KEY_BITS):
            yield "a key", found[0]


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _real_phone(found: re.Match[str]) -> bool:
    digits = _digits(found[0].replace("(0)", ""))
    return 9 <= len(digits) <= 13 and not _FICTIONAL_PHONES.fullmatch(digits)


def _real_card(found: re.Match[str]) -> bool:
    digits = _digits(found[0])
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return digits not in _TEST_CARDS and sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def _real_iban(found: re.Match[str]) -> bool:
    plain = found[0].replace(" ", "")
    return plain not in _PUBLISHED_IBANS and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _real_ssn(found: re.Match[str]) -> bool:
    return found[1] not in ("000", "666") and found[1] < "900" and found[2] != "00" and found[3] != "0000"


def _real_nir(found: re.Match[str]) -> bool:
    number = "".join(found.groups()[:-1]).replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(found[7])


def _bits(text: str) -> float:
    """Entropy per character (Shannon) of the characters of `text`."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


_NUMBERS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    ("a payment card", _CARD, _real_card),
    ("a social security number", _SSN, _real_ssn),
    ("a social security number", _NIR, _real_nir),
    ("a telephone number", _PHONE, _real_phone),
    ("a postcode", _UK_POSTCODE, lambda _: True),
)
