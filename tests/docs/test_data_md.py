"""`docs/data.md` against the records: every field with its types and nulls, every value and reason code, every query that it shows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import duckdb
import pyarrow as pa
import pytest
from pydantic import BaseModel

from schemas.arrow import arrow_schema
from schemas.expansion import Expansion
from schemas.fact import Fact
from schemas.history import History
from schemas.outcome import RecordType, Reject, Survivor, Verdict
from schemas.persona import Persona
from schemas.question import Item, Question
from schemas.results import AnswerRow, MemoryRow, MomentRow
from schemas.seed import Seed
from schemas.session import Session

REPO = Path(__file__).parent.parent.parent
TEXT = (REPO / "docs" / "data.md").read_text(encoding="utf-8")
PUBLISHED: dict[str, type[BaseModel]] = {
    "questions": Question, "sessions": Session, "personas": Persona, "facts": Fact, "histories_<N>k": History,
}  # fmt: skip
BESIDE: dict[str, type[BaseModel]] = {
    "rejects": Reject, "verdicts": Verdict, "stage_seeds": Seed, "stage_expand": Expansion, "stage_items": Item, "stage_dedup": Survivor,
    "agent/answers.parquet": AnswerRow, "agent/memories.parquet": MemoryRow, "agent/moments.parquet": MomentRow,
}  # fmt: skip
Row = tuple[str, ...]


def mentioned(annotation: Any) -> Iterator[Any]:
    """`annotation` and everything inside it."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from mentioned(inner)


def sections_wanted() -> dict[str, type[BaseModel]]:
    """The sections that must stand in the page, each with its record: the tables, then whatever records their fields hold."""
    wanted = {**PUBLISHED, **BESIDE}
    waiting = list(wanted.items())
    while waiting:
        name, record = waiting.pop(0)
        for field, info in record.model_fields.items():
            for part in mentioned(info.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel) and part not in wanted.values():
                    wanted[f"{name}.{field}"] = part
                    waiting.append((f"{name}.{field}", part))
    return wanted


SECTIONS = sections_wanted()


def tables() -> Iterator[tuple[str, Row, list[Row]]]:
    """All tables of the page: the heading above, the header row, the other rows."""
    heading, lines = "", iter([*TEXT.splitlines(), ""])
    for line in lines:
        if line.startswith("#"):
            heading = line.lstrip("#").strip().strip("`")
        if line.startswith("|"):
            rows = [cells(line)]
            while (line := next(lines)).startswith("|"):
                rows.append(cells(line))
            yield heading, rows[0], rows[2:]


def cells(line: str) -> Row:
    """The cells of a table row."""
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


FIELD_TABLES = {heading: rows for heading, header, rows in tables() if header[0] == "field"}


def arrow_name(kind: pa.DataType) -> str:
    """An Arrow type as the page writes it: members of a struct are left to the table of their own."""
    if pa.types.is_list(kind):
        return f"list<{arrow_name(kind.value_type)}>"
    return "struct" if pa.types.is_struct(kind) else str(kind)


def empty(record: type[BaseModel]) -> pa.Table:
    """No rows, in the columns of `record`."""
    return arrow_schema(record).empty_table()


def duckdb_names(record: type[BaseModel]) -> list[str]:
    """What DuckDB makes of the columns, as the page writes it."""
    return [re.sub(r"STRUCT\(.*\)", "STRUCT", str(kind)) for kind in duckdb.from_arrow(empty(record)).types]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_stands_in_the_page_with_its_types_and_nulls_and_no_other_does(section: str) -> None:
    schema = arrow_schema(SECTIONS[section])
    wanted = [
        (f"`{field.name}`", f"`{arrow_name(field.type)}`", f"`{kind}`", "yes" if field.nullable else "no")
        for field, kind in zip(schema, duckdb_names(SECTIONS[section]), strict=True)
    ]
    assert [row[:4] for row in FIELD_TABLES[section]] == wanted


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_has_a_meaning_and_a_nullable_one_says_when_it_is_null(section: str) -> None:
    for name, _, _, null, meaning in FIELD_TABLES[section]:
        assert meaning.endswith("."), name
        assert null == "no" or "null" in meaning.lower(), name


def test_no_table_describes_a_record_that_does_not_exist() -> None:
    assert set(FIELD_TABLES) == set(SECTIONS)


def test_published_tables_are_those_that_a_run_publishes(published: Path) -> None:
    found = {re.sub(r"^histories_\d+k$", "histories_<N>k", path.name) for path in (published / "data").iterdir()}
    assert found == set(PUBLISHED)


def choices() -> Iterator[tuple[str, str, str]]:
    """Section, field and value of each field that can hold a few values only."""
    for section, record in SECTIONS.items():
        for field, info in record.model_fields.items():
            for part in mentioned(info.annotation):
                if get_origin(part) is Literal:
                    yield from ((section, field, value) for value in get_args(part))


def test_every_value_of_a_field_with_few_values_stands_beside_it() -> None:
    meanings = {(section, row[0].strip("`")): row[-1] for section, rows in FIELD_TABLES.items() for row in rows}
    outside = {("stage_dedup", "record_type"): {"seed", "persona", "fact", "history"}}  # dedup sees three types of record
    missing = [
        (section, field, value)
        for section, field, value in choices()
        if f"`{value}`" not in meanings[section, field] and value not in outside.get((section, field), set())
    ]
    assert not missing


def codes_in(stage: Path) -> set[str]:
    """The reason codes that a stage writes as plain strings where it makes a reject."""
    found: set[str] = set()
    for call in ast.walk(ast.parse(stage.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("Reject", "_reject", "reject", "_unfit"):
            for argument in (*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "reason")):
                branches = (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,)
                found |= {str(branch.value) for branch in branches if isinstance(branch, ast.Constant)}
    return {code for code in found if re.fullmatch(r"[a-z]+(_[a-z]+)*", code)} - set(get_args(RecordType))


def documented_reasons() -> dict[str, set[str]]:
    """The reason codes of the page, by stage."""
    (rows,) = (rows for _, header, rows in tables() if header[0] == "reason")
    stages: dict[str, set[str]] = {}
    for reason, where, kinds, _ in rows:
        assert set(kinds.split(", ")) <= set(get_args(RecordType)), kinds
        for stage in where.split(", "):
            stages.setdefault(stage, set()).add(reason.strip("`"))
    return stages


def asked_in(module: str, function: str) -> set[str]:
    """The validators whose verdicts a function gives, itself or through others of its module: a check of that name, a prompt, a reader."""
    source = (REPO / "validators" / f"{module}.py").read_text(encoding="utf-8")
    bodies = {node.name: node for node in ast.parse(source).body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    found: set[str] = set()
    seen, waiting = {function}, [function]
    while waiting:
        body = ast.unparse(bodies[waiting.pop()])
        found |= set(re.findall(r"\bcheck_(\w+)\(", body))
        found |= {prompt.replace("/", "_") for prompt in re.findall(r"'(judge/\w+)'", body)}
        found |= {f"judge_{reader}" for reader in re.findall(r"judge\.(?!vote)(\w+)\(", body)}
        further = {name for name in bodies if re.search(rf"\b{name}\(", body)} - seen
        seen |= further
        waiting += further
    return found


def test_every_reason_code_in_the_stages_is_explained_and_no_other_is() -> None:
    computed = {  # verdicts that become reasons
        "converse": asked_in("session_checks", "showing_verdicts"),
        "distract": asked_in("session_checks", "noise_verdicts"),
        "items": asked_in("item_checks", "item_verdicts"),
    }
    written: dict[str, set[str]] = {}
    for path in sorted((REPO / "flows").glob("*.py")):
        stage = {"timeline": "expand", "traps": "expand"}.get(path.stem, path.stem)
        written[stage] = written.get(stage, set()) | codes_in(path) | computed.get(path.stem, set())
    assert documented_reasons() == {stage: codes for stage, codes in written.items() if codes}


def test_every_reason_for_which_a_model_writes_nothing_is_explained_and_no_other_is() -> None:
    sources = "".join(path.read_text("utf-8") for path in sorted((REPO / "author" / "llm").glob("*.py")))
    written = set(re.findall(r'(?:InvalidReply|Impossible|Unwritten)\(\s*"(\w+)"', sources)) | set(
        re.findall(r'fault = "(\w+)" if', sources)
    )
    (rows,) = (rows for _, header, rows in tables() if header[0] == "reply")
    assert {row[0].strip("`") for row in rows} == written | {"wrong_schema"}


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL), ids=lambda query: " ".join(query.split())[:40])
def test_queries_fit_the_tables(query: str, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        for name, record in SECTIONS.items():
            if "." not in name:
                rows = empty(record)
                if "split" not in rows.column_names:
                    rows = rows.append_column("split", pa.array([], pa.string()))  # as the views of the catalog do
                connection.register(name.replace("<N>", "32"), rows)
        connection.execute("SET file_search_path = ?", [str(tmp_path)])
        connection.execute(f"COPY (SELECT '' AS persona_id, '' AS split) TO '{tmp_path}/splits.parquet'")
        connection.execute(query)


def test_links_lead_to_headings() -> None:
    headings = [
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-") for line in TEXT.splitlines() if line[:1] == "#"
    ]
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= set(headings)
