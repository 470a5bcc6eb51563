"""The run configuration: one YAML file, checked whole before anything starts, with `--set a.b=c` on top.

A setting exists where two users need two values; everything else is decided in the stage that uses it.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.errors import InputError
from schemas.fact import FACT_KINDS, FactKind
from schemas.ids import digest
from schemas.question import QUESTION_KINDS, QuestionKind
from schemas.session import NoiseKind

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetConfig(_Section):
    """What the dataset is called."""

    name: Name
    version: Name = "0.1.0"


class SeedsConfig(_Section):
    """Where personas come from."""

    path: str | None = None
    """A .jsonl, .csv or .parquet file, or a folder that `datasets` saved; none: the builtin seeds."""
    source: Name | None = None
    """What to call the source in the dataset; default: `builtin` or the file's name."""
    text_field: str = "persona"
    """The column or key with the seed's text."""
    license: str | None = None
    """The seeds' licence, carried to the dataset card; builtin seeds are Apache-2.0."""
    builtin_count: int = Field(24, ge=1, le=100_000)
    """How many builtin seeds to draw, when no path is given."""
    limit: int | None = Field(None, ge=1)
    """At most this many of a file's seeds, drawn by hash and spread over the splits."""
    personas_per_seed: int = Field(1, ge=1, le=100)
    on_error: Literal["fail", "skip"] = "fail"
    """A line that cannot be read stops the run, or becomes a rejected row."""
    splits_from: str | None = None
    """A `splits.parquet` of an earlier version, whose personas keep their split."""


class RunConfig(_Section):
    """How the work is done; `seed` is the only setting here that shows in the data."""

    seed: int = 1
    shard_size: int = Field(8, ge=1, le=10_000)
    """Personas (or attributes) in one task and one part file."""
    concurrency: int = Field(2, ge=1, le=256)
    runner: Literal["threads"] = "threads"


class AuthorConfig(_Section):
    """Who writes. Language models arrive with the next version; until then the embedded author is the only one."""

    kind: Literal["offline"] = "offline"


class ExpandConfig(_Section):
    """What is true of a persona."""

    facts_per_persona: int = Field(20, ge=1, le=500)
    kinds: dict[FactKind, Share] = {
        "stereotypical": 0.2, "anti_stereotypical": 0.15, "neutral": 0.35, "therapy": 0.1, "health": 0.1, "sensitive": 0.1,
    }  # fmt: skip
    """Shares of the fact kinds; where the catalogue cannot meet one, `neutral` takes it."""

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: dict[FactKind, float]) -> dict[FactKind, float]:
        return {kind: kinds[kind] for kind in FACT_KINDS if kind in kinds}

    updates: Share = 0.25
    """Share of mutable facts that change once during the life."""
    forgets: Share = 0.15
    """Share of facts that the user later asks to forget."""
    months: tuple[int, int] = (6, 24)
    """Shortest and longest life covered by the sessions."""


class ConverseConfig(_Section):
    """How facts show."""

    sessions_per_fact: tuple[int, int] = (1, 2)


_NOISE: dict[NoiseKind, int] = {
    "hypothetical": 3, "third_person": 3, "fiction": 2, "quoted": 3, "near_miss": 3, "assistant_only": 2,
}  # fmt: skip


class DistractConfig(_Section):
    """What blurs the picture."""

    noise: dict[NoiseKind, Annotated[int, Field(ge=0)]] = _NOISE
    """Sessions of each noise kind per persona; a kind not named keeps its default. `unrelated` fills what the largest budget leaves."""

    @field_validator("noise")
    @classmethod
    def _complete(cls, noise: dict[NoiseKind, int]) -> dict[NoiseKind, int]:
        if "unrelated" in noise:
            raise ValueError("unrelated sessions are not counted: they fill what the largest budget leaves")
        return {kind: noise.get(kind, count) for kind, count in _NOISE.items()}


class AskConfig(_Section):
    """What is asked."""

    questions_per_persona: int = Field(50, ge=1, le=1000)
    kinds: dict[QuestionKind, Share] = {
        "current": 0.46, "updated": 0.12, "forget": 0.1, "ownership": 0.1, "hypothetical": 0.08, "restraint": 0.08, "sensitive": 0.06,
    }  # fmt: skip
    """Shares of the question kinds; what a persona's facts cannot carry goes to the kinds that they can."""

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: dict[QuestionKind, float]) -> dict[QuestionKind, float]:
        return {kind: kinds[kind] for kind in QUESTION_KINDS if kind in kinds}


class DedupConfig(_Section):
    """When two texts are near duplicates. See `text/neardup.py` for the definition."""

    proposal_cosine: float = Field(0.8, ge=0, le=1)
    """Cosine of the static embeddings from which a pair is looked at."""
    confirm_cosine: float = Field(0.85, ge=0, le=1)
    """Cosine of the full model from which the pair stays a candidate."""
    overlap: float = Field(0.6, gt=0, le=1)
    """Share of the shorter text's word 5-grams that the longer one contains, from which the pair is a duplicate."""


class AssembleConfig(_Section):
    """How histories are filled."""

    budgets: tuple[int, ...] = Field((32_000,), min_length=1)
    fill: Share = 0.95
    """A history holds at least this share of its budget, and never more than the budget."""
    tokenizer: str = "minilm"
    """`minilm` (packaged), or the path of a `tokenizer.json`."""


class AuditConfig(_Section):
    """What happens when the dataset is not good enough. `block` arrives with the audit's figures; until then nothing blocks."""

    gate: Literal["report"] = "report"


class Config(_Section):
    """A whole run."""

    dataset: DatasetConfig
    seeds: SeedsConfig = SeedsConfig()
    run: RunConfig = RunConfig()
    author: AuthorConfig = AuthorConfig()
    expand: ExpandConfig = ExpandConfig()
    converse: ConverseConfig = ConverseConfig()
    distract: DistractConfig = DistractConfig()
    ask: AskConfig = AskConfig()
    dedup: DedupConfig = DedupConfig()
    assemble: AssembleConfig = AssembleConfig()
    audit: AuditConfig = AuditConfig()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for low, high, where in (
            (*self.expand.months, "expand.months"),
            (*self.converse.sessions_per_fact, "converse.sessions_per_fact"),
        ):
            if not 1 <= low <= high:
                raise ValueError(f"{where} must be two numbers, the first at least 1 and not above the second")
        for shares, where in ((self.expand.kinds, "expand.kinds"), (self.ask.kinds, "ask.kinds")):
            if abs(sum(shares.values()) - 1) > 0.001:
                raise ValueError(f"{where} must add up to 1, not {sum(shares.values()):.3f}")
        if len(set(self.assemble.budgets)) != len(self.assemble.budgets) or any(b < 1000 for b in self.assemble.budgets):
            raise ValueError("assemble.budgets must be different numbers of 1,000 tokens or more")
        if any(b % 1000 for b in self.assemble.budgets):
            raise ValueError("assemble.budgets are whole thousands, because they name the tables (histories_32k)")
        return self

    def public(self) -> dict[str, Any]:
        """The settings as they are stored: files by their names only, so that nothing names a folder of this machine."""
        fields = self.model_dump(mode="json")
        for section, key in (("seeds", "path"), ("seeds", "splits_from"), ("assemble", "tokenizer")):
            if fields[section][key]:
                fields[section][key] = without_folder(fields[section][key])
        return fields

    def identity(self) -> str:
        """Hash of every setting that may show in the run folder: all but concurrency and runner."""
        fields = self.public()
        for free in ("concurrency", "runner"):
            del fields["run"][free]
        return digest(json.dumps(fields, sort_keys=True), size=16)


def without_folder(path: str) -> str:
    """A file's name without its folder; the name of a dataset on the Hub (`owner/dataset`) as it is."""
    on_hub = re.fullmatch(r"[\w-]+/[\w.-]+", path) and not Path(path).exists() and not Path(path).suffix
    return path if on_hub else Path(path).name


def load_config(path: Path, settings: Sequence[str] = (), version: str | None = None) -> Config:
    """Read `path`, lay `settings` (`a.b=c`, YAML values) over it, check the whole. InputError says which key is wrong and why."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the config ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a config is a mapping of sections (dataset, seeds, run …)")
    raw = {section: {} if fields is None else fields for section, fields in raw.items()}
    for setting in settings:
        _override(raw, setting)
    if version is not None and isinstance(raw.setdefault("dataset", {}), dict):
        raw["dataset"]["version"] = version
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "config"
        message = re.sub(r"^Value error, ", "", first["msg"])
        if first["type"] == "string_type" and isinstance(first["input"], int | float):
            message += "; put it in quotes"
        given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
        raise InputError(f"{path}: {where}: {message}{given}") from error


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
