"""Censuses of what must not be shared: between splits, with earlier versions, with other people's evaluation sets; and what is repeated."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InputError
from schemas.ids import normalise
from schemas.question import Question
from schemas.seed import KEEP_FIRST, Split
from text.neardup import Limits, find_duplicates
from validators.audit.statistics import Figure, Units, count_of
from validators.audit.tables import Published


def sharing_figures(published: Published, earlier: Sequence[Path]) -> list[Figure]:
    """Counts that are 0."""
    return [
        _shared("shared_personas", _personas(published), "personas"),
        _shared("shared_seeds", ((p.seed_id, split) for split, t in published.splits.items() for p in t.personas), "seeds"),
        _shared("shared_items", ((q.item_id, split) for split, t in published.splits.items() for q in t.questions), "items"),
        _shared("shared_sessions", _texts(published, padding=False), "texts of sessions"),
        _shared("shared_padding", _texts(published, padding=True), "texts of padding"),
        *_duplicates(published),
        _moved(published, earlier),
    ]


def _shared(name: str, found: Iterable[tuple[Hashable, Hashable]], unit: str) -> Figure:
    """How many things stand in more than one split."""
    splits: dict[Hashable, set[Hashable]] = defaultdict(set)
    for thing, split in found:
        splits[thing].add(split)
    return count_of(name, sum(len(where) > 1 for where in splits.values()), Units(len(splits), unit))


def _personas(published: Published) -> Iterator[tuple[str, str]]:
    """Every persona with the splits in which rows of it stand, and the one that it names itself."""
    for split, tables in published.splits.items():
        yield from ((persona.persona_id, persona.split) for persona in tables.personas)
        for rows in (tables.personas, tables.facts, tables.sessions, tables.questions, tables.histories):
            yield from ((row.persona_id, split) for row in rows)


def _texts(published: Published, *, padding: bool) -> Iterator[tuple[str, str]]:
    """The user's words of every session (of unrelated ones also the assistant's, as padding is often one stock answer)."""
    for split, tables in published.splits.items():
        for session in tables.sessions:
            if (session.noise_kind == "unrelated") == padding:
                yield normalise(session.user_text), split
                if padding:
                    yield "assistant: " + normalise("\n".join(m.content for m in session.messages if m.role == "assistant")), split


def _duplicates(published: Published) -> list[Figure]:
    """Near duplicates by the dataset's own limits among sessions and among items, and those of them between splits."""
    texts: list[tuple[str, Hashable, Split]] = []
    items: dict[str, tuple[str, Hashable, Split]] = {}
    meaning = {name: (fact.attribute, fact.value) for name, fact in published.facts.items()}
    for split in sorted(published.splits, key=lambda split: KEEP_FIRST[split]):
        tables = published.splits[split]
        sessions = sorted(tables.sessions, key=lambda session: session.session_id)
        texts += [(session.user_text, session.slot(meaning), split) for session in sessions]
        for question in sorted(tables.questions, key=lambda question: question.item_id):
            items.setdefault(question.item_id, _item(question, split))
    config = published.plan.dedup
    limits = Limits(config.proposal_cosine, config.confirm_cosine, config.overlap)
    left = between = 0
    for rows in (texts, list(items.values())):
        found = find_duplicates([row[0] for row in rows], [row[1] for row in rows], limits)
        left += len(found)
        between += sum(rows[duplicate.index][2] != rows[duplicate.of][2] for duplicate in found)
    units = Units(len(texts) + len(items), "sessions and items")
    return [count_of("shared_near_duplicates", between, units), count_of("near_duplicates_left", left, units)]


def _item(question: Question, split: Split) -> tuple[str, Hashable, Split]:
    """The text of an item, with its options in one order whatever the question's, its slot, and its split."""
    options = sorted(question.options, key=lambda option: (option.value is None, option.value or ""))
    return "\n".join((question.text, *(option.text for option in options))), tuple(option.value for option in options), split


def _moved(published: Published, earlier: Sequence[Path]) -> Figure:
    """Personas that an earlier version had in another split."""
    mine = {persona.persona_id: split for split, tables in published.splits.items() for persona in tables.personas}
    known: dict[str, set[str]] = defaultdict(set)
    for path in earlier:
        try:
            rows = pq.read_table(path, columns=["persona_id", "split"]).to_pylist()
        except (OSError, pa.ArrowException, KeyError) as error:
            raise InputError(f"{path} cannot be read as an earlier version's splits.parquet: {str(error).splitlines()[0]}") from error
        for row in rows:
            known[row["persona_id"]].add(row["split"])
    both = mine.keys() & known.keys()
    moved = sum(known[name] != {mine[name]} for name in both)
    return count_of("moved_personas", moved, Units(len(both), "personas of earlier versions"))
