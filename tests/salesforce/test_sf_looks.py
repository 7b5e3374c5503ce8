"""Increments of several streams are asked ahead in one request: how many rows, and what the delete log says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncline.connectors.connector import LooksAhead, Window
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.sandbox import rest
from tests.salesforce.org_world import Site, fill, read, read_planned

NAMES = ("Account", "Contact", "Opportunity", "User", "CaseStatus", "AccountShare")
"""One more than are asked in a request."""


@pytest.fixture
def source(site: Site) -> Salesforce:
    fill(site, 10)
    site.org.advance(3_600)
    return site.connect()


def recent(site: Site, seconds: float = 10) -> Window:
    return Window(site.org.now() - timedelta(seconds=seconds), site.org.now())


@pytest.mark.parametrize("api", ["auto", "rest", "bulk"])
def test_idle_streams_cost_a_fifth_of_a_request_each(site: Site, api: Any) -> None:
    fill(site, 10)
    site.org.advance(3_600)
    source = site.connect(api=api)
    assert isinstance(source, LooksAhead)
    schemas = source.describe(NAMES)
    window, before, described = recent(site), source.api_calls, site.calls("POST */composite")
    source.look([(schema, window) for schema in schemas])
    for schema in schemas:
        found = read(source, schema, window)
        assert (found.extraction.forecast.rows, found.extraction.forecast.calls) == (0, 0)
        assert [slice.kind for slice in found.slices] == ["tombstones"]
    assert source.api_calls - before == site.calls("POST */composite") - described == 2
    assert site.org.jobs() == []


def test_an_answer_serves_one_plan_and_the_next_asks_anew(site: Site, source: Salesforce) -> None:
    [schema] = source.describe(["Account"])
    window = recent(site)
    source.look([(schema, window)])
    source.plan(schema, window)
    before = source.api_calls
    assert source.plan(schema, window).forecast.rows == 0
    assert source.api_calls - before == 1


def test_the_log_is_asked_again_where_rows_are_read_after_it_complete_window(site: Site, source: Salesforce) -> None:
    """A record of the window may be gone by the time that its row is read."""
    [schema] = source.describe(["Account"])
    gone, window = site.org.ids("Account")[0], recent(site, 7_200)
    source.look([(schema, window)])
    extraction = source.plan(schema, window)
    site.org.hard_delete("Account", [gone])
    found = read_planned(extraction)
    assert gone not in found.ids()
    assert site.calls("GET */deleted*") == 1


def test_what_the_log_said_ahead_is_told(site: Site, source: Salesforce) -> None:
    [schema] = source.describe(["Account"])
    low, gone = site.org.now(), site.org.ids("Account")[0]
    site.org.hard_delete("Account", [gone])
    site.org.advance(600)
    window = Window(low, site.org.now())
    source.look([(schema, window)])
    assert set(read(source, schema, window).tombstones()) == {gone}
    assert site.calls("GET */deleted*") == 0


def test_an_org_that_is_not_asked_together_is_asked_one_by_one_and_not_tried_again(
    site: Site, source: Salesforce
) -> None:
    told = [{"errorCode": "NOT_FOUND", "message": "no such thing"}]
    site.org.inject("error", path="*/composite", status=404, body=told)
    [schema] = source.describe(["Account"])
    for requests in (3, 2):
        window, before = recent(site), source.api_calls
        source.look([(schema, window)])
        assert read(source, schema, window).extraction.forecast.rows == 0
        assert source.api_calls - before == requests
    assert site.calls("POST */composite") == 1


@pytest.mark.parametrize(
    ("status", "code"), [(500, "UNKNOWN_EXCEPTION"), (400, "QUERY_TIMEOUT"), (503, "SERVER_UNAVAILABLE")]
)
def test_what_fails_together_is_asked_alone(site: Site, source: Salesforce, status: int, code: str) -> None:
    told = [{"errorCode": code, "message": "not now"}]
    site.org.inject("error", path="*/composite", status=status, body=told, times=1_000)
    [schema] = source.describe(["Account"])
    window = recent(site)
    source.look([(schema, window)])
    assert read(source, schema, window).extraction.forecast.rows == 0


def test_a_long_log_is_not_kept_bounded(site: Site, source: Salesforce, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.looks.ENTRIES_MAX", 1)
    [schema] = source.describe(["Account"])
    low, gone = site.org.now(), site.org.ids("Account")[:2]
    site.org.hard_delete("Account", gone)
    site.org.advance(600)
    window = Window(low, site.org.now())
    source.look([(schema, window)])
    assert set(read(source, schema, window).tombstones()) == set(gone)
    assert site.calls("GET */deleted*") == 1


def test_a_log_that_is_refused_among_others_is_asked_alone(
    site: Site, source: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too many entries for one answer it is halved, as ever."""
    [schema] = source.describe(["Account"])
    low, gone = site.org.now(), site.org.ids("Account")[:4]
    for each in gone:
        site.org.hard_delete("Account", [each])
        site.org.advance(600)
    window = Window(low, site.org.now())
    monkeypatch.setattr(rest, "REPLICATION_IDS_MAX", 2)
    source.look([(schema, window)])
    assert set(read(source, schema, window).tombstones()) == set(gone)


def test_a_whole_read_is_not_looked_at_ahead(site: Site, source: Salesforce) -> None:
    [schema] = source.describe(["Account"])
    source.look([(schema, Window(None, site.org.now()))])
    assert site.calls("POST */composite") == 0
