"""Warehouses in memory that outlive the processes using them, what a reader sees of them, and how they are put back."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa

from syncline.connectors.errors import CommitUnknown, SynclineError, Transient
from syncline.pipelines.simulation.process import LawBroken, Process
from syncline.pipelines.simulation.seams import Secrets, require_no_secret
from syncline.sinks.manifest import Manifest
from syncline.sinks.memory import Memory, State, Storage
from syncline.sinks.warehouse import CommitCounts, CommitUnit, TablePlan, Warehouse, Watermark

if TYPE_CHECKING:
    import duckdb

    from syncline.sinks.landing import Landing

Row: TypeAlias = Mapping[str, Any]
Clock: TypeAlias = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Mark:
    """A committed watermark, as a reader sees it."""

    watermark: datetime | None
    version: int
    run_id: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """One state of the warehouse: watermarks by stream; each target's rows by key, and its columns with their types."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    types: Mapping[str, Mapping[str, pa.DataType]] = field(default_factory=dict)


def keyed(target: str, key: str, rows: Sequence[Row]) -> Mapping[str, Row]:
    """A target's rows by key.

    Raises:
        LawBroken: NEWEST-WINS, a key has two rows.
    """
    found = {row[key]: row for row in rows}
    if len(found) != len(rows):
        twice = next(each for each, count in Counter(row[key] for row in rows).items() if count > 1)
        raise LawBroken("NEWEST-WINS", f"{target} holds {twice} twice: {[row for row in rows if row[key] == twice]}")
    return found


class House(Protocol):
    """``look`` reads in one transaction. ``keep`` and ``restore`` are a backup and its return."""

    def open(self, process: Process, clock: Clock, watch: Callable[[], None]) -> Warehouse:
        """A process's own connection; ``watch`` is called whenever something may have been committed."""
        ...

    def look(self) -> Committed: ...

    def keep(self) -> object: ...

    def restore(self, kept: object) -> None: ...

    def leftovers(self) -> Sequence[str]:
        """Staging tables that stand although no process does."""
        ...


MakeHouse: TypeAlias = Callable[[str, str, Secrets], House]
"""A house from the pipeline's name, the key's column and what must not be shown."""


class MemoryHouse:
    """The reference warehouse: quick. Each call of the port is an operation."""

    def __init__(self, pipeline: str, key: str, secrets: Secrets) -> None:
        self._pipeline = pipeline
        self._key = key
        self._storage = Storage()

    def open(self, process: Process, clock: Clock, watch: Callable[[], None]) -> Warehouse:
        return SteppedMemory(Memory(self._storage, clock=clock), process, watch)

    def look(self) -> Committed:
        state = self._storage.state
        marks = {stream: _mark(mark) for (owner, stream), mark in state.watermarks.items() if owner == self._pipeline}
        rows = {name: keyed(name, self._key, table.rows) for name, table in state.tables.items()}
        return Committed(marks, rows, {name: table.types for name, table in state.tables.items()})

    def keep(self) -> object:
        return self._storage.state.copy()

    def restore(self, kept: object) -> None:
        assert isinstance(kept, State)
        self._storage.state = kept.copy()

    def leftovers(self) -> Sequence[str]:
        return ()


class SteppedMemory:
    """The memory warehouse's calls as operations. It has no statements, so the port's calls stand for them."""

    def __init__(self, inner: Memory, process: Process, watch: Callable[[], None]) -> None:
        self.capabilities, self.place = inner.capabilities, inner.place
        self._inner = inner
        self.statements = 0
        self._process = process
        self._watch = watch

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        return self._operate("watermarks", lambda: self._inner.watermarks(pipeline))  # type: ignore[no-any-return]

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        self._operate("prepare", lambda: self._inner.prepare(tables))
        self._watch()

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        rows: int = self._operate(f"load {table.stream}", lambda: self._inner.load(table, manifest, landing))
        return rows

    def commit(self, unit: CommitUnit) -> CommitCounts:
        def work() -> CommitCounts:
            self.statements += 1
            counts = self._inner.commit(unit)
            self._watch()
            return counts

        def unknown(cause: str) -> SynclineError:
            return CommitUnknown("commit", "memory", cause, "the watermark's run id tells")

        return self._process.operate("warehouse", "COMMIT", work, unknown, repeatable=False)

    def close(self) -> None:
        self._inner.close()

    def _operate(self, name: str, work: Callable[[], Any]) -> Any:
        self.statements += 1
        return self._process.operate(
            "warehouse", name, work, lambda cause: Transient(name, "memory", cause, "run again")
        )


def _mark(found: Watermark) -> Mark:
    return Mark(found.watermark, found.version, found.run_id, found.columns)


DML = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
DDL = frozenset({"CREATE", "ALTER", "DROP", "TRUNCATE"})
REPEATABLE = frozenset({"SELECT", "SET", "WITH", "CHECKPOINT", "DESCRIBE"})
"""What a driver may send again after a lost reply; DML, BEGIN and COMMIT are not repeated."""

_numbers = itertools.count()


class DuckHouse:
    """DuckDB in memory, shared by name in this process. Each statement is an operation."""

    def __init__(self, pipeline: str, key: str, secrets: Secrets) -> None:
        import duckdb

        self._pipeline = pipeline
        self._key = key
        self._secrets = secrets
        self._name = f":memory:simulated{next(_numbers)}"
        self._reader = duckdb.connect(self._name)
        self._reader.execute("SET TimeZone = 'UTC'")

    def open(self, process: Process, clock: Clock, watch: Callable[[], None]) -> Warehouse:
        from syncline.sinks.duckdb import DuckDB

        def connect(path: str) -> Any:
            def work() -> Any:
                import duckdb

                connection = duckdb.connect(path)
                process.endings.append(connection.close)
                return connection

            return SteppedConnection(process.operate("warehouse", "connect", work, _io_error), process, watch,
                                     self._secrets)  # fmt: skip

        return DuckDB(self._name, threads=1, clock=clock, sleep=process.around.pass_time, connect=connect)

    def look(self) -> Committed:
        run = self._reader.execute
        run("BEGIN TRANSACTION")
        try:
            names = [row[0] for row in run("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall()]
            targets = {name: self._target(name) for name in names if not name.startswith("_syncline")}
            rows = {name: keyed(name, self._key, found) for name, (found, _) in targets.items()}
            marks = self._marks() if "_syncline_watermarks" in names else {}
            return Committed(marks, rows, {name: types for name, (_, types) in targets.items()})
        finally:
            run("ROLLBACK")

    def _marks(self) -> Mapping[str, Mark]:
        found = self._reader.execute(
            "SELECT stream, watermark, version, run_id, columns FROM _syncline_watermarks WHERE pipeline = ?",
            [self._pipeline],
        ).fetchall()
        return {row[0]: Mark(row[1], row[2], row[3], tuple(json.loads(row[4]))) for row in found}

    def _target(self, name: str) -> tuple[list[Row], Mapping[str, pa.DataType]]:
        from syncline.sinks.dialect import DUCKDB

        cursor = self._reader.execute(f'SELECT * FROM "{name}"')
        shown = {each[0]: DUCKDB.arrow_type(str(each[1])) for each in cursor.description or ()}
        rows: list[Row] = [dict(zip(shown, values, strict=True)) for values in cursor.fetchall()]
        return rows, {column: type for column, type in shown.items() if type is not None}

    def keep(self) -> object:
        names = [row[0] for row in self._reader.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: self._reader.sql(f'SELECT * FROM "{name}"').to_arrow_table() for name in names}

    def restore(self, kept: object) -> None:
        for (name,) in self._reader.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            self._reader.execute(f'DELETE FROM "{name}"')
        assert isinstance(kept, dict)
        for name, rows in kept.items():
            columns = ", ".join(f'"{each}"' for each in rows.column_names)
            self._reader.register("kept", rows)
            self._reader.execute(f'INSERT INTO "{name}" ({columns}) SELECT * FROM kept')
            self._reader.unregister("kept")

    def leftovers(self) -> Sequence[str]:
        rows = self._reader.execute("SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM"
                                    " duckdb_views() WHERE NOT internal").fetchall()  # fmt: skip
        return [row[0] for row in rows if "__" in row[0] and not row[0].endswith("__c")]


class SteppedConnection:
    """A DuckDB connection whose statements are operations, with the law DDL-BEFORE looked at."""

    def __init__(
        self, inner: duckdb.DuckDBPyConnection, process: Process, watch: Callable[[], None], secrets: Secrets
    ) -> None:
        self._inner = inner
        self._process = process
        self._watch = watch
        self._secrets = secrets
        self._in_transaction = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        return self._operate(statement, lambda: self._inner.execute(statement, *parameters))

    def sql(self, statement: str, **options: Any) -> Any:
        return self._operate(statement, lambda: self._inner.sql(statement, **options))

    def close(self) -> None:
        self._inner.close()

    def _operate(self, statement: str, work: Callable[[], Any]) -> Any:
        verb = statement.split(None, 1)[0].upper()

        def watched() -> Any:
            import duckdb

            require_no_secret(self._secrets, statement, "a statement")
            if self._in_transaction and verb in DDL:
                raise LawBroken("DDL-BEFORE", f"between BEGIN and COMMIT: {statement[:80]}")
            try:
                result = work()
            except (duckdb.TransactionException, duckdb.ConstraintException):
                self._in_transaction &= verb != "COMMIT"  # one that is refused for a conflict rolls back
                raise
            if verb in ("BEGIN", "COMMIT", "ROLLBACK"):
                self._in_transaction = verb == "BEGIN"
            shown = verb == "COMMIT" or (verb in DML | DDL and not self._in_transaction)
            if shown and '"temp".' not in statement:
                self._watch()
            return result

        repeatable = verb in REPEATABLE or (verb in DDL and (" IF " in statement or "OR REPLACE" in statement))
        name = " ".join(statement.split()[:6])
        return self._process.operate("warehouse", name, watched, _io_error, repeatable=repeatable)


def _io_error(cause: str) -> BaseException:
    import duckdb

    return duckdb.IOException(f"IO Error: {cause}")
