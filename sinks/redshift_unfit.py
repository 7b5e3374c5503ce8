"""Finding the value that made COPY refuse a file: Redshift's own tables of load errors lag and need rights to read.

Run only after a refusal, on the landed files themselves, so that the run can say which field to do something about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from syncline.connectors.errors import ValueOutOfType
from syncline.sinks.downloads import Downloads
from syncline.sinks.manifest import FileEntry
from syncline.sinks.redshift_settings import BINARY_BYTES_MAX, TEXT_BYTES_MAX

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing


def unfit_value(landing: Landing, files: Sequence[FileEntry], columns: pa.Schema) -> ValueOutOfType | None:
    """The error that names the first value no column of Redshift can hold, or ``None`` if there is none."""
    import pyarrow.parquet as pq

    downloads = Downloads(None)
    try:
        for entry in files:
            [path] = landing.paths([entry], downloads.folder())
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=list(columns.names)):
                    for name, column in zip(batch.schema.names, batch.columns, strict=True):
                        if cause := unfit(column):
                            return ValueOutOfType(
                                "load into Redshift",
                                f"column {name} in {entry.path}",
                                cause,
                                f"shorten it at the source, or leave the field out with exclude=[{name!r}]",
                            )
    finally:
        downloads.discard()
    return None


def unfit(column: pa.Array) -> str | None:
    """Why a column's values have no place in Redshift; ``None`` if they have (data types, character types; VARBYTE)."""
    import pyarrow.compute as pc

    types = pa.types
    if types.is_list(column.type) or types.is_large_list(column.type):
        column = column.flatten()
    if types.is_string(column.type) or types.is_large_string(column.type):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > TEXT_BYTES_MAX:
            return f"a text has {longest} bytes, a column holds at most {TEXT_BYTES_MAX}"
        if pc.any(pc.match_substring(column, "\x00")).as_py():
            return "a text holds U+0000, which no column of Redshift can hold"
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > BINARY_BYTES_MAX:
            return f"a value has {longest} bytes, a column holds at most {BINARY_BYTES_MAX}"
    return None
