"""IDLE-IS-FREE in Snowflake: a sync that finds nothing new opens no connection, the overlap's rows included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncline.pipelines.pipeline import Pipeline
from tests.runner.world import Clock, World, make_world
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_house import SnowflakeHouse


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, Clock())


@pytest.fixture
def house(fake_snowflake: FakeSnowflake) -> SnowflakeHouse:
    return SnowflakeHouse(fake_snowflake, fake_snowflake.database(), given={})


def into(world: World, house: SnowflakeHouse) -> Pipeline:
    return world.pipeline(warehouse=house.open())


def test_an_idle_sync_never_calls_the_driver_s_connect(
    world: World, house: SnowflakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    import snowflake.connector

    world.source.update("Account", [{"Id": "001000001", "Name": "within the overlap"}])
    assert world.run(into(world, house)).status == "done"
    plain, called = snowflake.connector.connect, list[str]()

    def connect(**given: Any) -> Any:
        called.append(given["account"])
        return plain(**given)

    monkeypatch.setattr(snowflake.connector, "connect", connect)
    seen, read_again = house.server.seen(), 0
    for _ in range(3):
        report = world.run(into(world, house))
        assert report.status == "idle"
        assert report.warehouse_statements == 0
        read_again += sum(stream.read for stream in report.streams.values())
        assert called == []
    assert read_again, "the overlap has rows"
    assert house.server.seen() == seen
    world.source.update("Account", [{"Id": "001000000", "Name": "new"}])
    assert world.run(into(world, house)).status == "done"
    assert called, "the test would see a connection"
