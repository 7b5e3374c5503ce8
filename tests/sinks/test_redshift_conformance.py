"""Redshift passes the laws of every warehouse: the real driver over TLS, COPY from S3 over HTTP, the stand-in's rules.

What the stand-in cannot say about the real thing is written in ``tests/servers/redshift.py`` and ``redshift_rules.py``.
"""

from __future__ import annotations

import pytest

from syncline.sinks.conformance import WarehouseConformance
from syncline.sinks.conformance_compare import ComparerLaws
from syncline.sinks.conformance_doubles import DoublesLaws
from syncline.sinks.conformance_history import RunHistoryLaws
from syncline.sinks.conformance_maintain import MaintainerLaws
from syncline.sinks.landing import Landing
from syncline.sinks.trial import House
from tests.servers.redshift_fixtures import FakeRedshift
from tests.sinks.redshift_house import RedshiftHouse


class TestRedshift(WarehouseConformance, ComparerLaws, DoublesLaws, RunHistoryLaws, MaintainerLaws):
    @pytest.fixture
    def house(self, fake_redshift: FakeRedshift) -> House:
        return RedshiftHouse(fake_redshift)

    @pytest.fixture
    def landing(self, fake_redshift: FakeRedshift) -> Landing:
        return Landing(**fake_redshift.landing)
