"""Live changes of the schema: what an admin does to objects and fields while connectors read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.connector import Json
from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.schema import NUMBERS, Field, ObjectType
from syncline.connectors.sandbox.store import Table
from syncline.connectors.sandbox.writing import Writer

_SHAPES: Mapping[str, str] = {
    "boolean": r"^(true|false)$", "date": r"^\d{4}-\d{2}-\d{2}$", "datetime": r"^\d{4}-\d{2}-\d{2}T[\d:.]+Z$",
    "int": r"^-?\d+$", "long": r"^-?\d+$",
}  # fmt: skip
_NUMBER_SHAPE = r"^-?\d+(\.\d+)?$"


def _table(core: Core, name: str, field: str) -> Table:
    table = core.records.table(name)
    if field not in table.kind.fields:
        raise ValueError(f"{name} has no field {field!r}")
    return table


def add_object(core: Core, kind: ObjectType) -> None:
    if kind.name.lower() in core.types:
        raise ValueError(f"the org has an object {kind.name!r} already")
    kind.changed_ms = core.clock.now_ms()
    core.types[kind.name.lower()] = kind
    core.records.adopt(kind)


def add_field(core: Core, writer: Writer, name: str, field: Field, value: object) -> None:
    table = core.records.table(name)
    if table.kind.fields.keys() & {field.name}:
        raise ValueError(f"{name} has a field {field.name!r} already")
    table.kind.put(field, core.clock.now_ms())
    if value is not None and field.stored:
        writer.fill_field(name, field.name, value)


def drop_field(core: Core, name: str, field: str) -> None:
    table = _table(core, name, field)
    table.kind.drop(field, core.clock.now_ms())
    table.replace_column(field, lambda segment: {})


def rename_field(core: Core, name: str, field: str, new_name: str) -> None:
    table = _table(core, name, field)
    table.replace_column(field, lambda segment: {new_name: segment.column(field)})
    kind, at_ms = table.kind, core.clock.now_ms()
    fields = [replace(f, name=new_name) if f.name == field else f for f in kind.fields.values()]
    kind.fields = {}
    for one in fields:
        kind.put(one, at_ms)


def retype_field(core: Core, name: str, field: str, changes: Mapping[str, Json]) -> None:
    table = _table(core, name, field)
    table.kind.change(field, core.clock.now_ms(), **changes)
    kind = table.kind.fields[field].type
    shape = _SHAPES.get(kind, _NUMBER_SHAPE if kind in NUMBERS else None)
    if shape is None:
        return

    def fitting(texts: pa.Array) -> pa.Array:
        return pc.if_else(pc.match_substring_regex(texts, shape), texts, pa.scalar(None, pa.string()))

    table.replace_column(field, lambda segment: {field: fitting(segment.column(field))})
