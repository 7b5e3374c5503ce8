"""A whole pipeline in one process: records in memory, landing in a folder, DuckDB and SQLite in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from syncline.connectors.records import Records
from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.events import Event
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.report import RunReport
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.state.sqlite import SqliteState

ACCOUNT = pa.schema(
    [
        pa.field("Id", pa.string()),
        pa.field("Name", pa.string()),
        pa.field("Amount", pa.decimal128(18, 2)),
        pa.field("SystemModstamp", pa.timestamp("us", "UTC")),
    ]
)


@dataclass
class Clock:
    """The one clock of a test; nothing waits, it is moved."""

    now: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Collected:
    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


@dataclass
class World:
    """A source, the place it is copied to, and the two questions every test asks: run it; are they equal?"""

    folder: Path
    clock: Clock
    source: Records
    events: Collected = field(default_factory=Collected)
    streams: tuple[Stream, ...] = (Stream("Account"), Stream("Contact"))
    settings: dict[str, Any] = field(default_factory=dict)
    randoms: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    @property
    def database(self) -> Path:
        return self.folder / "crm.duckdb"

    def pipeline(self, **changed: Any) -> Pipeline:
        parts: dict[str, Any] = {
            "source": self.source,
            "streams": self.streams,
            "landing": Landing(str(self.folder / "landing")),
            "warehouse": DuckDB(str(self.database)),
            "state": SqliteState(self.folder / "state.db", clock=self.clock),
            "workers": 2,
            **self.settings,
            **changed,
        }
        return Pipeline("crm", **parts)

    def seams(self) -> Seams:
        return Seams(
            clock=self.clock,
            sleep=lambda seconds: self.clock.advance(seconds=seconds),
            random=lambda size: next(self.randoms).to_bytes(size, "big"),
        )

    def run(self, pipeline: Pipeline | None = None, **options: Any) -> RunReport:
        self.clock.advance(minutes=5)
        return runner.run(pipeline or self.pipeline(), events=self.events, seams=self.seams(), **options)

    def reload(self, *streams: str, pipeline: Pipeline | None = None, **options: Any) -> RunReport:
        self.clock.advance(minutes=5)
        chosen = pipeline or self.pipeline()
        return runner.reload(chosen, streams=streams, events=self.events, seams=self.seams(), **options)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def target(self, stream: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(f'"{name}"' for name in self.source.rows(stream).column_names)
        return sorted(self.query(f'SELECT {columns} FROM "{stream}"'), key=repr)

    def truth(self, stream: str) -> list[tuple[Any, ...]]:
        rows = self.source.rows(stream)
        return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True), key=repr)

    def equal(self) -> bool:
        return all(normal(self.target(each.name)) == normal(self.truth(each.name)) for each in self.streams)

    def watermarks(self) -> dict[str, tuple[Any, ...]]:
        rows = self.query("SELECT stream, watermark, version, run_id FROM _syncline_watermarks")
        return {stream: (watermark, version, run_id) for stream, watermark, version, run_id in rows}


def normal(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Instants compare as instants, whatever zone object carries them."""
    return [tuple(v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for v in row) for row in rows]


def accounts(first: int, count: int, **values: Any) -> list[dict[str, Any]]:
    return [{"Id": f"001{n:06}", "Name": f"Account {n}", **values} for n in range(first, first + count)]


def make_world(folder: Path, clock: Clock) -> World:
    """Two streams of 25 records, stamped half an hour ago."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Records(clock=clock, slice_rows=10)
    for name in ("Account", "Contact"):
        source.add(name, ACCOUNT, key="Id", cursor="SystemModstamp", deletes="flagged", rows=accounts(0, 25))
    clock.advance(minutes=30)
    return World(folder, clock, source)
