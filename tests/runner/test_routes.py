"""A landing that the warehouse has no way for is refused before the source is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret
from syncline.sinks.redshift import Redshift
from syncline.sinks.redshift_settings import Settings
from syncline.sinks.snowflake import Snowflake
from tests.runner.world import World


def never(**arguments: Any) -> Any:
    raise AssertionError("it connected")


def redshift() -> Redshift:
    settings = Settings("ware", "crm", host="127.0.0.1", user="loader", password=Secret("sentinel-password"))
    return Redshift(settings, connect=never)


def snowflake() -> Snowflake:
    place = {"ACCOUNT": "acme-test", "USER": "LOADER", "PASSWORD": "sentinel-password", "WAREHOUSE": "WH"}
    variables = {f"SNOWFLAKE_{name}": value for name, value in place.items()}
    made = Snowflake.from_env(variables, database="SALES", schema="CRM", storage_integration="LANDING")
    return Snowflake(made.settings, connect=never)


@pytest.mark.parametrize("warehouse", [redshift, snowflake])
def test_nothing_is_read_for_a_warehouse_that_cannot_load_it(
    world: World, warehouse: Callable[[], Redshift | Snowflake]
) -> None:
    """LOUD: not after hours of reading, and a day's quota."""
    for attempt in (world.run, lambda pipeline: world.reload("Account", pipeline=pipeline)):
        with pytest.raises(ConfigError, match="landing") as caught:
            attempt(world.pipeline(warehouse=warehouse()))
        assert "S3" in caught.value.hint or "s3://" in caught.value.hint
    assert world.source.api_calls == 0
    assert [run.status for run in world.pipeline().state.runs("crm", 9)] == ["failed", "failed"]
