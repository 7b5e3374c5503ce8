"""The laws in Salesforce's less likely corners: each test fails when one line of the connector breaks its law."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from syncline.connectors.errors import DataError, Transient
from syncline.connectors.salesforce.faults import broken
from syncline.connectors.salesforce.listing import OPENED_MAX
from syncline.connectors.salesforce.pages import Page
from syncline.connectors.salesforce.rest import Notes, Query
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.transport import Seams, Transport
from syncline.connectors.salesforce.wide import WideReading
from syncline.connectors.sandbox import JobPlan
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import Site, bulk, fill, read_object
from tests.salesforce.scripted import Scripted, answer
from tests.salesforce.test_sf_transport import CALL, transport_to

ECHOED = Secret("00Dx0000000ECHOED!token")


def test_a_body_that_echoes_a_secret_is_told_without_it_no_secrets() -> None:
    fault = broken("query", "Account", f"the answer is not what was asked for; it begins {ECHOED.reveal()!r}")
    assert "ECHOED" not in str(fault)
    assert "ECHOED" not in fault.answer.message
    assert "***" in fault.cause


def test_a_failed_job_that_echoes_a_secret_is_told_without_it_no_secrets(site: Site) -> None:
    fill(site)
    for _ in range(99):
        site.org.plan_job(JobPlan(ending="failed", message=f"Failed for session {ECHOED.reveal()}"))
    with pytest.raises(Transient, match=r"Failed for session \*\*\*") as caught:
        read_object(bulk(site))
    assert "ECHOED" not in str(caught.value)


def test_pages_kept_open_until_they_are_read_are_bounded(site: Site) -> None:
    """Of pages that are handed out faster than read, the oldest are given up and asked for again (BOUNDED)."""
    ids = fill(site, rows=1000)
    assert read_object(bulk(site, parallel=False)).ids() == ids
    assert site.calls("GET */results") == 10 + (10 - OPENED_MAX)


@dataclass
class Endless:
    """A transport whose query never has rows, and whose every page names a new one."""

    asked: int = 0
    seams: Seams = field(default_factory=Seams)

    def data_path(self, *parts: str) -> str:
        return "/services/data/v62.0/" + "/".join(parts)

    def fetch(self, call: Any, parse: Any) -> Page:
        self.asked += 1
        assert self.asked < 50, "BOUNDED"
        return Page([], 0, f"/services/data/v62.0/query/{self.asked}")


def test_a_query_of_nothing_but_empty_pages_ends_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.rest.EMPTY_PAGES_MAX", 20)
    query = Query(cast(Transport, Endless()), Notes())
    shape = Shape("Account", pa.schema([("Id", pa.string())]), ("Id",), frozenset())
    with pytest.raises(DataError, match="21 pages without rows in a row"):
        list(query.rows(shape, "SELECT Id FROM Account"))


def test_a_redirect_elsewhere_is_sent_no_password_of_the_home_folder_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Scripted(lambda asked: answer(200, b"{}")) as other:
        with Scripted(lambda asked: answer(302, Location=other.url + "/elsewhere")) as server:
            transport_to(server.url).fetch_json(CALL)
        assert "authorization" not in other.asked[0].headers


def test_a_list_of_pages_that_does_not_end_is_given_up_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.connectors.salesforce.listing.LINKS_MAX", 5)
    fill(site, rows=1000)
    with pytest.raises(DataError, match="does not end"):
        read_object(bulk(site))


def test_a_wide_reading_goes_on_by_the_last_id_and_not_by_rows_counted_value_resume(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most records leave the window after the first chunk; by offset nothing would seem to be left."""
    monkeypatch.setattr("syncline.connectors.salesforce.wide.CHUNK_ROWS", 20)
    ids = sorted(site.org.insert("Wide__c", {}, count=60))
    site.org.advance(120)
    whole, asked = WideReading._ask, [0]

    def ask(reading: WideReading, *args: Any, **more: Any) -> Any:
        asked[0] += 1
        if more.get("tail") and asked[0] > 1 and not moved:
            moved.extend(ids[:45])
            site.org.update("Wide__c", moved, {"Name": "later"})
        return whole(reading, *args, **more)

    moved: list[str] = []
    monkeypatch.setattr(WideReading, "_ask", ask)
    assert set(ids) - set(read_object(site.connect(api="rest"), "Wide__c").ids()) <= set(moved)
    assert moved
