"""A language model as judge, for what the cheap rules have passed. It fails closed: a verdict that cannot be read is no pass.

Votes are asked for one by one and stop once the majority is certain. What can be guessed of an item without its user, or from the user's
profile alone, is read from the probabilities of the letters in one call each, not sampled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from author.seam import Author, Unwritten
from prompts.filters import LETTERS
from schemas.ids import derive, rng
from schemas.judgements import Judgement, Letter, LetterShares, Ownership
from schemas.outcome import Verdict
from schemas.persona import Persona
from schemas.session import Message

_READINGS: Mapping[str, tuple[type[Judgement] | type[Ownership], Callable[[Any], bool]]] = {
    "judge/stated": (Judgement, lambda judgement: judgement.passed),
    "judge/options": (Judgement, lambda judgement: judgement.passed),
    "judge/owner": (Ownership, lambda judgement: judgement.owner == "user"),
}
"""Of each prompt that is voted on, what is replied, and whether that is a pass."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that asks `author`."""

    author: Author
    votes: int
    """The most votes on one question; a tie is no pass."""
    lean: float
    """The share of the probability that an option may draw from a reader who knows nothing of the user, or the profile alone."""

    async def vote(self, prompt: str, variables: Mapping[str, object], seed: int, record_id: str) -> Verdict:
        """The majority of at most `votes` judgements."""
        schema, passes = _READINGS[prompt]
        given: list[bool] = []
        reason, needed = "", self.votes // 2 + 1
        while given.count(True) < needed and given.count(False) < self.votes - needed + 1:
            try:
                judgement = await self.author.write(prompt, variables, schema, derive(seed, prompt, len(given)), record_id)
            except Unwritten as gone:
                given.append(False)
                reason = f"unreadable verdict ({gone.reason})"
            else:
                given.append(passes(judgement))
                reason = judgement.reason
        return self._verdict(prompt, record_id, given.count(True) >= needed, reason, votes=tuple(given))

    async def inferable(self, messages: Sequence[Message], topic: str, values: Sequence[str], seed: int, record_id: str) -> Verdict:
        """Whether a reader of the session alone chooses the first of `values`, which are shown in an order that chance decides.

        One reading at temperature 0: there is nothing to vote on.
        """
        prompt = "judge/inferable"
        options = rng(seed, prompt, "order").sample(values, len(values))
        variables = {"messages": messages, "topic": topic, "options": options}
        try:
            letter = (await self.author.write(prompt, variables, Letter, derive(seed, prompt), record_id)).letter
        except Unwritten as gone:
            return self._verdict(prompt, record_id, False, f"unreadable verdict ({gone.reason})")
        place = LETTERS.index(letter)
        chosen = options[place] if place < len(options) else f"{letter}, which was not offered"
        return self._verdict(prompt, record_id, chosen == values[0], f"chose {chosen!r}", votes=(chosen == values[0],))

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

    async def profile(
        self, query: str, options: Sequence[str], people: Sequence[tuple[Persona, int]], seed: int, record_id: str
    ) -> Verdict:
        """Whether readers of the profile alone miss the option that is right for whom they read of: `people`, each with its place.

        The item fails where the share of the right option is more than `lean` on average: one person whom everybody guesses does not
        condemn an item that is asked of many.
        """
        prompt = "judge/profile"
        right: list[float] = []
        for persona, place in people:
            variables = {"persona": persona, "query": query, "options": tuple(options)}
            try:
                right.append((await self.shares(prompt, variables, derive(seed, persona.persona_id), record_id))[place])
            except Unwritten as gone:
                return self._verdict(prompt, record_id, False, f"unreadable verdict ({gone.reason})")
        mean = sum(right) / max(len(right), 1)
        reason = f"from the profiles of {len(right)} people, the right option draws {mean:.0%}"
        return self._verdict(prompt, record_id, mean <= self.lean, reason, score=mean)

    async def shares(self, prompt: str, variables: Mapping[str, object], seed: int, record_id: str) -> tuple[float, ...]:
        """How the model divides its probability among the lettered `options`; raises Unwritten where it does not say."""
        return (await self.author.write(prompt, variables, LetterShares, derive(seed, prompt), record_id)).shares

    def _verdict(self, prompt: str, record_id: str, passed: bool, reason: str, **more: Any) -> Verdict:
        name = prompt.replace("/", "_")
        return Verdict(record_id=record_id, validator=name, passed=passed, reason=reason, judge=self.author.name, **more)
