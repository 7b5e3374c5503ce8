"""Records that changed so that the user's filter no longer lets them through: they must leave the target as well.

A query with the filter never shows them again. So an increment also asks for those of its window that the filter keeps
out. SOQL's logic has two values, a comparison with null being false (SOQL guide), so ``NOT`` is the exact complement:
each record that changed in the window is either a row or a tombstone. Most of these tombstones are of records that were
never copied, and do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from syncline.connectors.connector import Batch, Slice, StreamSchema, Window
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.rest import Notes, RestReading
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.soql import fits_url, select
from syncline.connectors.salesforce.spans import bounds, label
from syncline.connectors.salesforce.transport import Transport

UNSEEN: Final = "records that leave the filter are seen by a whole read only; set full_every"
LEFT: Final = "left"
KEY: Final = "Id"


class Departures:
    """The records of one window that the stream's filter keeps out, as the tombstones of one slice, by REST always."""

    def __init__(
        self, transport: Transport, stream: StreamSchema, outside: StreamSchema, notes: Notes, earliest: datetime
    ) -> None:
        self._name = stream.name
        self._notes = notes
        self._shape = shape_of(outside)
        self._reading = RestReading(transport, outside, self._shape, notes, earliest)

    @staticmethod
    def of(
        transport: Transport, stream: StreamSchema, window: Window, notes: Notes, earliest: datetime
    ) -> Departures | None:
        """``None`` where there is nothing to ask: no filter, or a whole read, which shows by itself what is gone."""
        if window.low is None or not stream.where:
            return None
        if stream.key != (KEY,) or stream.cursor is None:
            notes.say(f"{stream.name} is not read by Id and a cursor: {UNSEEN}")
            return None
        outside = outside_of(stream)
        if not fits_url(select(outside, shape_of(outside).fields, window)):
            notes.say(f"the filter of {stream.name} is too long to be asked by REST: {UNSEEN}")
            return None
        return Departures(transport, stream, outside, notes, earliest)

    def slice(self, window: Window) -> Slice:
        return Slice(f"{LEFT}-{label(window)}", {"api": LEFT, **bounds(window)}, kind="tombstones")

    def read(self, window: Window) -> Iterator[Batch]:
        """Key and stamp of each record outside the filter; the stamp decides between its states (NEWEST-WINS)."""
        try:
            for rows in self._reading.read(window):
                yield from self._shape.batches(rows)
        except Refused as refused:
            # Not every filter can stand under NOT: one with a sub-query cannot. The filter itself is sound, it counts.
            if refused.answer.code != "MALFORMED_QUERY":
                raise
            self._notes.say(f"the filter of {self._name} cannot be turned round ({refused.answer}): {UNSEEN}")


def outside_of(stream: StreamSchema) -> StreamSchema:
    """The stream's key and cursor for what its filter keeps out."""
    assert stream.cursor is not None
    return replace(stream.select([*stream.key, stream.cursor]), where=f"NOT ({stream.where})")


def shape_of(outside: StreamSchema) -> Shape:
    return Shape(outside.name, outside.columns, tuple(outside.columns.names), frozenset())
