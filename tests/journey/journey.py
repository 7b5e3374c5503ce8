"""The whole journey: a practice org over HTTP -> Parquet -> DuckDB, with the org's clock as the only clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from syncline.connectors.salesforce import Salesforce
from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.report import RunReport
from syncline.pipelines.verify import VerifyReport, verify
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.state.sqlite import SqliteState
from tests.runner.world import Collected
from tests.salesforce.org_world import Site


@dataclass
class Journey:
    """An org, and the pipeline that copies it."""

    site: Site
    folder: Path
    streams: Sequence[Stream] = (Stream("Account"), Stream("Contact"), Stream("Opportunity"))
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    events: Collected = field(default_factory=Collected)
    randoms: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    @property
    def org(self) -> Any:
        return self.site.org

    @property
    def database(self) -> Path:
        return self.folder / "crm.duckdb"

    def source(self) -> Salesforce:
        return self.site.connect(**self.options)

    def pipeline(self, **changed: Any) -> Pipeline:
        parts: dict[str, Any] = {
            "source": self.source(),
            "streams": self.streams,
            "landing": Landing(str(self.folder / "landing")),
            "warehouse": DuckDB(str(self.database)),
            "state": SqliteState(self.folder / "state.db", clock=self.org.now),
            **self.settings,
            **changed,
        }
        return Pipeline("crm", **parts)

    def seams(self) -> Seams:
        return Seams(
            clock=self.org.now,
            sleep=lambda seconds: self.org.advance(seconds) and None,
            random=lambda size: next(self.randoms).to_bytes(size, "big"),
        )

    def run(self, pipeline: Pipeline | None = None, after_s: float = 300, **options: Any) -> RunReport:
        self.org.advance(after_s)
        return runner.run(pipeline or self.pipeline(), events=self.events, seams=self.seams(), **options)

    def reload(self, *streams: str, **options: Any) -> RunReport:
        self.org.advance(300)
        return runner.reload(self.pipeline(), streams=streams, events=self.events, seams=self.seams(), **options)

    def verify(self) -> VerifyReport:
        return verify(self.pipeline(), events=self.events, seams=self.seams())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def target(self, table: str, names: Sequence[str]) -> pa.Table:
        columns = ", ".join(f'"{name}"' for name in names)
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(f'SELECT {columns} FROM "{table}" ORDER BY "Id"').to_arrow_table()

    def differences(self) -> list[str]:
        """What differs between the org's own snapshot and the tables; nothing of Syncline takes part."""
        found = []
        for stream in self.streams:
            wanted = self.org.snapshot(stream.name)
            names = [name for name in wanted.column_names if stream.fields is None or name in stream.fields]
            wanted = wanted.select(names)
            have = self.target(stream.target, names)
            if have.num_rows != wanted.num_rows:
                found.append(f"{stream.name}: {have.num_rows} rows, {wanted.num_rows} in the org")
                continue
            for name in names:
                ours, theirs = have.column(name), wanted.column(name)
                if not ours.cast(theirs.type).equals(theirs):
                    found.append(f"{stream.name}.{name} differs")
        return found

    def window(self, report: RunReport, stream: str = "Account") -> tuple[Any, Any]:
        window = report.streams[stream].window
        assert window is not None
        return window.low, window.high


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
