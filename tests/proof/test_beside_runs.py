"""A proof in a warehouse behind a network: runs go on beside it, and it leaves no staging table there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from syncline.pipelines.pipeline import Stream
from syncline.pipelines.task import scope_of
from syncline.pipelines.verify import Level, VerifyReport, verify
from syncline.sinks.dialect import Place
from syncline.sinks.postgres import Postgres
from syncline.sinks.served_staging import prefix
from tests.runner.world import World
from tests.servers.postgres import PgAddress


class Beside:
    """The warehouse, and somebody who acts each time between staging and comparing."""

    def __init__(self, inner: Postgres, act: Callable[[], None]) -> None:
        self.inner, self.act = inner, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def compare(self, *arguments: Any) -> Any:
        self.act()
        return self.inner.compare(*arguments)

    def tally(self, *arguments: Any) -> Any:
        self.act()
        return self.inner.tally(*arguments)


@pytest.fixture
def synced(world: World, pg_database: PgAddress) -> World:
    world.streams = (Stream("Account"),)
    world.settings = {"warehouse": Postgres(pg_database.dsn, sleep=lambda _: None)}
    world.run()
    return world


def look(world: World, **options: Any) -> VerifyReport:
    return verify(options.pop("pipeline", world.pipeline()), events=world.events, seams=world.seams(), **options)


def staged(address: PgAddress) -> list[str]:
    with psycopg.connect(address.dsn) as reader:
        rows = reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public_staging'").fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("level", ["counts", "keys", "rows"])
def test_a_run_beside_a_proof_takes_none_of_its_tables(synced: World, pg_database: PgAddress, level: Level) -> None:
    """A run drops what dead runs of its pipeline left; a proof at work is not one of them."""
    edits = iter(range(4))

    def sync() -> None:
        if (number := next(edits, None)) is None:
            return  # else the row would have changed whenever it is looked at
        synced.source.update("Account", [{"Id": "001000003", "Name": f"edit {number}"}])
        synced.clock.advance(minutes=2)
        synced.run(synced.pipeline(warehouse=Postgres(pg_database.dsn, sleep=lambda _: None)))

    warehouse: Any = Beside(Postgres(pg_database.dsn, sleep=lambda _: None), sync)
    report = look(synced, pipeline=synced.pipeline(warehouse=warehouse), level=level)
    assert report.equal, report.streams
    assert next(edits, None) is None
    assert staged(pg_database) == []


@pytest.mark.parametrize("level", ["counts", "rows"])
def test_a_proof_leaves_no_staging_table(synced: World, pg_database: PgAddress, level: Level) -> None:
    assert look(synced, level=level).equal
    assert staged(pg_database) == []


def test_what_a_killed_proof_left_goes_with_the_next_one(synced: World, pg_database: PgAddress) -> None:
    own = prefix(scope_of("crm"), Place("", "public"))
    others = prefix(scope_of("other"), Place("", "public"))
    with psycopg.connect(pg_database.dsn, autocommit=True) as killed:
        for name in (own, others):
            killed.execute(f'CREATE TABLE public_staging."{name}dead_account" (id text)'.encode())
    assert look(synced).equal
    assert staged(pg_database) == [f"{others}dead_account"]


def test_a_run_that_fails_between_staging_and_commit_leaves_no_table(synced: World, pg_database: PgAddress) -> None:
    class Broken(Beside):
        def commit(self, unit: Any) -> Any:
            raise KeyboardInterrupt

    warehouse: Any = Broken(Postgres(pg_database.dsn, sleep=lambda _: None), lambda: None)
    synced.source.update("Account", [{"Id": "001000003", "Name": "edited"}])
    synced.clock.advance(minutes=2)
    with pytest.raises(KeyboardInterrupt):
        synced.run(synced.pipeline(warehouse=warehouse))
    assert staged(pg_database) == []
    synced.run()
    assert look(synced).equal
