"""The one way text is made: `Author.write`. Who stands behind it, a bank or a language model, no stage knows.

A record that cannot be written is data, not a crash: `Unwritten` becomes a rejected row. What stops the whole run (a wrong key, a
spent budget, no server) is a SubtextError, after every reply that was paid for has been journalled.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

Draft = TypeVar("Draft", bound=BaseModel)


class Unwritten(Exception):  # noqa: N818 (an outcome, which a stage records, rather than an error)
    """One record could not be written."""

    def __init__(self, reason: str, detail: str, raw: str | None = None, retry: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        """One word for the cause, as in `schemas.outcome.Reject`."""
        self.detail = detail
        self.raw = raw
        """The last reply, where there was one."""
        self.retry = retry
        """The record id to ask for again, where another try may succeed."""


class Author(Protocol):
    """Writes drafts. Safe to use from several threads and event loops at once."""

    kind: str
    """What summary.json calls it."""
    name: str
    """What the dataset card and the manifest call it: the model, or the bank."""
    varies: bool
    """Whether asking again for a record may give another draft."""

    def id_for(self, stage: str) -> str:
        """What decides its output for the prompts of `stage`, beside the request: part of the key of every part that it writes."""
        ...

    async def write(self, prompt: str, variables: Mapping[str, object], schema: type[Draft], seed: int, record_id: str) -> Draft:
        """Write what `prompt` (its name, `stage/kind`) asks for about `record_id`, as an instance of `schema`.

        The same request with the same seed gives the same draft. Raises Unwritten when this record cannot be had, and SubtextError
        when the run cannot go on.
        """
        ...

    def spent(self) -> dict[str, Any]:
        """The ledger, as summary.json has it: `tokens`, `cost_usd`, and what a language model also has, `calls` by prompt."""
        ...

    def status(self) -> str:
        """The same in a few words, for the terminal; empty where nothing is spent."""
        ...

    def stop(self) -> None:
        """Ask for nothing more: who still waits for a draft gets a SubtextError. What is under way goes on, unless told a second time."""
        ...

    def close(self) -> None:
        """Stop, wait for requests under way, so that nothing paid for is lost, and let go of servers and connections."""
        ...
