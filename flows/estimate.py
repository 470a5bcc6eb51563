"""`subtext run --dry-run`: what a run will ask of the language model, from a small measured sample.

One persona, the first of the run, is written whole, and the items of a few attributes. Its calls are kept in the version's journal, so
the run that follows does not pay for them again; everything else of the sample goes. From what each prompt took, the whole is worked
out: calls of a persona times personas, calls of an item times the blocks of values to be expected.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.converse import converse_shard
from flows.distract import distract_shard
from flows.expand import attribute_pools, expand_shard
from flows.items import BLOCK, QUERIES, held_values, items_shard
from flows.run import Run, Start, make_run
from flows.seeds import SHARES, read_shards, seeds_all
from prompts.catalogue import load_catalogue
from schemas.config import Config
from schemas.errors import InputError
from schemas.seed import SPLITS
from store.folder import RunFolder
from validators.audit.guessing import MOST

_SAMPLED_ATTRIBUTES = 3
_QUESTION_TOKENS, _SESSIONS_READ = 500, 5
"""Tokens of a judge's prompt with one item, and how many sessions it reads with it."""
_OF_ITEMS = ("ask/item", "judge/blind", "judge/profile", "judge/options")
"""Prompts that are asked of items; all others are of personas."""
ACCEPTANCE = 0.6
"""Of the questions dealt, those accepted in the end, for the price of an accepted question; measured where there is a dataset already."""


@dataclass(frozen=True, slots=True)
class Line:
    """One prompt's share of a run."""

    prompt: str
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take."""

    personas: int
    questions: int
    sampled_calls: int
    lines: tuple[Line, ...]

    @property
    def calls(self) -> float:
        """All calls."""
        return sum(line.calls for line in self.lines)

    @property
    def calls_per_question(self) -> float:
        """Calls for each question that is accepted, when `ACCEPTANCE` of them are."""
        return self.calls / max(1.0, ACCEPTANCE * self.questions)


def estimate(config: Config, out: Path) -> Estimate:
    """Measure on one persona of `config` and work out the whole. The calls are kept in the run folder below `out`.

    InputError when no language model writes: then nothing is asked of anybody.
    """
    if config.author.kind == "offline":
        raise InputError("the offline author makes no calls, so a run costs nothing; --dry-run is for author.kind openai")
    real = RunFolder(out / config.dataset.name / config.dataset.version)
    alone = config.model_copy(update={"run": config.run.model_copy(update={"shard_size": 1})})
    with tempfile.TemporaryDirectory() as place, make_run(alone, RunFolder(Path(place)), real.journal) as run:
        earlier = run.author.spent()["calls"]
        seeds_all(run)
        seeded = read_shards(run)
        item_requests = _write_sample(run, seeded)
        accounts = run.author.spent()["calls"]
    personas = config.personas_wanted or len(seeded)
    lines, sampled = [], 0
    for prompt, account in accounts.items():
        made = account["calls"] - earlier.get(prompt, {"calls": 0})["calls"]
        sampled += made
        per_request = (made + account["replayed"]) / (item_requests if prompt in _OF_ITEMS else 1)
        calls = per_request * (_item_requests(config, personas) if prompt in _OF_ITEMS else personas)
        lines.append(_line(prompt, account, calls))
    questions = personas * config.ask.questions_per_persona
    if config.judge.votes:
        lines += _readings(config, questions, accounts["converse/evidence"])
    return Estimate(personas, questions, sampled, tuple(lines))


def _write_sample(run: Run, shards: Sequence[tuple[Start, ...]]) -> int:
    """Write the first persona and a few of its items; how many items were asked for."""
    expanded = expand_shard(run, 0, shards[0], attribute_pools(run, [start for shard in shards for start in shard]))
    conversed = converse_shard(run, 0, expanded)
    distract_shard(run, 0, expanded, conversed)
    held = held_values(run, 1)
    some = sorted({attribute for attribute, _ in held})[:_SAMPLED_ATTRIBUTES]
    items_shard(run, 0, some, held)
    return sum(QUERIES[split] * math.ceil(len(one.values) / BLOCK) for (attribute, split), one in held.items() if attribute in some)


def _readings(config: Config, questions: int, sessions: Mapping[str, Any]) -> list[Line]:
    """What judges read of questions, which one persona is too few to have: three readings of each, and the guesses of the audit.

    Worked out from the length of a session as it was written; the replies are one letter.
    """
    session = sessions["completion_tokens"] / max(1, sessions["calls"])
    guesses = min(questions, 2 * MOST)
    asked = (("judge/solve", 3 * questions, _QUESTION_TOKENS + _SESSIONS_READ * session), ("judge/blind", guesses, _QUESTION_TOKENS))
    dollars = config.author.price.prompt / 1_000_000
    return [Line(f"{prompt} of questions", calls, calls * tokens, calls, calls * tokens * dollars) for prompt, calls, tokens in asked]


def _item_requests(config: Config, personas: int) -> float:
    """Items to be written, at most: as if no two users' values were the same."""
    attributes = len(load_catalogue())
    changes = config.expand.updates * sum(config.expand.changes_per_fact) / 2
    held = config.expand.facts_per_persona * (1 + changes) + sum(config.distract.noise.values())
    total = 0.0
    for split in SPLITS:
        holders = SHARES[split] * personas * held / attributes
        in_use = attributes * (1 - math.exp(-holders))  # attributes that anybody of this split holds, were they drawn evenly
        total += QUERIES[split] * in_use * max(1.0, holders / BLOCK)
    return total


def _line(prompt: str, account: Mapping[str, Any], calls: float) -> Line:
    each = calls / max(1, account["calls"])
    return Line(prompt, calls, each * account["prompt_tokens"], each * account["completion_tokens"], each * account["cost_usd"])
