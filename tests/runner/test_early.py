"""Tables are staged while other streams are still being read, where loading is another machine's work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from syncline.connectors.errors import SignInError, Stopped, Transient
from syncline.pipelines import runner
from syncline.pipelines.events import Event
from syncline.pipelines.stop import StopSignal
from syncline.sinks.memory import Memory, Storage
from syncline.sinks.postgres import Postgres
from tests.runner.test_outcomes import Watched, WatchedExtraction
from tests.runner.world import World, accounts
from tests.servers.postgres import PgAddress

WAIT_S = 20.0

WORKERS = 8
"""More than Contact has slices: those that are held back must leave some for Account."""


@dataclass
class Announced:
    """Events that can be waited for."""

    names: list[tuple[str, Any]] = field(default_factory=list)
    loaded: threading.Event = field(default_factory=threading.Event)

    def emit(self, event: Event) -> None:
        self.names.append((event.name, event.fields.get("stream")))
        if self.names[-1] == ("table_loaded", "Account"):
            self.loaded.set()


class HoldsBack(Watched):
    """A source that gives no row of Contact before ``ready`` has said whether it will."""

    def __init__(self, inner: Any, ready: Callable[[], bool]) -> None:
        super().__init__(inner)
        self.ready = ready

    def plan(self, stream: Any, window: Any) -> Any:
        extraction = self.inner.plan(stream, window)
        return HeldBack(self, extraction) if stream.name == "Contact" else extraction


class HeldBack(WatchedExtraction):
    def __init__(self, source: HoldsBack, inner: Any) -> None:
        super().__init__(source, inner)
        self._ready = source.ready

    def read(self, slice: Any) -> Any:
        if not self._ready():
            raise Transient("read", slice.id, "the source is gone", "run again")
        return self._inner.read(slice)


def run(world: World, warehouse: Any, ready: Callable[[], bool] = lambda: True, events: Announced | None = None) -> Any:
    world.clock.advance(minutes=5)
    pipeline = world.pipeline(warehouse=warehouse, source=HoldsBack(world.source, ready), workers=WORKERS)
    return runner.run(pipeline, events=events or Announced(), seams=world.seams())


def held(warehouse: Memory, stream: str) -> int | None:
    rows = warehouse.storage.read(stream)
    return None if rows is None else len(rows)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def postgres(pg_database: PgAddress) -> Iterator[Postgres]:
    warehouse = Postgres(pg_database.dsn, "crm", sleep=lambda _: None)
    yield warehouse
    warehouse.close()


def test_a_table_is_staged_while_another_stream_is_read(
    world: World, postgres: Postgres, pg_database: PgAddress
) -> None:
    """Contact has no row before Account is loaded; and yet nothing of Account shows by then (ONE-TRANSACTION)."""
    events, seen = Announced(), []

    def ready() -> bool:
        come = events.loaded.wait(WAIT_S)
        with psycopg.connect(pg_database.dsn) as reader:
            seen.append(reader.execute('SELECT count(*) FROM crm."account"').fetchone())
        return come

    report = run(world, postgres, ready, events)
    assert seen[0] == (0,)
    assert report.commits == 1
    with psycopg.connect(pg_database.dsn) as reader:
        assert [reader.execute(f"SELECT count(*) FROM crm.{name}").fetchone() for name in ("account", "contact")] == [
            (25,),
            (25,),
        ]


def test_what_was_staged_of_a_run_that_failed_is_gone_and_shows_nowhere(
    world: World, postgres: Postgres, pg_database: PgAddress
) -> None:
    events = Announced()
    with pytest.raises(Transient, match="the source is gone"):
        run(world, postgres, lambda: not events.loaded.wait(WAIT_S), events)
    postgres.close()
    with psycopg.connect(pg_database.dsn) as reader:
        assert reader.execute("SELECT count(*) FROM crm.account").fetchone() == (0,)
        left = reader.execute("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('crm', 'pg_catalog',"
                              " 'information_schema')").fetchone()  # fmt: skip
        assert left == (0,)
    report = run(world, postgres)
    assert report.resumed
    assert report.streams["Account"].counts.inserted == 25


def test_statements_are_as_many_as_when_loads_wait(world: World, pg_database: PgAddress) -> None:
    counts = []
    for schema, early in (("one", True), ("two", False)):
        with_state = replace(world, folder=world.folder / schema)
        warehouse = Postgres(pg_database.dsn, schema, sleep=lambda _: None)
        warehouse.capabilities = replace(warehouse.capabilities, loads_early=early)
        run(with_state, warehouse)
        counts.append(warehouse.statements)
        warehouse.close()
    assert counts[0] == counts[1]


class Moved:
    """A warehouse in which another run has committed meanwhile."""

    def __init__(self, inner: Memory, others: Callable[[], Any]) -> None:
        self._inner, self._others, self.loads = inner, others, [0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def watermarks(self, pipeline: str) -> Any:
        others, self._others = self._others, lambda: None
        others()
        return self._inner.watermarks(pipeline)

    def load(self, *args: Any) -> int:
        self.loads.append(self.loads[-1] + 1)
        return self._inner.load(*args)


def test_nothing_is_staged_where_the_warehouse_stands_elsewhere(world: World, storage: Storage) -> None:
    run(world, Memory(storage))
    names = [{"Id": "001000001", "Name": "new"}]
    world.source.update("Account", names)
    world.source.update("Contact", names)
    moved = Moved(Memory(storage), lambda: run(world, Memory(storage)))
    report = run(world, moved)
    assert moved.loads[-1] == 0, "what the other run committed is known by now, or was planned for it"
    assert report.commits == 0
    assert held(Memory(storage), "Account") == 25


class FailsOnce:
    """A warehouse of which one call fails, once."""

    def __init__(self, inner: Memory, name: str) -> None:
        self._inner, self._name, self.failed = inner, name, False

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name != self._name or self.failed:
            return attribute

        def fail(*args: Any) -> Any:
            self.failed = True
            raise Transient(name, "the warehouse", "gone for a moment", "run again")

        return fail


@pytest.mark.parametrize("operation", ["watermarks", "prepare", "load"])
def test_what_fails_early_is_done_when_all_has_landed(world: World, storage: Storage, operation: str) -> None:
    run(world, Memory(storage))
    for name in ("Account", "Contact"):
        world.source.insert(name, accounts(26, 3))
    warehouse = FailsOnce(Memory(storage), operation)
    report = run(world, warehouse)
    assert warehouse.failed
    assert report.commits == 1
    assert held(Memory(storage), "Account") == held(Memory(storage), "Contact") == 28


class Counted:
    """A warehouse that counts what is asked of it, and may refuse to sign in."""

    def __init__(self, inner: Memory, refuses: bool = False) -> None:
        self._inner, self._refuses = inner, refuses
        self.asked, self.loaded = 0, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def watermarks(self, pipeline: str) -> Any:
        self.asked += 1
        if self._refuses:
            raise SignInError("connect", "the warehouse", "wrong password", "mend it")
        return self._inner.watermarks(pipeline)

    def load(self, *args: Any) -> int:
        self.loaded.set()
        return self._inner.load(*args)


def test_a_stream_that_fails_each_time_does_not_cost_a_load_of_the_others_each_time(
    world: World, storage: Storage
) -> None:
    first, second, third = (Counted(Memory(storage)) for _ in range(3))
    with pytest.raises(Transient):
        run(world, first, lambda: not first.loaded.wait(WAIT_S))
    for warehouse in (second, third):
        with pytest.raises(Transient):
            run(world, warehouse, lambda: False)
    assert [each.loaded.is_set() for each in (first, second, third)] == [True, False, False]


def test_a_refused_sign_in_is_not_tried_again(world: World, storage: Storage) -> None:
    """Repeated attempts lock accounts."""
    run(world, Memory(storage))
    world.source.insert("Account", accounts(90, 2))
    warehouse = Counted(Memory(storage), refuses=True)
    with pytest.raises(SignInError):
        run(world, warehouse)
    assert warehouse.asked == 1


class FullDisk(Memory):
    def load(self, *args: Any) -> int:
        raise OSError(28, "no space left on device")


class HeldUntilClosed(HoldsBack):
    """As a job that is waited for until somebody breaks the connection."""

    def __init__(self, inner: Any) -> None:
        self.closed, self.broken = threading.Event(), False
        super().__init__(inner, self.wait)

    def wait(self) -> bool:
        self.broken = self.closed.wait(WAIT_S)
        return self.broken

    def close(self) -> None:
        self.closed.set()


def test_what_is_no_error_of_the_tree_breaks_what_others_wait_for(world: World, storage: Storage) -> None:
    source = HeldUntilClosed(world.source)
    with pytest.raises(OSError, match="no space left"):
        world.run(world.pipeline(warehouse=FullDisk(storage), source=source, workers=WORKERS))
    assert source.broken, "it waited its time out"


class LooksSlowly(Watched):
    """Its look ends when the connection is broken."""

    def __init__(self, inner: Any, stop: StopSignal) -> None:
        super().__init__(inner)
        self.closed, self.broken, self._stop = threading.Event(), False, stop

    def look(self, windows: Any) -> None:
        self._stop.request()
        self.broken = self.closed.wait(WAIT_S)
        if self.broken:
            raise Stopped("look", "the source", "stopped", "run again")

    def close(self) -> None:
        self.closed.set()


def test_a_stop_breaks_a_look(world: World) -> None:
    stop = StopSignal()
    source = LooksSlowly(world.source, stop)
    with pytest.raises(Stopped):
        world.run(world.pipeline(source=source), stop=stop)
    assert source.broken, "it waited its time out"


def test_an_embedded_warehouse_waits_until_all_is_read(world: World) -> None:
    """It shares this machine's cores and memory with the reading (BOUNDED)."""
    events = Announced()

    def ready() -> bool:
        """Gives a load that does not wait the time to show itself."""
        events.loaded.wait(0.3)
        return True

    run(world, world.pipeline().warehouse, ready, events)
    names = [name for name, _ in events.names if name in ("stream_landed", "table_loaded")]
    assert names == ["stream_landed"] * 2 + ["table_loaded"] * 2
