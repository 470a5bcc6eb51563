"""What is found of a dataset with the help of something that does not lie in it: files to compare with, a model that guesses.

A later audit may lack that help. What was found stays true as long as the tables are the same, so it is kept in `audit.json` beside their
hash, and taken over by audits of tables with that hash.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from schemas.base import Record


class Guesses(Record):
    """What a reader without a history guessed."""

    by: str
    """The model that guessed."""
    earned: Mapping[str, float | None]
    """By question: 1 where gold was guessed, an even part where it was among several that drew most, 0 otherwise; None: unreadable."""


class Findings(Record):
    """What was found, by the name of what it was found with."""

    overlaps: Mapping[str, tuple[str, ...]] = {}
    """By the name of a file: the sessions and items that overlap with a text in it."""
    guesses: Mapping[str, Guesses] = {}
    """By figure: what a judge guessed."""


NOTHING = Findings()


def known_findings(path: Path, data: str, files: Collection[str]) -> Findings:
    """What the `audit.json` at `path` holds of tables with the hash `data`; of overlaps, those with `files`."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        found = Findings.model_validate({name: written[name] for name in Findings.model_fields})
        same = written["data"] == data
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return NOTHING
    overlaps = {name: found.overlaps[name] for name in files if name in found.overlaps}
    return found.model_copy(update={"overlaps": overlaps}) if same else NOTHING
