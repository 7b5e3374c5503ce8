"""What Postgres refuses, told by class, cause and hint; every error is the real server's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from syncline.connectors.errors import (
    CommitUnknown,
    ConfigError,
    DataError,
    FenceLost,
    NameCollision,
    SignInError,
    SynclineError,
    Transient,
)
from syncline.connectors.postgres_url import parse_postgres_url
from syncline.sinks import postgres_session
from syncline.sinks.landing import Landing
from syncline.sinks.postgres import Postgres
from syncline.sinks.postgres_session import PostgresSession
from syncline.sinks.served import ATTEMPTS_MAX
from syncline.sinks.trial import COLUMNS, Change, Trial, record
from tests.servers.pg_proxy import PgProxy, between, once
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import PostgresHouse, new_schema


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("errors") as address:
        yield address


@pytest.fixture
def proxy(address: PgAddress) -> Iterator[PgProxy]:
    with between(address) as proxy:
        yield proxy


class Place:
    """A copy of one stream behind a proxy, and an administrator beside it."""

    def __init__(self, proxy: PgProxy, folder: Path) -> None:
        self.proxy = proxy
        self.schema = new_schema()
        self.pauses: list[float] = []
        self.house = PostgresHouse(proxy.address, self.schema, {"sleep": self.pauses.append})
        self.trial = Trial(self.house, Landing(str(folder / "landing")))

    def ask(self, statement: str) -> None:
        with psycopg.connect(self.proxy.upstream.dsn, autocommit=True) as admin:
            admin.execute(self.filled(statement))

    def filled(self, statement: str) -> sql.Composed:
        return sql.SQL(statement).format(S=sql.Identifier(self.schema))

    def names(self) -> list[str]:
        table = self.house.read("account")
        return [] if table is None else sorted(table["name"].to_pylist())


@pytest.fixture
def place(proxy: PgProxy, tmp_path: Path) -> Place:
    place = Place(proxy, tmp_path)
    place.trial.run(Change([record("1"), record("2")]))
    return place


# --- no connection


def watermarks(address: PgAddress, **settings: Any) -> SynclineError:
    pauses: list[float] = []
    warehouse = Postgres(address.dsn, sleep=pauses.append, **settings)
    with pytest.raises(SynclineError) as caught:
        warehouse.watermarks("crm")
    assert len(pauses) == (ATTEMPTS_MAX - 1 if isinstance(caught.value, Transient) else 0)
    assert address.password not in f"{caught.value} {caught.value.__cause__!r}"
    return caught.value


def test_a_wrong_password_is_a_sign_in_error_and_is_not_tried_again(address: PgAddress) -> None:
    error = watermarks(replace(address, password="not-the-password"))
    assert isinstance(error, SignInError)
    assert address.user in error.object


def test_a_missing_database_is_a_config_error(address: PgAddress) -> None:
    error = watermarks(replace(address, database="nowhere"))
    assert type(error) is ConfigError
    assert 'database "nowhere" does not exist' in error.cause


def test_a_server_that_is_not_there_is_transient(address: PgAddress) -> None:
    with between(address) as proxy:
        gone = proxy.address
    assert type(watermarks(gone)) is Transient


def test_an_older_server_is_refused_by_its_version(address: PgAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "VERSION_MIN", 990_000)
    assert "MERGE came with 99" in watermarks(address).cause


# --- missing rights and what others made


def test_missing_rights_are_a_config_error_that_says_where_they_are_listed(address: PgAddress) -> None:
    with psycopg.connect(address.dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE errors_reader LOGIN PASSWORD 'reads-nothing-much'")
    reader = replace(address, user="errors_reader", password="reads-nothing-much")
    warehouse = Postgres(reader.dsn, new_schema())
    with pytest.raises(ConfigError, match="permission denied") as caught:
        warehouse.prepare([Change().plan("run-1")])
    warehouse.close()
    assert "docs/warehouses.md" in caught.value.hint
    with psycopg.connect(address.dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE errors_reader")


def test_a_constraint_that_somebody_added_is_a_data_error_and_nothing_stands(place: Place) -> None:
    place.ask("ALTER TABLE {S}.account ADD CONSTRAINT no_bob CHECK (name <> 'Bob')")
    with pytest.raises(DataError, match="no_bob") as caught:
        place.trial.run(Change([record("1", "Ann", 2), record("3", "Bob", 2)]))
    assert "constraint" in caught.value.hint
    assert place.names() == ["name", "name"]


def test_a_unique_index_that_somebody_added_is_no_lost_fence(place: Place) -> None:
    """Running again would not help."""
    place.ask("CREATE UNIQUE INDEX one_name ON {S}.account (name) WHERE name = 'Ann'")
    with pytest.raises(DataError, match="one_name"):
        place.trial.run(Change([record("1", "Ann", 2), record("3", "Ann", 2)]))


def test_a_primary_key_that_somebody_gave_a_target_is_no_lost_fence(place: Place) -> None:
    """FENCED-COMMIT is kept by the bookkeeping alone; the constraint's name says nothing."""
    place.trial.run(Change([record("1", "Ann", 2), record("2", "Bob", 2)]))
    place.ask("ALTER TABLE {S}.account DROP CONSTRAINT account_pkey, ADD PRIMARY KEY (name)")
    with pytest.raises(DataError) as caught:
        place.trial.run(Change([record("3", "Eve", 3), record("4", "Eve", 3)]))
    assert "table account, constraint account_pkey" in caught.value.cause
    assert place.names() == ["Ann", "Bob"]


def test_a_watermark_s_row_that_another_run_made_is_a_lost_fence(place: Place) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        place.ask("INSERT INTO {S}._syncline_watermarks SELECT * FROM {S}._syncline_watermarks")
    assert isinstance(postgres_session.translate(caught.value, "INSERT INTO it", "here"), FenceLost)


def test_a_field_named_as_a_hidden_column_is_refused_before_anything_is_made(place: Place) -> None:
    """EXACT-NAMES: the server says it by a number that stands for another run's column elsewhere, which passes."""
    with pytest.raises(NameCollision, match="own ctid and CTID") as caught:
        place.trial.run(Change(columns=COLUMNS.append(pa.field("CTID", pa.string())), stream="Other"))
    assert "exclude" in caught.value.hint
    assert place.pauses == []


def test_a_constraint_that_is_looked_at_by_commit_only_undoes_it_all(place: Place) -> None:
    """ONE-TRANSACTION: the server refuses the COMMIT itself, and says so, which is no unknown outcome."""
    place.ask("CREATE FUNCTION {S}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$")
    place.ask(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {S}.account DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION {S}.refuse()"
    )
    with pytest.raises(DataError) as caught:
        place.trial.run(Change([record("3", "Bob", 2)]))
    assert caught.value.operation == "run COMMIT"
    place.ask("DROP TRIGGER late ON {S}.account")
    place.trial.run(Change([record("3", "Bob", 2)]))
    assert place.names() == ["Bob", "name", "name"]


def test_a_view_on_a_column_that_must_widen_is_a_config_error_with_the_cure(place: Place) -> None:
    columns = COLUMNS.append(pa.field("Amount", pa.decimal128(18, 2)))
    place.trial.run(Change([{**record("1", "x", 2), "Amount": 1}], columns=columns))
    place.ask("CREATE VIEW {S}.sums AS SELECT amount FROM {S}.account")
    wider = COLUMNS.append(pa.field("Amount", pa.decimal128(30, 2)))
    with pytest.raises(ConfigError, match="used by a view") as caught:
        place.trial.run(Change([{**record("1", "x", 3), "Amount": 2}], columns=wider))
    assert "drop the view" in caught.value.hint


# --- what passes


def test_a_table_that_somebody_keeps_locked_is_waited_for_and_tried_again(proxy: PgProxy, tmp_path: Path) -> None:
    for setting, timeout, hint in (
        ("lock_timeout_s", "lock timeout", "lock_timeout_s"),
        ("statement_timeout_s", "statement timeout", "statement_timeout_s"),
    ):
        place = Place(proxy, tmp_path / setting)
        place.trial.run(Change([record("1")]))
        said = locked_out(place, setting)
        assert timeout in said.cause
        assert hint in said.hint
        assert place.names() == ["new"]


def locked_out(place: Place, setting: str) -> SynclineError:
    """A run whose target is locked until its first pause; what the pause was for."""
    other = psycopg.connect(place.proxy.upstream.dsn)
    other.execute(place.filled("LOCK TABLE {S}.account IN ACCESS EXCLUSIVE MODE"))
    told: list[SynclineError] = []
    translate = postgres_session.translate

    def noting(*args: Any) -> SynclineError:
        told.append(translate(*args))
        return told[-1]

    place.house.settings |= {setting: 0.2, "sleep": lambda _: other.close()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_session, "translate", noting)
        place.trial.run(Change([record("1", "new", 2)]))
    [only] = told
    assert type(only) is Transient
    return only


def test_the_victim_of_a_deadlock_tries_again(place: Place) -> None:
    place.ask("ALTER DATABASE {} SET deadlock_timeout = '50ms'".replace("{}", place.proxy.upstream.database))
    with psycopg.connect(place.proxy.upstream.dsn) as other:
        other.execute("SET deadlock_timeout = '60s'")
        other.execute(place.filled("LOCK TABLE {S}.account IN ACCESS EXCLUSIVE MODE"))
        waits = threading.Thread(
            target=lambda: other.execute(place.filled("LOCK TABLE {S}._syncline_watermarks IN ACCESS EXCLUSIVE MODE"))
        )

        def strike(statement: str) -> None:
            if "MERGE" in statement and not waits.ident:
                waits.start()

        place.proxy.strike = strike

        def give_way(_: float) -> None:
            waits.join()
            other.rollback()

        place.house.settings["sleep"] = give_way
        place.trial.run(Change([record("1", "new", 2)]))
        assert waits.ident, "no deadlock came about"
    assert place.names() == ["name", "new"]


MERGE = "WITH changed AS (MERGE"
PASSING = ["40001", "40P01", "53100", "53200", "57014", "25P03", "58030", "55P03", "42P01"]
STATEMENTS = ["BEGIN", "LOCK", "UPDATE", "INSERT", "COMMIT"]


@pytest.mark.parametrize(
    ("begins", "sqlstate"), [(MERGE, each) for each in PASSING] + [(each, "40001") for each in STATEMENTS]
)
def test_what_passes_is_tried_again_wherever_it_strikes(place: Place, begins: str, sqlstate: str) -> None:
    place.proxy.strike = once(sqlstate, begins)
    place.trial.run(Change([record("1", "new", 2)]))
    assert place.proxy.strike(begins) is None, "it did not strike"
    assert len(place.pauses) == 1
    assert place.names() == ["name", "new"]


def test_what_does_not_pass_is_given_up_after_so_many_attempts(place: Place) -> None:
    """BOUNDED."""
    place.proxy.strike = lambda statement: "53100" if "MERGE" in statement else None
    with pytest.raises(Transient) as caught:
        place.trial.run(Change([record("1", "new", 2)]))
    assert "disk space" in caught.value.hint
    assert len(place.pauses) == ATTEMPTS_MAX - 1
    assert place.names() == ["name", "name"]


def test_a_transaction_that_failed_before_is_never_taken_for_committed(proxy: PgProxy) -> None:
    """The server answers the COMMIT of a failed transaction with ROLLBACK, and no error."""
    session = PostgresSession(parse_postgres_url(proxy.address.dsn).parameters(), "here", lambda: None)
    with pytest.raises(Transient, match="answered ROLLBACK"), session.transaction(), suppress(SynclineError):
        session.run("SELECT 1 / 0")
    session.close()


@pytest.mark.parametrize("sqlstate", ["57P01", "08P01", "40003"])
def test_an_answer_to_commit_that_settles_nothing_is_an_unknown_outcome(place: Place, sqlstate: str) -> None:
    """KNOWN-OUTCOME: never done again. A pooler whose server is gone says so, over a connection that still stands."""
    place.proxy.strike = once(sqlstate, "COMMIT")
    with pytest.raises(CommitUnknown):
        place.trial.run(Change([record("1", "new", 2)]))
    assert place.pauses == []


def test_what_a_database_sets_for_its_transactions_does_not_reach_a_run(place: Place) -> None:
    """A commit locks and then looks; at another level it would look at what was before it had the lock."""
    name = place.proxy.upstream.database
    for setting in ("default_transaction_isolation = 'serializable'", "default_transaction_read_only = on"):
        with psycopg.connect(place.proxy.upstream.dsn, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    place.trial.run(Change([record("1", "new", 2)]))
    warehouse = place.house.open()
    session, _ = warehouse._connect()
    assert session.run("SHOW transaction_isolation") == [("read committed",)]
    warehouse.close()
    with psycopg.connect(place.proxy.upstream.dsn, autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute(f"ALTER DATABASE {name} RESET ALL".encode())
    assert place.names() == ["name", "new"]


# --- runs at once


def test_first_runs_of_two_pipelines_at_once_both_succeed(address: PgAddress, tmp_path: Path) -> None:
    """Each has found nothing there when the other makes schema, bookkeeping and staging."""
    schema = new_schema()
    both = threading.Barrier(2, timeout=30)
    errors: list[BaseException] = []

    def first_run(pipeline: str) -> None:
        met: list[bool] = []

        def strike(statement: str) -> None:
            if statement.startswith("CREATE") and not met:
                met.append(True)
                both.wait()

        try:
            with between(address) as proxy:
                proxy.strike = strike
                trial = Trial(PostgresHouse(proxy.address, schema, {}), Landing(str(tmp_path / pipeline)))
                trial.run(Change([record("1", pipeline)], pipeline=pipeline, stream=f"of_{pipeline}"))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    at_once([lambda name=name: first_run(name) for name in ("crm", "erp")])  # type: ignore[misc]
    assert errors == []
    house = PostgresHouse(address, schema)
    for pipeline in ("crm", "erp"):
        table = house.read(f"of_{pipeline}")
        assert table is not None
        assert table["name"].to_pylist() == [pipeline]


def test_of_two_first_runs_of_one_pipeline_one_wins(address: PgAddress, tmp_path: Path) -> None:
    """FENCED-COMMIT."""
    house = PostgresHouse(address, new_schema(), {})
    trials = [Trial(house, Landing(str(tmp_path / name))) for name in ("a", "b")]
    opened = [(house.open(), trial) for trial in trials]
    trials[1].next_run()  # so that the two have ids of their own
    units = [trial.stage(warehouse, Change([record("1", str(at))])) for at, (warehouse, trial) in enumerate(opened)]
    lost: list[FenceLost] = []
    both = threading.Barrier(2, timeout=30)

    def commit(at: int) -> None:
        both.wait()
        try:
            opened[at][0].commit(units[at])
        except FenceLost as error:
            lost.append(error)

    at_once([lambda at=at: commit(at) for at in (0, 1)])  # type: ignore[misc]
    for warehouse, _ in opened:
        warehouse.close()
    assert len(lost) == 1
    assert len(opened[0][0].committed_runs("trial")) == 1
    opened[0][0].close()


def at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
