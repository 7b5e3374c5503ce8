"""The connector port: how the runner reads a source, and nothing else about it.

::

    describe ──▶ StreamSchema ──┐
    horizon  ──▶ Window ────────┴─▶ plan ──▶ Extraction ──▶ slices ──▶ Slice ──▶ read ──▶ Batch, Batch, ...
                                                  └──────────────────▶ close(outcome)

Who calls what, when:

1. ``horizon()`` once a run, first. ``describe(names)`` once a run, before any plan.
2. ``plan(stream, window)`` once a stream. Asks the source for counts at most; creates nothing there.
3. ``extraction.slices(resume, remember)`` once. May create jobs at the source; yields each slice as soon as it can be
   read. ``extraction.read(slice)`` from any thread, several slices at once, and again after a failure: it is repeatable
   and gives the same rows as long as the source keeps the job.
4. ``extraction.close(outcome)`` always, on every path out, once; ``connector.close()`` last.

Every error other than ``Transient`` ends the run. A connector retries what its vendor's rules call retryable before it
raises, within bounds (BOUNDED). It never skips, shortens or repairs data quietly (LOUD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from syncline.connectors.recipe import Recipe

Json: TypeAlias = Any
"""A value that survives ``json.dumps`` and ``json.loads`` unchanged."""

SliceKind: TypeAlias = Literal["records", "tombstones"]

Outcome: TypeAlias = Literal["landed", "abandoned", "kept"]

DELETED_COLUMN = "_syncline_deleted"
SEQUENCE_COLUMN = "_syncline_seq"
RESERVED_PREFIX = "_syncline_"


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open range ``[low, high)`` of cursor values that one run reads; UTC, microseconds.

    ``low`` is ``None`` for "from the beginning" (the first run, a reload, a stream without a cursor).
    """

    low: datetime | None
    high: datetime

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if bound is not None and bound.utcoffset() is None:
                raise ValueError("a window's bounds are aware datetimes in UTC")


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """One stream as the source describes it (TYPES-FROM-SOURCE), narrowed by what the user asked for.

    ``columns`` are in the source's order and spelling (EXACT-NAMES); JSON documents are of type ``values.JSON``, their
    texts in the form of ``values.json_text``: nobody behind a connector checks that again. ``key`` is empty for a
    stream without one; ``cursor`` is ``None`` for a stream that must be read whole each run; ``cursors`` lists every
    column that could serve, best first. ``deletes`` says how deletions can be seen:

    * ``"flagged"``: deleted records still come, marked, and a feed of purged keys may add to them;
    * ``"absent"``: only a whole read shows what is gone;
    * ``"none"``: the source never deletes, or nobody can tell.

    ``left_out`` maps the name of each column that is not read to the reason. ``volatile`` names columns whose value
    can change without moving the cursor (formula fields). ``where`` is the user's filter in the source's language.
    ``warnings`` go into the run's report.
    """

    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    cursor: str | None
    cursors: tuple[str, ...] = ()
    deletes: Literal["flagged", "absent", "none"] = "absent"
    left_out: Mapping[str, str] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    where: str | None = None
    warnings: tuple[str, ...] = ()

    def select(self, names: Sequence[str]) -> StreamSchema:
        """The same stream with only ``names``, in the source's order."""
        wanted = set(names)
        return replace(self, columns=pa.schema([f for f in self.columns if f.name in wanted]))


@dataclass(frozen=True, slots=True)
class Slice:
    """An independent, repeatable part of a window's extraction (VALUE-RESUME).

    ``id`` is stable: a restarted extraction that resumes the same job yields the same ids for the same rows.
    ``params`` is JSON, opaque to everyone but the connector. ``rows_expected`` is what the source announced, if it did.
    Slices that are parts of one result at the source name it in ``result``; ``result_rows`` is the source's own count
    of that result, which all its slices add up to, those that an earlier run read among them (COUNTED-HOPS).
    ``last`` slices are read once those yielded before them have landed, as slices of tombstones are.
    """

    id: str
    params: Mapping[str, Json]
    kind: SliceKind = "records"
    rows_expected: int | None = None
    result: str | None = None
    result_rows: int | None = None
    last: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a slice, in Arrow.

    ``records`` has exactly the stream's columns for a ``records`` slice; for ``tombstones`` exactly the key columns
    and, if the stream has one, the cursor column holding the instant of deletion. ``deleted`` marks the rows of a
    ``records`` batch whose record is deleted at the source; ``None`` means none is. A record batch is at most
    ``BATCH_ROWS_MAX`` rows.
    """

    records: pa.RecordBatch
    deleted: pa.BooleanArray | None = None


BATCH_ROWS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an extraction is going to do, for the plan, the report and the quota check.

    ``rows`` is the source's own count for the window, ``None`` where it cannot be asked. ``api`` is the connector's
    word for the road chosen ("rest", "bulk"); ``query`` what is sent, without secrets.
    """

    api: str
    query: str
    rows: int | None
    calls: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The live rows of one range of cursor values, counted: how many, and their least and largest cursor."""

    rows: int
    least: datetime | None = None
    largest: datetime | None = None


class Extraction(Protocol):
    """One stream's window being read. Made by ``Connector.plan``; used by one run; closed on every path."""

    @property
    def forecast(self) -> Forecast: ...

    @property
    def warnings(self) -> Sequence[str]:
        """What the report must say, complete once all slices were read ("deletes may have been missed, ...")."""
        ...

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        """Yields every slice of the window once, each as soon as it can be read.

        A slice of tombstones, or one that is ``last``, is read once the slices yielded before it have landed, and may
        be read again when all have been: only a log that is read after the records tells of those that were gone by
        then, and only a range that is read after the others holds what was edited into it.

        ``remember`` is called, before anything else happens, with JSON that identifies whatever was created at the
        source (a job id); a later run passes it back as ``resume`` and gets the same slices, or, if the source no
        longer keeps it or it answers another question than this stream and window ask (COMPLETE-WINDOW), slices of a
        new job with other ids; the other job is removed.
        """
        ...

    def read(self, slice: Slice) -> Iterator[Batch]:
        """Yields the slice's rows. Repeatable, thread-safe across slices, bounded memory, loud.

        Raises:
            CountMismatch: fewer or more rows came than the source announced.
            Transient: the vendor's retryable errors, after the connector's own attempts.
        """
        ...

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        """Settles what was created at the source; nothing new is created.

        ``landed``: the rows are sealed in the landing, remove it. ``abandoned``: a failure or a stop by the user,
        abort and remove it. ``kept``: leave it for a resume (the quota guard stopped the run).
        Errors are logged, never raised: they must not hide the first error. A killed process never calls this; the
        next run resumes or removes by ``resume``; or, where its rows are sealed already, removes by ``left``, which is
        what that process last gave to ``remember``.
        """
        ...


class Connector(Protocol):
    """A source."""

    @property
    def api_calls(self) -> int:
        """How many requests were sent so far. A plain attribute serves as well."""
        ...

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        """The named streams as the source describes them, in the order asked; types never come from values.

        Raises:
            ConfigError: a name the source does not know or the user may not see, with the nearest names.
        """
        ...

    def horizon(self) -> datetime:
        """The source's own clock minus its settling lag, UTC: the highest ``high`` a run may use (COMPLETE-WINDOW)."""
        ...

    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        """Chooses how to read; creates nothing at the source, so a dry run may call it."""
        ...

    def close(self) -> None:
        """Gives back connections. Idempotent. May be called from another thread to break reads that hang.

        What is planned afterwards reads again: a repair closes the connector, and the proof after it asks the source.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wait:
    """A request that failed and is going to be sent again: what for, why it failed, and the pause before that."""

    operation: str
    object: str
    cause: str
    attempt: int
    wait_s: float


class TellsWaits(Protocol):
    """A connector that says why it waits: a run that stands still for minutes must not look like a hung one (LOUD)."""

    def on_wait(self, listener: Callable[[Wait], None] | None) -> None:
        """Calls ``listener`` before each pause, from any thread, until another or ``None`` takes its place."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A connector that can ask for several streams at once what ``plan`` would ask for each."""

    def look(self, windows: Sequence[tuple[StreamSchema, Window]]) -> None:
        """Told before a round's streams are planned, one after the other or side by side. Creates nothing.

        Each answer serves one ``plan`` of that stream and window; a later one asks anew.

        Raises:
            As ``Connector.plan``.
        """
        ...


class Lookup(Protocol):
    """A connector that reads records by their keys as well; ``verify`` reads a whole stream where it cannot."""

    def look_up(self, stream: StreamSchema, keys: pa.Table) -> Iterator[Batch] | None:
        """The records of these keys as they are now, whatever their cursor, in any order; ``None`` if it cannot.

        ``keys`` has the stream's key columns and names a key once. A record that is deleted comes marked as such or not
        at all; one that is gone, or that ``stream.where`` keeps out, does not come.

        Raises:
            Transient: as ``Extraction.read``.
        """
        ...


class Tallier(Protocol):
    """A connector whose source counts without handing over rows; ``verify`` reads keys where it does not."""

    def tally(self, stream: StreamSchema, edges: Sequence[datetime]) -> Sequence[Tally] | None:
        """The live rows of ``[edges[n], edges[n + 1])`` for each n, as they are now; ``None`` if it cannot count.

        ``Tally.least`` may be left out. Rows that ``stream.where`` keeps out do not count.
        """
        ...


class SliceReader(Protocol):
    """Reads slices of an extraction that another process planned."""

    @property
    def warnings(self) -> Sequence[str]:
        """As ``Extraction.warnings``, of what this reader read."""
        ...

    def read(self, slice: Slice) -> Iterator[Batch]:
        """As ``Extraction.read``. Creates and removes nothing at the source: that is the extraction's affair."""
        ...


class Portable(Protocol):
    """A connector whose slices other processes can read, each by a connector of its own::

        here:   plan ──▶ slices ──▶ Slice ─┐
                recipe, brief ─────────────┴──▶ elsewhere: make(recipe).reader(..., briefing).read(slice)

    What goes there is words: a recipe, a briefing, a slice. Secrets do not; the maker finds them where it runs.
    """

    def recipe(self) -> Recipe:
        """How a process elsewhere makes this connector anew.

        Raises:
            ConfigError: it was made of what this process alone has, with the cure.
        """
        ...

    def brief(self, stream: StreamSchema) -> Json:
        """What a reader must know besides the stream, so that it need not ask the source again. No secrets."""
        ...

    def reader(self, stream: StreamSchema, window: Window, briefing: Json) -> SliceReader:
        """A reader for one slice of the window; asks the source nothing before it reads."""
        ...
