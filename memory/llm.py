"""A language model as memory agent, behind any OpenAI-compatible server. The untrained baseline and a trained model are the same code.

The prompts are in `prompts/memory/`; training asks with the same text (`write_prompt`, `answer_prompt`) and reads replies by the same
rules (`memory.written`). Calls go through `author.seam.Author`, so that they are journalled, counted and paced as all others are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from author.seam import Author, Unwritten
from memory.agent import Answer, Asked
from memory.chunks import Chunk, Turn
from memory.notes import write_memory
from memory.written import read_letter, read_write
from prompts.render import render
from schemas.config import make_config
from schemas.drafts import TextDraft
from schemas.ids import digest
from schemas.judgements import LetterShares
from schemas.memory import Memory

Known = Memory | Sequence[Turn]
"""What an answer is given from: a memory or, for agents that have none, excerpts of the history in order of time."""
_WRITE, _CHOOSE, _REPLY, _ASK = "memory/write", "memory/choose", "memory/reply", "memory/ask"


def write_prompt(memory: Memory, chunk: Chunk, budget: int) -> list[dict[str, str]]:
    """The chat messages that ask for the memory after `chunk`, of at most `budget` tokens."""
    return _messages(_WRITE, _of_write(memory, chunk, budget))


def answer_prompt(memory: Known, asked: Asked) -> list[dict[str, str]]:
    """The chat messages that ask for the letter of an option or, where there are no options, for a reply."""
    return _messages(_CHOOSE if asked.options else _REPLY, _of_answer(memory, asked))


def request_prompt(memory: Known, asked: Asked) -> list[dict[str, str]]:
    """The same for somebody who lists the options, and says how to reply, in their own words."""
    return _messages(_ASK, _of_answer(memory, asked))


def most_tokens(budget: int) -> int:
    """The most tokens that a write may take, by any tokenizer: some count a date as ten, ours as five."""
    return 2 * budget + 128


@dataclass(slots=True)
class Tally:
    """What could not be used of an agent's replies so far."""

    writes: int = 0
    failed_writes: int = 0
    """No reply at all came, or an empty one: the memory stayed as it was."""
    invalid_lines: int = 0
    """Lines of replies that were dropped; see `memory.written.Written`."""
    mended_lines: int = 0
    """Lines that named days or sessions which the model cannot have read."""
    answers: int = 0
    unread_answers: int = 0


class LlmAgent:
    """See `memory.agent.MemoryAgent`. May sit with several users at once."""

    def __init__(self, author: Author, budget: int) -> None:
        self.name = author.name
        self.budget = budget
        """Tokens that it is told the memory may have."""
        self.tally = Tally()
        self._author = author

    async def write(self, memory: Memory, chunk: Chunk) -> Memory:
        """See `memory.agent.MemoryAgent.write`. Without a reply the memory stays as it was."""
        self.tally.writes += 1
        variables, record_id = _of_write(memory, chunk, self.budget), chunk.turns[-1].session_id
        try:
            reply = await self._author.write(_WRITE, variables, TextDraft, 0, record_id)
        except Unwritten:
            self.tally.failed_writes += 1
            return memory
        written = read_write(reply.text, memory, chunk)
        self.tally.invalid_lines += written.invalid
        self.tally.mended_lines += written.mended
        return written.memory

    async def answer(self, memory: Known, asked: Asked) -> Answer:
        """See `memory.agent.MemoryAgent.answer`: with probabilities where the server tells those of the letters."""
        self.tally.answers += 1
        variables, record_id = _of_answer(memory, asked), digest("asked", asked.asked_at.isoformat(), asked.text)
        try:
            if asked.options:
                return Answer(shares=(await self._author.write(_CHOOSE, variables, LetterShares, 0, record_id)).shares)
            return Answer(text=(await self._author.write(_REPLY, variables, TextDraft, 0, record_id)).text)
        except Unwritten as gone:
            choice = read_letter(gone.raw or "", len(asked.options))
            self.tally.unread_answers += choice is None
            return Answer(choice=choice)

    def spent(self) -> dict[str, Any]:
        """What it has cost (see `author.seam.Author.spent`), and the tally under `replies`."""
        return {**self._author.spent(), "replies": asdict(self.tally)}

    def close(self) -> None:
        """Wait for requests under way and let go of the connections."""
        self._author.close()


def llm_agent(model: str, url: str, budget: int, journal: Path, **author: Any) -> LlmAgent:
    """An agent by the `model` that is served at `url` (up to `/v1`), whose finished calls are kept in the folder `journal`.

    `author`: more settings of `schemas.config.AuthorConfig`, such as `price`. Close it in the end. Raises InputError for settings that
    make no sense.
    """
    from author.llm.openai_author import OpenAIAuthor  # slow: the client

    fields = {"dataset": {"name": "agent"}, "author": {"kind": "openai", "model": model, "base_url": url, **author}}
    return LlmAgent(OpenAIAuthor(make_config(fields, (), None, f"llm:{model}@{url}"), journal), budget)


def _of_write(memory: Memory, chunk: Chunk, budget: int) -> dict[str, object]:
    return {"sessions": _sessions(chunk.turns), "memory": write_memory(memory), "budget": budget, "most": most_tokens(budget)}


def _of_answer(memory: Known, asked: Asked) -> dict[str, object]:
    excerpts, text = ((), write_memory(memory)) if isinstance(memory, Memory) else (memory, "")
    return {
        "sessions": _sessions(excerpts), "memory": text, "query": asked.text, "options": asked.options, "day": asked.asked_at.date(),
    }  # fmt: skip


def _sessions(turns: Sequence[Turn]) -> tuple[Mapping[str, object], ...]:
    """The turns by session, as the prompts show them: name without the persona's, day, messages."""
    return tuple(
        {"name": name.rpartition("/")[2], "day": day, "messages": tuple(turn.message for turn in group)}
        for (name, day), group in groupby(turns, key=lambda turn: (turn.session_id, turn.started_at.date()))
    )


def _messages(prompt: str, variables: Mapping[str, object]) -> list[dict[str, str]]:
    rendered = render(prompt, variables)
    return [{"role": "system", "content": rendered.system}, {"role": "user", "content": rendered.user}]
