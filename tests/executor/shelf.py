"""A source that any process can open: one Arrow file a stream in a folder, and a gate that a test holds readers at.

Each slice is read in two batches. Between them, and again once its rows have landed, a reader tells the gate who it is
and waits for leave; so a test kills a worker in the very middle of its work, without a sleep.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from syncline.connectors.connector import Batch, Forecast, Json, Outcome, Slice, StreamSchema, Window
from syncline.connectors.errors import ConfigError, QuotaReached
from syncline.connectors.recipe import Recipe
from syncline.connectors.secret import Secret

SLICE_ROWS: Final = 10
PATIENCE_S: Final = 300.0
"""How long a gate waits before the test fails; far above what a busy machine needs. Readers wait longer: one that ends
by itself must not pass for one that was ended."""


class Shelf:
    """The connector. ``SHELF_TOKEN`` is its credential, read where it is made. A file ``gate`` holds ``host:port``."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.token = Secret(os.environ["SHELF_TOKEN"])
        self.api_calls = 0

    def describe(self, names: Sequence[str]) -> Sequence[StreamSchema]:
        return [StreamSchema(name, self.table(name).schema, ("Id",), "Stamp", ("Stamp",)) for name in names]

    def horizon(self) -> datetime:
        return datetime.fromisoformat((self.folder / "now").read_text())

    def plan(self, stream: StreamSchema, window: Window) -> ShelfExtraction:
        return ShelfExtraction(self, stream, window)

    def close(self) -> None:
        """Nothing is held open."""

    def recipe(self) -> Recipe:
        return Recipe(f"{__name__}:Shelf", {"folder": str(self.folder)}, os.environ.get("SHELF_ACCOUNT", ""))

    def brief(self, stream: StreamSchema) -> Json:
        return {"told": stream.name}

    def reader(self, stream: StreamSchema, window: Window, briefing: Json) -> ShelfExtraction:
        assert briefing == {"told": stream.name}
        return ShelfExtraction(self, stream, window)

    def table(self, name: str) -> pa.Table:
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as data:
            return pa.ipc.open_file(data).read_all()

    def at_the_gate(self, slice: str, point: str) -> str:
        """Tells the gate who reads what, and waits for its word; "go" where there is no gate."""
        gate = self.folder / "gate"
        if not gate.exists():
            return "go"
        host, _, port = gate.read_text().partition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as line:
            line.settimeout(2 * PATIENCE_S)
            line.sendall(json.dumps([os.getpid(), slice, point]).encode() + b"\n")
            word = line.makefile().readline().strip()
        if not word:
            raise ConfigError("read", slice, "the gate went away", "")
        return word


@dataclass
class ShelfExtraction:
    source: Shelf
    stream: StreamSchema
    window: Window
    read_last: Slice | None = None

    @property
    def rows(self) -> pa.Table:
        rows = self.source.table(self.stream.name)
        below = pc.less(rows["Stamp"], pa.scalar(self.window.high, rows["Stamp"].type))
        if self.window.low is not None:
            low = pa.scalar(self.window.low, rows["Stamp"].type)
            below = pc.and_(below, pc.greater_equal(rows["Stamp"], low))
        return rows.filter(below)

    @property
    def forecast(self) -> Forecast:
        return Forecast("shelf", f"all of {self.stream.name}", len(self.rows), 1)

    @property
    def warnings(self) -> Sequence[str]:
        """Asked for by a worker once the slice has landed and before the run is told of it."""
        if self.read_last is not None:
            self.source.at_the_gate(self.read_last.id, "landed")
        return ("the shelf creaks",)

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        remember({"shelf": self.stream.name})
        for first in range(0, len(self.rows), SLICE_ROWS):
            rows = min(SLICE_ROWS, len(self.rows) - first)
            yield Slice(f"{self.stream.name}-{first:04}", {"first": first}, rows_expected=rows)

    def read(self, slice: Slice) -> Iterator[Batch]:
        self.source.api_calls += 1
        rows = self.rows.slice(slice.params["first"], slice.rows_expected).combine_chunks()
        for number, part in enumerate(rows.to_batches(max_chunksize=SLICE_ROWS // 2)):
            if number == 1:
                self.obey(self.source.at_the_gate(slice.id, "reading"))
            yield Batch(part)
        self.read_last = slice

    def obey(self, word: str) -> None:
        token = self.source.token.reveal()
        if word == "quota":
            raise QuotaReached("read", self.stream.name, f"the quota of {token} is used", "wait")
        if word == "break":
            raise ValueError(f"a defect that prints {token}")

    def close(self, outcome: Outcome, left: Json | None = None) -> None:
        """Nothing was created."""


@dataclass(frozen=True)
class Arrival:
    """A reader at the gate. Each of the words may be said once."""

    pid: int
    slice: str
    point: str
    line: socket.socket

    @property
    def at(self) -> tuple[str, str]:
        return self.slice, self.point

    def say(self, word: str) -> None:
        self.line.sendall(f"{word}\n".encode())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait_end()

    def wait_end(self) -> None:
        """Until the process is gone: its end of the line closes."""
        assert self.line.recv(1) == b"", "the reader went on"


@dataclass
class Gate:
    """Where readers ask for leave. ``decide`` answers in the gate's own thread; an error of it fails ``close``."""

    decide: Callable[[Arrival], None]
    arrivals: list[Arrival] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    _door: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._door.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._stand)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        socket.create_connection(self._door.getsockname()).close()  # wakes the one who stands there
        self._thread.join()
        self._door.close()
        for thread in self._threads:
            thread.join()
        for arrival in self.arrivals:
            arrival.line.close()
        if error is None and self.errors:
            raise self.errors[0]

    def slices_read(self) -> list[str]:
        return [each.slice for each in self.arrivals if each.point == "reading"]

    def _stand(self) -> None:
        while True:
            line, _ = self._door.accept()
            line.settimeout(PATIENCE_S)
            text = line.makefile().readline()
            if not text:
                line.close()
                return
            pid, slice, point = json.loads(text)
            arrival = Arrival(pid, slice, point, line)
            self.arrivals.append(arrival)
            thread = threading.Thread(target=self._decide, args=(arrival,))
            self._threads.append(thread)
            thread.start()

    def _decide(self, arrival: Arrival) -> None:
        try:
            self.decide(arrival)
        except BaseException as error:
            self.errors.append(error)
            arrival.line.close()
            raise


def go(arrival: Arrival) -> None:
    arrival.say("go")


@dataclass
class Once:
    """What befalls the first reader at this place; the others go on."""

    slice: str
    point: str
    act: Callable[[Arrival], None]
    met: list[Arrival] = field(default_factory=list)

    def __call__(self, arrival: Arrival) -> None:
        if arrival.at == (self.slice, self.point) and not self.met:
            self.met.append(arrival)
            self.act(arrival)
        else:
            go(arrival)
