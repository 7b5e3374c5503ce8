"""A practice org as the tests need it: served on a free port, with its clock driving every wait."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Unpack

import pyarrow as pa

from syncline.connectors.connector import Batch, Connector, Json, Slice, StreamSchema, Window
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.extraction import SalesforceExtraction
from syncline.connectors.salesforce.settings import Options, credentials_from
from syncline.connectors.salesforce.transport import Seams
from syncline.connectors.sandbox import Org, SandboxServer
from syncline.connectors.world import Key, Row

START = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class Site:
    """A served org and connectors to it. ``waits`` are the pauses that connectors took, on the org's clock."""

    org: Org
    server: SandboxServer
    waits: list[float] = field(default_factory=list)

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "SALESFORCE_INSTANCE_URL": self.server.url,
            "SALESFORCE_CLIENT_ID": self.org.client_id,
            "SALESFORCE_CLIENT_SECRET": self.org.client_secret,
            **more,
        }

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.org.advance(seconds)

    def seams(self) -> Seams:
        return Seams(self.wait, lambda: 0.5, lambda: self.org.now().timestamp(), self.org.now)

    def connect(self, environ: Mapping[str, str] | None = None, **options: Unpack[Options]) -> Salesforce:
        credentials, _ = credentials_from(environ or self.environ())
        return Salesforce(credentials, seams=self.seams(), **options)

    def calls(self, pattern: str) -> int:
        """How many requests had this method and path, as ``"GET */results"``."""
        asked = (f"{entry.method} {entry.target.partition('?')[0]}" for entry in self.org.log.entries)
        return sum(fnmatch.fnmatchcase(each, pattern) for each in asked)


@dataclass(slots=True)
class Read:
    """Everything one extraction gave."""

    extraction: SalesforceExtraction
    slices: list[Slice]
    batches: dict[str, list[Batch]]
    remembered: list[Json]

    def table(self) -> pa.Table:
        """The records, sorted by Id."""
        found = [batch.records for slice in self.slices if slice.kind == "records" for batch in self.batches[slice.id]]
        return pa.Table.from_batches(found).sort_by("Id") if found else pa.table({"Id": pa.array([], pa.string())})

    def ids(self) -> list[str]:
        return list(self.table().column("Id").to_pylist())

    def deleted(self) -> set[str]:
        """Ids of records marked as deleted."""
        marked = (b for slice in self.slices for b in self.batches[slice.id] if b.deleted is not None)
        return {each for b in marked for each in b.records.filter(b.deleted).column("Id").to_pylist()}

    def tombstones(self) -> dict[str, datetime]:
        found = [b.records for s in self.slices if s.kind == "tombstones" for b in self.batches[s.id]]
        return {row["Id"]: row["SystemModstamp"] for rows in found for row in rows.to_pylist()}


def read(source: Salesforce, schema: StreamSchema, window: Window, resume: Json | None = None) -> Read:
    """One whole extraction, landed."""
    return read_planned(source.plan(schema, window), resume)


def read_planned(extraction: SalesforceExtraction, resume: Json | None = None) -> Read:
    outcome = "abandoned"
    try:
        remembered: list[Json] = []
        slices = list(extraction.slices(resume, remembered.append))
        batches = {slice.id: list(extraction.read(slice)) for slice in slices}
        outcome = "landed"
        return Read(extraction, slices, batches, remembered)
    finally:
        extraction.close("landed" if outcome == "landed" else "abandoned")


def read_object(source: Salesforce, name: str = "Account", low: datetime | None = None) -> Read:
    """The object up to the horizon."""
    [schema] = source.describe([name])
    return read(source, schema, Window(low, source.horizon()))


def fill(site: Site, rows: int = 500, spread_s: int = 0, pages: bool = True) -> list[str]:
    """Accounts of one instant, or spread evenly over so many seconds; with ``pages``, of 100 rows each."""
    if pages:
        site.org.settings.page_rows_max = site.org.settings.bulk_page_rows_default = 100
    ids: list[str] = []
    for _ in range(10):
        ids += site.org.insert("Account", {}, count=rows // 10)
        site.org.advance(spread_s / 10)
    site.org.advance(120)
    return sorted(ids)


def bulk(site: Site, parallel: bool = True, **options: Unpack[Options]) -> Salesforce:
    """``parallel``: by ``/resultPages``; else page after page by locator, as before version 58."""
    chosen: Options = {"api": "bulk", "page_rows": 100, "api_version": "62.0" if parallel else "57.0"}
    chosen.update(options)
    return site.connect(**chosen)


def planned(source: Salesforce, name: str = "Account") -> tuple[SalesforceExtraction, StreamSchema]:
    """The object up to the horizon, not begun."""
    [schema] = source.describe([name])
    return source.plan(schema, Window(None, source.horizon())), schema


def ids_of(extraction: SalesforceExtraction, slices: Sequence[Slice]) -> list[str]:
    found = [batch.records.column("Id").to_pylist() for slice in slices for batch in extraction.read(slice)]
    return sorted(each for some in found for each in some)


def forget(token: Json) -> None:
    """For tests that do not resume."""


class SalesforceWorld:
    """An org with an empty Account, as the conformance suite wants it."""

    stream = "Account"
    faults: Sequence[str] = (
        "error", "reset_before", "reset_after", "reset_in_body", "no_terminator", "truncate_half",
        "truncate_row_edge", "truncate_mid_row", "truncate_in_quotes", "gzip_trailer", "fewer_rows", "duplicate_page",
        "wrong_count", "no_count", "expire_session", "revoke_session",
    )  # fmt: skip

    def __init__(self, site: Site, **options: Unpack[Options]) -> None:
        self.site = site
        self.options: Options = {**options, "page_rows": 100}
        self.secrets: Sequence[str] = (site.org.client_secret,)

    def connect(self) -> Connector:
        return self.site.connect(**self.options)

    def now(self) -> datetime:
        return self.site.org.now()

    def advance(self, seconds: float) -> None:
        self.site.org.advance(seconds)

    def insert(self, rows: Sequence[Row]) -> Sequence[Key]:
        if not rows:
            return []
        values = {name: [row[name] for row in rows] for name in rows[0]}
        return [(each,) for each in self.site.org.insert("Account", values, count=len(rows))]

    def insert_late(self, rows: Sequence[Row], stamp: datetime) -> Sequence[Key]:
        keys = self.insert(rows)
        ids = [str(key) for (key,) in keys]
        self.site.org.update("Account", ids, {"SystemModstamp": stamp}, touch="none")
        return keys

    def update(self, keys: Sequence[Key], change: Row) -> None:
        self.site.org.update("Account", [str(key) for (key,) in keys], change)

    def delete(self, keys: Sequence[Key]) -> None:
        self.site.org.delete("Account", [str(key) for (key,) in keys])

    def purge(self, keys: Sequence[Key]) -> None:
        self.site.org.hard_delete("Account", [str(key) for (key,) in keys])

    def undelete(self, keys: Sequence[Key]) -> None:
        self.site.org.undelete("Account", [str(key) for (key,) in keys])

    def strike(self, fault: str) -> None:
        self.site.org.clear_faults()
        self.site.org.inject(fault, path="*[sq]*", nth=3)


class BulkWorld(SalesforceWorld):
    """The same, read by jobs."""

    def jobs(self) -> Sequence[str]:
        return [job["id"] for job in self.site.org.jobs()]

    def lose_jobs(self) -> None:
        self.site.org.advance(8 * 86_400)
