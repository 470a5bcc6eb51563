"""Prompts as text: each is a Jinja file that opens with what it must achieve and avoid, and holds a system and a user message.

The system message and the persona come first and are the same in every call that can share them, what varies comes last, so a server that
caches prefixes reads the long part once per persona. A value is never compiled as a template, and what others wrote stands in a fence
(`prompts.filters`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError

from prompts.filters import FILTERS
from schemas.errors import SubtextError
from schemas.ids import digest

PROMPTS_DIR = Path(__file__).parent
VERSION = 2
"""Part of every hash below: raised when a filter changes what the same template renders to."""
_STAGES = ("expand", "converse", "distract", "ask", "judge", "memory")
_SCENARIOS = "converse/scenarios"
_REPAIR = "repair"
_FRONT_MATTER = re.compile(r"\A\{#(.*?)#\}", re.DOTALL)


class PromptMeta(BaseModel):
    """The front matter of a prompt's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    achieve: str
    """What the prompt must achieve."""
    avoid: str
    """What it must avoid."""
    max_tokens: int | str | None = None
    """More than a good reply ever needs, or the variable that says how many; none in files that are parts of a prompt."""
    temperature: float | None = None
    """Where the run's own temperature is not right for it."""
    choices: Mapping[str, str] = {}
    """Property of the reply -> the variable whose keys or elements are the values it may have."""
    counts: Mapping[str, str] = {}
    """List in the reply -> the variable (a number, or something with a length) that says how long it is."""
    letters: str | None = None
    """The variable with the lettered options, where the reply is one letter whose probabilities are read."""
    plain: bool = False
    """Whether the reply is text as it is, not JSON: the `text` of a `TextDraft`."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The two messages of a request."""

    system: str
    user: str


def prompt_names() -> tuple[str, ...]:
    """All prompts, as `stage/kind`; a file whose name begins with `_` is a part of others."""
    return tuple(f"{stage}/{path.stem}" for stage in _STAGES for path in sorted((PROMPTS_DIR / stage).glob("[!_]*.j2")))


@cache
def prompt_meta(name: str) -> PromptMeta:
    """The front matter of the prompt (or part of one) of this name."""
    found = _FRONT_MATTER.match(_source(name))
    try:
        return PromptMeta.model_validate(yaml.safe_load(found[1]) if found else None)
    except (yaml.YAMLError, ValidationError) as error:
        raise SubtextError(f"prompts/{name}.j2 does not open with a comment that says what it must achieve and avoid: {error}") from error


def render(name: str, variables: Mapping[str, object]) -> Rendered:
    """The two messages of prompt `name`."""
    return Rendered(system=_block(name, "system", variables), user=_block(name, "user", variables))


def render_repair(problems: Sequence[str]) -> str:
    """The message that hands an invalid reply back, with what is wrong with it."""
    return _block(_REPAIR, "user", {"problems": tuple(problems)})


def prompt_hash(name: str) -> str:
    """Hash of everything that prompt `name` can be rendered from."""
    return _hash(_parts(name))


def prompts_hash(stage: str) -> str:
    """Hash of everything that the prompts of `stage`, and their repairs, can be rendered from."""
    names = [name for name in prompt_names() if name.startswith(f"{stage}/")]
    if not names:
        raise SubtextError(f"there are no prompts for a stage called {stage!r}; there are: {', '.join(_STAGES)}")
    return _hash(frozenset().union(*map(_parts, names), _parts(_REPAIR)))


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(PROMPTS_DIR),
        undefined=StrictUndefined,
        autoescape=False,  # plain text for a model; what others wrote is fenced
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.update(FILTERS)
    return environment


def _block(name: str, block: str, variables: Mapping[str, object]) -> str:
    _source(name)
    try:
        template = _environment().get_template(f"{name}.j2")
        text = "".join(template.blocks[block](template.new_context(dict(variables))))
    except UndefinedError as error:
        raise SubtextError(f"prompt {name}: {error.message}; pass it among the variables") from error
    except TemplateError as error:
        raise SubtextError(f"prompt {name}: {type(error).__name__}: {error.message}") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip()


@cache
def _source(name: str) -> str:
    known = {str(path.relative_to(PROMPTS_DIR).with_suffix("")): path for path in PROMPTS_DIR.rglob("*.j2")}
    if name not in known:
        raise SubtextError(f"there is no prompt {name!r}; there are: {', '.join(prompt_names())}")
    return known[name].read_text(encoding="utf-8")


@cache
def _parts(name: str) -> frozenset[str]:
    """The template and those that it includes, at any depth."""
    return frozenset({name}.union(*(_parts(part) for part in _included(name))))


def _included(name: str) -> Iterator[str]:
    """A file whose name is made of a variable can be any scenario: no other includes are made so."""
    for part in meta.find_referenced_templates(_environment().parse(_source(name))):
        if part is None:
            yield from (f"{_SCENARIOS}/{path.stem}" for path in sorted((PROMPTS_DIR / _SCENARIOS).glob("*.j2")))
        else:
            yield part.removesuffix(".j2")


def _hash(names: frozenset[str]) -> str:
    return digest(VERSION, *(part for name in sorted(names) for part in (name, _source(name))))
