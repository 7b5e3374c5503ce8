"""What a run spent, and what the account's history says; fakesnow has no history, so its rows are made up here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from syncline.connectors.errors import ConfigError
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_cost import Meter, needs_warehouse
from syncline.sinks.snowflake_history import history_query
from syncline.sinks.snowflake_settings import settings_from
from tests.sinks.snapshot import check_snapshot
from tests.sinks.snowflake_rules import Script

VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "acme-test",
    "SNOWFLAKE_USER": "SYNCLINE",
    "SNOWFLAKE_PASSWORD": "sentinel-password",
    "SNOWFLAKE_WAREHOUSE": "WH",
}


@pytest.mark.parametrize(
    ("statement", "needs"),
    [
        ("BEGIN TRANSACTION NAME X", False),
        ("COMMIT", False),
        ("SHOW TRANSACTIONS", False),
        ("SELECT CURRENT_TRANSACTION()", False),
        ("SELECT SYSTEM$ABORT_TRANSACTION(17)", False),
        ("PUT 'file:///x' '@s'", False),
        ('CREATE TABLE "T" ("A" INT)', False),
        ('CREATE OR REPLACE TABLE "T" COPY GRANTS AS SELECT 1', True),
        ("COPY INTO t FROM '@s'", True),
        ("MERGE INTO t USING s ON TRUE", True),
        ("INSERT OVERWRITE INTO t SELECT 1", True),
        ("SELECT 1 FROM t", True),
        ("WHO KNOWS", True),
    ],
)
def test_what_needs_the_warehouse_is_known_and_in_doubt_it_does(statement: str, needs: bool) -> None:
    assert needs_warehouse(statement) is needs


def test_a_run_is_charged_from_its_first_statement_that_works_to_its_last() -> None:
    times = iter([10.0, 130.0, 200.0])
    meter = Meter("SMALL", clock=lambda: next(times))
    meter.sent("SHOW TRANSACTIONS", 0.0)
    meter.sent("COPY INTO t FROM '@s'", 5.0)
    meter.sent("MERGE INTO t USING s ON TRUE", 100.0)
    meter.sent("COMMIT", 190.0)
    meter.bytes_loaded += 1_000
    expected = {"statements": 4, "warehouse_s": 125.0, "bytes_loaded": 1_000, "credits_estimated": 0.069444}
    assert meter.spent() == expected
    nothing = {"statements": 0, "warehouse_s": 0.0, "bytes_loaded": 0, "credits_estimated": 0.0}
    assert meter.spent() == nothing, "what was told once is not told again"


def test_a_short_run_is_charged_the_minute_that_each_resume_costs() -> None:
    meter = Meter("XSMALL", clock=lambda: 2.0)
    meter.sent("SELECT 1 FROM t", 1.0)
    assert meter.spent()["credits_estimated"] == pytest.approx(60 / 3600, abs=1e-6)


def asking(answer: Any) -> Snowflake:
    settings = settings_from(VARIABLES, database="SALES", schema="CRM", warehouse_size="MEDIUM")
    driver: Any = Script(answer)
    return Snowflake(settings, connect=driver, sleep=lambda seconds: None)


def test_the_account_s_history_is_told_by_day() -> None:
    names = ["DAY", "RUNS", "QUERIES", "CREDITS", "BYTES_SCANNED"]
    rows = [("2026-01-02", 3, 90, Decimal("0.25"), 4_096), ("2026-01-03", 1, 30, None, None)]
    statements: list[str] = []

    def answer(statement: str) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
        statements.append(statement)
        return names, rows

    warehouse = asking(answer)
    assert warehouse.backend.meter.size == "MEDIUM"
    assert warehouse.costs("crm", 7) == [
        {"day": "2026-01-02", "pipeline": "crm", "runs": 3, "queries": 90, "credits": 0.25, "bytes_scanned": 4_096},
        {"day": "2026-01-03", "pipeline": "crm", "runs": 1, "queries": 30, "credits": None, "bytes_scanned": 0},
    ]
    assert statements == [history_query("crm", 7)]


def test_a_role_that_may_not_read_the_history_is_told_what_to_grant() -> None:
    def refuse(statement: str) -> Iterator[Any]:
        raise ProgrammingError(msg="Database 'SNOWFLAKE' does not exist or not authorized.", errno=2003)

    with pytest.raises(ConfigError, match=r"SNOWFLAKE\.USAGE_VIEWER"):
        asking(refuse).costs("crm", 7)


def test_the_question_is_as_reviewed_and_a_name_stays_within_its_quotes() -> None:
    check_snapshot("snowflake_cost", [("the last 7 days", history_query("crm", 7))])
    assert r"'a\'; DROP TABLE x; --'" in history_query("a'; DROP TABLE x; --", 1)
