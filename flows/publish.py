"""Stage 8, publish: the accepted records as Parquet splits, with card, catalog, manifest and summary.

Publishing is a transaction for readers: the tables are audited where nobody looks, `data/` appears by one rename, the card (without
which `datasets` finds no config) after it, and `manifest.json` last. Who sees the manifest sees a finished version. Where the audit
refuses, only its figures stay.
"""

import json
import platform
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
from pydantic import BaseModel

from flows import ask, assemble, converse, dedup, distract, expand, items, seeds
from flows.audit import audit_run, broken_figures, refusal
from flows.run import Run, give_memory_back
from schemas.errors import SubtextError
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.history import History
from schemas.ids import digest
from schemas.persona import Persona
from schemas.question import Question
from schemas.seed import SPLITS, Seed, Split
from schemas.session import Session
from store.catalog import write_catalog
from store.dataset import DataFolder, splits_present
from store.folder import write_json, write_text
from store.parts import Receipt, file_hash, read_part, write_table
from text.encoder import encoder_id
from validators.audit.audit import card_rows, review_text

STAGE = "publish"
VERSION = 2
_BESIDE = ("README.md", "summary.json", "splits.parquet", "catalog.duckdb")
_LICENSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_PACKAGES = (
    "prefect", "pydantic", "pyarrow", "duckdb", "datasets", "sentence-transformers", "model2vec", "torch", "tokenizers", "scikit-learn",
    "faker",
)  # fmt: skip


def is_published(run: Run, upstream: Sequence[Receipt]) -> bool:
    """Whether the manifest is this run's and every published file still has the bytes that it names."""
    try:
        manifest = json.loads(run.folder.manifest.read_text(encoding="utf-8"))
        files: Mapping[str, str] = manifest["files"]
        whole = (run.folder.root / "catalog.duckdb").is_file() and all(
            file_hash(run.folder.root / name) == content for name, content in files.items()
        )
    except (OSError, ValueError, KeyError):
        return False
    return whole and manifest["key"] == publish_key(run, upstream)


def made_with(run: Run) -> str:
    """Names what decides the bytes of a run beside its config: stage versions, author, tokenizer, encoder, the packages that write."""
    versions = [stage.VERSION for stage in (seeds, expand, converse, distract, items, dedup, ask, assemble)]
    authors = [run.author.id_for(stage) for stage in ("expand", "converse", "distract", "ask")]
    return digest(VERSION, versions, *seeds.inputs(run), *authors, run.tokens.id, encoder_id(), version("pyarrow"), version("faker"))


def publish_key(run: Run, upstream: Sequence[Receipt]) -> str:
    """Hash of everything that goes into a publication."""
    return digest(VERSION, run.config.dataset.model_dump_json(), *(receipt.content for receipt in upstream), size=16)


def publish(run: Run, upstream: Sequence[Receipt], shards: int, summary: dict[str, Any]) -> None:
    """Write the dataset and everything that describes it, and make it appear; `summary` gets this stage's figures too."""
    began = time.monotonic()
    _refuse_empty_splits(run, shards)
    data = DataFolder(run.folder)
    sizes = _write_data(run, shards, data)
    give_memory_back()
    audited = audit_run(run, data.unfinished)
    if (why := refusal(run, audited)) is not None:
        _withdraw(run, data)
        raise SubtextError(why)
    data.appear()
    summary |= {**run.author.spent(), "broken": broken_figures(audited)}  # the audit may have asked a judge
    published = {kind: sum(sizes.rows[f"{kind}s"].values()) for kind in ("persona", "fact", "session", "question")}
    summary["stages"][STAGE] = {
        "seconds": round(time.monotonic() - began, 3),
        "parts": len(list(run.folder.data.rglob("*.parquet"))),
        "reused": 0,
        "records": {kind: {"requested": rows, "kept": rows, "rejected": 0} for kind, rows in published.items()},
    }
    splits = [(persona, split) for split in SPLITS for persona in sizes.personas[split]]
    write_table(
        run.folder.root / "splits.parquet",
        pa.table({"persona_id": [persona for persona, _ in sorted(splits)], "split": [split for _, split in sorted(splits)]}),
    )
    write_catalog(run.folder)
    write_json(run.folder.root / "summary.json", summary)
    write_text(run.folder.root / "README.md", _card(run, sizes.rows, audited))
    files = [
        *(run.folder.root / name for name in _BESIDE if name != "catalog.duckdb"),
        *sorted(run.folder.data.rglob("*.parquet")),
    ]
    write_json(
        run.folder.manifest,
        {
            "dataset": run.config.dataset.model_dump(),
            "key": publish_key(run, upstream),
            "config": run.config.public(),
            "config_identity": run.config.identity(),
            "author": run.author.name,
            "tokenizer": run.tokens.id,
            "seed": run.seed,
            "shards": shards,
            "python": platform.python_version(),
            "packages": {name: version(name) for name in _PACKAGES},
            "made_by": made_with(run),
            "git_revision": git_revision(),
            "audit": "passed" if audited["passed"] else "failing",
            "counts": {table: dict(rows) for table, rows in sizes.rows.items()},
            "tokens": summary["tokens"],
            "cost_usd": summary["cost_usd"],
            "files": {path.relative_to(run.folder.root).as_posix(): file_hash(path) for path in files},
        },
    )


def _withdraw(run: Run, data: DataFolder) -> None:
    """Leave nothing for readers, neither of this attempt nor of one that was cut short; a finished version stays as it is."""
    data.discard()
    if not run.folder.finished:
        for name in _BESIDE:
            (run.folder.root / name).unlink(missing_ok=True)


def _refuse_empty_splits(run: Run, shards: int) -> None:
    """A dataset in which a split has no persona left is not published."""
    kept = {history.persona_id for history in read_part(run.folder, "assemble", 0, History)}
    starts = [start for shard in seeds.read_shards(run)[:shards] for start in shard]
    again = f", or ask again for what the author did not write (subtext retry-failed {run.folder.root})" if run.author.varies else ""
    for split in SPLITS:
        people = {start.persona_id for start in starts if start.seed.split == split}
        if people and not people & kept:
            raise SubtextError(
                f"nothing to publish in the {split} split: no history of its {len(people)} persona(s) could be filled "
                f"(see {run.folder.root / 'rejects'}); raise assemble.budgets or lower assemble.fill{again}"
            )


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows each table has in each split, and which personas a split has."""

    rows: Mapping[str, Mapping[Split, int]]
    personas: Mapping[Split, Sequence[str]]


def _write_data(run: Run, shards: int, data: DataFolder) -> Sizes:
    """Write all tables; rows are in order of their ids, whatever the shards."""
    histories: dict[str, list[History]] = defaultdict(list)
    for history in read_part(run.folder, "assemble", 0, History):
        histories[history.persona_id].append(history)
    records: dict[str, type[BaseModel]] = {"questions": Question, "sessions": Session, "personas": Persona, "facts": Fact}
    records |= {f"histories_{budget // 1000}k": History for budget in run.config.assemble.budgets}
    rows: dict[str, dict[Split, int]] = {table: dict.fromkeys(SPLITS, 0) for table in records}
    personas: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for expansion, tables in _accepted(run, shards, histories, with_words=False):
        personas[expansion.persona.split].append(expansion.persona.persona_id)
        for table, ids in tables.items():
            rows[table][expansion.persona.split] += len(ids)
    with ExitStack() as stack:
        writers = {
            (table, split): stack.enter_context(data.table(table, split, record, rows[table][split]))
            for table, record in records.items()
            for split in SPLITS
            if rows[table][split] or (personas[split] and not any(rows[table].values()))
        }
        for expansion, tables in _accepted(run, shards, histories, with_words=True):
            for table, found in tables.items():
                if found:
                    writers[table, expansion.persona.split].add(found)
    return Sizes(rows, personas)


def _accepted(
    run: Run, shards: int, histories: Mapping[str, Sequence[History]], with_words: bool
) -> Iterator[tuple[Expansion, dict[str, Sequence[BaseModel]]]]:
    """Persona by persona, in order of ids: what is published of it. Without words, sessions are counted by their histories alone."""
    questions = {question.question_id: question for question in read_part(run.folder, "ask", 0, Question)}
    for index in range(shards):
        sessions: dict[str, Session] = {}
        if with_words:
            for stage in ("converse", "distract"):
                sessions |= {session.session_id: session for session in read_part(run.folder, stage, index, Session)}
        for expansion in read_part(run.folder, "expand", index, Expansion):
            own = histories.get(expansion.persona.persona_id, ())
            if not own:
                continue
            used = sorted({session_id for history in own for session_id in history.session_ids})
            asked = sorted({placement.question_id for history in own for placement in history.questions})
            tables: dict[str, Sequence[BaseModel]] = {
                "personas": [expansion.persona],
                "facts": expansion.facts,
                "questions": [questions[question_id] for question_id in asked],
                "sessions": [sessions[session_id] for session_id in used] if with_words else [expansion.persona] * len(used),
            }
            tables |= {f"histories_{history.budget // 1000}k": [history] for history in own}
            yield expansion, tables


def _card(run: Run, rows: Mapping[str, Mapping[Split, int]], audited: Mapping[str, Any]) -> str:
    """The dataset card."""
    drawn = read_part(run.folder, "seeds", 0, Seed)
    licence = next((seed.license for seed in drawn), None)
    sources = sorted({seed.source for seed in drawn})
    environment = jinja2.Environment(  # noqa: S701 (Markdown, of our own values)
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "store"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    splits = [split for split in SPLITS if rows["personas"][split]]
    return environment.get_template("card.md.j2").render(
        name=run.config.dataset.name,
        version=run.config.dataset.version,
        license=licence.lower() if licence and _LICENSE_ID.fullmatch(licence) else "other",
        license_name=None if licence and _LICENSE_ID.fullmatch(licence) else licence or "not stated",
        configs=[{"name": table, "splits": splits_present(run.folder.data, table)} for table in rows if any(rows[table].values())],
        author=run.author.name,
        seed=run.seed,
        splits=splits,
        sizes=[{"name": table, "numbers": [counts[split] for split in splits]} for table, counts in rows.items()],
        broken=broken_figures(audited),
        figures=card_rows(audited),
        review=review_text(audited["review"]),
        sources=f"{len(drawn)} from {', '.join(sources)}",
        licence_note=f"Licence of the seeds: {licence}." if licence else "The seeds' licence was not stated (seeds.license).",
        canary=f"subtext-canary-{digest('canary', run.config.dataset.name, run.config.dataset.version, run.seed, size=16)}",
    )


def git_revision() -> str | None:
    """The revision of the source that runs, where it is a git checkout of its own."""
    here = Path(__file__).resolve().parent.parent
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None  # no git on this machine
    lines = found.stdout.split()
    return lines[1] if found.returncode == 0 and len(lines) == 2 and Path(lines[0]) == here else None
