"""DuckDB over a run folder: a catalog of views with relative paths, so that the folder can be moved, and read-only questions to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from schemas.errors import InputError, SubtextError
from store.folder import RunFolder, disk_errors, writing


def write_catalog(folder: RunFolder) -> None:
    """Make `catalog.duckdb`: one view per published config (with its split), one per stage and per stage's rejects."""
    with disk_errors(folder.root / "catalog.duckdb"), writing(folder.root / "catalog.duckdb") as beside:
        beside.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(beside)) as connection:
                connection.execute("SET file_search_path = ?", [str(folder.root)])
                for name, query in _views(folder).items():
                    connection.execute(f'CREATE VIEW "{name}" AS {query}')
        except duckdb.Error as error:
            raise SubtextError(f"cannot write {folder.root / 'catalog.duckdb'}: {str(error).splitlines()[0]}") from error


def _views(folder: RunFolder) -> dict[str, str]:
    views: dict[str, str] = {}  # all names below are ours, none a user's
    for path in sorted(folder.data.iterdir()):
        split = "" if path.name == "personas" else ", split_part(parse_filename(filename), '-', 1) AS split"
        views[path.name] = f"SELECT * EXCLUDE (filename){split} FROM read_parquet('data/{path.name}/*.parquet', filename = true)"
    for place, prefix in (("stages", "stage"), ("rejects", "rejects")):
        for path in sorted((folder.root / place).iterdir()):
            views[f"{prefix}_{path.name}"] = f"FROM read_parquet('{place}/{path.name}/part-*.parquet')"
    every = " UNION ALL ".join(f"FROM {name}" for name in views if name.startswith("rejects_"))
    views["rejects"] = every
    return views


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[tuple[object, ...]]


def ask(root: Path, query: str) -> Answer:
    """Run a read-only query on the catalog of the run folder `root`. InputError where there is none or the query is wrong."""
    path = root / "catalog.duckdb"
    if not path.is_file():
        raise InputError(f"{root}: no finished dataset there (no catalog.duckdb); give the folder of a version, such as output/demo/0.1.0")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SET file_search_path = ?", [str(root)])
            connection.execute("SET enable_progress_bar = false")
            result = connection.execute(query)
            return Answer([column[0] for column in result.description or ()], result.fetchall())
    except duckdb.Error as error:
        raise InputError(f"DuckDB: {str(error).strip()}") from error
