"""Result pages from selections: REST JSON bodies and Bulk CSV blocks, built from Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.sandbox.filters import View
from syncline.connectors.sandbox.meaning import Column
from syncline.connectors.sandbox.schema import ObjectType
from syncline.connectors.sandbox.settings import WireStyle
from syncline.connectors.sandbox.store import Selection, Table
from syncline.connectors.sandbox.wire import csv_values, escaped, json_values, quoted

CSV_BLOCK_ROWS: Final = 2_048
"""Even when every value is the longest text there is, a block's column stays below Arrow's 2 GiB."""

DELIMITERS: Final[Mapping[str, str]] = {
    "BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t",
}  # fmt: skip
LINE_ENDINGS: Final[Mapping[str, str]] = {"LF": "\n", "CRLF": "\r\n"}


@dataclass(frozen=True, slots=True)
class CsvForm:
    """Names as asked, and the job's delimiter and line ending."""

    names: tuple[str, ...]
    delimiter: str = ","
    line_ending: str = "\n"

    def header(self) -> bytes:
        return (self.delimiter.join(f'"{name}"' for name in self.names) + self.line_ending).encode()


def _bytes_of(rows: pa.Array, first: int = 0, last: int = 0) -> memoryview:
    """The texts one after the other, without ``first`` bytes at the start and ``last`` at the end; no copy."""
    offsets = memoryview(rows.buffers()[1]).cast("i")
    start, end = offsets[rows.offset], offsets[rows.offset + len(rows)]
    return memoryview(rows.buffers()[2])[start + first : end - last]


def csv_blocks(
    selection: Selection, columns: Sequence[Column], tables: Mapping[str, Table], form: CsvForm, style: WireStyle
) -> Iterator[bytes | memoryview]:
    """The CSV of the selection's rows, without a header, some thousand rows at a time."""
    for block in selection.blocks(CSV_BLOCK_ROWS):
        view = View(tables, block)
        parts = [csv_values(view, column, style) for column in columns]
        yield _bytes_of(_bare_null_lines(parts, form) if style.bulk_bare_nulls else _quoted_lines(parts, form))


def _joined(*parts: pa.Array | str) -> pa.Array:
    """The parts with the last one between them, null as nothing."""
    return pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")


def _quoted_lines(parts: list[pa.Array], form: CsvForm) -> pa.Array:
    """Lines with everything in quotes, which are cheapest as part of the separators."""
    last = _joined(parts[-1], f'"{form.line_ending}', "")
    first = _joined('"', parts[0] if len(parts) > 1 else last, "")
    return _joined(first, *parts[1:-1], last, f'"{form.delimiter}"') if len(parts) > 1 else first


def _bare_null_lines(parts: list[pa.Array], form: CsvForm) -> pa.Array:
    """Lines with null as nothing at all between two delimiters."""
    return _joined(_joined(*(quoted(part) for part in parts), form.delimiter), form.line_ending, "")


def json_rows(
    selection: Selection,
    kind: ObjectType,
    columns: Sequence[Column],
    tables: Mapping[str, Table],
    style: WireStyle,
    version: str,
) -> memoryview:
    """The records of a REST page, joined by commas."""
    view = View(tables, selection)
    opening = f'{{"attributes":{{"type":"{kind.name}","url":"/services/data/v{version}/sobjects/{kind.name}/'
    parts: list[pa.Array | str] = []
    label = ""
    for name, value, inside in _values(view, selection, columns, tables, style, version):
        if inside:
            parts += [f'{label},"{name}":"', value]
            label = '"'
        else:
            parts += [f'{label},"{name}":', value]
            label = ""
    ids = selection.column("Id")
    rows = pc.binary_join_element_wise(
        opening, ids, '"}', *parts, f"{label}}},", "", null_handling="replace", null_replacement="null"
    )
    return _bytes_of(rows, last=1)


def _values(
    view: View,
    selection: Selection,
    columns: Sequence[Column],
    tables: Mapping[str, Table],
    style: WireStyle,
    version: str,
) -> Iterator[tuple[str, pa.Array, bool]]:
    done: set[str] = set()
    for column in columns:
        name = column.names[0]
        if column.steps:
            if name not in done:
                done.add(name)
                children = [c for c in columns if c.steps and c.names[0] == name]
                yield name, _parent(view, children, 0, style, version), False
        elif column.field.parts:
            yield name, _compound(selection, column, style), False
        elif column.field.type == "base64":
            path = f'"/services/data/v{version}/sobjects/'
            yield name, pc.binary_join_element_wise(path, selection.column("Id"), f'/{name}"', ""), False
        else:
            yield name, *json_values(view, column, style)


def _parent(view: View, columns: Sequence[Column], depth: int, style: WireStyle, version: str) -> pa.Array:
    """The JSON object of the parent that these columns reach by their step number ``depth``; null without a parent."""
    first = columns[0]
    target = first.steps[depth][1]
    ids = view.texts(Column(first.steps[: depth + 1], target.fields["Id"], (), ""))
    url = f'{{"attributes":{{"type":"{target.name}","url":"/services/data/v{version}/sobjects/{target.name}/'
    parts: list[pa.Array | str] = []
    further: dict[str, list[Column]] = {}
    for column in columns:
        if len(column.steps) > depth + 1:
            further.setdefault(column.names[depth + 1], []).append(column)
            continue
        value, inside = json_values(view, column, style)
        parts += [f',"{column.field.name}":', pc.fill_null(quoted(value) if inside else value, "null")]
    for name, deeper in further.items():
        parts += [f',"{name}":', pc.fill_null(_parent(view, deeper, depth + 1, style, version), "null")]
    return pc.binary_join_element_wise(url, ids, '"}', *parts, "}", "")


_ADDRESS_KEYS: Final = ("city", "country", "countryCode", "geocodeAccuracy", "latitude", "longitude", "postalCode",
                        "state", "stateCode", "street")  # fmt: skip


def _compound(selection: Selection, column: Column, style: WireStyle) -> pa.Array:
    """An address or location object from its components, null when all are."""
    held = dict(column.field.parts)
    keys = _ADDRESS_KEYS if column.field.type == "address" else tuple(held)
    parts: list[pa.Array | str] = []
    some: pa.Array | None = None
    for number, key in enumerate(keys):
        parts.append(f"{'{' if not number else ','}{json.dumps(key)}:")
        if key not in held:
            parts.append("null")
            continue
        values = selection.column(held[key])
        some = values.is_valid() if some is None else pc.or_(some, values.is_valid())
        texts = quoted(escaped(values)) if column.field.type == "address" else values
        parts.append(pc.fill_null(texts, "null"))
    whole = pc.binary_join_element_wise(*parts, "}", "")
    return pc.if_else(some, whole, pa.scalar(None, pa.string()))
