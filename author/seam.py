"""The one way text is made: `Author.write`. Who stands behind it, a bank or a language model, no stage knows."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from pydantic import BaseModel

from schemas.config import AuthorConfig

Draft = TypeVar("Draft", bound=BaseModel)


class Author(Protocol):
    """Writes drafts."""

    kind: str
    """What summary.json calls it."""
    id: str
    """What decides its output beside the request: part of the key of every part that it writes."""

    async def write(self, prompt: str, variables: Mapping[str, object], schema: type[Draft], seed: int) -> Draft:
        """Write what `prompt` (its name, `stage/kind`) asks for, as an instance of `schema`.

        The same request with the same seed gives the same draft. Raises SubtextError when it cannot be written.
        """
        ...


def make_author(config: AuthorConfig) -> Author:
    """The author that the config names."""
    del config  # one kind so far
    from author.offline.offline_author import OfflineAuthor

    return OfflineAuthor()
