"""Doubles for what a pipeline is made of, so that definitions and the command are tested without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from click.testing import CliRunner, Result

from syncline.connectors.connector import Extraction, StreamSchema, Window
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.sinks.landing import Landing
from syncline.sinks.warehouse import Capabilities, CommitCounts, CommitUnit, TablePlan, Watermark
from syncline.state.store import Lease, Remembered, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from syncline.sinks.manifest import Manifest

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class StubConnector:
    """Two streams; ``horizon_at`` is its clock. Reads nothing."""

    def __init__(self, horizon_at: datetime | None = None) -> None:
        self.api_calls = 0
        self.horizon_at = horizon_at or datetime.now(UTC) - timedelta(seconds=60)
        self.closed = False

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        columns = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("At", pa.timestamp("us", "UTC"))])
        return [StreamSchema(name, columns, ("Id",), "At", ("At",)) for name in names]

    def horizon(self) -> datetime:
        return self.horizon_at

    def plan(self, stream: StreamSchema, window: Window) -> Extraction:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


class StubWarehouse:
    def __init__(self) -> None:
        self.capabilities = Capabilities("stub", False, 100)
        self.statements = 0
        self.place = "stub"

    def watermarks(self, pipeline: str) -> Mapping[str, Watermark]:
        return {}

    def prepare(self, tables: Sequence[TablePlan]) -> None: ...

    def load(self, table: TablePlan, manifest: Manifest, landing: Landing) -> int:
        return 0

    def commit(self, unit: CommitUnit) -> CommitCounts:
        return CommitCounts(NOW, {})

    def close(self) -> None: ...


class StubState:
    def __init__(self, runs: Sequence[RunRecord] = (), marks: Mapping[str, Remembered] | None = None) -> None:
        self.recorded = list(runs)
        self.marks = dict(marks or {})

    @contextmanager
    def lease(self, pipeline: str, ttl_s: float) -> Iterator[Lease]:
        raise NotImplementedError
        yield

    def recall(self, pipeline: str) -> Mapping[str, Remembered]:
        return self.marks

    def remember(self, pipeline: str, marks: Mapping[str, Remembered]) -> None:
        self.marks.update(marks)

    def record(self, run: RunRecord) -> None:
        self.recorded.insert(0, run)

    def runs(self, pipeline: str, limit: int) -> Sequence[RunRecord]:
        return self.recorded[:limit]


def stub_pipeline(
    name: str = "crm",
    state: StubState | None = None,
    source: StubConnector | None = None,
    streams: Sequence[Stream | str] = ("Account", "Contact"),
) -> Pipeline:
    return Pipeline(
        name,
        source=source or StubConnector(),
        streams=streams,
        landing=Landing("memory://"),
        warehouse=StubWarehouse(),
        state=state or StubState(),
    )


CRM = """\
from tests.pipelines.doubles import stub_pipeline

pipeline = stub_pipeline()
"""


class Folder:
    """A user's working folder, and the command run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def call(self, *words: str) -> Result:
        from syncline.pipelines.cli import main

        return CliRunner().invoke(main, list(words), prog_name="syncline")
