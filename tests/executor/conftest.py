"""A pipeline from a shelf into DuckDB, read by workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from syncline.pipelines import executor, runner
from syncline.pipelines.context import Seams
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.sinks.manifest import Manifest
from syncline.state.sqlite import SqliteState
from tests.executor.shelf import Arrival, Gate, Shelf
from tests.runner.world import Clock, Collected

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
TOKEN = "a-token-nobody-may-see"


@dataclass
class Desk:
    folder: Path
    patch: pytest.MonkeyPatch
    executor: str = "processes"
    clock: Clock = field(default_factory=lambda: Clock(START))
    events: Collected = field(default_factory=Collected)

    def fill(self, name: str, rows: int, changed: Collection[int] = ()) -> pa.Table:
        """So many rows, stamped a day ago; those at the ``changed`` places by another name, half an hour from the start
        on."""
        day = START - timedelta(days=1)
        stamps = [START + HALF_HOUR if row in changed else day - timedelta(seconds=rows - row) for row in range(rows)]
        names = [f"{name} {row} changed" if row in changed else f"{name} {row}" for row in range(rows)]
        table = pa.table(
            {
                "Id": pa.array([f"{row:05}" for row in range(rows)], pa.string()),
                "Name": pa.array(names, pa.string()),
                "Stamp": pa.array(stamps, pa.timestamp("us", "UTC")),
            }
        )
        new = self.folder / f"{name}.new"
        with pa.ipc.new_file(str(new), table.schema) as writer:
            writer.write_table(table)
        # Put in place in one step: a reader that was stopped between opening the file and reading it reads a whole one.
        new.replace(self.folder / f"{name}.arrow")
        (self.folder / "now").write_text(self.clock().isoformat())
        return table

    def pipeline(self, **changed: Any) -> Pipeline:
        parts: dict[str, Any] = {
            "source": Shelf(str(self.folder)),
            "streams": ["Account"],
            "landing": Landing(str(self.folder / "landing")),
            "warehouse": DuckDB(str(self.folder / "crm.duckdb")),
            "state": SqliteState(self.folder / "state.db", clock=self.clock),
            "workers": 2,
            "executor": self.executor,
            **changed,
        }
        return Pipeline("crm", **parts)

    def run(self, pipeline: Pipeline | None = None, **options: Any) -> RunReport:
        return runner.run(pipeline or self.pipeline(), events=self.events, seams=Seams(clock=self.clock), **options)

    @contextmanager
    def gate(self, decide: Callable[[Arrival], None]) -> Iterator[Gate]:
        with Gate(decide) as gate:
            (self.folder / "gate").write_text(gate.address)
            try:
                yield gate
            finally:
                (self.folder / "gate").unlink()

    def rows(self, name: str = "Account") -> list[tuple[str, str]]:
        with duckdb.connect(str(self.folder / "crm.duckdb"), read_only=True) as connection:
            return connection.execute(f'SELECT "Id", "Name" FROM "{name}" ORDER BY 1').fetchall()

    def require_equal(self, table: pa.Table, name: str = "Account") -> None:
        assert self.rows(name) == list(zip(table["Id"].to_pylist(), table["Name"].to_pylist(), strict=True))

    def manifest(self, name: str = "Account") -> Manifest:
        landing = Landing(str(self.folder / "landing"))
        found = landing.find("crm", name, landing.sealed("crm", name)[-1])
        assert found is not None
        return found

    def files(self) -> set[str]:
        """Every Parquet file in the landing, and what was being written."""
        root = self.folder / "landing"
        return {str(path.relative_to(root)) for path in [*root.rglob("*.parquet"), *root.rglob("*.part")]}

    def require_landed_once(self) -> None:
        """SEALED-MANIFEST: one result of each slice is named, and nothing else lies there."""
        named = self.manifest().files
        assert len({entry.slice for entry in named}) == len(named)
        assert self.files() == {entry.path for entry in named}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("SHELF_TOKEN", TOKEN)
    monkeypatch.setattr(executor, "HERE_ROWS_MAX", -1)  # the tests' few rows go to workers
    return Desk(tmp_path, monkeypatch)
