"""The run configuration: one YAML file, checked whole before anything starts, with `--set a.b=c` on top.

A setting exists where two users need two values; everything else is decided in the stage that uses it.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.fact import FACT_KINDS, FactKind
from schemas.ids import digest
from schemas.question import QUESTION_KINDS, QuestionKind
from schemas.sections import Section, checked, read_sections, with_settings
from schemas.session import NoiseKind

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class DatasetConfig(Section):
    """What the dataset is called."""

    name: Name
    version: Name = "0.1.0"


class SeedsConfig(Section):
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


class RunConfig(Section):
    """How the work is done; `seed` is the only setting here that shows in the data."""

    seed: int = 1
    shard_size: int = Field(8, ge=1, le=10_000)
    """Personas (or attributes) in one task and one part file."""
    concurrency: int = Field(2, ge=1, le=256)
    runner: Literal["threads"] = "threads"


class PriceConfig(Section):
    """US dollars per million tokens, as the provider charges them."""

    prompt: float = Field(0, ge=0)
    cached: float | None = Field(None, ge=0)
    """Prompt tokens that the server had cached; none: as other prompt tokens."""
    completion: float = Field(0, ge=0)


class AuthorConfig(Section):
    """Who writes: the embedded offline author, or a language model on any OpenAI-compatible server."""

    kind: Literal["offline", "openai"] = "offline"
    model: str | None = None
    """The model's name on its server, or for `launch` also a folder that holds it."""
    base_url: str | tuple[str, ...] | None = None
    """Where the server is, up to `/v1`; several servers of one model share the work."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable (or line of `.env`) that holds the key."""
    launch: Literal["none", "vllm", "local"] = "none"
    """Start the server too, and stop it at the end: vLLM, or the small local model."""
    replicas: int = Field(1, ge=1, le=64)
    """Data-parallel copies of the model that a launched vLLM runs."""
    python: str | None = None
    """The interpreter of the environment that vLLM is installed in; none: this one."""
    max_concurrency: int = Field(256, ge=1, le=10_000)
    """Never more requests at once than this, over all servers; within it the number adapts by itself."""
    timeout_s: float = Field(600, gt=0)
    """Seconds to wait for one reply. A loaded server of one's own is slow, not broken."""
    temperature: float = Field(0.9, ge=0, le=2)
    text_limit: int | None = Field(None, ge=20)
    """Longest text in a reply, in characters, held by the server's grammar. Small models run on without it; some servers refuse it."""
    price: PriceConfig = PriceConfig()

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers that are not launched."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url or ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "offline":
            return self
        if self.model is None and self.launch != "local":
            raise ValueError("author.kind openai needs author.model, the model's name on its server")
        if (self.launch == "none") != bool(self.urls):
            raise ValueError("author.kind openai needs either author.base_url (http://…/v1) or author.launch (vllm, local)")
        if bad := [url for url in self.urls if not re.match(r"https?://[^/]", url)]:
            raise ValueError(f"author.base_url: {bad[0]} is not an address such as http://127.0.0.1:8000/v1")
        if any("@" in url for url in self.urls):
            raise ValueError(f"author.base_url holds a password; put it in {self.api_key_env}, where no message can show it")
        return self


class JudgeConfig(Section):
    """The author's model as a judge of what passed every rule. Off by default: it costs calls, and needs a model that can judge."""

    votes: int = Field(0, ge=0, le=4)
    """The most votes on one draft; asking stops once the majority is certain. 0: no judge."""
    lean: Share = 0.6
    """An item is rejected when a reader who knows nothing of the user gives one answer more than this share of the probability."""


class BudgetConfig(Section):
    """Brakes: the run stops, cleanly and before it, where one of them would be passed. Not part of what the dataset is."""

    tokens: int | None = Field(None, ge=1)
    """Prompt and completion tokens of all runs on this version together."""
    usd: float | None = Field(None, gt=0)
    """Dollars of all runs on this version together, by `author.price`."""
    minutes: float | None = Field(None, gt=0)
    """Minutes of one run."""


class TargetConfig(Section):
    """How much is wanted, counted after every check. Without a target, every seed is tried once."""

    personas: int | None = Field(None, ge=1)
    questions: int | None = Field(None, ge=1)
    max_attempts_ratio: float = Field(3, ge=1, le=100)
    """At most so many times the personas that would be needed if every one of them were accepted."""


class ExpandConfig(Section):
    """What is true of a persona."""

    facts_per_persona: int = Field(20, ge=1, le=500)
    kinds: dict[FactKind, Share] = Field({
        "stereotypical": 0.2, "anti_stereotypical": 0.15, "neutral": 0.35, "therapy": 0.1, "health": 0.1, "sensitive": 0.1,
    })  # fmt: skip
    """Shares of the fact kinds; where the catalogue cannot meet one, `neutral` takes it."""

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: dict[FactKind, float]) -> dict[FactKind, float]:
        return {kind: kinds[kind] for kind in FACT_KINDS if kind in kinds}

    updates: Share = 0.25
    """Share of mutable facts that change during the life."""
    changes_per_fact: tuple[int, int] = (1, 3)
    """Fewest and most changes of a fact that changes, drawn evenly."""
    forgets: Share = 0.15
    """Share of facts that the user later asks to forget."""
    graded: Share = 0.15
    """Share of facts that show in faint cues only, none of which is enough."""
    cues_needed: int = Field(2, ge=2, le=4)
    """How many faint cues are enough."""
    months: tuple[int, int] = (6, 24)
    """Shortest and longest life covered by the sessions."""


class ConverseConfig(Section):
    """How facts show."""

    sessions_per_fact: tuple[int, int] = (1, 2)


_NOISE: dict[NoiseKind, int] = {
    "hypothetical": 3, "third_person": 3, "fiction": 2, "quoted": 3, "near_miss": 3, "assistant_only": 2,
}  # fmt: skip


class DistractConfig(Section):
    """What blurs the picture."""

    noise: dict[NoiseKind, Annotated[int, Field(ge=0)]] = _NOISE
    """Sessions of each noise kind per persona; a kind not named keeps its default. `unrelated` fills what the largest budget leaves."""

    @field_validator("noise")
    @classmethod
    def _complete(cls, noise: dict[NoiseKind, int]) -> dict[NoiseKind, int]:
        if "unrelated" in noise:
            raise ValueError("unrelated sessions are not counted: they fill what the largest budget leaves")
        return {kind: noise.get(kind, count) for kind, count in _NOISE.items()}


class AskConfig(Section):
    """What is asked."""

    questions_per_persona: int = Field(50, ge=1, le=1000)
    kinds: dict[QuestionKind, Share] = Field({
        "current": 0.46, "updated": 0.12, "forget": 0.1, "ownership": 0.1, "hypothetical": 0.08, "restraint": 0.08, "sensitive": 0.06,
    })  # fmt: skip
    """Shares of the question kinds; what a persona's facts cannot carry goes to the kinds that they can."""

    @field_validator("kinds")
    @classmethod
    def _in_order(cls, kinds: dict[QuestionKind, float]) -> dict[QuestionKind, float]:
        return {kind: kinds[kind] for kind in QUESTION_KINDS if kind in kinds}


class DedupConfig(Section):
    """When two texts are near duplicates. See `text/neardup.py` for the definition."""

    proposal_cosine: float = Field(0.8, ge=0, le=1)
    """Cosine of the static embeddings from which a pair is looked at."""
    confirm_cosine: float = Field(0.85, ge=0, le=1)
    """Cosine of the full model from which the pair stays a candidate."""
    overlap: float = Field(0.6, gt=0, le=1)
    """Share of the shorter text's word 5-grams that the longer one contains, from which the pair is a duplicate."""


class AssembleConfig(Section):
    """How histories are filled."""

    budgets: tuple[int, ...] = Field((32_000,), min_length=1)
    fill: Share = 0.95
    """A history holds at least this share of its budget, and never more than the budget."""
    tokenizer: str = "minilm"
    """`minilm` (packaged), or the path of a `tokenizer.json`."""


class AuditConfig(Section):
    """What the dataset is compared with before it is published, and what happens when it is not good enough."""

    gate: Literal["block", "report"] = "block"
    """A dataset with a broken figure is not published, or is published with a warning at the top of its card."""
    decontaminate: tuple[str, ...] = ()
    """Files (text, .jsonl, .json, .parquet) with texts, such as evaluation sets, with which the dataset must have nothing in common."""


class AgentConfig(Section):
    """The memory agent that a run ends with: trained on what was published, and evaluated. Not part of what the dataset is."""

    kind: Literal["none", "extractive"] = "none"
    """`extractive`: the embedded agent, which needs no language model. Language models are trained by `subtext train --config`."""
    budget: int = Field(512, ge=32, le=100_000)
    """Tokens of memory that it is trained for, and that results are headed by."""
    budgets: tuple[Annotated[int, Field(ge=32, le=100_000)], ...] = Field((128, 256, 512, 1024, 2048), min_length=1)
    """Tokens of memory at which it is evaluated."""
    seed: int = 1

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.budget not in self.budgets:
            raise ValueError(f"agent.budget {self.budget} must be one of agent.budgets, or nothing is measured at it")
        return self


FREE: tuple[tuple[str, str], ...] = (
    ("run", "concurrency"), ("run", "runner"),
    *(("author", key) for key in ("base_url", "api_key_env", "launch", "replicas", "python", "max_concurrency", "timeout_s", "price")),
    *(("budget", key) for key in ("tokens", "usd", "minutes")), ("audit", "gate"), ("audit", "decontaminate"),
    *(("agent", key) for key in ("kind", "budget", "budgets", "seed")),
)  # fmt: skip
"""Settings that say how the work is done, or how much of it now: a version may go on with others."""


class Config(Section):
    """A whole run."""

    dataset: DatasetConfig
    seeds: SeedsConfig = SeedsConfig()
    run: RunConfig = RunConfig()
    author: AuthorConfig = AuthorConfig()
    judge: JudgeConfig = JudgeConfig()
    budget: BudgetConfig = BudgetConfig()
    target: TargetConfig = TargetConfig()
    expand: ExpandConfig = ExpandConfig()
    converse: ConverseConfig = ConverseConfig()
    distract: DistractConfig = DistractConfig()
    ask: AskConfig = AskConfig()
    dedup: DedupConfig = DedupConfig()
    assemble: AssembleConfig = AssembleConfig()
    audit: AuditConfig = AuditConfig()
    agent: AgentConfig = AgentConfig()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for low, high, where in (
            (*self.expand.months, "expand.months"),
            (*self.converse.sessions_per_fact, "converse.sessions_per_fact"),
            (*self.expand.changes_per_fact, "expand.changes_per_fact"),
        ):
            if not 1 <= low <= high:
                raise ValueError(f"{where} must be two numbers, the first at least 1 and not above the second")
        for shares, where in ((self.expand.kinds, "expand.kinds"), (self.ask.kinds, "ask.kinds")):
            if abs(sum(shares.values()) - 1) > 0.001:
                raise ValueError(f"{where} must add up to 1, not {sum(shares.values()):.3f}")
        if self.expand.changes_per_fact[1] > 3:
            raise ValueError("expand.changes_per_fact: a fact changes three times at most, or no value has time to show")
        if self.expand.cues_needed > 2 and self.author.kind == "offline":
            raise ValueError("expand.cues_needed: the offline author has two faint cues of a value, so that it must be 2")
        if self.judge.votes and self.author.kind == "offline":
            raise ValueError("judge.votes needs a language model as author (author.kind openai)")
        if self.budget.usd is not None and not (self.author.price.prompt or self.author.price.completion):
            raise ValueError("budget.usd needs author.price (dollars per million tokens), or nothing is ever spent")
        if len(set(self.assemble.budgets)) != len(self.assemble.budgets) or any(b < 1000 for b in self.assemble.budgets):
            raise ValueError("assemble.budgets must be different numbers of 1,000 tokens or more")
        if any(b % 1000 for b in self.assemble.budgets):
            raise ValueError("assemble.budgets are whole thousands, because they name the tables (histories_32k)")
        return self

    @property
    def personas_wanted(self) -> int | None:
        """Personas that would be enough if every one were accepted; none without a target."""
        target = self.target
        if target.personas is None and target.questions is None:
            return None
        return max(target.personas or 1, -(-(target.questions or 1) // self.ask.questions_per_persona))

    @property
    def personas_attempted(self) -> int | None:
        """Personas that may be tried, at most, to reach the target; none without one."""
        wanted = self.personas_wanted
        return None if wanted is None else math.ceil(wanted * self.target.max_attempts_ratio)

    def public(self) -> dict[str, Any]:
        """The settings as they are stored: files by their names only, so that nothing names a folder of this machine."""
        fields = self.model_dump(mode="json")
        for section, key in (("seeds", "path"), ("seeds", "splits_from"), ("assemble", "tokenizer"), ("author", "model")):
            if fields[section][key]:
                fields[section][key] = without_folder(fields[section][key])
        fields["audit"]["decontaminate"] = [without_folder(path) for path in self.audit.decontaminate]
        for key in ("base_url", "python"):  # addresses of this network, folders of this machine
            del fields["author"][key]
        return fields

    def identity(self) -> str:
        """Hash of every setting that decides what the dataset is: all but `FREE`."""
        fields = self.public()
        for section, key in FREE:
            fields[section].pop(key, None)
        return digest(json.dumps(fields, sort_keys=True), size=16)


def without_folder(path: str) -> str:
    """A file's name without its folder; the name of a dataset on the Hub (`owner/dataset`) as it is."""
    on_hub = re.fullmatch(r"[\w-]+/[\w.-]+", path) and not Path(path).exists() and not Path(path).suffix
    return path if on_hub else Path(path).name


def load_config(path: Path, settings: Sequence[str] = (), version: str | None = None) -> Config:
    """Read `path`, lay `settings` (`a.b=c`, YAML values) over it, check the whole. InputError says which key is wrong and why."""
    return make_config(read_sections(path), settings, version, str(path))


def make_config(raw: dict[str, Any], settings: Sequence[str], version: str | None, where: str) -> Config:
    """Lay `settings` over the sections of `raw`, check the whole. InputError says which key is wrong and why; `where` is its source."""
    raw = with_settings(raw, settings)
    if version is not None and isinstance(raw.setdefault("dataset", {}), dict):
        raw["dataset"]["version"] = version
    return checked(Config, raw, where)
