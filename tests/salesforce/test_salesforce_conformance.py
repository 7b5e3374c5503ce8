"""Salesforce passes the suite that every connector passes, by REST and by Bulk, as one part and as several."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from syncline.connectors.conformance import ConnectorConformance
from syncline.connectors.salesforce.settings import Options
from syncline.connectors.world import World
from tests.salesforce.org_world import BulkWorld, SalesforceWorld, Site

ROADS: dict[str, Options] = {
    "rest": {"api": "rest"},
    "bulk": {"api": "bulk"},
    "bulk-serial": {"api": "bulk", "api_version": "57.0"},
    "rest-parts": {"api": "rest", "rest_part_rows": 7},
    "bulk-parts": {"api": "bulk", "part_rows": 7},
}


@pytest.mark.parametrize("road", ROADS)
class TestSalesforce(ConnectorConformance):
    text = "Name"
    null_texts = frozenset({""})
    exact = {  # noqa: RUF012
        "NumberOfEmployees": (0, -1, 2**31 - 1, -(2**31)),
        "Score__c": (Decimal("0.01"), Decimal("-0.1"), Decimal("1234567890123456.78"), Decimal("0")),
        "Founded__c": (date(1700, 1, 1), date(4000, 12, 31), date(1969, 12, 31)),
    }

    @pytest.fixture
    def world(self, site: Site, road: str) -> World:
        site.org.settings.bulk_page_rows_default = 100
        site.org.settings.page_rows_max = 200
        return (SalesforceWorld if ROADS[road]["api"] == "rest" else BulkWorld)(site, **ROADS[road])
