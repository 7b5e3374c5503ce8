"""A dlt resource over a list that changes, for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from syncline.connectors import Connector, DltSource
from syncline.connectors.world import Key, Row

COLUMNS: dict[str, Any] = {
    "id": {"data_type": "bigint"},
    "Name": {"data_type": "text"},
    "Amount": {"data_type": "decimal", "precision": 20, "scale": 2},
    "Count": {"data_type": "bigint"},
    "At": {"data_type": "timestamp"},
    "gone": {"data_type": "bool", "hard_delete": True},
    "changed": {"data_type": "timestamp"},
}


class VendorError(Exception):
    """What a source's own library may raise."""


class DltWorld:
    """Rows in a list, yielded whole by a resource that declares its columns; deleted rows vanish."""

    stream = "Account"
    secrets: Sequence[str] = ("key-that-must-not-show",)
    faults: Sequence[str] = ("connection lost", "vendor's own error")
    columns = tuple(name for name in COLUMNS if name != "gone")

    def __init__(self) -> None:
        self.clock = datetime(2031, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
        self.rows: dict[int, dict[str, object]] = {}
        self.made = 0
        self.fault: str | None = None

    def strike(self, fault: str) -> None:
        self.fault = fault

    def connect(self) -> Connector:
        import dlt

        incremental = dlt.sources.incremental[datetime]("changed")

        def account(api_key: str, changed: Any = incremental) -> Iterator[list[dict[str, object]]]:
            rows = [dict(row) for row in self.rows.values()]
            for first in range(0, len(rows), 70):
                if first and self.fault is not None:
                    fault, self.fault = self.fault, None
                    raise (ConnectionError if fault == "connection lost" else VendorError)(fault)
                yield rows[first : first + 70]

        columns = {name: COLUMNS[name] for name in self.columns}
        resource = dlt.resource(account, name="Account", primary_key="id", columns=columns)(self.secrets[0])
        return DltSource(resource, clock=self.now, slice_rows=100, types_file=None)

    def now(self) -> datetime:
        return self.clock

    def advance(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)

    def insert(self, rows: Sequence[Row]) -> Sequence[Key]:
        keys: list[Key] = []
        for row in rows:
            self.made += 1
            self.rows[self.made] = {"id": self.made, "changed": self.clock, **row}
            keys.append((self.made,))
        return keys

    def update(self, keys: Sequence[Key], change: Row) -> None:
        for (key,) in keys:
            assert isinstance(key, int)
            self.rows[key].update({**change, "changed": self.clock})

    def delete(self, keys: Sequence[Key]) -> None:
        for (key,) in keys:
            assert isinstance(key, int)
            del self.rows[key]

    def recreate(self, key: Key, row: Row) -> None:
        assert isinstance(key[0], int)
        self.rows[key[0]] = {"id": key[0], "changed": self.clock, **row}

    def insert_late(self, rows: Sequence[Row], stamp: datetime) -> Sequence[Key]:
        return self.insert([{**row, "changed": stamp} for row in rows])


class FlaggingDltWorld(DltWorld):
    """Deleted rows stay, with a column that dlt calls ``hard_delete``."""

    columns = tuple(COLUMNS)

    def delete(self, keys: Sequence[Key]) -> None:
        self.update(keys, {"gone": True})

    def undelete(self, keys: Sequence[Key]) -> None:
        self.update(keys, {"gone": None})
