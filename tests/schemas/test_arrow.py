"""Every record goes through Parquet and comes back as it was: whatever its texts, times and gaps."""

import importlib
import pkgutil
import types
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import schemas
from schemas.arrow import arrow_schema, from_table, to_table
from schemas.base import Record
from schemas.fact import Fact
from schemas.outcome import Reject, Verdict
from schemas.question import Question
from schemas.session import Session


def all_records() -> list[type[Record]]:
    """Every record that a module of `schemas` defines, but for what authors hand back, which is stored as parts of others."""
    names = [module.name for module in pkgutil.iter_modules(schemas.__path__) if module.name not in ("drafts", "judgements")]
    modules = [importlib.import_module(f"schemas.{name}") for name in names]
    found = {
        item.__qualname__: item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Record) and item is not Record
    }
    return [found[name] for name in sorted(found)]


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values that a field with this annotation may have."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=30),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        date: st.dates(),
        datetime: st.datetimes(timezones=st.just(UTC)),
        type(None): st.none(),
    }
    if annotation in simple:
        return simple[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    return instances(annotation)


def instances(record: type[BaseModel]) -> st.SearchStrategy[Any]:
    return st.builds(record, **{name: values_of(info.annotation) for name, info in record.model_fields.items()})


def through_parquet(records: Sequence[Record], record: type[Record]) -> Sequence[Record]:
    """`records` written as they are published, and read as the stages read them."""
    file = BytesIO()
    with pq.ParquetWriter(file, arrow_schema(record), compression="zstd") as writer:
        writer.write_table(to_table(records, record))
    return from_table(pq.read_table(BytesIO(file.getvalue()), schema=arrow_schema(record)), record)


def test_the_records_of_the_design_are_among_those_tested() -> None:
    named = {"Seed", "Persona", "Fact", "Session", "Question", "History", "Verdict", "Reject", "Item", "Expansion"}
    assert named <= {record.__name__ for record in all_records()}


@pytest.mark.parametrize("record", all_records(), ids=lambda record: record.__name__)
def test_a_record_comes_back_from_parquet_as_it_was(record: type[Record]) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, database=None)
    @given(st.lists(instances(record), max_size=3))
    def holds(records: list[Record]) -> None:
        assert list(through_parquet(records, record)) == records

    holds()


def gaps(schema: pa.Schema) -> set[str]:
    return {field.name for field in schema if field.nullable}


def test_a_field_may_be_null_where_the_record_says_so_and_nowhere_else() -> None:
    assert gaps(arrow_schema(Fact)) == {"valid_until", "supersedes", "reason", "forget_requested_at", "bank_id"}
    assert gaps(arrow_schema(Verdict)) == {"score"}
    option = arrow_schema(Question).field("options").type.value_type
    assert {option.field(i).name: option.field(i).nullable for i in range(option.num_fields)} == {
        "text": False,
        "value": True,
        "role": False,
    }


def test_fields_have_the_order_of_the_record_and_types_that_duckdb_knows() -> None:
    schema = arrow_schema(Session)
    assert schema.names == list(Session.model_fields)
    assert schema.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("fact_ids").type.value_type == pa.string()
    assert schema.field("tokens").type == pa.int64()
    assert arrow_schema(Fact).field("valid_from").type == pa.date32()


def test_a_time_of_another_zone_comes_back_as_the_same_moment() -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    (fact,) = through_parquet([a_fact(forget_requested_at=moment)], Fact)
    assert isinstance(fact, Fact)
    assert fact.forget_requested_at == moment


def a_fact(**fields: object) -> Fact:
    known: dict[str, object] = {
        "fact_id": "p1/f01", "persona_id": "p1", "attribute": "tea", "value": "green", "statement": "drinks green tea", "owner": "self",
        "status": "true", "kind": "neutral", "domain": "food", "polarity": "positive", "mutable": True, "repeatable": True,
        "cues_needed": 1, "valid_from": date(2026, 1, 1),
        "valid_until": None, "supersedes": None, "reason": None, "forget_requested_at": None, "bank_id": None,
    }  # fmt: skip
    return Fact.model_validate(known | fields)


def test_a_table_of_no_records_keeps_its_schema() -> None:
    assert to_table([], Session).schema == arrow_schema(Session)
    assert list(through_parquet([], Session)) == []


def test_a_row_that_is_no_record_is_refused() -> None:
    table = pa.table({"record_id": ["a"], "record_type": ["poem"], "stage": ["s"], "reason": ["r"], "detail": ["d"]})
    with pytest.raises(ValidationError, match="record_type"):
        from_table(table, Reject)
