"""A memory agent that `subtext exam DIR --agent "command:python docs/agent_example.py"` can examine; the protocol is in docs/agents.md.

It keeps what the user wrote, sentence by sentence, the newest as far as they fit, and prefers the option that shares most words with what
it kept. Nothing is inferred, so it does no better than chance: a place to put your own system.
"""

import json
import re
import sys
from typing import Any

COMMON = {*"about after also been from have into just more than that them then they this with your".split()}


def tokens(text: str) -> float:
    """About as many as the exam counts, rather more: long words are several."""
    return 1.4 * len(re.findall(r"\w+|[^\w\s]", text))


def words(text: str) -> set[str]:
    """The words of a text that say something."""
    return {word for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in COMMON}


class SentenceKeeper:
    """What one user wrote. A method for each message; what it gives back is the reply."""

    def __init__(self) -> None:
        self.room = 0
        self.kept: list[str] = []

    def start(self, message: dict[str, Any]) -> Any:
        """A user of whom nothing is known yet, and the tokens that the memory may have."""
        self.room, self.kept = message["memory_tokens"], []
        return {}

    def session(self, message: dict[str, Any]) -> Any:
        """A conversation."""
        for turn in message["messages"]:
            if turn["role"] == "user":
                sentences = [" ".join(found.split()) for found in re.split(r"(?<=[.!?])\s+|\n+", turn["content"])]
                self.kept += [f"{message['started_at'][:10]} {sentence}" for sentence in sentences if words(sentence)]
        while self.kept and sum(map(tokens, self.kept)) > self.room:
            self.kept.pop(0)
        return {}

    def question(self, message: dict[str, Any]) -> Any:
        """A question that is answered from what was kept, and then forgotten: it must not change the memory."""
        if not message["options"]:
            return {"text": max(self.kept, key=lambda kept: len(words(kept) & words(message["text"])), default="")}
        scores = [sum(len(words(kept) & words(option)) for kept in self.kept) for option in message["options"]]
        return {"choice": scores.index(max(scores))}

    def memory(self, _: dict[str, Any]) -> Any:
        """All that is remembered."""
        return {"text": "\n".join(self.kept)}


def main() -> None:
    """Reply to each line on stdin with one line on stdout, until stdin ends."""
    agent = SentenceKeeper()
    for line in sys.stdin:
        message = json.loads(line)
        sys.stdout.write(json.dumps(getattr(agent, message["type"])(message)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
