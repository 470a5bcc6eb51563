"""Config files: sections in YAML, `--set a.b=c` on top, checked whole before anything starts."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import InputError

SectionsT = TypeVar("SectionsT", bound=BaseModel)


class Section(BaseModel):
    """Base of every section of a config: it is frozen, and a key that nobody declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_sections(path: Path) -> dict[str, Any]:
    """The sections of a config file, not yet checked. InputError where it is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the config ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a config is a mapping of sections (dataset, seeds, run …)")
    return raw


def with_settings(raw: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The sections of `raw` with `settings` (`a.b=c`, YAML values) laid over them."""
    raw = {section: {} if fields is None else fields for section, fields in raw.items()}
    for setting in settings:
        _override(raw, setting)
    return raw


def checked(kind: type[SectionsT], raw: dict[str, Any], where: str) -> SectionsT:
    """`raw` as a config of this kind. InputError says which key is wrong and why; `where` is its source."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "config"
        message = re.sub(r"^Value error, ", "", first["msg"])
        if first["type"] == "string_type" and isinstance(first["input"], int | float):
            message += "; put it in quotes"
        given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
        raise InputError(f"{where}: {key}: {message}{given}") from error


def _override(raw: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", key):
        raise InputError(f"--set {setting}: write it as section.key=value, for example run.seed=7")
    *sections, last = key.split(".")
    place = raw
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise InputError(f"--set {setting}: {section} is not a section")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {setting}: the value is not YAML; quote it") from error
