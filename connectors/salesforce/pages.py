"""One page of a REST query: JSON to Arrow.

The envelope is decoded once; each record stays a view on the page's bytes, and the views, joined by newlines, go to
Arrow's own JSON parser with the wire types as its schema. Measured on 25 columns that is 340,000 rows/s on one thread,
against 250,000 for cutting the page at a byte pattern and 355,000 for a decoder that makes Python values and has not
yet made the columns; and it does not depend on how the server spaces its JSON.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pyarrow as pa

from syncline.connectors.errors import DataError
from syncline.connectors.salesforce.body import HALF_PAIR, REPLACEMENT
from syncline.connectors.salesforce.columns import out_of_type, without_empty
from syncline.connectors.salesforce.shape import Shape

_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


@dataclass(frozen=True, slots=True)
class Page:
    """``next_path`` is ``None`` on the last page; ``mended`` counts halves of surrogate pairs."""

    records: Sequence[msgspec.Raw]
    total: int
    next_path: str | None
    mended: int = 0


class _Envelope(msgspec.Struct):
    totalSize: int
    done: bool
    records: list[msgspec.Raw]
    nextRecordsUrl: str | None = None


_HALF_ESCAPED: Final = re.compile(rb"\\u[dD]")
"""One pass by a compiled search costs a third of two searches for a text."""

_DECODER: Final = msgspec.json.Decoder(_Envelope)


def parse_page(content: bytes, headers: Mapping[str, str]) -> Page:
    """Raises ValueError or msgspec's errors for a page that is cut, not JSON, or promises a next one it does not name.

    The end is what ``done`` says, never a page's size (REST API guide, Query).
    """
    content, mended = mend(content)
    envelope = _DECODER.decode(content)
    if not envelope.done and not envelope.nextRecordsUrl:
        raise ValueError("the page says that it is not the last, and names no next one")
    return Page(envelope.records, envelope.totalSize, None if envelope.done else envelope.nextRecordsUrl, mended)


def mend(content: bytes) -> tuple[bytes, int]:
    """One line of valid UTF-8: halves of surrogate pairs, escaped or not, as U+FFFD, and how many there were."""
    count = 0
    if b"\n" in content or b"\r" in content:
        content = content.translate(None, b"\r\n")  # within a JSON text they are escaped, so these only lay it out
    if not _is_utf8(content):
        content, count = HALF_PAIR.subn(REPLACEMENT, content)
        if not _is_utf8(content):
            raise ValueError("the page is not UTF-8")
    if _HALF_ESCAPED.search(content) is None:
        return content, count

    def whole(match: re.Match[bytes]) -> bytes:
        nonlocal count
        if match.group(1) is None:
            return match.group(0)
        count += 1
        return b"\\ufffd"

    return _ESCAPE.sub(whole, content), count


def _is_utf8(content: bytes) -> bool:
    """By Arrow, whose check makes no text of it and is ten times as fast."""
    offsets = struct.pack("=2i", 0, len(content))
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(content)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def table_of(page: Page, shape: Shape) -> pa.RecordBatch:
    """The page's records, settled.

    Raises:
        ValueOutOfType: a value does not fit its column.
        DataError: a record lacks a field that was asked for.
    """
    _require_fields(page, shape)
    wired: dict[str, pa.Array] = {}
    firm = [name for name in shape.fields if name not in shape.loose]
    if firm:
        wired |= _parse(b"\n".join(page.records), firm, shape)
    loose = [name for name in shape.fields if name in shape.loose]
    if loose:
        wired |= _loose_texts(page.records, loose)
    texts = (name for name in shape.fields if pa.types.is_string(shape.wire(name)))
    return shape.settle(wired | {name: without_empty(wired[name]) for name in texts})


def _require_fields(page: Page, shape: Shape) -> None:
    first = msgspec.json.decode(page.records[0], type=dict[str, msgspec.Raw])
    if missing := [name for name in shape.fields if name not in first]:
        cause = f"the records lack {', '.join(missing)}, which was asked for"
        raise DataError("read query page", shape.object, cause, "run again; the object may just have been changed")


def _parse(lines: bytes, names: Sequence[str], shape: Shape) -> dict[str, pa.Array]:
    schema = pa.schema([(name, _json_type(shape.wire(name))) for name in names])
    try:
        table = _read(lines, schema)
    except pa.ArrowInvalid as error:
        raise out_of_type(shape.object, _culprit(lines, schema), str(error)) from error
    return {name: _single(table.column(name)) for name in names}


def _read(lines: bytes, schema: pa.Schema) -> pa.Table:
    import pyarrow.json

    return pyarrow.json.read_json(
        pa.BufferReader(lines),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def _json_type(wire: pa.DataType) -> pa.DataType:
    """Arrow's JSON parser takes dates for numbers, so they pass as texts."""
    return pa.string() if pa.types.is_date(wire) else wire


def _culprit(lines: bytes, schema: pa.Schema) -> str:
    """The first column that cannot be parsed on its own; the parser's message names the value only."""
    for field in schema:
        try:
            _read(lines, pa.schema([field]))
        except pa.ArrowInvalid:
            return str(field.name)
    return ""


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _loose_texts(records: Sequence[msgspec.Raw], names: Sequence[str]) -> dict[str, pa.Array]:
    """Columns whose JSON type differs from row to row: a text as it is, anything else as its JSON."""
    record = msgspec.defstruct("Record", [(name, msgspec.Raw) for name in names])
    decoder = msgspec.json.Decoder(record)
    rows: list[Any] = [decoder.decode(each) for each in records]
    return {name: pa.array([_text(getattr(row, name)) for row in rows], pa.string()) for name in names}


def _text(value: msgspec.Raw) -> str | None:
    text = bytes(value).decode()
    if text.startswith('"'):
        return str(msgspec.json.decode(text))
    return None if text == "null" else text
