"""What the language model has cost, by prompt, and the brakes: tokens, money and time that must not be passed.

The ledger holds all finished calls of a version, those of earlier runs included. A request reserves the most that it can cost before
it is sent, so that the sum can come near a limit and never pass it.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, NamedTuple

from schemas.call import Call
from schemas.config import BudgetConfig, PriceConfig

_START_TOKENS_PER_BYTE = 0.6
"""A cautious guess until the first replies show how many tokens a byte of this text is."""
_MARGIN = 1.1


@dataclass(slots=True)
class Account:
    """What one prompt has cost."""

    calls: int = 0
    replayed: int = 0
    repairs: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[int] = field(default_factory=list)

    def add(self, call: Call) -> None:
        """Enter a finished call."""
        self.calls += 1
        self.repairs += call.repair > 0
        self.retries += call.attempts - 1
        self.prompt_tokens += call.prompt_tokens
        self.cached_tokens += call.cached_tokens
        self.completion_tokens += call.completion_tokens
        self.cost_usd += call.cost_usd
        self.faults.update(call.faults)
        self.latencies_ms.append(call.latency_ms)

    def figures(self) -> dict[str, Any]:
        """The account as summary.json has it; seconds of latency, median and 95th percentile."""
        seconds = [latency / 1000 for latency in self.latencies_ms] or [0.0]
        cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else seconds * 19
        return {
            "calls": self.calls, "replayed": self.replayed, "repairs": self.repairs, "retries": self.retries,
            "prompt_tokens": self.prompt_tokens, "cached_tokens": self.cached_tokens, "completion_tokens": self.completion_tokens,
            "cost_usd": round(self.cost_usd, 6), "latency_p50_s": round(cuts[9], 3), "latency_p95_s": round(cuts[18], 3),
            "faults": dict(sorted(self.faults.items())),
        }  # fmt: skip


class Brake(NamedTuple):
    """Why a request must not be sent."""

    spent: str
    """What of which budget is used up."""
    final: bool
    """Whether waiting for requests under way, which may cost less than they reserved, cannot help."""


class Ledger:
    """Accounts by prompt, with what is reserved by requests under way. Used from one event loop."""

    def __init__(self, price: PriceConfig, budget: BudgetConfig, earlier: Sequence[Call] = ()) -> None:
        self._price, self._budget = price, budget
        self._began = time.monotonic()
        self._accounts: dict[str, Account] = {}
        self._reserved_tokens = 0
        self._tokens_per_byte = 0.0
        self._longest_s = 0.0
        for call in earlier:
            self.account(call.prompt).add(call)

    def account(self, prompt: str) -> Account:
        """The account of a prompt."""
        return self._accounts.setdefault(prompt, Account())

    def price_of(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """Dollars for these tokens."""
        cached = self._price.prompt if self._price.cached is None else self._price.cached
        dear = (prompt_tokens - cached_tokens) * self._price.prompt + cached_tokens * cached
        return (dear + completion_tokens * self._price.completion) / 1e6

    def estimate(self, prompt_bytes: int, most_completion: int) -> int:
        """The most tokens that a request can cost."""
        return int(prompt_bytes * (self._tokens_per_byte * _MARGIN or _START_TOKENS_PER_BYTE)) + most_completion

    def reserve(self, tokens: int) -> Brake | None:
        """Set `tokens` aside for a request that is about to be sent; or say which brake stands against it."""
        usd = (self._reserved_tokens + tokens) * max(self._price.prompt, self._price.cached or 0.0, self._price.completion) / 1e6
        spent, cost, limit = self.tokens_spent, self.cost_usd, self._budget
        alone = self._reserved_tokens == 0
        if limit.tokens is not None and spent + self._reserved_tokens + tokens > limit.tokens:
            return Brake(f"{spent:,} tokens spent of budget.tokens {limit.tokens:,}", alone)
        if limit.usd is not None and cost + usd > limit.usd:
            return Brake(f"${cost:,.4f} spent of budget.usd {limit.usd:,}", alone)
        minutes = (time.monotonic() - self._began) / 60
        if limit.minutes is not None and minutes + self._longest_s / 60 > limit.minutes:
            return Brake(f"{minutes:,.1f} minutes gone of budget.minutes {limit.minutes:g}", final=True)
        self._reserved_tokens += tokens
        return None

    def release(self, tokens: int) -> None:
        """The request for which `tokens` were set aside has ended, one way or the other."""
        self._reserved_tokens -= tokens

    def enter(self, call: Call, prompt_bytes: int) -> None:
        """A call has finished."""
        self.account(call.prompt).add(call)
        self._longest_s = max(self._longest_s, call.latency_ms / 1000)
        if prompt_bytes:
            self._tokens_per_byte = max(self._tokens_per_byte, call.prompt_tokens / prompt_bytes)

    @property
    def tokens_spent(self) -> int:
        """Prompt and completion tokens of all finished calls."""
        return sum(account.prompt_tokens + account.completion_tokens for account in self._all())

    @property
    def cost_usd(self) -> float:
        """Dollars of all finished calls."""
        return sum(account.cost_usd for account in self._all())

    def _all(self) -> list[Account]:
        """The accounts as they are now: the terminal reads them from its own thread while prompts are added."""
        return list(self._accounts.values())

    def line(self) -> str:
        """The ledger in a few words, for the terminal."""
        accounts = self._all()
        calls, replayed = sum(account.calls for account in accounts), sum(account.replayed for account in accounts)
        retries, repairs = sum(account.retries for account in accounts), sum(account.repairs for account in accounts)
        cost = f", ${self.cost_usd:,.4f}" if self.cost_usd else ""
        again = f", {replayed:,} replayed" if replayed else ""
        return f"{calls:,} calls ({retries:,} retries, {repairs:,} repairs{again}), {self.tokens_spent:,} tokens{cost}"

    def figures(self) -> dict[str, Any]:
        """What summary.json says: `tokens`, `cost_usd`, and `calls` by prompt."""
        accounts = self._all()
        return {
            "tokens": {
                "prompt": sum(account.prompt_tokens for account in accounts),
                "cached": sum(account.cached_tokens for account in accounts),
                "completion": sum(account.completion_tokens for account in accounts),
            },
            "cost_usd": round(self.cost_usd, 6),
            "calls": {prompt: account.figures() for prompt, account in sorted(self._accounts.items())},
        }
