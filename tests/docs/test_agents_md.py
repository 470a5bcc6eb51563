"""`docs/agents.md` against the code: its messages are those that are sent, its replies are taken, its files and names are there."""

import asyncio
import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from memory.agent import Asked
from memory.chunks import Chunk, Turn
from memory.notes import read_memory, write_memory
from memory.outside import OutsideAgent
from schemas.memory import Memory
from schemas.session import Message

REPO = Path(__file__).parent.parent.parent
TEXT = (REPO / "docs" / "agents.md").read_text(encoding="utf-8")
LINES = [json.loads(line) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
SENT = {line["type"]: line for line in LINES if "type" in line}
REPLIES = [line for line in LINES if "type" not in line]


class Page:
    """A channel that replies as the page says and keeps what it is sent."""

    def __init__(self, reply: Any = None) -> None:
        self.sent: list[Any] = []
        self.reply = reply

    async def ask(self, message: Any) -> Any:
        self.sent.append(message)
        return self.reply


def test_the_messages_are_those_that_are_sent() -> None:
    page, session, question = Page({"choice": 0}), SENT["session"], SENT["question"]
    turns = tuple(
        Turn(session["session_id"], datetime.fromisoformat(session["started_at"]), Message.model_validate(one), 5)
        for one in session["messages"]
    )
    asked = Asked(datetime.fromisoformat(question["asked_at"]), question["text"], tuple(question["options"]))

    async def talk() -> None:
        agent = OutsideAgent("page", SENT["start"]["user"], page)
        await agent.tell("start", memory_tokens=SENT["start"]["memory_tokens"])
        await agent.write(Memory(), Chunk(turns))
        await agent.answer(Memory(), asked)
        page.reply = None
        await agent.remembered()

    asyncio.run(talk())
    assert page.sent == [SENT[kind] for kind in ("start", "session", "question", "memory")]
    assert list(page.sent[1]) == list(session)


def test_the_replies_are_taken() -> None:
    *answers, memory = REPLIES
    asked = Asked(datetime.fromisoformat(SENT["question"]["asked_at"]), "", tuple("abcd"))
    given = [asyncio.run(OutsideAgent("page", "p", Page(reply)).answer(Memory(), asked)) for reply in answers]
    assert [answer.chosen for answer in given] == [1, 1, None, None]
    assert given[-1].text
    assert asyncio.run(OutsideAgent("page", "p", Page(memory)).remembered()) == memory["text"]


def test_the_memory_reads_as_the_page_says() -> None:
    (shown,) = re.findall(r"```\n(\d{4}-.*?)\n```", TEXT, re.DOTALL)
    reading = read_memory(shown, "p1")
    assert not reading.invalid
    assert write_memory(reading.memory) == shown


def test_the_example_speaks_as_the_page_says() -> None:
    (command,) = re.findall(r"```sh\n(echo .*?)\n```", TEXT, re.DOTALL)
    said = subprocess.run(["bash", "-c", command], cwd=REPO, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(said.stdout) == {"text": ""}


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (REPO / "docs" / link).exists(), link
    for name in re.findall(r"`(memory/\w+\.py)`", TEXT):
        assert (REPO / name).is_file(), name
