"""What no target can have is refused before the source is read (LOUD, EXACT-NAMES)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, NameCollision
from syncline.connectors.records import Records
from syncline.connectors.values import JSON
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.plan import plan
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.postgres import Postgres
from syncline.sinks.trial import Change
from syncline.sinks.warehouse import Warehouse
from tests.runner.test_routes import redshift, snowflake
from tests.runner.world import World


def told_apart_by_case(world: World) -> Records:
    source = Records(clock=world.clock)
    columns = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("name", pa.string())])
    source.add("Account", columns, key="Id", rows=[{"Id": "1", "Name": "a", "name": "b"}])
    return source


def test_two_names_that_are_one_cost_no_reading(world: World) -> None:
    """Neither in a run nor in a reload; a plan says it as well."""
    for attempt in (
        lambda pipeline: world.run(pipeline),
        lambda pipeline: world.reload("Account", pipeline=pipeline),
        lambda pipeline: plan(pipeline),
    ):
        pipeline = world.pipeline(source=told_apart_by_case(world), streams=(Stream("Account"),))
        with pytest.raises(NameCollision, match="Name and name"):
            attempt(pipeline)
        assert pipeline.state.recall("crm") == {}, "nothing was landed"
        assert not list((world.folder / "landing").rglob("*.parquet"))


def test_another_key_that_cannot_be_one_costs_no_reading_either(world: World) -> None:
    """Its columns are known from the last commit, and a stream of another key is read whole."""
    columns = pa.schema([("Id", pa.string()), ("Doc", JSON)])
    source = Records(clock=world.clock).add("Ticket", columns, key="Id", rows=[{"Id": "1", "Doc": "{}"}])
    world.run(world.pipeline(source=source, streams=(Stream("Ticket"),)))
    landed = sorted((world.folder / "landing").rglob("*.parquet"))
    with pytest.raises(ConfigError, match=r"Ticket\.Doc"):
        world.run(world.pipeline(source=source, streams=(Stream("Ticket", key="Doc"),)))
    assert sorted((world.folder / "landing").rglob("*.parquet")) == landed


def test_a_warehouse_that_is_known_to_fit_is_not_asked_again_idle_is_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    monkeypatch.setattr(DuckDB, "require_fit", None)
    world.clock.advance(days=1)
    world.run()


def postgres() -> Postgres:
    return Postgres("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize("make", [postgres, snowflake, redshift, lambda: DuckDB("never.duckdb")])
def test_every_warehouse_knows_it_without_a_connection(make: Callable[[], Warehouse]) -> None:
    warehouse: Any = make()
    columns = [("Id", pa.string()), ("Name", pa.string())]
    warehouse.require_fit([Change(columns=pa.schema(columns), cursor=None).plan("r")])
    for field, refused in (
        (("NAME", pa.string()), NameCollision),
        (("Parts", pa.struct([("a", pa.int64())])), ConfigError),
        (("x" * 300, pa.string()), ConfigError),
    ):
        with pytest.raises(refused):
            warehouse.require_fit([Change(columns=pa.schema([*columns, field]), cursor=None).plan("r")])
    assert warehouse.statements == 0
