"""The whole journey into Snowflake without a bucket: practice org -> Parquet on this machine -> PUT -> plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from syncline.pipelines.pipeline import Stream
from syncline.pipelines.report import RunReport
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import settings_from
from tests.journey.journey import Journey
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_rules import Rules


class Account:
    """One account's database: warehouses into it, and a reader's plain SQL."""

    def __init__(self, server: FakeSnowflake) -> None:
        import snowflake.connector

        self.server, self.database = server, server.database()
        self.rules = Rules("CRM_STAGING")
        self._connect = self.rules.connect(snowflake.connector.connect)

    def open(self) -> Snowflake:
        given = {"database": self.database, "schema": "crm", "network_timeout_s": 5}
        return Snowflake(settings_from(self.server.variables, **given), connect=self._connect)

    def out_of_reach(self) -> Snowflake:
        """One whose driver must not be called."""

        def connect(**arguments: Any) -> Any:
            raise AssertionError("IDLE-IS-FREE: the driver's connect was called")

        given = {"database": self.database, "schema": "crm"}
        return Snowflake(settings_from(self.server.variables, **given), connect=connect)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.server.reader(database=self.database, schema="CRM") as reader:
            return [tuple(row) for row in reader.cursor().execute(sql).fetchall()]


@pytest.fixture
def account(fake_snowflake: FakeSnowflake, journey: Journey) -> Account:
    fields = ["Id", "Name", "AnnualRevenue", "SystemModstamp"]
    journey.streams = (Stream("Account", fields=fields), Stream("Contact", fields=["Id"], on_delete="mark"))
    return Account(fake_snowflake)


def run(journey: Journey, account: Account) -> RunReport:
    return journey.run(journey.pipeline(warehouse=account.open()))


def test_a_local_landing_is_uploaded_and_plain_sql_finds_what_the_org_has(journey: Journey, account: Account) -> None:
    """Every statement on the way keeps the rules of ``snowflake_rules``; what was uploaded is cleared away."""
    org = journey.org
    run(journey, account)
    ids = org.ids("Account")
    org.update("Account", ids[:2], {"Name": "It's \\ new"})
    org.hard_delete("Account", ids[2:4])
    gone = org.ids("Contact")[:1]
    org.delete("Contact", gone)
    report = run(journey, account)
    assert account.rules.breaches == []
    org_rows = {row["Id"]: row for row in org.snapshot("Account").to_pylist()}
    rows = account.ask("SELECT id, name, AnnualRevenue, SystemModstamp FROM account")
    assert {row[0]: (row[1], row[2], utc(row[3])) for row in rows} == {
        id: (row["Name"], row["AnnualRevenue"], row["SystemModstamp"]) for id, row in org_rows.items()
    }
    live = {id for (id,) in account.ask("SELECT Id FROM contact WHERE _syncline_deleted_at IS NULL")}
    assert live == set(org.snapshot("Contact").column("Id").to_pylist())
    assert account.ask(f"SELECT COUNT(*) FROM contact WHERE id = '{gone[0]}'") == [(1,)], "marked, not removed"
    assert account.ask('LIST @"CRM_STAGING"."_SYNCLINE_FILES"') == []
    assert report.streams["Account"].counts.deleted == 2


def utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


def test_a_run_tells_what_it_cost_and_an_idle_one_that_it_cost_nothing(journey: Journey, account: Account) -> None:
    """The same figures in the report, in the record that is kept, and in the last line of the log."""
    warehouse = account.open()
    report = journey.run(journey.pipeline(warehouse=warehouse))
    cost = report.warehouse_cost
    assert cost is not None
    assert cost["statements"] == report.warehouse_statements > 20
    assert cost["bytes_loaded"] == sum(each.size_bytes for each in report.streams.values()) > 0
    assert cost["warehouse_s"] > 0
    assert cost["credits_estimated"] == pytest.approx(max(60, cost["warehouse_s"]) / 3600, abs=1e-6)
    [kept] = journey.pipeline().state.runs("crm", 1)
    assert kept.report["warehouse_cost"] == cost
    finished = journey.events.named("run_finished")[-1]
    assert finished.fields["warehouse_cost"] == cost
    journey.run(journey.pipeline(warehouse=warehouse))
    logins = len(account.server.seen()["logins"])
    idle = journey.run(journey.pipeline(warehouse=account.out_of_reach()))
    assert idle.status == "idle"
    assert idle.warehouse_cost is not None
    assert set(idle.warehouse_cost.values()) == {0}
    assert len(account.server.seen()["logins"]) == logins, "IDLE-IS-FREE: it did not connect"
