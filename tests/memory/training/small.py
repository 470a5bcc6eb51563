"""A small world by hand: two users with histories of a few messages, and a model whose every reply is written down beforehand.

As a program it trains on that world in a folder, so that a test can kill it.
"""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memory.chunks import turns_of
from memory.exam import Put, Sheet
from memory.replay import Limits
from memory.training.rollout import ChatMessage, Player, Reply, Tokens
from memory.training.visits import Task, Visit
from schemas.persona import Persona
from schemas.question import Option, OptionRole, Question
from schemas.session import Message, Session
from schemas.training import LlmTraining

START = datetime(2025, 1, 1, tzinfo=UTC)


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def persona(name: str) -> Persona:
    return Persona(
        persona_id=name, seed_id="s", split="train", name="N", age=30, gender="", location="", occupation="", education="", household="",
        languages=(), traits=(), speaking_style="", profile_text="",
    )  # fmt: skip


def session(name: str, number: int) -> Session:
    said = (
        Message(role="user", content=f"thing {number} of mine again"),
        Message(role="assistant", content=f"noted {number} for you"),
    )
    return Session(
        session_id=f"{name}/s{number:03d}", persona_id=name, started_at=START + timedelta(days=number), scenario="planning", owner="self",
        role="noise", noise_kind="unrelated", cue=None, fact_ids=(), trap_fact_ids=(), messages=said, evidence=(), tokens=9,
    )  # fmt: skip


def question(name: str, number: int, *roles: OptionRole, day: int = 0) -> Question:
    options = tuple(Option(text=f"option {place} {role}", value=role, role=role) for place, role in enumerate(roles))
    return Question(
        question_id=f"{name}/q{number:03d}", item_id=f"i{number}", persona_id=name, attribute=None, asked_at=START + timedelta(days=day),
        text=f"what of {number}?", kind="current", fact_ids=(), evidence_session_ids=(), options=options, gold_index=roles.index("gold"),
        rubric="", certificates=(),
    )  # fmt: skip


def sheet(name: str, sessions: int, *asked: tuple[Question, int]) -> Sheet:
    """`asked`: questions, and before which session each is put."""
    own = tuple(session(name, number) for number in range(sessions))
    puts = tuple(Put(put, 2 * before, before, None) for put, before in asked)
    return Sheet(persona(name), own, tuple(turns_of(own, [words([m.content for m in one.messages]) for one in own])), puts)


GOLD_FIRST: tuple[OptionRole, ...] = ("gold", "stale", "leak", "no_assumption")
ANN = sheet("pa", 6, (question("pa", 0, *GOLD_FIRST, day=3), 3), (question("pa", 1, *GOLD_FIRST, day=6), 6))
"""In chunks of two sessions: three writes; one question inside the second chunk, one at the end."""
BOB = sheet("pb", 4, (question("pb", 0, *GOLD_FIRST, day=1), 1))
"""One question inside the first chunk: no write of the main line, one branch."""
LIMITS = Limits(memory_tokens=12, count=words, chunk_tokens=18)
"""Chunks of two sessions."""


def visit(of: Sheet, rotation: int = 0) -> Visit:
    return Visit(of.persona.persona_id, of.turns, tuple(Task(put.question, rotation, put.turns) for put in of.questions))


class Letters:
    """A tokenizer of letters."""

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        return [ord(letter) for message in messages for letter in message["content"]]

    def decode(self, tokens: Tokens) -> str:
        return "".join(map(chr, tokens))


class Script:
    """A model that gives the replies of each call in their order, and keeps what it was asked."""

    def __init__(self, *calls: Sequence[str]) -> None:
        self.calls = list(calls)
        self.asked: list[list[str]] = []

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        self.asked.append([Letters().decode(prompt) for prompt in prompts])
        replies = self.calls.pop(0)
        assert len(replies) == len(prompts)
        return [Reply(tuple(map(ord, reply))) for reply in replies]


class Function:
    """A model whose reply depends on what it is asked alone."""

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def __call__(self, prompts: Sequence[Tokens]) -> Sequence[Reply]:
        texts = [Letters().decode(prompt) for prompt in prompts]
        self.asked += texts
        return [Reply(tuple(map(ord, self.reply(text)))) for text in texts]


def player(model: Any, limits: Limits = LIMITS) -> Player:
    return Player(model, Letters(), limits)


def config(**sections: dict[str, Any]) -> LlmTraining:
    """A training of the tiny model that takes seconds."""
    usual: dict[str, Any] = {
        "kind": "llm",
        "run": {"name": "small", "save_every": 1},
        "model": {"base": "tiny"},
        "memory": {"tokens": 16, "chunk_tokens": 18},
        "rollout": {"group": 3, "questions": 2, "users_per_step": 2, "reply_tokens": 16},
        **sections,
    }
    return LlmTraining.model_validate(usual)


def work(folder: Path, wanted: LlmTraining, say: Callable[[str], None] = lambda _: None) -> Any:
    from memory.training.stage import Work

    limits = Limits(wanted.memory.tokens, words, wanted.memory.chunk_tokens)
    return Work(wanted, [ANN, BOB], folder, limits, say)


KILLED: dict[str, dict[str, Any]] = {"memory_grpo": {"steps": 5, "learning_rate": 1e-2, "micro_batch": 4}}

if __name__ == "__main__":
    import torch

    from memory.training.run import train

    torch.set_num_threads(1)
    train(work(Path(sys.argv[1]), config(**KILLED)))
