"""The practice org read by processes: real requests over real connections, by both roads, deletions among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import duckdb
import pytest

from syncline.connectors import Salesforce
from syncline.connectors.salesforce.settings import Api
from syncline.connectors.sandbox import Org, SandboxServer
from syncline.pipelines import runner
from syncline.pipelines.context import Seams
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.report import RunReport
from tests.executor.conftest import Desk


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[Org]:
    for name in [name for name in os.environ if name.startswith("SALESFORCE_")]:
        monkeypatch.delenv(name)
    org = Org(seed=5, seed_rows={"Account": 60, "Contact": 250})
    org.settings.bulk_page_rows_default = 100
    with SandboxServer(org) as server:
        monkeypatch.setenv("SALESFORCE_INSTANCE_URL", server.url)
        monkeypatch.setenv("SALESFORCE_CLIENT_ID", org.client_id)
        monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", org.client_secret)
        yield org


def require_equal(desk: Desk, org: Org, name: str, where: str = "") -> None:
    with duckdb.connect(str(desk.folder / "crm.duckdb"), read_only=True) as connection:
        rows = connection.execute(f'SELECT "Id", "Name" FROM "{name}" ORDER BY 1').fetchall()
    truth = org.snapshot(name)
    pairs = dict(zip(truth["Id"].to_pylist(), truth["Name"].to_pylist(), strict=True))
    assert rows == [(each, pairs[each]) for each in sorted(org.ids(name, where))]


def test_an_org_read_by_processes_is_copied_whole_and_then_by_increments(desk: Desk, org: Org) -> None:
    """COMPLETE-WINDOW, COUNTED-HOPS: rows by Bulk and by REST, soft and hard deletes, records that leave the filter."""
    filtered = "Name != 'gone from here'"
    pipeline = desk.pipeline(
        source=Salesforce.from_env(bulk_rows_min=100, page_rows=100, settling_lag_s=0),
        streams=[Stream("Account", where=filtered), "Contact"],
    )
    first = desk.run(pipeline)
    assert (first.stream("Account").api, first.stream("Contact").api) == ("rest", "bulk")
    require_equal(desk, org, "Account")
    require_equal(desk, org, "Contact")
    assert org.jobs() == [], "the run's own process removes what it made"
    assert first.api_calls == org.api_calls_used(), "the workers' requests are counted"

    accounts = org.ids("Account")
    org.advance(3_600)
    org.update("Account", accounts[:2], {"Name": ["gone from here", "changed"]})
    org.delete("Account", accounts[2:4])
    org.hard_delete("Account", accounts[4:5])
    org.update("Contact", org.ids("Contact"), {"LastName": "changed"})
    org.advance(60)
    second = desk.run(pipeline)
    require_equal(desk, org, "Account", filtered)
    require_equal(desk, org, "Contact")
    assert second.stream("Account").counts.deleted == 4
    assert second.stream("Contact").api == "bulk"


@pytest.mark.parametrize("api", ["rest", "bulk"])
def test_the_parts_of_a_large_read_are_shared_by_processes(desk: Desk, org: Org, api: Api) -> None:
    """COMPLETE-WINDOW: parts of one object, by REST and by Bulk; a repeated whole read replaces it by the same."""
    ids = org.ids("Contact")
    for first in range(0, len(ids), 10):
        org.update("Contact", ids[first : first + 10], {"LastName": f"at {first}"})
        org.advance(240)
    org.advance(120)
    pipeline = desk.pipeline(source=Salesforce.from_env(api=api, part_rows=50, rest_part_rows=50), streams=["Contact"])
    runs: list[Callable[[], RunReport]] = [
        lambda: desk.run(pipeline),
        lambda: runner.reload(pipeline, streams=["Contact"], events=desk.events, seams=Seams(clock=desk.clock)),
    ]
    for run in runs:
        before = org.api_calls_used()
        report = run()
        require_equal(desk, org, "Contact")
        assert len(desk.manifest("Contact").files) >= 5
        assert report.api_calls == org.api_calls_used() - before
        assert org.jobs() == []
