"""The author that a config names."""

from pathlib import Path

from author.seam import Author
from schemas.config import Config


def make_author(config: Config, journal: Path) -> Author:
    """The author of `config`, whose calls, where it makes any, are kept in the folder `journal`."""
    if config.author.kind == "openai":
        from author.llm.openai_author import OpenAIAuthor

        return OpenAIAuthor(config, journal)
    from author.offline.offline_author import OfflineAuthor

    return OfflineAuthor()
