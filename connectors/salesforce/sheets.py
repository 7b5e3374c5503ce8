"""One page of a Bulk result: CSV straight from the socket to Arrow, in constant memory.

Bulk's CSV has its own ways (Bulk API 2.0 guide, and what peers met): a header on every page; null and empty text both
empty; real texts "N/A" and "null"; integers as ``5.0`` and large numbers with an exponent; newlines, NUL bytes and
131,072 characters inside values. Arrow's parser is told all of it and guesses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from syncline.connectors.errors import DataError
from syncline.connectors.salesforce.body import CsvBytes
from syncline.connectors.salesforce.columns import out_of_type
from syncline.connectors.salesforce.faults import broken
from syncline.connectors.salesforce.shape import Shape

if TYPE_CHECKING:
    from pyarrow import csv

BLOCK_BYTES: Final = 1 << 19
"""Arrow reads 32 blocks ahead, a reader; larger ones cost memory and gain nothing."""
BLOCK_BYTES_MAX: Final = 1 << 28
"""A row must fit a block; the widest row of 800 fields stays far below this."""
JOINED_BYTES: Final = 8 * BLOCK_BYTES
"""How much goes on as one batch: what is done with each costs more than joining a block's thousand rows to others."""

_COLUMN: Final = re.compile(r"In CSV column #(\d+)")


class RowTooLong(Exception):
    """A row is longer than a block: read the page again with a larger one."""


def sheet_of(source: CsvBytes, shape: Shape, block_bytes: int) -> Iterator[pa.RecordBatch]:
    """The page's rows, settled, some blocks at once, as they come in.

    Raises:
        Faulted: the page is cut.
        DataError: its header is not what was asked for.
        ValueOutOfType: a value does not fit its column.
        RowTooLong: ``block_bytes`` is too few for a row.
    """
    try:
        reader = _open(source, shape, block_bytes)
        _require_header(reader.schema.names, shape)
        while blocks := list(islice(reader, max(1, JOINED_BYTES // block_bytes))):
            rows = pa.concat_batches(blocks)
            if rows.num_rows:
                yield shape.settle(dict(zip(rows.schema.names, rows.columns, strict=True)))
    except pa.ArrowInvalid as error:
        raise _explain(str(error), shape) from error
    finally:
        source.close()


def _open(source: CsvBytes, shape: Shape, block_bytes: int) -> csv.CSVStreamingReader:
    from pyarrow import csv

    return csv.open_csv(
        pa.PythonFile(source, mode="r"),
        read_options=csv.ReadOptions(block_size=block_bytes, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: shape.wire(name) for name in shape.fields},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            true_values=["true"],
            false_values=["false"],
            timestamp_parsers=[csv.ISO8601],
        ),
    )


def _require_header(names: list[str], shape: Shape) -> None:
    """Every page has its own header, and it says what was asked, in the order asked."""
    if tuple(names) != shape.fields:
        odd = [f"{got} for {asked}" for got, asked in zip(names, shape.fields, strict=False) if got != asked]
        cause = f"the page has {len(names)} columns for {len(shape.fields)} asked; {', '.join(odd[:3]) or 'some lack'}"
        raise DataError("read Bulk page", shape.object, cause, "run again; if it stays, report the API version")


def _explain(message: str, shape: Shape) -> Exception:
    if "straddling object" in message:
        return RowTooLong(message)
    column = _COLUMN.search(message)
    if column and "invalid UTF8" not in message:
        return out_of_type(shape.object, shape.fields[int(column.group(1))], message)
    return broken("read Bulk page", shape.object, f"the page is cut or is not CSV: {message}")
