"""The catalog: views that answer wherever the folder lies, to those who only read."""

import shutil
from pathlib import Path

import duckdb
import pytest

from schemas.errors import InputError
from schemas.outcome import Reject, Survivor, Verdict
from schemas.seed import Seed, Split
from store.catalog import ask, write_catalog
from store.dataset import DataFolder
from store.folder import RunFolder
from store.parts import Produced, ensure_part
from tests.store.children import everything_below, refusal

TABLES: dict[str, dict[Split, int]] = {"sessions": {"train": 3, "test": 2}, "personas": {"train": 1, "validation": 1, "test": 1}}


def seed(number: int, split: Split) -> Seed:
    return Seed(seed_id=f"s{number}", text="A nurse", source="builtin", license=None, split=split)


def make(root: Path) -> RunFolder:
    """A run folder with two tables, the parts of two stages and their rejects, without its catalog."""
    folder = RunFolder(root)
    data = DataFolder(folder)
    for name, split, rows in [(name, split, rows) for name, sizes in TABLES.items() for split, rows in sizes.items()]:
        record = Seed if name == "personas" else Survivor
        with data.table(name, split, record, rows) as table:
            table.add([seed(i, split) if record is Seed else Survivor(record_id=f"s{i}", record_type="session") for i in range(rows)])
    data.appear()
    for stage, index in (("converse", 0), ("converse", 1), ("dedup", 0)):
        gone = Reject(record_id=f"{stage}{index}", record_type="session", stage=stage, reason="near_duplicate", detail="", similarity=0.9)
        kept = Survivor(record_id="s", record_type="session")
        said = [Verdict(record_id=gone.record_id, validator=name, passed=name == "a", reason="") for name in "ab"]
        produced = Produced([kept], Survivor, [gone], {"session": 2}, {"session": 1}, said)
        ensure_part(folder, stage, index, (), lambda produced=produced: produced)  # type: ignore[misc]
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("catalog") / "run")
    write_catalog(folder)
    return folder.root


def one(root: Path, query: str) -> object:
    """The only value of the answer."""
    ((value,),) = ask(root, query).rows
    return value


def test_there_is_a_view_for_each_table_stage_and_pile_of_rejects_or_verdicts(built: Path) -> None:
    counts = {
        "sessions": 5, "personas": 3, "stage_converse": 2, "stage_dedup": 1, "rejects_converse": 2, "rejects_dedup": 1, "rejects": 3,
        "verdicts_converse": 4, "verdicts_dedup": 2, "verdicts": 6,
    }  # fmt: skip
    assert {name for (name,) in ask(built, "SELECT view_name FROM duckdb_views() WHERE NOT internal").rows} == set(counts)
    assert {name: one(built, f"SELECT count(*) FROM {name}") for name in counts} == counts


def test_a_table_says_of_each_row_in_which_split_it_is(built: Path) -> None:
    answer = ask(built, "SELECT split, count(*) AS rows FROM sessions GROUP BY 1 ORDER BY 1")
    assert list(answer.columns) == ["split", "rows"]
    assert list(answer.rows) == [("test", 2), ("train", 3)]
    assert list(ask(built, "FROM sessions LIMIT 0").columns) == ["record_id", "record_type", "split"]
    assert list(ask(built, "SELECT split FROM personas ORDER BY 1").rows) == [("test",), ("train",), ("validation",)]


@pytest.mark.parametrize("name", ["moved", "with space", "it's", "br[a]ck", "Zoë"])
def test_the_views_answer_after_the_folder_has_moved(built: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "elsewhere" / name
    shutil.copytree(built, first)
    second.parent.mkdir()
    first.rename(second)
    assert one(second, "SELECT count(*) FROM sessions") == 5
    assert one(second, "SELECT count(*) FROM rejects") == 3
    monkeypatch.chdir(second)
    with duckdb.connect("catalog.duckdb", read_only=True) as connection:  # as a reader does who has DuckDB and not this project
        assert connection.execute("SELECT count(*) FROM stage_converse").fetchall() == [(2,)]


def test_the_catalog_holds_no_absolute_path(built: Path) -> None:
    assert str(built).encode() not in (built / "catalog.duckdb").read_bytes()


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW sessions",
        "INSERT INTO sessions VALUES ('a', 'b', 'train')",
        "CREATE OR REPLACE VIEW sessions AS SELECT 1",
        "SELECT 1; DROP VIEW sessions",
    ],
)
def test_a_query_that_writes_fails_and_changes_nothing(built: Path, query: str) -> None:
    before = {name: (built / name).read_bytes() for name in everything_below(built)}
    with pytest.raises(InputError, match="one query that reads"):
        ask(built, query)
    assert {name: (built / name).read_bytes() for name in everything_below(built)} == before


@pytest.mark.parametrize(("query", "told"), [("SELEC 1", "SELEC"), ("SELECT nope FROM sessions", "nope"), ("FROM nowhere", "nowhere")])
def test_a_wrong_query_is_the_users_and_is_told_what_is_wrong(built: Path, query: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        ask(built, query)
    assert caught.value.exit_code == 2


def test_a_folder_without_a_catalog_is_told_to_be_no_finished_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished dataset there") as caught:
        ask(tmp_path, "SELECT 1")
    assert str(tmp_path) in str(caught.value)


def test_a_query_sees_nothing_outside_of_the_folder(built: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"DuckDB: .*Cannot access"):
        ask(built, f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')")


def test_writing_the_catalog_again_replaces_it_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = make(tmp_path)
    before = everything_below(tmp_path)
    write_catalog(folder)
    write_catalog(folder)
    assert everything_below(tmp_path) == sorted([*before, "catalog.duckdb"])
    assert one(tmp_path, "SELECT count(*) FROM personas") == 3


def test_what_a_killed_run_left_of_a_catalog_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (tmp_path / ".catalog.duckdb.tmp").write_bytes(b"half a catalog")
    write_catalog(folder)
    assert one(tmp_path, "SELECT count(*) FROM personas") == 3
    assert not (tmp_path / ".catalog.duckdb.tmp").exists()


def test_past_the_file_size_limit_there_is_an_error_and_no_piece_of_a_catalog(tmp_path: Path) -> None:
    make(tmp_path)
    before = everything_below(tmp_path)
    said = refusal(
        "from store.catalog import write_catalog\nfrom store.folder import RunFolder\nwrite_catalog(RunFolder(root))", tmp_path, 8000
    )
    assert said.startswith(f"SubtextError: cannot write {tmp_path / 'catalog.duckdb'}: ")
    assert everything_below(tmp_path) == before


def test_the_views_answer_in_a_folder_with_a_comma_in_its_name(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "one, two")
    assert one(tmp_path / "one, two", "SELECT count(*) FROM sessions") == 5


def test_a_query_cannot_write_a_file(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        ask(built, f"COPY (SELECT 1) TO '{tmp_path / 'leak.csv'}'")
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("query", ["", " ", "-- nothing"])
def test_a_query_that_says_nothing_is_an_input_error(built: Path, query: str) -> None:
    with pytest.raises(InputError):
        ask(built, query)
