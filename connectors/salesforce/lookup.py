"""What proving a copy asks of an org: records by their ids, and counts of live records, both by REST.

Nothing here is bounded by a window: a record is asked for whatever its stamp says, and counted where it stands now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Final

import pyarrow as pa

from syncline.connectors.connector import Batch, StreamSchema, Tally, Window
from syncline.connectors.salesforce.deletes import id18
from syncline.connectors.salesforce.describe import Facts
from syncline.connectors.salesforce.rest import Notes, Query
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import DELETED_FIELD, encoded_bytes, fits_url, quoted, select, split_ids
from syncline.connectors.salesforce.transport import Transport
from syncline.connectors.salesforce.wide import WideReading

KEY: Final = "Id"
NEWEST: Final = "DESC LIMIT 1"
ID_LENGTH: Final = 18


class Lookups:
    """One stream of one org."""

    def __init__(self, transport: Transport, stream: StreamSchema, facts: Facts) -> None:
        self._transport = transport
        self._stream = stream
        self._facts = facts
        self._notes = Notes()
        self._query = Query(transport, self._notes)

    def records(self, keys: pa.Table, high: datetime) -> Iterator[Batch]:
        """The records of these ids that the filter lets through; those in the bin come marked.

        What is no id is not asked for: no record has it, and the org refuses a whole query that names one (SOQL
        reference, "invalid ID field").
        """
        unbounded = replace(self._stream, cursor=None)
        shape, window = Shape.of(self._stream, self._facts), Window(None, high)
        ids = [each for each in keys.column(KEY).to_pylist() if is_id(each)]
        plain = select(unbounded, shape.fields, window)
        if not fits_url(plain):
            wide = WideReading(self._transport, unbounded, shape, self._notes, self._facts.stamp, window)
            for rows in wide.read_ids(window, ids):
                yield from shape.batches(rows)
            return
        for some in split_ids(ids, encoded_bytes(f"{plain} AND {KEY} IN ()")):
            listed = f"{KEY} IN ({', '.join(quoted(each) for each in some)})"
            for rows, _ in self._query.rows(shape, select(unbounded, shape.fields, window, listed)):
                if rows.num_rows:
                    yield from shape.batches(rows)

    def tallies(self, edges: Sequence[datetime]) -> Sequence[Tally]:
        """Two requests a range: its count, and its newest record's stamp."""
        live = replace(self._stream, where=self._alive())
        return [self._tally(live, Window(low, high)) for low, high in pairwise(edges)]

    def _alive(self) -> str | None:
        where = self._stream.where
        if not self._facts.flagged:
            return where
        return f"{DELETED_FIELD} = false" + (f" AND ({where})" if where else "")

    def _tally(self, live: StreamSchema, window: Window) -> Tally:
        rows = self._query.count(live, window)
        return Tally(rows, largest=self._largest(live, window) if rows else None)

    def _largest(self, live: StreamSchema, window: Window) -> datetime | None:
        import pyarrow.compute as pc

        cursor = live.cursor
        assert cursor is not None
        narrow = live.select([cursor])
        shape = Shape(live.name, narrow.columns, (cursor,), frozenset())
        query = select(narrow, shape.fields, window, tail=f"ORDER BY {cursor} {NEWEST}")
        found = [pc.max(rows.column(cursor)).as_py() for rows, _ in self._query.rows(shape, query) if rows.num_rows]
        return max(found, default=None)


def is_id(text: str) -> bool:
    """Whether a record may have it: 18 letters and digits, the last three of which tell the case of the others."""
    return len(text) == ID_LENGTH and text.isascii() and text.isalnum() and id18(text[:15]) == text
