"""What the warehouse conformance suite works with: a place to keep a warehouse, and small runs made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, Window
from syncline.sinks.landing import Landing
from syncline.sinks.manifest import FileEntry, Manifest, Mode
from syncline.sinks.warehouse import CommitCounts, CommitUnit, Mark, OnDelete, RowCounts, TablePlan, Warehouse

Row: TypeAlias = dict[str, Any]

PIPELINE = "trial"
START = datetime(2024, 1, 1, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")

COLUMNS = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("Stamp", STAMP)])


class House(Protocol):
    """Where one warehouse's storage lives for the length of a test."""

    def open(self) -> Warehouse:
        """A warehouse over the storage, each time a new one, as another run would make it."""
        ...

    def read(self, target: str) -> pa.Table | None:
        """What a reader with a session of its own sees of a table now; ``None`` where there is no such table."""
        ...

    def intrude(self, target: str) -> None:
        """Makes a table of this name that Syncline did not make, with one column and one row."""
        ...


def at(seconds: float) -> datetime:
    """An instant of the trial's time."""
    return START + timedelta(seconds=seconds)


def record(id: str | None, name: str | None = "name", stamp: float | None = 0, *, deleted: bool = False) -> Row:
    return {"Id": id, "Name": name, "Stamp": None if stamp is None else at(stamp), DELETED_COLUMN: deleted}


def tombstone(id: str, stamp: float | None = 0) -> Row:
    return {"Id": id, "Stamp": None if stamp is None else at(stamp), DELETED_COLUMN: True}


@dataclass(frozen=True, slots=True)
class Change:
    """One stream's rows in one run. Sequence numbers go by order: ``records`` first, then ``tombstones``."""

    records: Sequence[Row] = ()
    tombstones: Sequence[Row] = ()
    stream: str = "Account"
    target: str | None = None
    columns: pa.Schema = COLUMNS
    key: tuple[str, ...] = ("Id",)
    cursor: str | None = "Stamp"
    on_delete: OnDelete = "delete"
    mode: Mode = "changes"
    high: datetime = field(default_factory=lambda: at(1_000))
    delete_share_max: float | None = None
    pipeline: str = PIPELINE
    doubles: bool = False
    overlap: timedelta = timedelta()
    spares: bool = True
    """Whether increments may have committed while a snapshot was read."""

    def plan(self, run_id: str) -> TablePlan:
        return TablePlan(
            pipeline=self.pipeline,
            stream=self.stream,
            run_id=run_id,
            target=self.target or self.stream,
            columns=self.columns,
            key=self.key,
            cursor=self.cursor,
            on_delete=self.on_delete,
            mode=self.mode,
            high=self.high if self.spares else None,
            delete_share_max=self.delete_share_max,
            doubles=self.doubles,
            overlap=self.overlap,
        )


class Trial:
    """Runs changes against a house, the way the runner would, one after another or step by step."""

    def __init__(self, house: House, landing: Landing) -> None:
        self.house = house
        self.landing = landing
        self._runs = 0

    def next_run(self) -> str:
        self._runs += 1
        return f"run-{self._runs:04d}"

    def run(self, *changes: Change) -> CommitCounts:
        """One whole run on a warehouse of its own."""
        warehouse = self.house.open()
        try:
            unit = self.stage(warehouse, *changes)
            return warehouse.commit(unit)
        finally:
            warehouse.close()

    def counts(self, change: Change) -> RowCounts:
        return self.run(change).tables[change.stream]

    def stage(self, warehouse: Warehouse, *changes: Change) -> CommitUnit:
        """Everything up to the commit: watermarks, prepare, load. The changes are of one pipeline."""
        run_id, pipeline = self.next_run(), changes[0].pipeline
        known = warehouse.watermarks(pipeline)
        plans = [change.plan(run_id) for change in changes]
        warehouse.prepare(plans)
        for plan, change in zip(plans, changes, strict=True):
            manifest = self.land(change, run_id)
            assert warehouse.load(plan, manifest, self.landing) == manifest.rows
        marks = [self.mark(plan, known[plan.stream].version if plan.stream in known else 0) for plan in plans]
        return CommitUnit(pipeline, run_id, START, plans, marks, {"kind": "trial"})

    def mark(self, plan: TablePlan, version: int) -> Mark:
        return Mark(plan.stream, version, plan.high, tuple(plan.columns.names), plan.target, "definition")

    def land(self, change: Change, run_id: str) -> Manifest:
        first = len(change.records)
        files = self._land(change, run_id, "records", change.records, 0)
        files += self._land(change, run_id, "tombstones", change.tombstones, first)
        rows = sum(entry.rows for entry in files)
        manifest = Manifest(
            pipeline=change.pipeline,
            stream=change.stream,
            run_id=run_id,
            started_at=START,
            window=Window(None, change.high),
            mode=change.mode,
            columns=change.columns,
            key=change.key,
            cursor=change.cursor,
            files=files,
            rows_announced=rows,
            rows_read=rows,
            rows_known=0,
            api="trial",
            query="",
        )
        self.landing.seal(manifest)
        return manifest

    def _land(self, change: Change, run_id: str, kind: Any, rows: Sequence[Row], first: int) -> tuple[FileEntry, ...]:
        kept = [*change.key, *([change.cursor] if change.cursor else [])]
        fields = [each for each in change.columns if kind == "records" or each.name in kept]
        fields += [pa.field(DELETED_COLUMN, pa.bool_(), False), pa.field(SEQUENCE_COLUMN, pa.int64(), False)]
        schema = pa.schema(fields)
        numbered = [{DELETED_COLUMN: False, **row, SEQUENCE_COLUMN: first + n} for n, row in enumerate(rows)]
        with self.landing.writer(
            pipeline=change.pipeline,
            stream=change.stream,
            run_id=run_id,
            started_at=START,
            slice_id=kind,
            kind=kind,
            columns=schema,
        ) as writer:
            writer.write(pa.Table.from_pylist(numbered, schema=schema))
        return writer.files

    def rows(self, target: str = "Account") -> list[Row]:
        """The target as a reader sees it, by its first column."""
        table = self.house.read(target)
        assert table is not None, f"there is no table {target}"
        rows: list[Row] = table.to_pylist()
        return sorted(rows, key=lambda row: repr(next(iter(row.values()))))

    def names(self, target: str = "Account") -> Mapping[str, Any]:
        """``Name`` by ``Id``."""
        return {row["Id"]: row["Name"] for row in self.rows(target)}


def allowing(change: Change, share: float | None) -> Change:
    return replace(change, delete_share_max=share)
