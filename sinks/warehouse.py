"""The warehouse port: where the copy lives, and the one transaction that changes it.

::

    watermarks ──▶ (plan) ──▶ prepare ──▶ load, load, ... ──▶ commit ──▶ close
    the truth                 all DDL     staging, counted     one transaction, DML only

Who calls what, when: nothing is called, and no connection is opened, unless a run has rows (IDLE-IS-FREE), or the
mirror is missing or tells of another ``place``. ``prepare`` before any ``load``; ``load`` once a table, repeatable;
``commit`` once. After ``CommitUnknown`` the runner calls ``watermarks`` on a fresh connection and looks for its run id
(KNOWN-OUTCOME). ``commit`` drops the run's staging tables afterwards at its best effort; ``prepare`` drops those that
dead runs left behind.

In the transaction, in this order: the fence of every stream (FENCED-COMMIT), each stream's rows in sorted order of
stream names (NEWEST-WINS, GUARDED-DELETE, COUNTED-HOPS), the run's row, COMMIT (ONE-TRANSACTION, ROWS-THEN-MARK).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import Tally
from syncline.sinks.manifest import Manifest, Mode

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

OnDelete: TypeAlias = Literal["delete", "mark", "ignore"]

SYNCED_AT_COLUMN = "_syncline_synced_at"
DELETED_AT_COLUMN = "_syncline_deleted_at"
WATERMARKS_TABLE = "_syncline_watermarks"
RUNS_TABLE = "_syncline_runs"

DELETE_GUARD_ROWS_MIN = 10
"""GUARDED-DELETE lets this many rows go whatever their share: a table of three rows may lose one."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The few facts about a warehouse that the planner needs; nothing else branches on the warehouse.

    ``text_bytes_max`` is the longest text a column holds, ``None`` for one no source reaches; ``nul_in_text`` whether a
    text may hold U+0000. A text beyond either is refused by name (LOUD), never cut or cleaned. ``loads_early``: loading
    is another machine's work, and begins while other streams are still being read.
    """

    name: str
    case_sensitive_names: bool
    name_bytes_max: int
    nul_in_text: bool = True
    text_bytes_max: int | None = None
    loads_early: bool = False


@dataclass(frozen=True, slots=True)
class Watermark:
    """A row of ``_syncline_watermarks``: the truth about one stream.

    ``columns`` are the source columns whose values are in the target for every row; a column added later joins them
    once the whole stream was read with it. ``target`` is the table the stream writes, which is its own alone, and
    ``definition`` fingerprints what the rows in it were selected by.
    """

    stream: str
    watermark: datetime | None
    version: int
    run_id: str
    committed_at: datetime
    columns: tuple[str, ...] = ()
    target: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One stream's table in one run.

    ``columns`` are the source's, in its order; the target has them and then ``_syncline_synced_at`` (and
    ``_syncline_deleted_at`` with ``on_delete="mark"``). Columns of the target that the source no longer has are kept
    and left as they are. An empty ``key`` means the whole row identifies itself (append what is not there yet).

    ``mode="snapshot"`` also removes target rows whose key is absent from staging, except rows whose cursor is at or
    after ``high``: those were committed by increments that ran while the snapshot was being read. ``high`` is ``None``
    where the fence lets none of those come between (a repair): the snapshot is right then, whatever the target's stamps
    say. ``overlap`` is how long after its stamp a record may have become visible at the source: an increment may know
    it newer than the snapshot does, and such a row stays as well, from ``newest_low`` on (NEWEST-WINS).
    ``delete_share_max`` is GUARDED-DELETE's bound as a share of the target's rows, ``None`` when the user allowed it.
    ``must_exist`` says that the rows are an increment upon what the target holds already. ``doubles`` that a staged key
    which the target holds more than once is made one row anew (a repair); without it such a key is refused.
    """

    pipeline: str
    stream: str
    run_id: str
    target: str
    columns: pa.Schema
    key: tuple[str, ...]
    cursor: str | None
    on_delete: OnDelete
    mode: Mode
    high: datetime | None
    delete_share_max: float | None = 0.2
    must_exist: bool = False
    doubles: bool = False
    overlap: timedelta = timedelta()

    @property
    def newest_low(self) -> datetime | None:
        """From which cursor on a row that the target has newer than a snapshot stays."""
        return None if self.high is None else self.high - self.overlap


@dataclass(frozen=True, slots=True)
class Mark:
    """A watermark to be moved: compare-and-set from ``version`` (0: no row yet) to ``version + 1``.

    ``target`` and ``definition`` are written beside it: whose table it is, and what its rows were selected by.
    """

    stream: str
    version: int
    watermark: datetime | None
    columns: tuple[str, ...]
    target: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class CommitUnit:
    """Everything one transaction does. ``run`` is JSON for the run's row in ``_syncline_runs``.

    A run has one row, which also says to which version it moved each watermark: whatever the clocks say, that is the
    order in which runs committed. ``again`` says that it may have committed other streams before: the row then tells of
    both.
    """

    pipeline: str
    run_id: str
    started_at: datetime
    tables: Sequence[TablePlan]
    marks: Sequence[Mark]
    run: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False

    def told_with(self, before: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """``run`` after what the run's row told before, with the rows and versions of all its streams."""
        own = {"versions": {mark.stream: mark.version + 1 for mark in self.marks}}
        told: dict[str, Any] = {}
        for each in (*before, self.run, own):
            for name, value in each.items():
                told[name] = {**told.get(name, {}), **value} if name in ("rows", "versions") else value
        return told


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of a table's staged rows; ``explained()`` equals ``staged`` or the commit is refused.

    ``unchanged``: equal to the target's row. ``superseded``: an older version of a key that is staged more than
    once. ``stale``: older than the target's row (NEWEST-WINS). ``moot``: a deletion of a key the target does not
    have, or one that ``on_delete="ignore"`` lets pass. ``deleted`` counts staged deletions carried out (with
    ``mark``: newly marked); ``absent`` counts target rows removed or marked because a snapshot lacks them; ``doubled``
    those that went because their key stood there more than once.
    """

    staged: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    superseded: int = 0
    stale: int = 0
    moot: int = 0
    absent: int = 0
    doubled: int = 0

    def explained(self) -> int:
        return self.inserted + self.updated + self.unchanged + self.deleted + self.superseded + self.stale + self.moot


@dataclass(frozen=True, slots=True)
class CommitCounts:
    committed_at: datetime
    tables: Mapping[str, RowCounts]
    """By stream name."""


Kind: TypeAlias = Literal["missing", "extra", "stale", "different"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key on which source and target differ. ``columns`` names those that do, for a row that both have.

    ``stale``: the target's row is an older version by its cursor. ``different``: it differs otherwise. ``extra``: the
    source does not have it, or the target has it twice. ``at`` is the row's cursor, the source's if it has one.
    ``twice`` says so of a row beside its key's first.
    """

    kind: Kind
    key: tuple[Any, ...]
    columns: tuple[str, ...] = ()
    at: datetime | None = field(default=None, compare=False)
    twice: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Staged rows against their target. ``examples`` holds the first differences of each kind.

    ``pending`` counts rows that are missing, extra or different but whose staged cursor is at or after the plan's
    ``high``: they changed after the watermark and are the next run's business, not a difference.
    """

    rows_source: int
    rows_target: int
    missing: int
    extra: int
    different: int
    examples: tuple[Difference, ...] = ()
    pending: int = 0
    stale: int = 0

    @property
    def equal(self) -> bool:
        return not self.differences

    @property
    def differences(self) -> int:
        return self.missing + self.extra + self.stale + self.different


DIFFERENCES_MAX = 20
"""How many differences of each kind are named, unless more are asked for."""


class Warehouse(Protocol):
    """A warehouse. Implementations connect on first use; ``statements`` counts what was sent so far.

    Raises, from any method: ``Transient`` when a later attempt may succeed; ``ConfigError`` when the user must act.
    """

    capabilities: Capabilities
    statements: int
    place: str
    """Where the targets and their watermarks live: the same text from every process that means that place, another one
    for another place. What it says is compared, and never read. Told without a connection (IDLE-IS-FREE), and free of
    secrets (NO-SECRETS)."""

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        """The committed watermarks by stream; empty where the bookkeeping does not exist yet. Creates nothing."""
        ...

    def prepare(self, tables: Sequence[TablePlan]) -> None:
        """All DDL, each statement repeatable (DDL-BEFORE): bookkeeping, targets, new and widened columns.

        Raises:
            NameCollision: two columns that are one in this warehouse; both are named (EXACT-NAMES).
            ConfigError: the target exists but was not made by Syncline or is another pipeline's, or a type cannot be
                reconciled.
            TargetMissing: a plan's target ``must_exist`` and does not; nothing was created.
        """
        ...

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        """Fills a fresh staging table with one manifest's rows and returns how many it holds.

        Raises:
            CountMismatch: staged rows differ from the manifest's, in all or in one file.
        """
        ...

    def commit(self, unit: CommitUnit) -> CommitCounts:
        """One transaction, all or nothing. On any error but ``CommitUnknown`` nothing was changed.

        Raises:
            FenceLost, MassDelete, CountMismatch, CommitUnknown.
            ConfigError: another pipeline took one of the targets since ``prepare``.
        """
        ...

    def close(self) -> None:
        """Gives back the connection; rolls back what is open. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class CommittedRun:
    """A row of ``_syncline_runs``: it stands there because its transaction committed (ONE-TRANSACTION).

    ``kind`` is ``run``, ``reload``, ``repair``, ``rewind`` or ``replay``; ``rows`` how many rows of each stream were
    landed and merged; ``versions`` to which version each watermark was moved. Empty where the row does not say.
    """

    run_id: str
    kind: str
    rows: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)


class RunHistory(Protocol):
    """A warehouse that tells which runs committed: what upkeep of the landing has to know before it removes."""

    def committed_runs(self, pipeline: str) -> Mapping[str, CommittedRun]:
        """Every committed run of the pipeline by its id, in the order they were committed, also where a clock was set
        back between two of them; empty where the bookkeeping does not exist yet."""
        ...


class Comparer(Protocol):
    """A warehouse that can hold staged rows against its target (``syncline verify``). Nothing is changed by it."""

    def compare(self, table: TablePlan, differences_max: int = DIFFERENCES_MAX) -> Comparison:
        """Compares what ``load`` staged for ``table`` with the target, by key and every column of the plan.

        In mode ``snapshot`` everything is staged, and a target row without a staged one is extra. In mode ``changes``
        some keys are: the target's other rows are left alone, and a staged deletion says that its key is extra.
        ``table.columns`` may be fewer than the target's. ``table.high`` is the target's watermark: staged rows at or
        after it, deletions too, are ``pending`` where they differ. At most ``differences_max`` of each kind are named.
        """
        ...

    def tally(self, table: TablePlan, edges: Sequence[datetime]) -> Sequence[Tally]:
        """Counts the target's live rows whose key is not staged, by cursor: below the first edge, then from each on.

        ``edges`` ascend; one range more than there are edges is told. A row without a cursor is in the first range.
        ``table`` was loaded, perhaps with no rows, and has a cursor.
        """
        ...
