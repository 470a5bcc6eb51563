"""Prompts for trying the training path, in as few tokens as it takes."""

import re
from collections.abc import Sequence

from memory.agent import Answer, Asked
from memory.chunks import Chunk, Turn
from memory.notes import write_memory
from memory.training.rollout import ChatMessage
from schemas.memory import Memory

LETTERS = "ABCDEFGH"


class PlainPrompts:
    """See `memory.training.rollout.Prompts`."""

    def write_prompt(self, memory: Memory, chunk: Chunk, budget: int) -> Sequence[ChatMessage]:
        """The memory, the messages, and the form of a line."""
        return [
            {
                "role": "system",
                "content": f"Rewrite the memory of the user in at most {budget} tokens, a line each: 2025-03-02 s003 | text",
            },
            {"role": "user", "content": f"Memory:\n{write_memory(memory)}\n\nConversations:\n{_said(chunk.turns)}"},
        ]

    def answer_prompt(self, memory: Memory, asked: Asked) -> Sequence[ChatMessage]:
        """The memory and the question."""
        return _question(f"Memory:\n{write_memory(memory)}", asked)

    def context_prompt(self, turns: Sequence[Turn], asked: Asked) -> Sequence[ChatMessage]:
        """The history and the question."""
        return _question(f"Conversations:\n{_said(turns)}", asked)

    def read_answer(self, text: str, asked: Asked) -> Answer:
        """The first letter of an option that stands alone."""
        found = re.search(rf"\b[{LETTERS[: len(asked.options)]}]\b", text)
        return Answer(choice=LETTERS.index(found[0])) if found else Answer()


def _said(turns: Sequence[Turn]) -> str:
    return "\n".join(
        f"[{turn.started_at.date()} {turn.session_id.rpartition('/')[2]}] {turn.message.role}: {turn.message.content}" for turn in turns
    )


def _question(known: str, asked: Asked) -> Sequence[ChatMessage]:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, asked.options, strict=False))
    wanted = "Answer with the letter of the best option." if asked.options else "Answer the user."
    return [
        {"role": "system", "content": wanted},
        {"role": "user", "content": f"{known}\n\n{asked.asked_at.date()} {asked.text}\n{options}".rstrip()},
    ]
