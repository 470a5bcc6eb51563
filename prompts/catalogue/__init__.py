"""The catalogue of attributes that every author shares: what can be true of a user, in which kinds, and whether it can change.

One YAML file per domain. The language-model author picks values freely; the offline author's bank lists some for each attribute.
"""

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import InputError

CATALOGUE_DIR = Path(__file__).parent


class AttributeEntry(BaseModel):
    """One attribute of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str
    domain: str
    nature: Literal["taste", "therapy", "health", "sensitive"]
    """A taste becomes stereotypical, anti-stereotypical or neutral by who holds it; the other three are fact kinds themselves."""
    mutable: bool
    topic: str
    """Noun phrase after 'about': 'how I take my coffee'. Names the matter, never a value."""
    cluster: str | None = None
    """Attributes of one cluster say much the same: nobody holds two of them."""


class _DomainFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str
    attributes: dict[str, dict[str, object]]


@cache
def load_catalogue(folder: Path = CATALOGUE_DIR) -> dict[str, AttributeEntry]:
    """All attributes by id, in the order of file name and place; an InputError names the file that is broken."""
    entries: dict[str, AttributeEntry] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = _DomainFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
            for name, fields in file.attributes.items():
                if name in entries:
                    raise InputError(f"{path.name}: attribute {name} is also in domain {entries[name].domain}")
                entries[name] = AttributeEntry.model_validate({"attribute": name, "domain": file.domain, **fields})
        except (yaml.YAMLError, ValidationError) as error:
            raise InputError(f"{path.name}: {error}") from error
    return entries


@cache
def clusters() -> dict[str, frozenset[str]]:
    """For each attribute, all that say much the same, itself included."""
    entries = load_catalogue()
    members: dict[str, set[str]] = {}
    for name, entry in entries.items():
        members.setdefault(entry.cluster or name, set()).add(name)
    return {name: frozenset(members[entry.cluster or name]) for name, entry in entries.items()}
