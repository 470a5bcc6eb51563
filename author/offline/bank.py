"""The bank, loaded whole and checked, and its parts dealt to the splits.

Text that could recur is dealt: a cue, a topic, an item, a frame that one split uses, no other split uses. The deal depends on the texts
alone, not on the run's seed, so that two versions of a dataset deal alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from author.offline.material import (
    NOISE_PLACEHOLDER,
    AttributeBank,
    Exchange,
    Moves,
    NoiseFrame,
    NoiseFrames,
    Padding,
    PaddingTopic,
    Scenario,
    Style,
    Topic,
    Value,
)
from prompts.catalogue import AttributeEntry, load_catalogue
from schemas.errors import InputError
from schemas.ids import digest
from schemas.seed import Split
from schemas.session import SCENARIOS

BANK_DIR = Path(__file__).parent / "bank"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEST_SHARE, _VALIDATION_SHARE = 0.3, 0.15
Model = TypeVar("Model")
Part = TypeVar("Part")
_Replies = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Slots:
    """Fillers of the global slots that Faker does not give."""

    towns: tuple[str, ...]
    streets: tuple[str, ...]
    companies: tuple[str, ...]
    projects: tuple[str, ...]
    times: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nearby:
    """A question on a topic that tells nothing of the user, with its reply, and the value that it tempts with."""

    tempts: Value
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Bank:
    """Everything the offline author can say."""

    id: str
    """Hash of all files and of the catalogue: part of the key of every part that the author writes."""
    catalogue: Mapping[str, AttributeEntry]
    attributes: Mapping[str, AttributeBank]
    near_miss: Mapping[str, tuple[Nearby, ...]]
    """Questions on each attribute's topic that tell nothing of the user, with their replies."""
    scenarios: Mapping[str, Scenario]
    noise: Mapping[str, tuple[NoiseFrame, ...]]
    padding: Mapping[str, tuple[PaddingTopic, ...]]
    """Topics by area."""
    moves: Moves
    styles: tuple[Style, ...]
    slots: Slots

    def labelled(self, attribute: str, label: str) -> Value:
        """The value with this label; raises KeyError naming it."""
        for value in self.attributes[attribute].values:
            if value.label == label:
                return value
        raise KeyError(f"{attribute}: no value {label!r} in the bank")


def deal(parts: Sequence[Part], split: Split, name: Callable[[Part], object] = str, least: int = 1) -> tuple[Part, ...]:
    """The share of `parts` that belongs to `split`; the three shares do not meet and each has `least` parts or more.

    `name` gives what a part is known by: the deal depends on it and on nothing else.
    """
    order = sorted(range(len(parts)), key=lambda index: digest("deal", name(parts[index])))
    tests = max(least, round(_TEST_SHARE * len(parts)))
    validations = max(least, round(_VALIDATION_SHARE * len(parts)))
    if len(parts) - tests - validations < least:
        raise InputError(f"bank: {len(parts)} parts cannot be dealt to three splits")
    chosen = {
        "test": order[:tests],
        "validation": order[tests : tests + validations],
        "train": order[tests + validations :],
    }[split]
    return tuple(parts[index] for index in sorted(chosen))


@cache
def bank_of(split: Split) -> Bank:
    """The bank as far as `split` may use it."""
    bank = load_bank()
    return replace(
        bank,
        attributes={name: _dealt_attribute(attribute, split) for name, attribute in bank.attributes.items()},
        near_miss={name: deal(near, split, lambda one: one.exchange.user) for name, near in bank.near_miss.items()},
        scenarios={name: _dealt_scenario(scenario, split) for name, scenario in bank.scenarios.items()},
        noise={kind: deal(frames, split, _identity) for kind, frames in bank.noise.items()},
        padding={area: deal(topics, split, _identity) for area, topics in bank.padding.items()},
        moves=bank.moves.model_copy(update={name: deal(getattr(bank.moves, name), split) for name in Moves.model_fields}),
    )


def _identity(part: NoiseFrame | PaddingTopic | Topic) -> str:
    return part.id


def _said(exchange: Exchange) -> str:
    return exchange.user


def _dealt_attribute(attribute: AttributeBank, split: Split) -> AttributeBank:
    values = tuple(
        value.model_copy(update={"strong": deal(value.strong, split), "weak": deal(value.weak, split, least=2)})
        for value in attribute.values
    )
    return attribute.model_copy(update={"values": values, "items": deal(attribute.items, split, lambda item: item.query)})


def _dealt_scenario(scenario: Scenario, split: Split) -> Scenario:
    dealt: dict[str, object] = {name: deal(getattr(scenario, name), split) for name in ("asks", "bridges", "answers", "notes")}
    dealt["followups"] = deal(scenario.followups, split, _said)
    dealt["topics"] = deal(scenario.topics, split, _identity)
    return scenario.model_copy(update=dealt)


@cache
def load_bank(folder: Path = BANK_DIR) -> Bank:
    """Read and check the whole bank (about a second). InputError names the file and the place that break a rule."""
    catalogue = load_catalogue()
    facts = [read_bank_file(path, dict[str, AttributeBank]) for path in _files(folder, "facts")]
    attributes = {name: attribute for file in facts for name, attribute in file.items()}
    replies = {name: texts for path in _files(folder, "near_miss") for name, texts in read_bank_file(path, _Replies).items()}
    scenarios = {scenario.scenario: scenario for scenario in (read_bank_file(path, Scenario) for path in _files(folder, "scenarios"))}
    noise: dict[str, tuple[NoiseFrame, ...]] = {
        frames.kind: frames.frames for frames in (read_bank_file(path, NoiseFrames) for path in _files(folder, "noise"))
    }
    padding = [read_bank_file(path, Padding) for path in _files(folder, "padding")]
    bank = Bank(
        id=digest(_fingerprint(folder), catalogue),
        catalogue=catalogue,
        attributes=attributes,
        near_miss={name: _near_miss(name, attribute, replies) for name, attribute in attributes.items()},
        scenarios=scenarios,
        noise=noise,
        padding={area.area: area.topics for area in padding},
        moves=read_bank_file(folder / "moves.yaml", Moves),
        styles=read_bank_file(folder / "people" / "styles.yaml", tuple[Style, ...]),
        slots=read_bank_file(folder / "slots.yaml", Slots),
    )
    _check_whole(bank)
    return bank


def _check_whole(bank: Bank) -> None:
    """Rules over several files."""
    for what, missing in (
        ("attributes of the catalogue without a bank", set(bank.catalogue) ^ set(bank.attributes)),
        ("scenarios", set(SCENARIOS) ^ set(bank.scenarios)),
        ("noise kinds", set(NOISE_PLACEHOLDER) ^ set(bank.noise)),
    ):
        if missing:
            raise InputError(f"bank: {what}: {', '.join(sorted(missing))}")
    for name, attribute in bank.attributes.items():
        if bank.catalogue[name].mutable and len(attribute.reasons) < 3:
            raise InputError(f"bank: {name} can change and needs three reasons or more")


def _near_miss(name: str, attribute: AttributeBank, replies: Mapping[str, tuple[str, ...]]) -> tuple[Nearby, ...]:
    found = replies.get(name, ())
    if len(found) != len(attribute.near_miss):
        raise InputError(f"bank: {name} has {len(attribute.near_miss)} near-miss questions and {len(found)} replies to them")
    values = {value.id: value for value in attribute.values}
    return tuple(
        Nearby(values[near.tempts], Exchange(user=near.text, assistant=reply))
        for near, reply in zip(attribute.near_miss, found, strict=True)
    )


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / kind).glob("*.yaml"))


def _fingerprint(folder: Path) -> str:
    hasher = blake2b(digest_size=8)
    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.txt"))):
        hasher.update(path.relative_to(folder).as_posix().encode())
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def read_bank_file(path: Path, shape: type[Model]) -> Model:
    """Read one YAML file as `shape`; InputError names the file and the first broken place."""
    try:
        return TypeAdapter(shape).validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))  # noqa: S506
    except yaml.YAMLError as error:
        raise InputError(f"bank: {path.name}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"bank: {path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
