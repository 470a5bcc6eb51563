"""DuckDB over a run folder: a catalog of views with relative paths, so that the folder can be moved, and read-only questions to it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import InputError, SubtextError
from store.folder import RunFolder, disk_errors, writing

if TYPE_CHECKING:
    import duckdb  # imported where it is used: a run that fails before it gets here would end with duckdb's complaints of leaks


def write_catalog(folder: RunFolder) -> None:
    """Make `catalog.duckdb`: one view per published config (with its split), one per stage and per stage's rejects and verdicts."""
    import duckdb

    with disk_errors(folder.root / "catalog.duckdb"), writing(folder.root / "catalog.duckdb") as beside:
        beside.unlink(missing_ok=True)
        try:
            with _plain_path(folder.root) as place, duckdb.connect(str(beside)) as connection:
                connection.execute("SET file_search_path = ?", [place])
                _create_views(connection, folder, "")
        except duckdb.Error as error:
            raise SubtextError(f"cannot write {folder.root / 'catalog.duckdb'}: {str(error).splitlines()[0]}") from error


def _create_views(connection: "duckdb.DuckDBPyConnection", folder: RunFolder, base: str) -> None:
    """The views over `folder`, their files below `base` (empty: relative). All names in them are ours, none a user's."""
    views: dict[str, str] = {}
    for path in _filled(folder.data):
        split = "" if path.name == "personas" else ", split_part(parse_filename(filename), '-', 1) AS split"
        views[path.name] = f"SELECT * EXCLUDE (filename){split} FROM read_parquet('{base}data/{path.name}/*.parquet', filename = true)"
    for place, prefix in (("stages", "stage"), ("rejects", "rejects"), ("verdicts", "verdicts")):
        for path in _filled(folder.root / place):
            views[f"{prefix}_{path.name}"] = f"FROM read_parquet('{base}{place}/{path.name}/part-*.parquet')"
    for kind in ("rejects", "verdicts"):
        if every := [f"FROM {name}" for name in views if name.startswith(f"{kind}_")]:
            views[kind] = " UNION ALL ".join(every)
    for name, query in views.items():
        connection.execute(f'CREATE VIEW "{name}" AS {query}')


def _filled(place: Path) -> list[Path]:
    """The folders in `place` that hold Parquet files; none where there is no such place."""
    return [path for path in sorted(place.glob("*")) if any(path.glob("*.parquet"))]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[tuple[object, ...]]


def ask(root: Path, query: str) -> Answer:
    """Run one reading query on the views of the run folder `root`. It can see that folder and nothing else.

    InputError where there is no finished dataset, or the query is wrong, is not one statement, or would write.
    """
    import duckdb

    if not (root / "catalog.duckdb").is_file():
        raise InputError(f"{root}: no finished dataset there (no catalog.duckdb); give the folder of a version, such as output/demo/0.1.0")
    try:
        # Views of our own with whole paths, because a relative path is refused where access is limited to a folder.
        with _plain_path(root) as place, duckdb.connect(":memory:") as connection:
            _create_views(connection, RunFolder(root), f"{place}/")
            connection.execute("SET allowed_directories = ?", [[f"{place}/"]])
            connection.execute("SET enable_external_access = false")
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                raise InputError("give one query that reads, such as: SELECT count(*) FROM questions")
            result = connection.execute(statements[0])
            return Answer([column[0] for column in result.description or ()], result.fetchall())
    except duckdb.Error as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"DuckDB: {' '.join(said[:2])}") from error


@contextmanager
def _plain_path(root: Path) -> Iterator[str]:
    """`root`, whole; where its name has characters that mean something to DuckDB (a comma, a quote, a glob), by a link without."""
    place = str(root.resolve())
    if not set(place) & set(",'[]*?"):
        yield place
        return
    with tempfile.TemporaryDirectory() as beside:
        link = Path(beside) / "dataset"
        link.symlink_to(place)
        yield str(link)
