"""What a user writes: a ``Pipeline`` of ``Stream``s, checked when the file loads.

Every check here needs no network, so a mistake shows before anything is read; what only the source can tell (an object
or a field that does not exist) is checked by the runner and by ``syncline plan``. A wrong
setting is a ``ConfigError`` that names the stream and the setting, and suggests the nearest right word.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING, Literal, Never, TypeAlias

from syncline.connectors.errors import ConfigError, NameCollision

if TYPE_CHECKING:
    from syncline.connectors.connector import Connector
    from syncline.sinks.landing import Landing
    from syncline.sinks.warehouse import OnDelete, Warehouse
    from syncline.state.store import StateStore

Commit: TypeAlias = Literal["together", "each"]

NAME_CHARS_MAX = 100
WORKERS_MAX = 64
OVERLAP_MAX = timedelta(days=15)
"""Salesforce keeps soft-deleted records about this long; a longer overlap would promise what no source can give."""

DURATION_HINT = 'write a duration such as "90s", "10m", "2h", "7d" or "1w"'

_DURATION = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, init=False)
class Stream:
    """One object or collection of the source, and how it is to be copied.

    ``fields`` are the only columns to copy and ``exclude`` those to leave out; the key and the cursor are always
    copied. ``where`` is a filter in the source's own language. ``cursor`` and ``key`` replace what the source's
    description suggests. ``overlap`` is how far below the watermark a window starts. ``target`` is the table, the
    stream's name when left out. ``full_every`` reads the whole stream again that often, which also finds deletions no
    feed reports. ``verify_every`` compares every key and cursor that often, after a run, and mends what differs.

    Durations are a ``timedelta`` or a text such as ``"90s"``, ``"10m"``, ``"2h"``, ``"7d"``, ``"1w"``.
    """

    name: str
    fields: tuple[str, ...] | None
    exclude: tuple[str, ...]
    where: str | None
    cursor: str | None
    key: tuple[str, ...] | None
    on_delete: OnDelete
    overlap: str | timedelta
    target: str
    full_every: str | timedelta | None
    verify_every: str | timedelta | None

    def __init__(
        self,
        name: str,
        fields: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        where: str | None = None,
        cursor: str | None = None,
        key: str | Sequence[str] | None = None,
        on_delete: OnDelete = "delete",
        overlap: str | timedelta = "10m",
        target: str | None = None,
        full_every: str | timedelta | None = None,
        verify_every: str | timedelta | None = None,
        **unknown: Never,
    ) -> None:
        check = _Check(f"stream {name}" if isinstance(name, str) else "a stream")
        check.known(unknown, Stream)
        check.stream_name(name)
        values = {
            "name": name,
            "fields": None if fields is None else check.names("fields", fields),
            "exclude": check.names("exclude", exclude, may_be_empty=True),
            "where": check.text("where", where),
            "cursor": check.text("cursor", cursor),
            "key": None if key is None else check.names("key", (key,) if isinstance(key, str) else key),
            "on_delete": check.one_of("on_delete", on_delete, ("delete", "mark", "ignore")),
            "overlap": check.duration("overlap", overlap, most=OVERLAP_MAX),
            "target": check.target(name if target is None else target),
            "full_every": None if full_every is None else check.duration("full_every", full_every, least_s=1),
            "verify_every": None if verify_every is None else check.duration("verify_every", verify_every, least_s=1),
        }
        for setting, value in values.items():
            object.__setattr__(self, setting, value)
        check.apart(self)

    @property
    def overlap_duration(self) -> timedelta:
        return parse_duration(self.overlap)

    @property
    def full_every_duration(self) -> timedelta | None:
        return None if self.full_every is None else parse_duration(self.full_every)

    @property
    def verify_every_duration(self) -> timedelta | None:
        return None if self.verify_every is None else parse_duration(self.verify_every)


@dataclass(frozen=True, slots=True, init=False)
class Pipeline:
    """A source, the streams to copy from it, and where they go.

    Left out, ``landing`` is the folder ``./.syncline/landing``, ``warehouse`` DuckDB in ``./<name>.duckdb`` and
    ``state`` SQLite in ``./.syncline/state.db``.

    ``commit="together"`` commits all streams of a run in one transaction (ONE-TRANSACTION); ``"each"`` commits each
    stream as soon as it is loaded. ``delete_share_max`` is the share of a table's rows that a run may delete
    (GUARDED-DELETE). ``workers`` is how many slices are read at once; left out, one a core, from 2 to 4.
    ``executor`` is who reads them: ``"threads"`` of the run's own process, ``"processes"`` on this machine, or the
    workers of a cluster, ``"dask://host:port"``; these make connector and landing anew. ``digest_rows_max`` is how many
    rows of the overlap are remembered, so that reading them again costs the warehouse nothing (IDLE-IS-FREE).
    """

    name: str
    source: Connector
    streams: tuple[Stream, ...]
    landing: Landing
    warehouse: Warehouse
    state: StateStore
    commit: Commit
    delete_share_max: float
    workers: int
    digest_rows_max: int
    executor: str

    def __init__(
        self,
        name: str,
        source: Connector,
        streams: Sequence[Stream | str],
        landing: Landing | None = None,
        warehouse: Warehouse | None = None,
        state: StateStore | None = None,
        commit: Commit = "together",
        delete_share_max: float = 0.2,
        workers: int | None = None,
        digest_rows_max: int = 20_000,
        executor: str = "threads",
        **unknown: Never,
    ) -> None:
        check = _Check(f"pipeline {name}" if isinstance(name, str) else "a pipeline")
        check.known(unknown, Pipeline)
        check.pipeline_name(name)
        check.connector(source)
        values = {
            "name": name,
            "source": source,
            "streams": check.streams(streams),
            "commit": check.one_of("commit", commit, ("together", "each")),
            "delete_share_max": check.between("delete_share_max", delete_share_max, 0, 1),
            "workers": check.between(
                "workers", default_workers(executor) if workers is None else workers, 1, WORKERS_MAX, whole=True
            ),
            "digest_rows_max": check.between("digest_rows_max", digest_rows_max, 0, 10_000_000, whole=True),
            "executor": check.executor(executor),
            "landing": _default_landing() if landing is None else landing,
            "warehouse": _default_warehouse(name) if warehouse is None else warehouse,
            "state": _default_state() if state is None else state,
        }
        for setting, value in values.items():
            object.__setattr__(self, setting, value)
        if executor != "threads":
            check.portable(self.source, self.landing)

    def select(self, names: Sequence[str]) -> tuple[Stream, ...]:
        """The streams of these names, in the pipeline's order; all of them for none.

        Raises:
            ConfigError: a name that is not one of the pipeline's streams, with the nearest one.
        """
        known = [stream.name for stream in self.streams]
        for name in names:
            if name not in known:
                raise ConfigError(
                    "choose streams",
                    f"pipeline {self.name}",
                    f"it has no stream {name!r}",
                    nearest(name, known) or f"its streams are {', '.join(known)}",
                )
        return tuple(stream for stream in self.streams if not names or stream.name in names)


def default_workers(executor: str = "threads") -> int:
    """One a core this process may use, from 2 to 4: more than cores costs memory and CPU time (measured).

    As many as may be where the cores are a cluster's: it gives slices to its workers as they come free.
    """
    if executor not in ("threads", "processes"):
        return WORKERS_MAX
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return min(4, max(2, usable))


def parse_duration(value: str | timedelta) -> timedelta:
    """``"90s"``, ``"10m"``, ``"2h"``, ``"7d"`` or ``"1w"`` as a timedelta; raises ValueError for anything else."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def nearest(word: str, known: Iterable[str]) -> str:
    """``"did you mean 'Name'?"`` for the most similar known word, whatever its case; empty when none is similar."""
    by_fold = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return f"did you mean {by_fold[found[0]]!r}?" if found else ""


@dataclass(frozen=True, slots=True)
class _Check:
    """Refuses wrong settings of one subject ("stream Account")."""

    subject: str

    def fail(self, setting: str, cause: str, hint: str = "") -> Never:
        raise ConfigError("read pipeline", f"{self.subject}, setting {setting}", cause, hint)

    def known(self, unknown: Mapping[str, object], owner: type[Stream] | type[Pipeline]) -> None:
        settings = [name for name in signature(owner).parameters if name != "unknown"]
        for name in unknown:
            hint = nearest(name, settings) or f"a {owner.__name__} has {', '.join(settings)}"
            self.fail(name, "there is no such setting", hint)

    def pipeline_name(self, name: object) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or len(name) > NAME_CHARS_MAX:
            self.fail(
                "name",
                f"{name!r} cannot name folders and files",
                f"use a letter, then letters, digits, _ or -, at most {NAME_CHARS_MAX} characters",
            )

    def stream_name(self, name: object) -> None:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > NAME_CHARS_MAX:
            self.fail("name", f"{name!r} is not the name of an object", 'write it as the source does, as in "Account"')

    def target(self, name: object) -> str:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > NAME_CHARS_MAX:
            self.fail("target", f"{name!r} cannot name a table")
        if set(name) & set("./\\\"'`;"):
            self.fail(
                "target",
                f"{name!r} holds a character that a table's name may not have here",
                'set target to a plain name, as in target="account"; database and schema are settings of the warehouse',
            )
        if name.casefold().startswith("_syncline_"):
            self.fail("target", f"{name!r} starts with _syncline_, which is kept for bookkeeping", "choose another")
        return name

    def text(self, setting: str, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.fail(setting, f"{value!r} is not a text", "leave the setting out, or write a text in quotes")
        return value

    def names(self, setting: str, values: object, may_be_empty: bool = False) -> tuple[str, ...]:
        if isinstance(values, str) or not isinstance(values, Iterable):
            self.fail(setting, f"{values!r} is not a list of names", f'write {setting}=["Id", "Name"]')
        listed = tuple(values)
        if not listed and not may_be_empty:
            self.fail(setting, "the list is empty", f"leave {setting} out to have what the source suggests")
        for value in listed:
            if not isinstance(value, str) or not value.strip():
                self.fail(setting, f"{value!r} is not a name", f'write {setting}=["Id", "Name"]')
        doubled = sorted({value for value in listed if listed.count(value) > 1})
        if doubled:
            self.fail(setting, f"{doubled[0]} is listed twice", "list it once")
        return listed

    def one_of(self, setting: str, value: object, allowed: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in allowed:
            hint = nearest(value, allowed) if isinstance(value, str) else ""
            self.fail(setting, f"{value!r} is not one of {', '.join(allowed)}", hint)
        return value

    def duration(
        self, setting: str, value: str | timedelta, least_s: int = 0, most: timedelta | None = None
    ) -> str | timedelta:
        try:
            span = parse_duration(value)
        except ValueError as error:
            self.fail(setting, str(error), DURATION_HINT)
        if span < timedelta(seconds=least_s):
            self.fail(setting, f"{value!r} is too short", DURATION_HINT)
        if most is not None and span > most:
            self.fail(
                setting, f"{value!r} is more than {most.days} days", "use full_every for what an overlap cannot do"
            )
        return value

    def between(self, setting: str, value: object, least: int, most: int, whole: bool = False) -> float:
        kind = "whole number" if whole else "number"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            self.fail(setting, f"{value!r} is not a {kind}", f"write one from {least} to {most}")
        if not least <= value <= most:
            self.fail(setting, f"{value!r} is out of range", f"write a {kind} from {least} to {most}")
        return value

    def apart(self, stream: Stream) -> None:
        both = [field for field in stream.exclude if field in (stream.fields or ())]
        if both:
            self.fail("exclude", f"{both[0]} is listed in fields as well", "list it in one of the two")

    def connector(self, source: object) -> None:
        if not all(hasattr(source, method) for method in ("describe", "horizon", "plan", "close")):
            self.fail(
                "source", f"a {type(source).__name__} is not a connector", "pass one, as in Salesforce.from_env()"
            )

    def executor(self, value: object) -> str:
        if not isinstance(value, str) or not value.startswith("dask:"):
            return self.one_of("executor", value, ("threads", "processes", "dask://host:port"))
        from syncline.pipelines.dask_engine import address_of

        try:
            address_of(value)
        except ConfigError as error:
            self.fail("executor", error.cause, error.hint)
        return value

    def portable(self, source: Connector, landing: Landing) -> None:
        """Workers in other processes make both anew; what cannot be is refused before anything is read."""
        if not all(hasattr(source, method) for method in ("recipe", "brief", "reader")):
            cause = f"a {type(source).__name__} reads in the run's own process only: no worker can make it anew"
            self.fail("executor", cause, 'leave executor out, or write executor="threads"')
        for part in (source, landing):
            try:
                part.recipe()  # type: ignore[union-attr]  # asked for just now
            except ConfigError as error:
                self.fail("executor", f"{error.object}: {error.cause}", error.hint)

    def streams(self, streams: object) -> tuple[Stream, ...]:
        if isinstance(streams, (str, Stream)) or not isinstance(streams, Iterable):
            self.fail("streams", "it is not a list", 'write streams=[Stream("Account"), ...]')
        listed = tuple(Stream(item) if isinstance(item, str) else item for item in streams)
        if not listed:
            self.fail("streams", "the list is empty", 'name at least one, as in streams=[Stream("Account")]')
        for item in listed:
            if not isinstance(item, Stream):
                self.fail("streams", f"a {type(item).__name__} is not a Stream", 'write Stream("Account")')
        self._distinct(listed)
        return listed

    def _distinct(self, streams: tuple[Stream, ...]) -> None:
        """Names that differ only in case are one name: to DuckDB, and to many file systems."""
        for index, stream in enumerate(streams):
            for earlier in streams[:index]:
                if stream.name == earlier.name:
                    self.fail("streams", f"{stream.name} is listed twice", "list each stream once")
                if stream.target.casefold() == earlier.target.casefold():
                    raise NameCollision(
                        "read pipeline",
                        f"{self.subject}, streams {earlier.name} and {stream.name}",
                        f"EXACT-NAMES: both go to the table {stream.target}",
                        "give one of them another target",
                    )


def _default_landing() -> Landing:
    from syncline.sinks.landing import Landing

    return Landing(".syncline/landing")


def _default_warehouse(name: str) -> Warehouse:
    from syncline.sinks.duckdb import DuckDB

    return DuckDB(f"{name}.duckdb")


def _default_state() -> StateStore:
    from syncline.state.sqlite import SqliteState

    return SqliteState(".syncline/state.db")
