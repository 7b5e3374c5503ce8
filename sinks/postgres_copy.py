"""Landed Parquet as COPY's CSV: columns at a time, no Python object per row (PostgreSQL manual, COPY, CSV format).

An unquoted empty field is null and a quoted one the empty text; pyarrow quotes every text, so the two stay apart.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

BATCH_ROWS = 32_768
BATCH_BYTES_MAX = 64 * 1024 * 1024
"""A batch of long texts is cut until it holds no more than about this."""


def csv_chunks(path: Path, columns: pa.Schema) -> Iterator[memoryview]:
    """The file's rows, its columns in the order given, a batch a chunk."""
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns.names):
            for part in _cut(batch.select(columns.names)):
                shown = pa.RecordBatch.from_arrays([as_text(column) for column in part.columns], columns.names)
                sink = io.BytesIO()
                csv.write_csv(shown, sink, options)
                yield sink.getbuffer()


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    parts = max(1, min(batch.num_rows, batch.nbytes // BATCH_BYTES_MAX + 1))
    rows = -(-batch.num_rows // parts) if batch.num_rows else 1
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def as_text(column: pa.Array) -> pa.Array:
    """A column in a type that the CSV writer shows as Postgres reads it."""
    type = column.type
    if pa.types.is_dictionary(type):
        return as_text(column.dictionary_decode())
    if pa.types.is_decimal(type) or pa.types.is_timestamp(type) or pa.types.is_time(type):
        return column.cast(pa.string())
    if pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type):
        return _hex(column.cast(pa.large_binary()))
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return _array_text(column)
    return column


def column_with_nul(path: Path) -> str | None:
    """The first text column of the file in which a value holds U+0000."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
                if text and pc.any(pc.match_substring(column, "\x00")).as_py():
                    return str(name)
    return None


def _joined(*parts: pa.Array | str) -> pa.Array:
    texts = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*texts, pa.scalar("", pa.large_string()))


def _hex(column: pa.Array) -> pa.Array:
    r"""``\x`` and two digits a byte, made of the whole buffer at once (PostgreSQL manual, bytea hex format)."""
    _, offsets, data = column.buffers()
    digits = b"" if data is None else data.to_pybytes().hex().encode()
    ends = pa.Array.from_buffers(pa.int64(), len(column) + 1, [None, offsets], offset=column.offset)
    doubled = pc.multiply(ends, 2).buffers()[1]
    shown = pa.Array.from_buffers(pa.large_string(), len(column), [None, doubled, pa.py_buffer(digits)])
    prefixed = _joined("\\x", shown)
    return pc.if_else(pc.is_null(column), pa.scalar(None, prefixed.type), prefixed)


def _array_text(column: pa.Array) -> pa.Array:
    """``{"a",NULL,"b"}``, each item quoted and escaped (PostgreSQL manual, arrays, input syntax)."""
    lists = column.cast(pa.large_list(column.type.value_type))
    items = as_text(lists.flatten()).cast(pa.large_string())
    for sign in ("\\", '"'):
        items = pc.replace_substring(items, sign, f"\\{sign}")
    items = pc.fill_null(_joined('"', items, '"'), "NULL")
    offsets = pc.subtract(lists.offsets, lists.offsets[0]).cast(pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, items.cast(pa.string())), ",")
    shown = _joined("{", joined.cast(pa.large_string()), "}")
    return pc.if_else(pc.is_null(lists), pa.scalar(None, shown.type), shown)
