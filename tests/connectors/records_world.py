"""Worlds over ``Records``, for the conformance suite and for what is tried against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa

from syncline.connectors import Connector, Records
from syncline.connectors.world import Key, Row

COLUMNS = pa.schema(
    [
        pa.field("Id", pa.string()),
        pa.field("Name", pa.string()),
        pa.field("Count", pa.int64()),
        pa.field("Amount", pa.decimal128(20, 2)),
        pa.field("At", pa.timestamp("us", tz="UTC")),
        pa.field("Changed", pa.timestamp("us", tz="UTC")),
    ]
)


class RecordsWorld:
    """A ``Records`` source with one stream, as the conformance suite wants it."""

    stream = "Account"
    secrets: Sequence[str] = ()

    def __init__(self, deletes: Literal["flagged", "absent"] = "absent") -> None:
        self.clock = datetime(2031, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
        self.source = Records(clock=self.now, slice_rows=100)
        self.source.add("Account", COLUMNS, key="Id", cursor="Changed", deletes=deletes)
        self.made = 0

    def connect(self) -> Connector:
        return self.source

    def now(self) -> datetime:
        return self.clock

    def advance(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)

    def insert(self, rows: Sequence[Row]) -> Sequence[Key]:
        keys = [f"k{self.made + number:05}" for number in range(len(rows))]
        self.made += len(rows)
        self.source.insert("Account", [{"Id": key, **row} for key, row in zip(keys, rows, strict=True)])
        return [(key,) for key in keys]

    def update(self, keys: Sequence[Key], change: Row) -> None:
        self.source.update("Account", [{"Id": key, **change} for (key,) in keys])

    def delete(self, keys: Sequence[Key]) -> None:
        self.source.delete("Account", keys)

    def purge(self, keys: Sequence[Key]) -> None:
        self.source.delete("Account", keys, purge=True)

    def recreate(self, key: Key, row: Row) -> None:
        self.source.insert("Account", [{"Id": key[0], **row}])

    def insert_late(self, rows: Sequence[Row], stamp: datetime) -> Sequence[Key]:
        return self.insert([{**row, "Changed": stamp} for row in rows])

    def jobs(self) -> Sequence[str]:
        return self.source.jobs

    def lose_jobs(self) -> None:
        self.source.forget_jobs()


class FlaggingWorld(RecordsWorld):
    """Deleted rows stay, marked, and can come back."""

    def __init__(self) -> None:
        super().__init__("flagged")

    def undelete(self, keys: Sequence[Key]) -> None:
        self.update(keys, {})
