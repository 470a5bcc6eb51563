"""Personas from seeds: what a one-line description states is found and kept; the rest is drawn to fit.

The reading of a seed is a handful of patterns over short lists, not a parser: it looks for a place, an occupation and whatever else
the line says (an interest, a conviction, a situation), in that order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from pydantic import BaseModel, ConfigDict

from author.offline.bank import BANK_DIR, Bank, read_bank_file
from author.offline.fill import first_names, last_names
from schemas.drafts import PersonaDraft
from schemas.ids import rng


class Occupation(BaseModel):
    """An occupation that a builtin seed can name, without its article."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    tags: tuple[str, ...]
    education: str


class Place(BaseModel):
    """A place that a builtin seed can name, or a seed may mention."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    """As written in a profile: 'Galway, Ireland'."""
    names: tuple[str, ...]
    """Words by which a seed may mean it: the country, the city, the demonym."""
    tags: tuple[str, ...]
    locale: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class People:
    """The lists that people are made of."""

    one_liners: tuple[str, ...]
    occupations: tuple[Occupation, ...]
    places: tuple[Place, ...]
    situations: tuple[str, ...]
    traits: tuple[str, ...]
    lexicon: Mapping[str, tuple[str, ...]]
    """Head nouns of occupations, with the tags of those who have them."""


@cache
def load_people(folder: Path = BANK_DIR / "people") -> People:
    """Read and check the lists; InputError names the broken file."""
    return People(
        one_liners=_lines(folder / "one_liners.txt"),
        occupations=read_bank_file(folder / "occupations.yaml", tuple[Occupation, ...]),
        places=read_bank_file(folder / "places.yaml", tuple[Place, ...]),
        situations=_lines(folder / "situations.txt"),
        traits=_lines(folder / "traits.txt"),
        lexicon=read_bank_file(folder / "lexicon.yaml", dict[str, tuple[str, ...]]),
    )


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class Reading:
    """What a seed states."""

    name: str | None
    occupation: str | None
    place: str | None
    known_place: Place | None
    rest: str | None
    """What it says beside: an interest, a conviction, a situation, as a clause without its subject."""


_ARTICLE = re.compile(r"^(?:an?|the|one)\s+", re.IGNORECASE)
_NAMED = re.compile(r"^([A-Z][a-z]+)(?: [A-Z]\w+)?(?: (?:from|of|at) [A-Z]\w+)?, (?=an? |the )")
_CLAUSE = re.compile(
    r",| (?=who\b|whose\b|that\b|which\b|with\b|from\b|in\b|at\b|of\b|for\b|on\b|focused\b|speciali[sz](?:ed|ing)\b|looking\b|"
    r"seeking\b|working\b|considering\b|conducting\b|sharing\b|acclaimed\b|known\b|recognized\b|relatively\b|based\b|to\b)"
)
_IS_A = re.compile(r"\bwho (?:is|works as|used to be|has become) an? ([a-z][\w -]*?)(?= (?:and|who|at|in|from|for)\b|[,.]|$)")
_FIELD = re.compile(r"\bworking in ((?:the )?[a-z][\w -]+?)(?=[,.]| and\b|$)")
_PLACE = re.compile(
    r"(?:\b(?:in|from|near|resident of|citizen of|native of|member of the|province of|born (?:and raised )?in)\s+(?:the )?)"
    r"([A-Z][\w'-]+(?:(?: and| of| de| la)? [A-Z][\w'-]+)*)"
)


_FIRM = re.compile(r"(?:Industries|Inc|Ltd|Corp|University)\b")
_HYPHENATED = re.compile(r"\b[A-Z]\w+-American\b")
"""Of foreign descent, at home in America: the first half is no place of residence."""
_QUALIFIED = re.compile(r"(?:at|of|in|for|specialized in|specializing in) .*?(?=,| who\b| with\b| working\b|$)")


def read_seed(text: str, people: People) -> Reading:
    """What `text` states, in its own words."""
    line = text.strip().rstrip(".")
    given = None
    if named := _NAMED.match(line):
        given, line = named[1], line[named.end() :]
    body = _ARTICLE.sub("", line)
    known = None if _HYPHENATED.search(body) else _known_place(body, people)
    place = known.place if known else None
    if place is None and (found := _PLACE.search(body)) and not _FIRM.search(found[1]):
        place = found[1]
    head = _CLAUSE.split(body, maxsplit=1)[0].strip()
    rest = body[len(head) :].strip(" ,")
    if found := _IS_A.search(body):
        return Reading(given, found[1], place, known, body)
    if found := _FIELD.search(body):
        return Reading(given, f"works in {found[1]}", place, known, body)
    if not _tags_of(head, people):
        return Reading(given, None, place, known, body)
    if (known is None or rest.startswith("of ")) and (found := _QUALIFIED.match(rest)):
        head, rest = f"{head} {found[0]}", rest[found.end() :].strip(" ,")
    if known:
        rest = _without_place(rest, known)
    return Reading(given, head, place, known, _clause(rest))


def _without_place(rest: str, known: Place) -> str:
    """`rest` without the words that say where, if it opens with them."""
    names = "|".join(map(re.escape, known.names))
    return re.sub(rf"^(?:in|from|near) [^,]*?(?:{names})[\w, ]*?(?= who\b| with\b|,|$)", "", rest).strip(" ,")


def _clause(rest: str) -> str | None:
    """What follows the occupation, as a clause without its subject; None where nothing follows."""
    return re.sub(r"^who(?:'s become| has become)\b", "has become", rest).removeprefix("who ").strip(" ,") or None


def _known_place(text: str, people: People) -> Place | None:
    """The place whose name stands earliest in `text`; of two that start together, the longer name."""
    hits: list[tuple[int, int, str, Place]] = []
    for place in people.places:
        hits += [
            (found.start(), -len(name), place.place, place) for name in place.names if (found := re.search(rf"\b{re.escape(name)}\b", text))
        ]
    return min(hits, key=lambda hit: hit[:3])[3] if hits else None


def _tags_of(phrase: str, people: People) -> tuple[str, ...]:
    """Tags of the occupation whose head noun stands in `phrase`; empty when none does."""
    words = re.findall(r"[a-z]+", phrase.lower())
    for size in (3, 2, 1):
        for start in range(len(words) - size, -1, -1):
            if tags := people.lexicon.get(" ".join(words[start : start + size])):
                return tags
    return ()


def tags_of(persona: Mapping[str, object], people: People) -> frozenset[str]:
    """Tags by which a value is stereotypical of this persona or not: from occupation, place, age and household."""
    occupation, location = str(persona["occupation"]), str(persona["location"])
    tags = set(next((known.tags for known in people.occupations if known.name == occupation), ()) or _tags_of(occupation, people))
    tags |= set(next((known.tags for known in people.places if known.place == location), ()))
    age, household = int(str(persona["age"])), str(persona["household"])
    tags |= {"retired"} if occupation.lower().startswith("retired") else set()
    tags |= {"young"} if age < 30 else {"older"} if age >= 60 else set()
    tags |= {"parent"} if "child" in household else set()
    tags |= {"single"} if "alone" in household else {"partnered"} if "partner" in household else set()
    return frozenset(tags)


_HOUSEHOLDS = (
    "lives alone", "lives alone", "lives with a partner", "lives with a partner and one child", "lives with a partner and two children",
    "shares a flat with two others", "lives with a parent", "lives alone with one child", "lives with a sibling",
)  # fmt: skip


def draft_persona(seed_text: str, bank: Bank, seed: int) -> PersonaDraft:
    """A persona that keeps what the seed states and draws the rest."""
    people, chance = load_people(), rng(seed, "persona")
    reading = read_seed(seed_text, people)
    homes = [place for place in people.places if "north_america" in place.tags] if _HYPHENATED.search(seed_text) else people.places
    known = reading.known_place or (None if reading.place else chance.choice(homes))
    lexical = _tags_of(reading.occupation or "", people)
    drawn = next((one for one in people.occupations if one.name == reading.occupation), None) or chance.choice(people.occupations)
    young = bool(re.search(r"\b(?:young|school|student|child|teen\w*|captain)\b", seed_text, re.IGNORECASE)) and "older" not in lexical
    age = _age(chance, seed_text, young)
    gender = _gender(seed_text, chance)
    locale = known.locale if known else "en_US"
    first = reading.name or chance.choice(first_names(locale, gender))
    occupation = reading.occupation or ("student" if young else drawn.name)
    style = chance.choice(bank.styles)
    traits = ([reading.rest] if reading.rest else []) + chance.sample(people.traits, 2)
    household = _household(seed_text, chance, age)
    location = reading.place or (known.place if known else "")
    name = f"{first} {chance.choice(last_names(locale))}"
    return PersonaDraft(
        name=name,
        age=age,
        gender=gender,
        location=location,
        occupation=occupation,
        education=_education(age, reading.occupation, drawn, lexical, chance),
        household=household,
        languages=known.languages if known else ("English",),
        traits=tuple(traits),
        speaking_style=style.description,
        profile_text=(
            f"{name}, {age}, {_indefinite(occupation)} in {location}; {household}. Known to others as {_mid_sentence(seed_text)}. "
            f"{'; '.join(traits[-2:]).capitalize()}. Writes to assistants in a way that is {style.description}."
        ),
    )


def _mid_sentence(seed_text: str) -> str:
    return _ARTICLE.sub(lambda found: found[0].lower(), seed_text.strip().rstrip("."))


def _indefinite(occupation: str) -> str:
    if occupation.startswith("works "):
        return f"who {occupation}"
    return f"{'an' if occupation[:1].lower() in 'aeiou' else 'a'} {occupation}"


def _age(chance: Random, seed_text: str, young: bool) -> int:
    lower = seed_text.lower()
    if re.search(r"\bretired\b|\bgrand(?:mother|father|parent)\b|\belderly\b", lower):
        return chance.randint(62, 81)
    if re.search(r"\bchild\b|\bschool\b", lower) and not re.search(r"teacher|since grade school|father|mother|parent", lower):
        return chance.randint(13, 17)
    return chance.randint(18, 29) if young else chance.randint(24, 68)


def _gender(seed_text: str, chance: Random) -> str:
    lower = seed_text.lower()
    if re.search(r"\b(?:her|she|woman|mother|housewife|girl|sister|aunt|grandmother|widow|actress)\b", lower):
        return "woman"
    if re.search(r"\b(?:his|he|man|father|boy|brother|uncle|grandfather|widower|salesman|priest)\b", lower):
        return "man"
    return chance.choices(("woman", "man", "non-binary"), (48, 48, 4))[0]


def _household(seed_text: str, chance: Random, age: int) -> str:
    lower = seed_text.lower()
    if age < 18:
        return "lives with parents"
    if "couple" in lower or "housewife" in lower:
        return "lives with a partner"
    if re.search(r"divorced (?:father|mother|parent)", lower):
        return "divorced, with children who stay part of the week"
    return chance.choice(_HOUSEHOLDS)


def _education(age: int, stated: str | None, drawn: Occupation, tags: tuple[str, ...], chance: Random) -> str:
    if age < 18:
        return "still at school"
    if stated in (None, drawn.name):
        return drawn.education
    if "student" in tags:
        return "still studying"
    if {"medical", "legal", "academic"} & set(tags):
        return chance.choice(("a professional degree", "a doctorate", "a master's degree"))
    if {"tech", "business", "education", "public_service"} & set(tags):
        return chance.choice(("a bachelor's degree", "a master's degree"))
    return chance.choice(("vocational training", "secondary school", "an apprenticeship", "some college"))
