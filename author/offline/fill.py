"""Filling slots: names and fake personal data from Faker, in reserved ranges only; numbers, days and places from short lists."""

import ast
import operator
import random
import re
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

from faker import Faker

from author.offline.bank import Slots
from author.offline.material import SLOT

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIVES = (
    "my sister", "my brother", "my cousin", "my niece", "my nephew", "my brother-in-law", "my sister-in-law",
    "my aunt", "my uncle", "my mother", "my father", "my godmother", "my grandmother", "my grandfather",
)  # fmt: skip
_OF_ONES_AGE = 7
"""So many of them are one's own age or younger; those who are `_OLD` speak of no others."""
_OLD = 58
_NAME_LOCALES = ("en_US", "en_GB", "en_IE", "en_IN", "es_ES", "fr_FR", "de_DE", "it_IT", "pl_PL", "pt_BR", "nl_NL", "sv_SE")


_loading = Lock()


def _names_of(locale: str) -> Any:
    """A Faker of names. One thread at a time makes one: it imports modules, many of them."""
    with _loading:
        fake = Faker(locale, providers=["faker.providers.person"])
    fake.seed_instance(7)
    return fake


@cache
def first_names(locale: str | None = None, gender: str | None = None) -> tuple[str, ...]:
    """About 150 distinct first names of a locale (of many, where none is given), the same in every process."""
    names: dict[str, None] = {}
    for name in (locale,) if locale else _NAME_LOCALES:
        fake = _names_of(name)
        draw = {"woman": fake.first_name_female, "man": fake.first_name_male}.get(gender or "", fake.first_name)
        names |= dict.fromkeys(draw() for _ in range(250 if locale else 60))
    return tuple(name for name in names if name.isalpha())


@cache
def last_names(locale: str) -> tuple[str, ...]:
    """About 150 distinct family names of a locale."""
    fake = _names_of(locale)
    return tuple(dict.fromkeys(fake.last_name() for _ in range(250)))


@cache
def _street_names() -> tuple[str, ...]:
    with _loading:
        fake = Faker("en_US")
    fake.seed_instance(7)
    return tuple(dict.fromkeys(fake.street_name() for _ in range(200)))


def personal_data(chance: random.Random, full_name: str) -> dict[str, str]:
    """Fake personal data that can belong to nobody: example.com, 555-01xx, SSN area 666, card and passport numbers never issued."""

    def digits(count: int) -> str:
        return "".join(str(chance.randrange(10)) for _ in range(count))

    mailbox = ".".join("".join(c for c in word if c.isascii() and c.isalnum()) for word in full_name.lower().split())
    key = "".join(chance.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(16))
    return {
        "email": f"{mailbox.strip('.') or 'user'}{chance.randint(2, 99)}@example.com",
        "phone": f"({chance.randint(201, 989)}) 555-01{digits(2)}",
        "address": f"{chance.randint(2, 98)} {chance.choice(_street_names())}",
        "ssn": f"666-{digits(2)}-{digits(4)}",
        "card": f"0000 {digits(4)} {digits(4)} {digits(4)}",
        "account": f"GB00 TEST {digits(4)} {digits(4)} {digits(4)}",
        "passport": f"X00{digits(6)}",
        "api_key": f"sk-test-{key}-EXAMPLE",
        "dob": f"{chance.randint(1955, 2004)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}",
    }


class Filler:
    """The slot values of one session: drawn once, then the same wherever a slot recurs in it."""

    def __init__(self, chance: random.Random, slots: Slots, me: str, given: Mapping[str, str] | None = None, age: int = 40) -> None:
        self._chance = chance
        self._slots = slots
        self._age = age
        self._values: dict[str, str] = {"me": me.partition(" ")[0], "me_full": me, **(given or {})}
        taken = {self._values["me"], self._values.get("other")}
        self._names = [name for name in chance.sample(first_names(), 12) if name not in taken]

    def lists(self, lists: Mapping[str, tuple[str, ...]]) -> "Filler":
        """Draw one entry of each of a part's own lists."""
        for name, words in lists.items():
            self._values[name] = self._chance.choice(words)
        return self

    def numbers(self, bounds: Mapping[str, tuple[int, int]], derive: Mapping[str, str]) -> "Filler":
        """Draw whole numbers and compute what depends on them."""
        drawn = {name: self._chance.randint(low, high) for name, (low, high) in bounds.items()}
        for name, formula in derive.items():
            drawn[name] = _compute(ast.parse(formula, mode="eval").body, drawn)
        self._values |= {name: str(number) for name, number in drawn.items()}
        return self

    def __call__(self, text: str) -> str:
        """`text` with every slot filled; a slot that opens a sentence is capitalised, an article before it agrees with it."""
        filled, end = "", 0
        for match in SLOT.finditer(text):
            filled += text[end : match.start()]
            value = self._value(match[1])
            if value[:1].islower() and "```" not in text and _OPENS.search(filled) and filled.count("`") % 2 == 0:
                value = value[0].upper() + value[1:]
            filled = _with_article(filled, value) + value
            end = match.end()
        return filled + text[end:]

    def _value(self, slot: str) -> str:
        if slot not in self._values:
            self._values |= self._draw(slot)
        return self._values[slot]

    def _draw(self, slot: str) -> dict[str, str]:
        chance = self._chance
        if slot in ("friend", "friend2", "colleague", "recipient", "neighbour", "other"):
            return {slot: self._names.pop()}
        if slot in ("day", "day2"):
            return dict(zip(("day", "day2"), chance.sample(DAYS, 2), strict=True))
        if slot in ("n", "n2", "n3"):
            return dict(zip(("n", "n2", "n3"), chance.sample(NUMBERS, 3), strict=True))
        if slot in ("time", "time2"):
            first, second = sorted(chance.sample(range(len(self._slots.times)), 2))
            return {"time": self._slots.times[first], "time2": self._slots.times[second]}
        simple = {
            "month": MONTHS,
            "relative": RELATIVES if self._age < _OLD else RELATIVES[:_OF_ONES_AGE],
            "town": self._slots.towns,
            "street": self._slots.streets,
            "company": self._slots.companies,
            "project": self._slots.projects,
        }
        if slot in simple:
            return {slot: chance.choice(simple[slot])}
        return {**personal_data(chance, self._values["me_full"]), **self._values}


_ARTICLE = re.compile(r"(?:^|(?<=\s))([Aa])n? $")
_LIKE_A_VOWEL = re.compile(
    r"(?!(?-i:U[A-Z]))(?:[aio](?!ne\b|nce\b)|e(?!u|we)|u(?!ni|se|su|ti|ku)|ho(?:ur|nest|nou?r)|heir|8|1[18](?!\d)"
    r"|(?-i:[FHLMNRSX](?=[A-Z])))",
    re.IGNORECASE,
)
_OPENS = re.compile(r"(?:^|[.!?][\"')]*\s+|\n\s*)[\"'(]*$")
"""Where a word is the first of its sentence."""


def _with_article(before: str, word: str) -> str:
    """`before`, where it ends in `a` or `an`, with the one that suits `word`."""
    return _ARTICLE.sub(lambda found: f"{found[1]}{'n' if _LIKE_A_VOWEL.match(word) else ''} ", before)


_OPERATIONS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


def _compute(node: ast.expr, known: Mapping[str, int]) -> int:
    """Arithmetic of whole numbers, and nothing else. A quotient that is not whole is a mistake in the bank."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            value = _OPERATIONS[type(op)](_compute(left, known), _compute(right, known))
            if value != int(value):
                raise ValueError(f"{ast.unparse(node)} is not a whole number for {dict(known)}")
            return int(value)
    raise ValueError(f"{ast.unparse(node)}: only known names, whole numbers and + - * / // % ( )")
