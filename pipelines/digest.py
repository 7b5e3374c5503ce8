"""Telling rows that were committed already from rows that were not (IDLE-IS-FREE).

Each window starts one overlap below the watermark, so each run reads some rows again. The mirror keeps the digests of
the rows in that overlap; a row whose digest is known is dropped before it is landed. The digest covers every column and
the deletion mark, so a second change within one second is never taken for the first (a tie is not a repeat).

The number of digests is bounded by ``digest_rows_max``; above it nothing is dropped and the merge finds the rows
unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa

DIGEST_BYTES = 16


def digest_rows(table: pa.Table | pa.RecordBatch) -> list[bytes]:
    """One digest a row over names and values of all columns.

    A Python object per row is paid here on purpose: callers hand over overlap rows only, in bounded number.
    """
    columns = [plain(table.column(name)).to_pylist() for name in table.schema.names]
    head = repr(table.schema.names).encode()
    return [
        hashlib.blake2b(head + repr(row).encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
        for row in zip(*columns, strict=True)
    ]


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column in a type whose Python values print the same on every machine."""
    if pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type):
        return column.cast(pa.int64())
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    return column


class Known:
    """The digests of committed rows in the overlap, as the mirror packed them."""

    def __init__(self, packed: bytes | None) -> None:
        packed = packed or b""
        self._digests = frozenset(packed[i : i + DIGEST_BYTES] for i in range(0, len(packed), DIGEST_BYTES))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests


class Overlap:
    """Collects the digests of one slice's rows at or above ``low``: what the next run may drop.

    ``everything`` collects all rows, for streams without a cursor; more than ``rows_max`` are given up.
    """

    def __init__(self, low: datetime | None, rows_max: int, everything: bool = False) -> None:
        self.low = low
        self.rows_max = rows_max
        self.digests: set[bytes] = set()
        self.overflown = low is None and not everything

    def add(self, digests: Iterable[bytes]) -> None:
        if not self.overflown:
            self.digests.update(digests)
            if len(self.digests) > self.rows_max:
                self.overflow()

    def overflow(self) -> None:
        self.overflown = True
        self.digests.clear()

    def packed(self) -> bytes | None:
        return None if self.overflown else b"".join(sorted(self.digests))


def pack(parts: Iterable[bytes | None], rows_max: int) -> bytes | None:
    """The union of several packed sets; ``None`` as soon as one is unknown or the bound is passed."""
    union: set[bytes] = set()
    for part in parts:
        if part is None:
            return None
        union.update(part[i : i + DIGEST_BYTES] for i in range(0, len(part), DIGEST_BYTES))
    return b"".join(sorted(union)) if len(union) <= rows_max else None


def at_or_above(column: pa.Array | pa.ChunkedArray, low: datetime) -> pa.Array | pa.ChunkedArray:
    """A mask of the rows whose cursor is at or above ``low``; rows without a cursor count as above."""
    import pyarrow.compute as pc

    mask = pc.greater_equal(column, pa.scalar(low, column.type))
    return pc.fill_null(mask, True)
