"""A warehouse in memory: the reference implementation of the port, in plain Python, for tests and small trials.

It is written to be read: what a merge means stands in ``_fate``, one row at a time. It holds every row as an object and
is no place for real amounts of data.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from syncline.connectors.connector import DELETED_COLUMN, RESERVED_PREFIX, SEQUENCE_COLUMN, Tally
from syncline.connectors.errors import ConfigError, CountMismatch, DataError, FenceLost, NameCollision, SynclineError
from syncline.sinks import lattice
from syncline.sinks.guards import check_columns, check_deletes, check_explained, check_key, check_owners, check_present
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import (
    DELETED_AT_COLUMN,
    DIFFERENCES_MAX,
    SYNCED_AT_COLUMN,
    Capabilities,
    CommitCounts,
    CommittedRun,
    CommitUnit,
    Comparison,
    Difference,
    Kind,
    Mark,
    RowCounts,
    TablePlan,
    Watermark,
)

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]

CAPABILITIES: Final = Capabilities("memory", case_sensitive_names=True, name_bytes_max=255, loads_early=True)

TOMBSTONE: Final = "_syncline_tombstone"
_OLDEST: Final = (False, None)


@dataclass(slots=True)
class Table:
    types: dict[str, pa.DataType]
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class Storage:
    """What outlives a connection. A commit replaces ``state`` as a whole, so a reader sees one state or the next."""

    state: State = field(default_factory=lambda: State())
    lock: threading.Lock = field(default_factory=threading.Lock)
    place: str = field(default_factory=lambda: f"memory:{os.urandom(8).hex()}")

    def read(self, target: str) -> pa.Table | None:
        """The committed rows of a table."""
        table = self.state.tables.get(target)
        return None if table is None else pa.Table.from_pylist(table.rows, schema=pa.schema(table.types))


@dataclass(slots=True)
class State:
    tables: dict[str, Table] = field(default_factory=dict)
    watermarks: dict[tuple[str, str], Watermark] = field(default_factory=dict)
    runs: list[Mapping[str, Any]] = field(default_factory=list)

    def copy(self) -> State:
        """With rows of its own; their values are shared, for nothing changes one in its place."""
        tables = {name: Table(dict(each.types), [dict(row) for row in each.rows]) for name, each in self.tables.items()}
        return State(tables, dict(self.watermarks), list(self.runs))


class Memory:
    """A warehouse over a ``Storage``; two of them over one storage are two connections."""

    capabilities = CAPABILITIES

    def __init__(
        self, storage: Storage | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.storage = storage or Storage()
        self.statements, self.place, self._clock = 0, self.storage.place, clock
        self._staged: dict[str, list[Row]] = {}

    def __repr__(self) -> str:
        return "Memory()"

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        self.statements += 1
        marks = self.storage.state.watermarks
        return {stream: mark for (owner, stream), mark in marks.items() if owner == pipeline}

    def committed_runs(self, pipeline: str) -> Mapping[str, CommittedRun]:
        """See ``RunHistory``."""
        from syncline.sinks.bookkeeping import committed_runs

        self.statements += 1
        runs = [run for run in self.storage.state.runs if run["pipeline"] == pipeline]
        return committed_runs([(run["run_id"], json.dumps(run["run"])) for run in runs])

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        self.statements += 1
        _check_names(tables)
        with self.storage.lock:
            state = self.storage.state.copy()
            if tables:
                check_owners(tables[0].pipeline, {each.stream: each.target for each in tables}, _owners(state), str)
            check_present(tables, lambda plan: plan.target in state.tables)
            for plan in tables:
                _prepare(plan, state)
            self.storage.state = state

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        self.statements += 1
        check_columns(table, manifest)
        with tempfile.TemporaryDirectory() as folder:
            rows = list(_read(manifest, landing, Path(folder)))
        if any(row.get(name) is None for row in rows for name in table.key):
            raise DataError("load manifest", table.stream, "a row has no value in the key")
        self._staged[table.stream] = rows
        return len(rows)

    def commit(self, unit: CommitUnit) -> CommitCounts:
        self.statements += 1
        committed_at, counts = self._clock(), {}
        with self.storage.lock:
            state = self.storage.state.copy()
            for mark in unit.marks:
                there = state.watermarks.get((unit.pipeline, mark.stream))
                if (there.version if there else 0) != mark.version:
                    raise FenceLost("move watermark", mark.stream, f"it is not version {mark.version} now", "run again")
                state.watermarks[unit.pipeline, mark.stream] = _moved(mark, unit.run_id, committed_at)
            check_owners(unit.pipeline, {mark.stream: mark.target for mark in unit.marks}, _owners(state), str)
            for plan in sorted(unit.tables, key=lambda plan: plan.stream):
                counts[plan.stream] = _merge(plan, state.tables[plan.target], self._rows(plan), committed_at)
            _write_run(state, unit)
            self.storage.state = state
        self._staged.clear()
        return CommitCounts(committed_at=committed_at, tables=counts)

    def compare(self, table: TablePlan, differences_max: int = DIFFERENCES_MAX) -> Comparison:
        self.statements += 1
        return _compare(table, self.storage.state.tables[table.target], self._rows(table), differences_max)

    def tally(self, table: TablePlan, edges: Sequence[datetime]) -> Sequence[Tally]:
        self.statements += 1
        return _tally(table, self.storage.state.tables[table.target], self._rows(table), edges)

    def close(self) -> None:
        self._staged.clear()

    def _rows(self, plan: TablePlan) -> list[Row]:
        if plan.stream not in self._staged:
            raise SynclineError("use staged rows", plan.target, "they were not loaded by this warehouse")
        return self._staged[plan.stream]


def _write_run(state: State, unit: CommitUnit) -> None:
    ours = [each for each in state.runs if (each["pipeline"], each["run_id"]) == (unit.pipeline, unit.run_id)]
    told = unit.told_with([each["run"] for each in ours])
    others = [each for each in state.runs if each not in ours]
    state.runs = [*others, {"run_id": unit.run_id, "pipeline": unit.pipeline, "run": told}]


def _owners(state: State) -> list[tuple[str, str, str]]:
    return [(pipeline, stream, mark.target) for (pipeline, stream), mark in state.watermarks.items()]


def _moved(mark: Mark, run_id: str, committed_at: datetime) -> Watermark:
    return Watermark(
        mark.stream, mark.watermark, mark.version + 1, run_id, committed_at, mark.columns, mark.target, mark.definition
    )


def _read(manifest: Manifest, landing: Landing, folder: Path) -> Iterator[Row]:
    for entry, path in zip(manifest.files, landing.paths(manifest.files, folder), strict=True):
        rows = pq.ParquetFile(path).read().to_pylist()
        if len(rows) != entry.rows:
            raise CountMismatch("load landed file", entry.path, f"{len(rows)} rows, its manifest says {entry.rows}")
        for row in rows:
            row[TOMBSTONE] = entry.kind == "tombstones"
            yield row


def _check_names(plans: Sequence[TablePlan]) -> None:
    targets: dict[str, str] = {}
    for plan in plans:
        first = targets.setdefault(plan.target, plan.stream)
        if first != plan.stream:
            raise NameCollision("prepare target", plan.target, f"streams {first} and {plan.stream} would share it")
        for name in (plan.target, *plan.columns.names):
            if name.lower().startswith(RESERVED_PREFIX) or plan.columns.names.count(name) > 1:
                raise NameCollision("prepare target", f"{plan.target}: {name}", "the name is taken twice or reserved")


def _prepare(plan: TablePlan, state: State) -> None:
    table = state.tables.setdefault(plan.target, Table({}))
    if table.types and SYNCED_AT_COLUMN not in table.types:
        raise ConfigError("prepare target", plan.target, "the table exists and was not made by Syncline")
    check_key(plan)
    wanted = {field.name: field.type for field in plan.columns} | {SYNCED_AT_COLUMN: lattice.UTC_TIMESTAMP}
    if plan.on_delete == "mark":
        wanted[DELETED_AT_COLUMN] = lattice.UTC_TIMESTAMP
    for name, type in wanted.items():
        held = table.types.get(name)
        joined = lattice.join(held if held is not None else type, type)
        if joined is None or (name == plan.cursor and joined != lattice.canonical(type)):
            raise ConfigError("prepare target", f"{plan.target}.{name}", f"no type holds {held} and {type} exactly")
        table.types[name] = joined
        for row in table.rows:
            row[name] = _cast(row.get(name), held, joined)


def _cast(value: Any, held: pa.DataType | None, wanted: pa.DataType) -> Any:
    if value is None or held is None or held == wanted:
        return value
    return pa.scalar(value, held).cast(wanted).as_py()


def _merge(plan: TablePlan, table: Table, staged: Sequence[Row], committed_at: datetime) -> RowCounts:
    """Merges into ``table``, which the caller threw away if this raises."""
    live = sum(row.get(DELETED_AT_COLUMN) is None for row in table.rows)
    rows = {_key(plan, row): row for row in table.rows}
    winners = _newest(plan, table, staged)
    counts = dict.fromkeys(("inserted", "updated", "unchanged", "deleted", "stale", "moot", "absent"), 0)
    for key, (row, tombstone) in winners.items():
        fate, merged = _fate(plan, rows.get(key), row, tombstone, committed_at)
        counts[fate] += 1
        if merged is None:
            rows.pop(key, None)
        else:
            rows[key] = merged
    if plan.mode == "snapshot" and plan.on_delete != "ignore":
        for key in [key for key in rows if key not in winners and _is_absent(plan, rows[key])]:
            counts["absent"] += 1
            if plan.on_delete == "mark":
                rows[key] = {**rows[key], SYNCED_AT_COLUMN: committed_at, DELETED_AT_COLUMN: committed_at}
            else:
                del rows[key]
    table.rows = list(rows.values())
    result = RowCounts(staged=len(staged), superseded=len(staged) - len(winners), **counts)
    check_explained(plan, result)
    check_deletes(plan, result, live)
    return result


def _fate(
    plan: TablePlan, old: Row | None, row: Row, tombstone: bool, committed_at: datetime
) -> tuple[str, Row | None]:
    """What becomes of one staged row, as ``RowCounts`` calls it, and the target's row afterwards."""
    deleted = row[DELETED_COLUMN]
    if deleted and (old is None or plan.on_delete == "ignore"):
        return "moot", old
    if old is not None and _is_stale(plan, old, row):
        return "stale", old
    if deleted and plan.on_delete == "delete":
        return "deleted", None
    if tombstone and old is not None and old[DELETED_AT_COLUMN] is not None:
        return "unchanged", old
    data = {} if tombstone else {name: row[name] for name in plan.columns.names}
    new = {**(old or {}), **data}
    marked_at = (old or {}).get(DELETED_AT_COLUMN)
    new[DELETED_AT_COLUMN] = (marked_at or committed_at) if deleted else None
    if old is None:
        return "inserted", {**new, SYNCED_AT_COLUMN: committed_at}
    if all(_equal(new.get(name), old.get(name)) for name in new):
        return "unchanged", old
    new[SYNCED_AT_COLUMN] = committed_at
    return ("deleted" if deleted and marked_at is None else "updated"), new


def _newest(plan: TablePlan, table: Table, staged: Sequence[Row]) -> dict[Key, tuple[Row, bool]]:
    """The newest staged row of each key, in the target's types, and whether it is a mere tombstone."""
    newest: dict[Key, tuple[Row, bool]] = {}
    for row in sorted(staged, key=lambda row: (_age(plan, row), row[SEQUENCE_COLUMN])):
        cast = dict(row)
        for column in plan.columns:
            cast[column.name] = _cast(row.get(column.name), column.type, _common_type(table, column))
        newest[_key(plan, cast)] = (cast, row[TOMBSTONE])
    return newest


def _common_type(table: Table, column: pa.Field) -> pa.DataType:
    """After ``prepare`` the target's own type; before, the one it is going to have, or else text."""
    common = lattice.join(table.types.get(column.name, column.type), column.type)
    return pa.string() if common is None else common


def _in_common_types(plan: TablePlan, table: Table, row: Row) -> Row:
    return {
        column.name: _cast(row.get(column.name), table.types.get(column.name), _common_type(table, column))
        for column in plan.columns
    }


def _key(plan: TablePlan, row: Row) -> Key:
    names = plan.key or plan.columns.names
    return tuple("NaN" if isinstance(row[name], float) and math.isnan(row[name]) else row[name] for name in names)


def _age(plan: TablePlan, row: Row) -> tuple[bool, Any]:
    """Orders rows by cursor; a null is oldest."""
    cursor = row.get(plan.cursor) if plan.cursor else None
    return _OLDEST if cursor is None else (True, cursor)


def _is_stale(plan: TablePlan, old: Row, row: Row) -> bool:
    if plan.cursor is None or (plan.mode == "snapshot" and not _is_recent(plan, old, plan.newest_low)):
        return False
    return _age(plan, row) < _age(plan, old)


def _is_absent(plan: TablePlan, old: Row) -> bool:
    marked = plan.on_delete == "mark" and old.get(DELETED_AT_COLUMN) is not None
    return not marked and not (plan.cursor is not None and _is_recent(plan, old, plan.high))


def _is_recent(plan: TablePlan, old: Row, low: datetime | None) -> bool:
    """Committed, maybe, by an increment that ran while the snapshot was being read."""
    cursor = old.get(plan.cursor) if plan.cursor else None
    return low is not None and isinstance(cursor, datetime) and cursor >= low


def _equal(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other


def _compare(plan: TablePlan, table: Table, staged: Sequence[Row], differences_max: int) -> Comparison:
    """Differences of keys that changed at or after the target's watermark are pending, not differences."""
    winners = {key: row for key, (row, _) in _newest(plan, table, staged).items()}
    source = {key: row for key, row in winners.items() if not row[DELETED_COLUMN]}
    live = [(_key(plan, row), row) for row in _live(plan, table)]
    in_scope = [(key, row) for key, row in live if plan.mode == "snapshot" or key in winners]
    target = dict(reversed(in_scope))
    found = [Difference("missing", key) for key in source if key not in target]
    if plan.on_delete != "ignore":
        found += [Difference("extra", key) for key in target if key not in source]
    found += [each for key in source.keys() & target.keys() if (each := _difference(plan, key, source, target))]
    found = [replace(each, at=_at(plan, source.get(each.key) or target[each.key])) for each in found]
    differences = [each for each in found if not _is_recent(plan, winners.get(each.key, {}), plan.high)]
    doubles = len(in_scope) - len(target)
    differences += [Difference("extra", key) for key, row in in_scope if target[key] is not row]
    kinds = {kind: [each for each in differences if each.kind == kind] for kind in get_args(Kind)}
    return Comparison(
        rows_source=len(source),
        rows_target=len(in_scope),
        **{kind: len(each) for kind, each in kinds.items()},
        examples=tuple(each for found in kinds.values() for each in found[:differences_max]),
        pending=len(found) + doubles - len(differences),
    )


def _live(plan: TablePlan, table: Table) -> Iterator[Row]:
    return (_in_common_types(plan, table, row) for row in table.rows if row.get(DELETED_AT_COLUMN) is None)


def _difference(plan: TablePlan, key: Key, source: Mapping[Key, Row], target: Mapping[Key, Row]) -> Difference | None:
    ours, theirs = source[key], target[key]
    names = tuple(name for name in plan.columns.names if not _equal(ours[name], theirs[name]))
    return Difference("stale" if _age(plan, ours) > _age(plan, theirs) else "different", key, names) if names else None


def _at(plan: TablePlan, row: Row) -> datetime | None:
    at = row.get(plan.cursor) if plan.cursor else None
    return at if isinstance(at, datetime) else None


def _tally(plan: TablePlan, table: Table, staged: Sequence[Row], edges: Sequence[datetime]) -> list[Tally]:
    spared = _newest(plan, table, staged)
    ranges: list[list[datetime | None]] = [[] for _ in range(len(edges) + 1)]
    for row in _live(plan, table):
        if _key(plan, row) not in spared:
            at = _at(plan, row)
            ranges[0 if at is None else bisect_right(edges, at)].append(at)
    known = [[at for at in each if at is not None] for each in ranges]
    return [
        Tally(len(each), min(stamps, default=None), max(stamps, default=None))
        for each, stamps in zip(ranges, known, strict=True)
    ]
