"""A language model as judge, for what the cheap rules have passed. It fails closed: a verdict that cannot be read is no pass.

Votes are asked for one by one and stop once the majority is certain. What can be guessed of an item without its user is read from the
probabilities of the letters in one call, not sampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from author.seam import Author, Unwritten
from schemas.ids import derive
from schemas.judgements import Judgement, LetterShares
from schemas.outcome import Verdict


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that asks `author`."""

    author: Author
    votes: int
    """The most votes on one question; a tie is no pass."""
    lean: float
    """The share of the probability that one option of an item may draw from a reader who knows nothing of the user."""

    async def vote(self, prompt: str, variables: Mapping[str, object], seed: int, record_id: str) -> Verdict:
        """The majority of at most `votes` judgements."""
        given: list[bool] = []
        reason, needed = "", self.votes // 2 + 1
        while given.count(True) < needed and given.count(False) < self.votes - needed + 1:
            try:
                judgement = await self.author.write(prompt, variables, Judgement, derive(seed, prompt, len(given)), record_id)
            except Unwritten as gone:
                given.append(False)
                reason = f"unreadable verdict ({gone.reason})"
            else:
                given.append(judgement.passed)
                reason = judgement.reason
        return self._verdict(prompt, record_id, given.count(True) >= needed, reason, votes=tuple(given))

    async def blind(self, query: str, options: Sequence[str], seed: int, record_id: str) -> Verdict:
        """Whether a reader who knows nothing of the user is left undecided."""
        prompt = "judge/blind"
        try:
            shares = await self.shares(prompt, {"query": query, "options": tuple(options)}, seed, record_id)
        except Unwritten as gone:
            return self._verdict(prompt, record_id, False, f"unreadable verdict ({gone.reason})")
        most = max(shares)
        reason = f"without the user, option {shares.index(most) + 1} draws {most:.0%}"
        return self._verdict(prompt, record_id, most <= self.lean, reason, score=most)

    async def shares(self, prompt: str, variables: Mapping[str, object], seed: int, record_id: str) -> tuple[float, ...]:
        """How a reply of one letter divides its probability among the options. Raises Unwritten where it cannot be read."""
        return (await self.author.write(prompt, variables, LetterShares, derive(seed, prompt), record_id)).shares

    def _verdict(self, prompt: str, record_id: str, passed: bool, reason: str, **more: Any) -> Verdict:
        name = prompt.replace("/", "_")
        return Verdict(record_id=record_id, validator=name, passed=passed, reason=reason, judge=self.author.name, **more)
