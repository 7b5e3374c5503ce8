"""The warehouse port for warehouses behind a network, written once: Postgres, Snowflake, Redshift.

::

    Served  ──▶ Backend: connect, tables, copy, label      what one warehouse does in its own way
       │  └───▶ Dialect: a table of differences            how it spells what all of them do
       └─▶ load: staging table, COPY, measure ─▶ commit: seed │ BEGIN, fence, write, explain, guard, run row, COMMIT

Every statement outside the transaction is repeatable and the transaction is all or nothing, so a session that drops is
replaced and its step done again; only a lost COMMIT is never repeated (KNOWN-OUTCOME).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from syncline.connectors.connector import SliceKind, Tally
from syncline.connectors.errors import (
    CommitUnknown,
    FenceLost,
    SynclineError,
    Transient,
)
from syncline.sinks import lattice
from syncline.sinks.guards import check_columns, check_owners, check_present
from syncline.sinks.manifest import FileEntry, Manifest
from syncline.sinks.session import Session
from syncline.sinks.warehouse import (
    DIFFERENCES_MAX,
    RUNS_TABLE,
    WATERMARKS_TABLE,
    Capabilities,
    CommitCounts,
    CommittedRun,
    CommitUnit,
    Comparison,
    TablePlan,
    Watermark,
)

if TYPE_CHECKING:
    from sqlglot import exp

    from syncline.sinks.dialect import Dialect, Place
    from syncline.sinks.landing import Landing
    from syncline.sinks.maintenance import Maintenance
    from syncline.sinks.match import Match
    from syncline.sinks.served_staging import Loaded
    from syncline.sinks.targets import Layout

ATTEMPTS_MAX = 5
PAUSE_FIRST_S = 1.0
PAUSE_LONGEST_S = 30.0

T = TypeVar("T")


class Backend(Protocol):
    """One warehouse's own ways. Nothing is connected to before ``connect``."""

    def connect(self, count: Callable[[], None]) -> tuple[Session, Dialect]:
        """A new session, set up, and the dialect it speaks; ``count`` is called before each statement sent."""
        ...

    def places(self) -> tuple[Place, Place]:
        """Where targets and bookkeeping live, and where staging tables do."""
        ...

    def tables(self, session: Session, place: Place) -> Mapping[str, Mapping[str, str]] | None:
        """Every table's columns and types as the catalog spells them, in order; ``None``: there is no such schema."""
        ...

    def copy(
        self,
        session: Session,
        table: exp.Table,
        columns: pa.Schema,
        files: Sequence[FileEntry],
        landing: Landing,
        kind: SliceKind,
    ) -> int:
        """Fills an empty staging table, made with these columns, from landed files; returns the rows loaded.

        Raises:
            CountMismatch: a file did not give the rows its entry says.
        """
        ...

    def label(self, session: Session, plan: TablePlan | None, pipeline: str, run_id: str) -> None:
        """Says what the statements that follow are for, where the warehouse keeps such labels."""
        ...


class Served:
    """A warehouse. Connects at the first call; safe to close at any time, any number of times.

    ``speaks`` makes the dialect as far as it is known without a session. ``clock``, ``sleep`` and ``jitter`` (a number
    from 0 to 1) are seams for tests.
    """

    def __init__(
        self,
        backend: Backend,
        capabilities: Capabilities,
        shown: str,
        place: str,
        speaks: Callable[[], Dialect],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.capabilities = capabilities
        self.statements = 0
        self.place = place
        self._backend, self._shown, self._speaks = backend, shown, speaks
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._session: tuple[Session, Dialect] | None = None
        self._loaded: dict[str, Loaded] = {}
        self._layouts: Mapping[str, Layout] | None = None
        self._has_staging = self._schema_missing = False

    def __repr__(self) -> str:
        return self._shown

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        from syncline.sinks import bookkeeping

        def read(session: Session, dialect: Dialect) -> Mapping[str, Watermark]:
            place, _ = self._backend.places()
            self._backend.label(session, None, pipeline, "")
            if dialect.fold(WATERMARKS_TABLE) not in self._catalog(session, dialect):
                return {}
            rows = session.run(bookkeeping.select_watermarks(pipeline, place, dialect))
            marks = [bookkeeping.watermark_of(row) for row in rows]
            return {mark.stream: mark for mark in marks if mark.version}  # version 0 was seeded and never committed

        return self._attempt(read)

    def committed_runs(self, pipeline: str) -> Mapping[str, CommittedRun]:
        """See ``RunHistory``."""
        from syncline.sinks import bookkeeping

        def read(session: Session, dialect: Dialect) -> Mapping[str, CommittedRun]:
            place, _ = self._backend.places()
            self._backend.label(session, None, pipeline, "")
            if dialect.fold(RUNS_TABLE) not in self._catalog(session, dialect):
                return {}
            return bookkeeping.committed_runs(session.run(bookkeeping.select_runs(pipeline, place, dialect)))

        return self._attempt(read)

    def require_fit(self, tables: Sequence[TablePlan]) -> None:
        """See ``RequiresFit``."""
        from syncline.sinks import targets

        targets.check_fit(tables, self._speaks())

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        self._attempt(lambda session, dialect: self._prepare(session, dialect, tables))

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        check_columns(table, manifest)
        return self._attempt(lambda session, dialect: self._load(session, dialect, table, manifest, landing))

    def commit(self, unit: CommitUnit) -> CommitCounts:
        from syncline.sinks import served_commit

        for plan in unit.tables:
            loaded = self._loaded.get(plan.stream)
            if loaded is None or loaded.staging.plan.run_id != plan.run_id:
                raise SynclineError("use staged rows", plan.target, "they were not loaded by this warehouse")

        def attempt(session: Session, dialect: Dialect) -> CommitCounts:
            place, _ = self._backend.places()
            self._backend.label(session, None, unit.pipeline, unit.run_id)
            layouts = self._catalog(session, dialect) if unit.tables else {}
            matches = {plan.stream: self._match(plan, layouts, dialect) for plan in unit.tables}
            return served_commit.commit(session, unit, matches, self._loaded, place, dialect, self._clock())

        counts = self._attempt(attempt)
        self._tidy(unit.tables)
        return counts

    def compare(self, table: TablePlan, differences_max: int = DIFFERENCES_MAX) -> Comparison:
        """See ``Comparer``."""
        from syncline.sinks import comparison, fitness, twins

        def attempt(session: Session, dialect: Dialect) -> Comparison:
            match = self._match(table, self._catalog(session, dialect), dialect)
            fitness.check_fit(table, match.layout, dialect)
            actions = comparison.actions_at_once(session.run(comparison.count_at_once(match)))
            columns = comparison.columns_to_compare(match)
            differ = any(actions.get(word) for word in comparison.DIFFERENCES)
            rows = session.run(comparison.examples_at_once(match, differences_max)) if differ else []
            found = comparison.comparison(actions, [comparison.difference(row, table, columns) for row in rows])
            return twins.added(match, found, session.run, differences_max)

        compared = self._attempt(attempt)
        self._tidy([table])
        return compared

    def tally(self, table: TablePlan, edges: Sequence[datetime]) -> Sequence[Tally]:
        """See ``Comparer``; what is staged stays for ``compare``."""
        from syncline.sinks import comparison, fitness

        def attempt(session: Session, dialect: Dialect) -> Sequence[Tally]:
            match = self._match(table, self._catalog(session, dialect), dialect)
            fitness.check_fit(table, match.layout, dialect)
            return comparison.tallies(session.run(comparison.tally(match, edges)), edges)

        return self._attempt(attempt)

    def maintain(self, targets: Sequence[str]) -> Maintenance:
        """See ``Maintainer``."""
        from syncline.sinks import served_upkeep
        from syncline.sinks.maintenance import Maintenance

        def attempt(session: Session, dialect: Dialect) -> Maintenance:
            if not dialect.upkeep:
                return Maintenance(cares_itself=True)
            place, _ = self._backend.places()
            shown = self._catalog(session, dialect)
            tables = [table for table in (*targets, WATERMARKS_TABLE, RUNS_TABLE) if dialect.fold(table) in shown]
            return served_upkeep.maintain(session, tables, place, dialect)

        return self._attempt(attempt)

    def close(self) -> None:
        self._tidy([each.staging.plan for each in self._loaded.values()])  # of a proof, or of a run that failed
        self._drop_session()

    # --- steps ----------------------------------------------------------------------------------------------------

    def _prepare(self, session: Session, dialect: Dialect, tables: Sequence[TablePlan]) -> None:
        from syncline.sinks import bookkeeping, served_staging, targets

        targets.check_fit(tables, dialect)
        place, staging = self._backend.places()
        if not tables:
            return
        pipeline, run_ids = tables[0].pipeline, [plan.run_id for plan in tables]
        self._backend.label(session, None, pipeline, run_ids[0])
        self._layouts = None
        shown = self._catalog(session, dialect)
        if dialect.fold(WATERMARKS_TABLE) in shown:
            wanted = {plan.stream: plan.target for plan in tables}
            check_owners(pipeline, wanted, session.run(bookkeeping.select_owners(place, dialect)), dialect.fold)
        check_present(tables, lambda plan: dialect.fold(plan.target) in shown)
        changes = [targets.reconcile(plan, shown.get(dialect.fold(plan.target)), place, dialect) for plan in tables]
        left = self._backend.tables(session, staging)
        dead = served_staging.drop_dead(left or (), pipeline, run_ids, place, staging, dialect)
        # Every target was found fit before the first statement is sent: a refused one leaves all of them untouched.
        made = targets.missing_bookkeeping(place, shown, dialect)
        if self._schema_missing:
            made.insert(0, targets.create_schema(place, dialect))
        if left is None:
            made.append(targets.create_schema(staging, dialect))
        self._has_staging = True
        for statement in (*made, *(text for texts in changes for text in texts), *dead):
            session.run(statement)
        if made or any(changes):
            self._layouts = None

    def _load(self, session: Session, dialect: Dialect, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        from syncline.sinks import served_json, served_staging

        self._backend.label(session, table, table.pipeline, table.run_id)
        home, place = self._backend.places()
        self._ensure_staging(session, dialect, table)
        target = self._catalog(session, dialect).get(dialect.fold(table.target))
        collates = target is not None and target.collates
        staging = served_staging.Staging.of(table, manifest, home, place, dialect, collates)
        loaded = 0
        for kind in staging.kinds:
            for statement in staging.create(kind):
                session.run(statement)
            files = [entry for entry in manifest.files if entry.kind == kind]
            if files:
                layout = staging.layout(kind)
                table_spelled = dialect.spelled(staging.table(kind))
                loaded += self._backend.copy(session, table_spelled, layout, files, landing, kind)
        [(rows, incomplete, deletions, keys, least, largest)] = session.run(staging.measure())
        served_staging.check_staged(table, manifest, loaded, int(rows), int(incomplete or 0))
        superseded = int(rows) - int(keys)
        if superseded:
            changed = sum(session.change(staging.supersede(kind))[0] for kind in staging.kinds)
            served_staging.check_superseded(table, superseded, changed)
        if (earlier := self._loaded.pop(table.stream, None)) is not None:  # a proof stages a stream more than once
            self._drop_staged(session, earlier, [staging.table(kind) for kind in staging.kinds])
        self._loaded[table.stream] = served_staging.Loaded(
            staging, int(rows), superseded, int(deletions or 0), staging.bounds(least, largest)
        )
        if any(lattice.is_json(field.type) for field in table.columns):
            served_json.check_documents(self._match(table, self._catalog(session, dialect), dialect), session.run)
        return int(rows)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _ensure_staging(self, session: Session, dialect: Dialect, table: TablePlan) -> None:
        """For a proof, which prepares nothing; what dead ones left goes."""
        from syncline.sinks import served_staging, targets

        if self._has_staging:
            return
        home, place = self._backend.places()
        left = self._backend.tables(session, place)
        living = [table.run_id, *(each.staging.plan.run_id for each in self._loaded.values())]
        dead = served_staging.drop_dead(left or (), table.pipeline, living, home, place, dialect)
        for statement in dead if left is not None else [targets.create_schema(place, dialect)]:
            session.run(statement)
        self._has_staging = True

    def _catalog(self, session: Session, dialect: Dialect) -> Mapping[str, Layout]:
        """The schema's tables by folded name, read once and again after DDL."""
        from syncline.sinks.targets import Layout

        if self._layouts is None:
            place, _ = self._backend.places()
            tables = self._backend.tables(session, place)
            self._schema_missing = tables is None
            self._layouts = {dialect.fold(name): Layout.of(types, dialect) for name, types in (tables or {}).items()}
        return self._layouts

    def _match(self, plan: TablePlan, layouts: Mapping[str, Layout], dialect: Dialect) -> Match:
        from syncline.sinks import fitness
        from syncline.sinks.match import Match

        layout, loaded = layouts.get(dialect.fold(plan.target)), self._loaded.get(plan.stream)
        if layout is None:
            raise fitness.missing(plan)
        if loaded is None or loaded.staging.plan.run_id != plan.run_id:
            raise SynclineError("use staged rows", plan.target, "they were not loaded by this warehouse")
        place, _ = self._backend.places()
        source = loaded.staging.source()
        return Match(plan, layout, place, dialect, duplicated=False, source=source, bounds=loaded.bounds)

    def _attempt(self, step: Callable[[Session, Dialect], T]) -> T:
        """Does a repeatable step, on a new session after a passing failure; never again after an unknown COMMIT."""
        pause_s = PAUSE_FIRST_S
        for attempt in range(ATTEMPTS_MAX):
            try:
                return step(*self._connect())
            except (FenceLost, CommitUnknown):
                self._drop_session()
                raise
            except Transient:
                self._drop_session()
                if attempt + 1 == ATTEMPTS_MAX:
                    raise
            self._sleep(pause_s * (0.5 + self._jitter() / 2))
            pause_s = min(2 * pause_s, PAUSE_LONGEST_S)
        raise AssertionError("unreachable")

    def _connect(self) -> tuple[Session, Dialect]:
        if self._session is None:
            self._session = self._backend.connect(self._count)
        return self._session

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        self._layouts, self._has_staging = None, False
        if session is not None:
            session[0].close()

    def _count(self) -> None:
        self.statements += 1

    def _tidy(self, tables: Sequence[TablePlan]) -> None:
        """At its best effort: the commit stands, and what is left the next run drops."""
        for plan in tables:
            loaded = self._loaded.pop(plan.stream, None)
            if loaded is None or self._session is None:
                continue
            try:
                self._drop_staged(self._session[0], loaded)
            except SynclineError:
                self._drop_session()

    def _drop_staged(self, session: Session, loaded: Loaded, kept: Container[exp.Table] = ()) -> None:
        for kind in loaded.staging.kinds:
            if loaded.staging.table(kind) not in kept:
                session.run(loaded.staging.drop(kind))
