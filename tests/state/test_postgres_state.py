"""State in a real Postgres: the suite, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from syncline.connectors import Records
from syncline.connectors.errors import ConfigError, LeaseHeld
from syncline.pipelines.check import check
from syncline.pipelines.pipeline import Pipeline
from syncline.sinks import DuckDB, Landing
from syncline.state import postgres
from syncline.state.conformance import (
    MARK,
    RACERS,
    START,
    TTL_S,
    ManualClock,
    OpenStore,
    StateConformance,
    at_once,
    race_for_lease,
    run_at,
)
from syncline.state.postgres import PostgresState
from tests.servers.postgres import PgAddress, PgServer
from tests.state.postgres_state import Home, new_home


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    """One database for the module: a schema of its own is as good, and faster."""
    with pg_server.database("state") as address:
        yield address


@pytest.fixture
def home(address: PgAddress) -> Home:
    return new_home(address)


class TestPostgresState(StateConformance):
    @pytest.fixture
    def open_store(self, home: Home, clock: ManualClock) -> OpenStore:
        return lambda: home.open(clock=clock)


def test_a_schema_is_named_as_it_is_spelled(address: PgAddress) -> None:
    """EXACT-NAMES: per cent, quotes and capitals reach the server as they are."""
    for name in ('50% "odd" %s', "syncline_state", "x" * 63):
        PostgresState(address.dsn, schema=name).remember("crm", {"Account": MARK})
        assert PostgresState(address.dsn, schema=name).recall("crm") == {"Account": MARK}
        assert Home(address, name).ask("SELECT 1 FROM pg_namespace WHERE nspname = %s", name)


def test_looking_creates_nothing(home: Home) -> None:
    state = home.open()
    assert state.recall("crm") == {}
    assert list(state.runs("crm", 5)) == []
    assert home.ask("SELECT 1 FROM pg_namespace WHERE nspname = %s", home.schema) == []


def test_nothing_is_connected_before_it_is_used() -> None:
    """IDLE-IS-FREE in small: a pipeline that is only planned or listed has no need of its state."""
    PostgresState("postgresql://nobody@127.0.0.1:1/nowhere").close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("schema", ""),
        ("schema", "x" * 64),
        ("schema", "a\0b"),
        ("connect_timeout_s", 0),
        ("connect_timeout_s", 3601),
        ("statement_timeout_s", 0.5),
    ],
)
def test_a_setting_that_cannot_work_is_refused_when_the_state_is_made(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting) as caught:
        PostgresState("postgresql://u@127.0.0.1/db", **{setting: value})  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_missing_driver_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="psycopg") as caught:
        PostgresState("postgresql://u@127.0.0.1/db")
    assert "syncline[postgres]" in caught.value.hint


def test_a_state_shows_where_it_is_and_no_password() -> None:
    """NO-SECRETS."""
    state = PostgresState("postgresql://u:s3cret-word@127.0.0.1/db?sslpassword=s3cret-too", schema="s")
    assert repr(state) == "PostgresState('postgresql://u@127.0.0.1/db', schema='s')"


def test_the_history_is_bounded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """BOUNDED."""
    monkeypatch.setattr(postgres, "RUNS_KEPT", 3)
    state = home.open()
    state.record(replace(run_at(0), pipeline="other", finished_at=START))
    for minute in range(5):
        state.record(replace(run_at(minute), finished_at=START))
    assert [run.run_id for run in state.runs("crm", 100)] == ["run-04", "run-03", "run-02"]
    assert len(state.runs("other", 100)) == 1


def test_a_checkpoint_does_not_write_the_digests_again(home: Home) -> None:
    state, mark = home.open(), replace(MARK, known=bytes(range(256)) * 4_000)
    state.remember("crm", {"Account": mark})
    [(before,)] = home.ask("SELECT pg_current_wal_insert_lsn() - '0/0'")
    state.remember("crm", {"Account": replace(mark, checkpoint={"slice": 2})})
    [(after,)] = home.ask("SELECT pg_current_wal_insert_lsn() - '0/0'")
    assert after - before < len(mark.known or b"") / 2
    assert state.recall("crm")["Account"].known == mark.known


# --- the lease by the server's clock


def test_a_lease_is_timed_by_the_server(home: Home) -> None:
    with home.open().lease("crm", TTL_S):
        [(since, until, now)] = home.ask("SELECT since, until, clock_timestamp() FROM STATE.leases")
    assert until - since == timedelta(seconds=TTL_S)
    assert timedelta(0) <= now - since < timedelta(seconds=TTL_S)


def test_a_lease_runs_out_by_the_server_s_clock(home: Home) -> None:
    with home.open().lease("crm", TTL_S) as lost:
        with pytest.raises(LeaseHeld), home.open().lease("crm", TTL_S):
            pass
        home.ask("UPDATE STATE.leases SET until = clock_timestamp()")
        with home.open().lease("crm", TTL_S), pytest.raises(LeaseHeld):
            lost.renew()


def test_of_many_threads_that_share_one_state_one_gets_the_lease(home: Home) -> None:
    """They share its connection, too, and each asks the server for the time."""
    shared = home.open()
    shared.record(run_at(0))
    assert sorted(race_for_lease(lambda: shared)) == [False] * (RACERS - 1) + [True]


# --- check


def test_check_tries_everything_and_leaves_nothing(home: Home) -> None:
    state = home.open()
    assert [finding.level for finding in state.check()] == ["ok"]
    assert home.ask("SELECT 1 FROM pg_namespace WHERE nspname = %s", home.schema) == []
    state.remember("crm", {"Account": MARK})
    assert [finding.level for finding in state.check()] == ["ok"]
    assert state.recall("crm") == {"Account": MARK}
    assert home.ask("SELECT count(*) FROM STATE.leases") == [(0,)]
    # What check made and took back is made when it is needed after all.
    fresh = new_home(home.address).open()
    assert [finding.level for finding in fresh.check()] == ["ok"]
    fresh.remember("crm", {"Account": MARK})
    assert fresh.recall("crm") == {"Account": MARK}


@pytest.mark.parametrize("table", ["leases", "marks", "runs", "state_format"])
def test_check_finds_a_table_that_is_missing(home: Home, table: str) -> None:
    state = home.open()
    state.remember("crm", {"Account": MARK})
    home.ask(f"DROP TABLE STATE.{table}")
    assert [finding.level for finding in state.check()] == ["error"]


def test_syncline_check_asks_the_state(home: Home, tmp_path: Path) -> None:
    columns = pa.schema([("Id", pa.string()), ("At", pa.timestamp("us", tz="UTC"))])
    source = Records(clock=lambda: START).add("Account", columns, key="Id", cursor="At", rows=[])
    landing, warehouse = Landing(str(tmp_path / "landing")), DuckDB(tmp_path / "crm.duckdb")
    pipeline = Pipeline("crm", source, ["Account"], landing, warehouse, home.open())
    findings = check(pipeline, [], START)
    [said] = [finding for finding in findings if finding.subject.startswith("state postgresql://")]
    assert said.level == "ok"
    assert home.schema in said.text


@pytest.fixture
def old_home(home: Home) -> Home:
    """As a program of format 1 left it: no column for the place."""
    home.open().remember("crm", {"Account": MARK})
    home.ask("ALTER TABLE STATE.marks DROP COLUMN place")
    home.ask("UPDATE STATE.state_format SET version = 1")
    return home


def test_tables_of_an_older_program_are_read_as_they_are(old_home: Home) -> None:
    assert old_home.open().recall("crm") == {"Account": replace(MARK, place="")}
    assert old_home.ask("SELECT max(version) FROM STATE.state_format") == [(1,)]
    assert [finding.level for finding in old_home.open().check()] == ["ok"]
    assert old_home.ask("SELECT max(version) FROM STATE.state_format") == [(1,)], "what check tries is taken back"


def test_tables_of_an_older_program_are_brought_forward_once_by_many(old_home: Home) -> None:
    def remember(number: int) -> None:
        old_home.open().remember("crm", {f"stream-{number}": MARK})

    at_once(remember)
    expected = {"Account": replace(MARK, place=""), **{f"stream-{number}": MARK for number in range(RACERS)}}
    assert old_home.open().recall("crm") == expected
    assert old_home.ask("SELECT version FROM STATE.state_format ORDER BY 1") == [(1,), (2,)]


def test_a_newer_format_is_refused(home: Home) -> None:
    home.open().remember("crm", {"Account": MARK})
    home.ask("UPDATE STATE.state_format SET version = 99")
    for attempt in (lambda: home.open().recall("crm"), lambda: home.open().record(run_at(0))):
        with pytest.raises(ConfigError, match="format 99") as caught:
            attempt()
        assert "the warehouse holds the truth" in caught.value.hint
