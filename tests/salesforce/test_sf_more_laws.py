"""The laws in Salesforce's less likely corners: each test fails when one line of the connector breaks its law."""

from __future__ import annotations

import pytest

from syncline.connectors.errors import Transient
from syncline.connectors.salesforce.bulk import OPENED_MAX
from syncline.connectors.salesforce.faults import broken
from syncline.connectors.sandbox import JobPlan
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import Site, bulk, fill, read_object

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
