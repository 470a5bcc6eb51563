"""Arrow schemas, derived from the pydantic records: one definition of every field, in `schemas/`, and none beside it."""

import types
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, TypeAdapter

_SCALARS: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    date: pa.date32(),
    datetime: pa.timestamp("us", tz="UTC"),
}
RecordT = TypeVar("RecordT", bound=BaseModel)


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of a field's annotation. Tuples become lists, records become structs, literals become strings."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(annotation) if arg is not type(None))
        return arrow_type(inner)
    if origin is Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(arrow_type(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(list(arrow_schema(annotation)))
    return _SCALARS[annotation]


@cache
def arrow_schema(record: type[BaseModel]) -> pa.Schema:
    """The Arrow schema of `record`; a field is nullable where its annotation admits None."""
    return pa.schema(
        pa.field(name, arrow_type(info.annotation), nullable=type(None) in get_args(info.annotation))
        for name, info in record.model_fields.items()
    )


def to_table(records: Iterable[BaseModel], record: type[BaseModel]) -> pa.Table:
    """`records`, all of type `record`, as a table of its schema."""
    return pa.Table.from_pylist([item.model_dump() for item in records], schema=arrow_schema(record))


@cache
def _rows_of(record: type[RecordT]) -> TypeAdapter[list[RecordT]]:
    return TypeAdapter(list[record])  # type: ignore[valid-type]


def from_table(table: pa.Table, record: type[RecordT]) -> Sequence[RecordT]:
    """The rows of `table` as records; raises pydantic.ValidationError where a row does not fit."""
    return _rows_of(record).validate_python(table.to_pylist())
