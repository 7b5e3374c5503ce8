"""The conformance suite against a real Redshift; see README.md beside this."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_doubles import DoublesLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.conformance_maintain import MaintainerLaws
from syncline.sinks.landing import Landing
from syncline.sinks.redshift import Redshift
from syncline.sinks.trial import House
from tests.live.accounts import lacking, schema_name
from tests.live.places import LiveHouse

if reason := lacking("Redshift"):
    pytest.skip(reason, allow_module_level=True)


class TestRedshift(WarehouseConformance, ComparerLaws, DoublesLaws, RunHistoryLaws, MaintainerLaws):
    @pytest.fixture
    def house(self) -> Iterator[House]:
        schema = schema_name().lower()
        house = LiveHouse(lambda: Redshift.from_env(schema=schema), folds=True)
        yield house
        house.clear()

    @pytest.fixture
    def landing(self) -> Landing:
        return Landing(f"{os.environ['REDSHIFT_LIVE_LANDING']}/{schema_name()}")
