"""What fixed pieces of work cost in things that can be counted; no clock is looked at.

``python -m tests.bench.work`` writes the record that ``test_work.py`` holds new measurements against. One thread runs
at a time, everything is in one process, and what the practice org does for its answers is left out, so the figures
repeat but for the order of sets.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import pyarrow as pa

from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.settings import Options, credentials_from
from syncline.connectors.salesforce.transport import Seams as Wires
from syncline.connectors.sandbox.http import Request, Response
from syncline.connectors.sandbox.in_process import ORG_URL, session_to
from syncline.connectors.sandbox.org import Org
from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.events import Quiet
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.report import RunReport
from syncline.pipelines.simulation import turns
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.state.memory import MemoryState

RECORD: Final = Path(__file__).with_name("work.json")
ROWS: Final = 20_000
FEW: Final = 5_000
APIS: Final[tuple[Literal["bulk", "rest"], ...]] = ("bulk", "rest")
CHANGES: Final = 1_000
START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)

Figures = Mapping[str, float]


@dataclass(slots=True)
class Meter:
    """Counts what happens while ``on``: calls of Python functions, and what Arrow allocates."""

    calls: int = 0
    aside: int = 0
    _allocated: Counter[str] = field(default_factory=Counter)

    def __call__(self, frame: object, event: str, argument: object) -> None:
        if not self.aside and event in ("call", "c_call"):
            self.calls += 1

    @contextmanager
    def counting(self) -> Iterator[None]:
        turns._resting.clear()  # threads that rest there were started without the meter
        before = arrow()
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        self._allocated.update(arrow())
        self._allocated.subtract(before)

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What the practice org does."""
        self.aside += 1
        before = arrow()
        try:
            yield
        finally:
            self.aside -= 1
            self._allocated.update(before)
            self._allocated.subtract(arrow())

    @property
    def allocated(self) -> Mapping[str, int]:
        return self._allocated


def arrow() -> Counter[str]:
    pool = pa.default_memory_pool()
    return Counter({"allocations": pool.num_allocations(), "bytes": pool.total_bytes_allocated()})


class Counted:
    """Any port whose calls are counted by name."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.inner, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            return attribute(*args, **options)

        return call


@dataclass
class Bench:
    """One org and one copy of it."""

    folder: Path
    options: Options
    rows: int = ROWS
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.org = Org(1, START)
        self.org.freeze()
        self.org.seed({"Account": self.rows})
        self.state = Counted(MemoryState(clock=self.org.now))

    def change(self, count: int) -> None:
        self.org.advance(3_600)
        ids = self.org.ids("Account")
        self.org.update("Account", ids[:: len(ids) // count][:count], {"Name": "Renamed"})
        self.org.advance(300)

    def pass_time(self, seconds: float) -> None:
        self.org.advance(seconds)

    def run(self) -> Figures:
        """One run, and what it cost."""
        taken = turns.Turns(Random(1))
        pipeline = self.pipeline(taken)
        seams = Seams(self.org.now, self.pass_time, Random(2).randbytes, taken.pool, taken.wait)
        self.meter, self.state.calls = Meter(), 0
        with self.meter.counting():
            report = runner.run(pipeline, events=Quiet(), seams=seams)
        return self.figures(report)

    def figures(self, report: RunReport) -> Figures:
        stream = report.streams["Account"]
        allocated = self.meter.allocated
        return {
            "rows read": stream.read,
            "requests": report.api_calls,
            "state calls": self.state.calls,
            "warehouse statements": report.warehouse_statements,
            "bytes landed": stream.size_bytes,
            "Python calls": self.meter.calls,
            "Arrow allocations": allocated["allocations"],
            "Arrow bytes": allocated["bytes"],
        }

    def pipeline(self, taken: turns.Turns) -> Pipeline:
        environ = {
            "SALESFORCE_INSTANCE_URL": ORG_URL,
            "SALESFORCE_CLIENT_ID": self.org.client_id,
            "SALESFORCE_CLIENT_SECRET": self.org.client_secret,
        }
        wires = Wires(
            sleep=self.pass_time,
            random=Random(3).random,
            clock=lambda: self.org.now().timestamp(),
            now=self.org.now,
            sessions=lambda sockets: session_to(self.org, self.answer),
            pool=taken.pool,
        )
        return Pipeline(
            "bench",
            source=Salesforce(credentials_from(environ)[0], seams=wires, **self.options),
            streams=["Account"],
            landing=Landing(str(self.folder / "landing")),
            warehouse=DuckDB(str(self.folder / "bench.duckdb"), threads=1),
            state=self.state,
            workers=1,
        )

    def answer(self, request: Request) -> Response:
        with self.meter.left_out():
            answer = self.org.handle(request)
            answer.content()
            return answer


def measure() -> dict[str, Figures]:
    """Every piece of work, by name. The first of each kind goes uncounted, for what it imports and remembers."""
    found: dict[str, Figures] = {}
    for api in APIS:
        with TemporaryDirectory() as folder:
            bench = Bench(Path(folder), {"api": api}, FEW)
            bench.run()
            bench.change(CHANGES)
            bench.run()
    for api in APIS:
        with TemporaryDirectory() as folder:
            found[f"first load of few, {api}"] = Bench(Path(folder), {"api": api}, FEW).run()
        with TemporaryDirectory() as folder:
            bench = Bench(Path(folder), {"api": api})
            found[f"first load, {api}"] = bench.run()
            bench.change(CHANGES)
            found[f"increment, {api}"] = bench.run()
            bench.org.advance(86_400)
            found[f"idle, {api}"] = bench.run()
    return found


if __name__ == "__main__":
    RECORD.write_text(json.dumps(measure(), indent=2) + "\n")
