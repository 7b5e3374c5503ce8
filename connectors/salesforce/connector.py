"""Salesforce as a connector: the port's methods over the modules beside this one.

::

    settings, hosts ─▶ signin ─▶ transport (wires, body, faults, patience, quota)
                                     │
             describe ◀──────────────┤
             soql, spans ─▶ looks (composite), rest (pages), wide, lookup, bulk (jobs, listing, results, sheets),
                                     │  deletes, departures, cuts ─▶ extraction
                                     └── columns, shape: one road from wire text to Arrow

"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from math import ceil
from threading import Lock
from typing import Final, Unpack

import pyarrow as pa

from syncline.connectors.connector import Batch, Forecast, Json, StreamSchema, Tally, Wait, Window
from syncline.connectors.errors import ConfigError, DataError
from syncline.connectors.finding import Finding
from syncline.connectors.recipe import Recipe
from syncline.connectors.salesforce.bulk import BulkReading
from syncline.connectors.salesforce.cuts import CUTS_MAX, Cuts
from syncline.connectors.salesforce.deletes import KEY, MISSED, DeleteLog
from syncline.connectors.salesforce.departures import Departures
from syncline.connectors.salesforce.describe import CURSORS, Described, Facts, describe_objects
from syncline.connectors.salesforce.extraction import BULK, REST, SalesforceExtraction, is_empty
from syncline.connectors.salesforce.faults import Faulted, Refused
from syncline.connectors.salesforce.looks import Looks
from syncline.connectors.salesforce.lookup import Lookups
from syncline.connectors.salesforce.quota import Quota
from syncline.connectors.salesforce.rest import PAGE_ROWS, Notes, Query, RestReading
from syncline.connectors.salesforce.settings import Options, Settings, credentials_from
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.signin import Credentials, identity_of
from syncline.connectors.salesforce.soql import fits_url, select
from syncline.connectors.salesforce.transport import Call, Seams, Transport, instant_of
from syncline.connectors.salesforce.wide import WideReading, groups_of

EARLIEST: Final = datetime(1999, 1, 1, tzinfo=UTC)
"""Where halving a window without a low begins to look: the platform is no older. Nothing below it is left out."""
BULK_CALLS: Final = 8
"""What a job costs besides its pages: create, a few polls, the list of pages, remove."""
TRANSACTION_MAX: Final = timedelta(minutes=15)
"""How long after its stamp a record may show, beyond the settling lag: a transaction lasts 10 minutes at most (Apex
governor limits)."""
COUNTS_PART: Final = 3
"""Counts that finding a part's bounds takes, about."""


class Salesforce:
    """An org. Connects at the first use; ``close`` gives connections back, and a later use connects again."""

    def __init__(self, credentials: Credentials, *, seams: Seams | None = None, **options: Unpack[Options]) -> None:
        self.settings = Settings(**options)
        self._credentials = credentials
        self._seams = seams or Seams()
        self._quota = Quota(self.settings.quota_share)
        self._lock = Lock()
        self._transport: Transport | None = None
        self._described: dict[str, Facts] = {}
        self._now: datetime | None = None
        self._listener: Callable[[Wait], None] | None = None
        self._from_env: Options | None = None
        self._looks = Looks()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Unpack[Options]) -> Salesforce:
        """An org by the ``SALESFORCE_*`` variables of ``environ``, or of the process; options go before them.

        Raises:
            ConfigError: names the variable that is missing, wrong, or contradicts another.
        """
        credentials, version = credentials_from(environ)
        if version is not None:
            options.setdefault("api_version", version)
        made = cls(credentials, **options)
        if environ is None or environ is os.environ:
            made._from_env = {**options, "api_version": made.settings.api_version}
        return made

    def __repr__(self) -> str:
        return f"Salesforce({type(self._credentials).__name__}, {self.settings})"

    @property
    def api_calls(self) -> int:
        """Requests sent to the org's data API, repeats included; signing in is not counted, as the org does not."""
        return self._quota.calls

    @property
    def settling_lag_s(self) -> float:
        """How far the horizon stays below the org's clock."""
        return self.settings.settling_lag_s

    def check(self) -> Sequence[Finding]:
        """Whether signing in works, at which version, and how much of the org's quota is left for a run."""
        self.horizon()
        subject, usage = f"source Salesforce, API version {self.settings.api_version}", self._quota.usage
        findings = [Finding("ok", subject, f"signed in by {type(self._credentials).__name__}")]
        for name, (used, limit) in usage.items():
            text = f"{used} of {limit} requests of the last 24 h are used ({name})"
            if used >= self.settings.quota_share * limit:
                cure = f"a run stops at {self.settings.quota_share:.0%}: wait, raise quota_share, or buy requests"
                findings.append(Finding("warn", "source Salesforce, quota", text, cure))
            else:
                findings.append(Finding("ok", "source Salesforce, quota", text))
        return findings

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        described = describe_objects(self._open(), list(dict.fromkeys(names)), self.settings.numbers)
        self._remember(described)
        by_name = {each.schema.name: each.schema for each in described}
        return [by_name[name] for name in names]

    def horizon(self) -> datetime:
        transport = self._open()
        # The list of resources: unlike the limits, it asks for no permission beyond the API's.
        call = Call("ask the time", "the org", transport.data_path())
        now = transport.fetch(call, lambda content, headers: instant_of(headers))
        if now is None:
            hint = "a proxy may drop the header; Syncline never uses the local clock for windows"
            raise DataError("ask the time", "the org", "the answer has no valid Date header", hint)
        self._now = now
        return now - timedelta(seconds=self.settings.settling_lag_s)

    def plan(self, stream: StreamSchema, window: Window) -> SalesforceExtraction:
        facts = self._facts(stream.name)
        rows, told = self._looks.at(stream, window) or (self._count(stream, window), None)
        narrow = self._is_narrow(stream, Shape.of(stream, facts), window)
        return self._extraction(stream, window, facts, self._road(rows, narrow, facts), rows, told)

    def look(self, windows: Sequence[tuple[StreamSchema, Window]]) -> None:
        """See ``LooksAhead``: an increment's rows are counted and its delete log is read, five streams to a request."""
        wanted = []
        for stream, window in windows:
            log = self._log(self._open(), stream, window, self._facts(stream.name), Notes())
            if log is not None and (listed := log.address(window, self._clock(window))) is not None:
                wanted.append((stream, window, listed))
        self._looks.ask(self._open(), wanted)

    def recipe(self) -> Recipe:
        """``from_env`` with the same options; a worker signs in by its own environment, to the same org and user."""
        if self._from_env is None:
            raise ConfigError(
                "read pipeline",
                "source Salesforce",
                "it was made of credentials that this process alone has, so no worker can make it anew",
                "make it by Salesforce.from_env() without a mapping, and set SALESFORCE_* for the workers as well",
            )
        maker = f"{type(self).__module__}:{type(self).__qualname__}.from_env"
        return Recipe(maker, dict(self._from_env), identity_of(self._credentials))

    def brief(self, stream: StreamSchema) -> Json:
        now = self._now
        facts = asdict(self._facts(stream.name))
        return {"facts": {**facts, "loose": sorted(facts["loose"])}, "now": None if now is None else now.isoformat()}

    def reader(self, stream: StreamSchema, window: Window, briefing: Json) -> SalesforceExtraction:
        told = briefing["facts"]
        self._now = None if briefing["now"] is None else datetime.fromisoformat(briefing["now"])
        # The road matters to planning only: each slice names its own.
        return self._extraction(stream, window, Facts(**{**told, "loose": frozenset(told["loose"])}), BULK, None)

    def _extraction(
        self, stream: StreamSchema, window: Window, facts: Facts, api: str, rows: int | None, told: Json | None = None
    ) -> SalesforceExtraction:
        transport, notes, shape = self._open(), Notes(), Shape.of(stream, facts)
        query = select(stream, shape.fields, window)
        narrow = self._is_narrow(stream, shape, window)
        log = self._log(transport, stream, window, facts, notes)
        left = Departures.of(transport, stream, window, notes, EARLIEST)
        groups = 1 if narrow else len(groups_of(stream, shape.fields, facts.stamp, window)) if api == REST else 0
        empty = is_empty(window, rows)
        calls = 0 if empty else self._calls(api, rows, groups)
        calls += (log is not None and not (empty and told is not None)) + (left is not None)
        forecast = Forecast(api, query, rows, calls)

        def rest() -> RestReading | WideReading:
            if narrow:
                return RestReading(transport, stream, shape, notes, EARLIEST)
            return WideReading(transport, stream, shape, notes, facts.stamp, window)

        cuts = self._cuts(transport, stream, window)
        bulk = BulkReading(transport, stream, shape, window, settings=self.settings, earliest=EARLIEST, rows=rows)
        now = self._clock(window)
        return SalesforceExtraction(
            stream,
            window,
            shape,
            forecast,
            notes,
            rest=rest,
            rest_part_rows=self.settings.rest_part_rows,
            bulk=bulk,
            cuts=cuts,
            log=log,
            told=told,
            departures=left,
            now=lambda: now,
        )

    def look_up(self, stream: StreamSchema, keys: pa.Table) -> Iterator[Batch] | None:
        """The records of these ids, some 430 a request; ``None`` for a stream whose key is another."""
        if stream.key != (KEY,):
            return None
        return Lookups(self._open(), stream, self._facts(stream.name)).records(keys, self._now or EARLIEST)

    def tally(self, stream: StreamSchema, edges: Sequence[datetime]) -> Sequence[Tally] | None:
        """Two requests a range; ``None`` where the org will not count (BOUNDED by its own time-out)."""
        if stream.cursor is None:
            return None
        try:
            return Lookups(self._open(), stream, self._facts(stream.name)).tallies(edges)
        except Faulted as fault:
            if fault.rule.verdict != "smaller":
                raise
        return None

    def on_wait(self, listener: Callable[[Wait], None] | None) -> None:
        self._listener = listener

    @property
    def versions(self) -> Mapping[str, str]:
        """What a run's evidence says of the source."""
        return {"salesforce_api": self.settings.api_version}

    def close(self) -> None:
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._quota.forget()

    def _open(self) -> Transport:
        with self._lock:
            if self._transport is None:
                version = self.settings.api_version
                self._transport = Transport(self._credentials, version, self._quota, self._seams, self._tell)
            return self._transport

    def _tell(self, wait: Wait) -> None:
        if (listener := self._listener) is not None:
            listener(wait)

    def _remember(self, described: Sequence[Described]) -> None:
        self._described |= {each.schema.name: each.facts for each in described}

    def _facts(self, name: str) -> Facts:
        if name not in self._described:
            self.describe([name])
        return self._described[name]

    def _clock(self, window: Window) -> datetime:
        return self._now or window.high + timedelta(seconds=self.settings.settling_lag_s)

    def _count(self, stream: StreamSchema, window: Window) -> int | None:
        """The org's own count; ``None`` where it cannot count, which says nothing about reading."""
        try:
            return Query(self._open(), Notes()).count(stream, window)
        except Faulted as fault:
            if fault.rule.verdict != "smaller":
                raise
        except Refused as refused:
            if not re.search(r"\bcount\b", refused.answer.message, re.IGNORECASE):
                raise
        return None

    def _road(self, rows: int | None, narrow: bool, facts: Facts) -> str:
        if facts.rest_only:
            return REST
        if self.settings.api != "auto":
            return self.settings.api
        many = rows is None or rows >= self.settings.bulk_rows_min
        return BULK if many or not narrow else REST

    def _cuts(self, transport: Transport, stream: StreamSchema, window: Window) -> Cuts:
        """Only the platform's own stamps are sure to move forward with each edit, if they move. Records that come twice
        are told to be one by their key."""
        query, fit = Query(transport, Notes()), stream.cursor in CURSORS and bool(stream.key)
        settled = self._clock(window) - timedelta(seconds=self.settings.settling_lag_s) - TRANSACTION_MAX
        return Cuts((lambda part: query.count(stream, part)) if fit else None, transport.seams.pool, EARLIEST, settled)

    @staticmethod
    def _is_narrow(stream: StreamSchema, shape: Shape, window: Window) -> bool:
        """Whether the query fits an address, also with the two bounds that a part of the window has."""
        return fits_url(select(stream, shape.fields, Window(window.low or EARLIEST, window.high)))

    def _calls(self, api: str, rows: int | None, groups: int) -> int:
        rows = rows or 0
        part_rows = self.settings.rest_part_rows if api == REST else self.settings.part_rows
        parts = min(CUTS_MAX, max(1, ceil(rows / part_rows)))
        counts = 0 if parts == 1 else COUNTS_PART * parts
        if api == REST:
            return counts + max(1, ceil(rows / PAGE_ROWS)) * max(1, groups)
        return counts + BULK_CALLS * parts + ceil(rows / self.settings.page_rows)

    def _log(
        self, transport: Transport, stream: StreamSchema, window: Window, facts: Facts, notes: Notes
    ) -> DeleteLog | None:
        """Purged records matter to a window with a low only: a whole read shows by itself what is gone."""
        if window.low is None or not facts.replicateable:
            return None
        if stream.key != (KEY,):
            notes.say(f"purged records of {stream.name} are told by Id, which is not its key: {MISSED}")
            return None
        return DeleteLog(transport, stream, facts.flagged, notes)
