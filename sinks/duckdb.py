"""DuckDB as a warehouse: one file. Opened when a run has rows, held no longer than load and commit.

One process at a time may open the file, and shuts out even readers (DuckDB guide, concurrency), so a run that finds it
taken waits for a bounded time and then says who holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from syncline.connectors.connector import Tally
from syncline.connectors.errors import CommitUnknown, ConfigError, CountMismatch, DataError, Transient
from syncline.sinks.downloads import Downloads
from syncline.sinks.duckdb_settings import CAPABILITIES, Settings, wide_bytes
from syncline.sinks.guards import check_columns
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import (
    DIFFERENCES_MAX,
    WATERMARKS_TABLE,
    CommitCounts,
    CommittedRun,
    CommitUnit,
    Comparison,
    TablePlan,
    Watermark,
)

if TYPE_CHECKING:
    from syncline.connectors.finding import Finding
    from syncline.sinks.dialect import Place
    from syncline.sinks.duckdb_commit import Loaded
    from syncline.sinks.duckdb_session import Connect, Session
    from syncline.sinks.landing import Landing
    from syncline.sinks.maintenance import Maintenance

COMPARE_MEMORY_SHARE = 0.25
"""A quarter of the memory holds the rows of one comparison, with room for the pages of both sides and the join."""

COMPARE_ROWS_MIN = 2_048

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DuckDB:
    """A warehouse in one DuckDB file. Connects at the first call; safe to close at any time, any number of times.

    ``memory_limit`` ("2GB") bounds DuckDB's memory: what does not fit spills to disk beside the file. Left out, it is
    200 MB, half a megabyte more for each column beyond a table's hundredth, and what DuckDB cannot spill of a commit
    that takes rows out of a large table: up to 16 KB a row, and 21 MB for each million rows of the table at most.
    ``lock_wait_s`` is how long to wait while another process holds the file. ``clock``, ``sleep`` and ``connect`` are
    seams for tests.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        path: str | Path,
        schema: str = "main",
        *,
        memory_limit: str | None = None,
        threads: int = 2,
        lock_wait_s: float = 30.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        connect: Connect | None = None,
    ) -> None:
        self.schema = schema
        self.statements = 0
        self._settings = Settings(str(path), memory_limit, threads, lock_wait_s)
        self.place = self._settings.place_url(schema)
        self._clock, self._sleep, self._connector = clock, sleep, connect
        self._session: Session | None = None
        self._loaded: dict[str, Loaded] = {}
        self._columns_max = 0
        self._downloads = Downloads(None if self._settings.in_memory else Path(f"{path}.staging"))

    def __repr__(self) -> str:
        return f"DuckDB({self._settings.path!r}, schema={self.schema!r})"

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        from syncline.sinks import bookkeeping, targets
        from syncline.sinks.dialect import DUCKDB

        if not self._settings.in_memory and not Path(self._settings.path).exists():
            return {}
        session, place = self._connect()
        shown = targets.layouts(session.run(targets.select_columns(place, DUCKDB)), DUCKDB)
        if WATERMARKS_TABLE not in shown:
            return {}
        rows = session.table(bookkeeping.select_watermarks(pipeline, place, DUCKDB))
        return {mark.stream: mark for mark in _watermarks_of(rows)}

    def committed_runs(self, pipeline: str) -> Mapping[str, CommittedRun]:
        """See ``RunHistory``."""
        from syncline.sinks import bookkeeping
        from syncline.sinks.dialect import DUCKDB

        if not self.watermarks(pipeline):
            return {}
        session, place = self._connect()
        return bookkeeping.committed_runs(session.run(bookkeeping.select_runs(pipeline, place, DUCKDB)))

    def check(self) -> Sequence[Finding]:
        """Whether the file can be opened or made, as ``syncline check`` says it; leaves nothing behind."""
        import secrets

        import duckdb

        from syncline.sinks.duckdb_check import check_file

        self.close()
        return check_file(self._settings, self._connector or duckdb.connect, self._sleep, secrets.token_hex(4))

    def require_fit(self, tables: Sequence[TablePlan]) -> None:
        """See ``RequiresFit``."""
        from syncline.sinks import targets
        from syncline.sinks.dialect import DUCKDB

        targets.check_fit(tables, DUCKDB)

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        from syncline.sinks import bookkeeping, fitness, targets
        from syncline.sinks.dialect import DUCKDB
        from syncline.sinks.duckdb_commit import views_of
        from syncline.sinks.guards import check_owners, check_present

        targets.check_fit(tables, DUCKDB)
        session, place = self._connect()
        self._downloads.discard_dead()  # this process holds the file, so no other run is at work
        shown = targets.layouts(session.run(targets.select_columns(place, DUCKDB)), DUCKDB)
        if tables and WATERMARKS_TABLE in shown:
            wanted = {plan.stream: plan.target for plan in tables}
            check_owners(tables[0].pipeline, wanted, session.run(bookkeeping.select_owners(place, DUCKDB)), DUCKDB.fold)
        check_present(tables, lambda plan: DUCKDB.fold(plan.target) in shown)
        views = views_of(session, place)
        for plan in tables:
            fitness.check_table(plan, views, DUCKDB)
        changes = [targets.reconcile(plan, shown.get(DUCKDB.fold(plan.target)), place, DUCKDB) for plan in tables]
        # Every target was found fit before the first statement is sent: a refused one leaves all of them untouched.
        for statement in (*targets.bookkeeping(place, DUCKDB), *(text for texts in changes for text in texts)):
            session.run(statement)

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        from syncline.sinks import staging
        from syncline.sinks.dialect import DUCKDB
        from syncline.sinks.duckdb_commit import Loaded
        from syncline.sinks.match import Bounds

        check_columns(table, manifest)
        session, _ = self._connect()
        paths = landing.paths(manifest.files, self._downloads.folder())
        row_bytes = _check_files(manifest, paths)
        by_kind: dict[str, list[Path]] = {"records": [], "tombstones": []}
        for entry, path in zip(manifest.files, paths, strict=True):
            by_kind[entry.kind].append(path)
        self._make_room(session, table)
        session.run(staging.create_view(table, by_kind["records"], by_kind["tombstones"], DUCKDB))
        session.run(staging.create_changes(table, DUCKDB))
        rows, incomplete, *bounds = session.run(staging.count_rows(table, DUCKDB))[0]
        _check_rows(table, manifest, rows, incomplete)
        (keys,) = session.run(staging.count_keys(table, DUCKDB))[0]
        compare_bytes = self._settings.memory_limit_bytes * COMPARE_MEMORY_SHARE
        compare_rows_max = max(COMPARE_ROWS_MIN, int(compare_bytes / row_bytes))
        self._loaded[table.stream] = Loaded(table.run_id, keys < rows, compare_rows_max, Bounds(*bounds))
        return int(rows)

    def commit(self, unit: CommitUnit) -> CommitCounts:
        from syncline.sinks import duckdb_commit

        session, place = self._connect()
        try:
            counts = duckdb_commit.commit(session, unit, self._loaded, place, self._clock())
        except CommitUnknown:
            # Whoever looks next looks with a fresh connection (KNOWN-OUTCOME).
            self.close()
            raise
        self._tidy(unit.tables, counts)
        return counts

    def compare(self, table: TablePlan, differences_max: int = DIFFERENCES_MAX) -> Comparison:
        from syncline.sinks import duckdb_commit

        session, place = self._connect()
        return duckdb_commit.compare(session, table, self._loaded, place, differences_max)

    def tally(self, table: TablePlan, edges: Sequence[datetime]) -> Sequence[Tally]:
        from syncline.sinks import duckdb_commit

        session, place = self._connect()
        return duckdb_commit.tally(session, table, self._loaded, place, edges)

    def maintain(self, targets: Sequence[str]) -> Maintenance:
        """See ``Maintainer``; what it rewrites needs room in the file first."""
        from syncline.sinks import duckdb_upkeep
        from syncline.sinks.maintenance import Maintenance

        if not self._settings.in_memory and not Path(self._settings.path).exists():
            return Maintenance()
        session, place = self._connect()
        return duckdb_upkeep.maintain(session, targets, place, self._settings)

    def close(self) -> None:
        session, self._session = self._session, None
        self._loaded.clear()
        self._columns_max = 0
        self._downloads.discard()
        if session is not None:
            session.close()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _connect(self) -> tuple[Session, Place]:
        import duckdb

        from syncline.sinks.dialect import Place
        from syncline.sinks.duckdb_session import Session

        if self._session is None:
            connect = self._connector or duckdb.connect
            self._session = Session(self._settings, connect, self._sleep, self._count)
        return self._session, Place(self._session.catalog, self.schema)

    def _make_room(self, session: Session, table: TablePlan) -> None:
        before, self._columns_max = self._columns_max, max(self._columns_max, len(table.columns))
        if (more_bytes := wide_bytes(self._columns_max) - wide_bytes(before)) > 0:
            session.run("SET threads = 1")
            session.make_room(more_bytes)

    def _count(self) -> None:
        self.statements += 1

    def _tidy(self, tables: Sequence[TablePlan], counts: CommitCounts) -> None:
        """At its best effort: the commit stands, and what is left goes with the connection."""
        from syncline.sinks import duckdb_upkeep

        session, place = self._connect()
        for plan in tables:
            self._loaded.pop(plan.stream, None)
        with suppress(Transient, ConfigError):
            duckdb_upkeep.drop_staging(session, tables)
            duckdb_upkeep.compact(session, tables, counts.tables, place)
        self._downloads.discard()


def _watermarks_of(rows: pa.Table) -> list[Watermark]:
    """Instants come as microseconds: DuckDB's own conversion to Python would ask for another library of zones."""
    from syncline.sinks import bookkeeping

    columns = []
    for column in rows.itercolumns():
        if pa.types.is_timestamp(column.type):
            columns.append([_instant(value) for value in column.cast(pa.int64()).to_pylist()])
        else:
            columns.append(column.to_pylist())
    return [bookkeeping.watermark_of(row) for row in zip(*columns, strict=True)]


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)


def _check_files(manifest: Manifest, paths: Sequence[Path]) -> int:
    """Counts each file by its own footer (COUNTED-HOPS); returns how many bytes a row takes in memory, at a guess."""
    import pyarrow.parquet as pq

    size_bytes = 0
    for entry, path in zip(manifest.files, paths, strict=True):
        footer = pq.read_metadata(path)
        if footer.num_rows != entry.rows:
            raise CountMismatch(
                "load landed file",
                entry.path,
                f"the file holds {footer.num_rows} rows, its manifest says {entry.rows}",
                "the landing was changed by someone; reload the stream",
            )
        size_bytes += sum(footer.row_group(index).total_byte_size for index in range(footer.num_row_groups))
    return max(16 * len(manifest.columns), size_bytes // max(manifest.rows, 1))


def _check_rows(table: TablePlan, manifest: Manifest, rows: int, incomplete: int) -> None:
    if rows != manifest.rows:
        raise CountMismatch(
            "load manifest",
            f"{table.stream}, run {manifest.run_id}",
            f"{rows} rows are staged, the manifest says {manifest.rows}",
            "reload the stream",
        )
    if incomplete:
        raise DataError(
            "load manifest",
            f"{table.stream}, run {manifest.run_id}",
            f"{incomplete} rows have no value in the key ({', '.join(table.key)})",
            "choose a key whose columns always have a value",
        )
