"""Snowflake's session, by the real driver over HTTP against the stand-in; see ``fakesnow_patches`` for its limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import CommitUnknown, ConfigError, SignInError, SynclineError, Transient, ValueOutOfType
from syncline.sinks.snowflake_errors import ObjectMissing, SessionGone
from syncline.sinks.snowflake_settings import settings_from
from syncline.sinks.snowflake_transactions import Process
from tests.servers.snowflake_fixtures import ACCOUNT, USER, FakeSnowflake, key_pair
from tests.sinks.snowflake_world import World


@pytest.fixture
def world(fake_snowflake: FakeSnowflake) -> Iterator[World]:
    world = World(fake_snowflake, fake_snowflake.database())
    yield world
    world.close()


# ---- signing in ----


def signed_in(world: World, **variables: str) -> None:
    kept = {name: text for name, text in world.server.variables.items() if name != "SNOWFLAKE_PRIVATE_KEY"}
    settings = settings_from(kept | variables, database=world.database, schema="CRM")
    session = replace_settings(world, settings)
    assert session.run("SELECT 1") == [(1,)]
    session.close()


def replace_settings(world: World, settings: Any) -> Any:
    from syncline.sinks.snowflake_session import SnowflakeSession

    return SnowflakeSession(settings, world.memory, world.meter, lambda: None, world.slept.append)


def test_a_key_pair_signs_in_as_text_as_a_file_and_encrypted(world: World, tmp_path: Path) -> None:
    rsa, public = key_pair()
    world.server.add_user(user=USER, public_key=public)
    signed_in(world, SNOWFLAKE_PRIVATE_KEY=rsa)
    signed_in(world, SNOWFLAKE_PRIVATE_KEY=world.server.private_key)
    signed_in(world, SNOWFLAKE_PRIVATE_KEY=world.server.private_key.replace("\n", "\\n"))
    (tmp_path / "key.p8").write_text(world.server.private_key)
    signed_in(world, SNOWFLAKE_PRIVATE_KEY_FILE=str(tmp_path / "key.p8"))
    locked, public = key_pair("sentinel-passphrase")
    world.server.add_user(user=USER, public_key=public)
    signed_in(world, SNOWFLAKE_PRIVATE_KEY=locked, SNOWFLAKE_PRIVATE_KEY_PASSPHRASE="sentinel-passphrase")


def test_a_key_the_account_does_not_know_is_refused_and_not_tried_again(world: World) -> None:
    stranger, _ = key_pair()
    logins = len(world.server.seen()["logins"])
    with pytest.raises(SignInError, match="394304") as caught:
        signed_in(world, SNOWFLAKE_PRIVATE_KEY=stranger)
    assert "RSA_PUBLIC_KEY" in caught.value.hint
    assert len(world.server.seen()["logins"]) == logins + 1


def test_tokens_passwords_and_oauth_clients_sign_in_and_wrong_ones_do_not(world: World, tmp_path: Path) -> None:
    world.server.add_user(user=USER, token="sentinel-token")
    signed_in(world, SNOWFLAKE_TOKEN="sentinel-token")
    (tmp_path / "token").write_text("sentinel-token\n")
    signed_in(world, SNOWFLAKE_TOKEN_FILE=str(tmp_path / "token"))
    signed_in(world, SNOWFLAKE_PASSWORD="sentinel-password")
    world.server.add_user(oauth_client="client", oauth_secret="sentinel-oauth")
    oauth = {
        "SNOWFLAKE_OAUTH_CLIENT_ID": "client",
        "SNOWFLAKE_OAUTH_CLIENT_SECRET": "sentinel-oauth",
        "SNOWFLAKE_OAUTH_TOKEN_URL": f"http://127.0.0.1:{world.server.port}/oauth/token-request",
    }
    signed_in(world, **oauth, SNOWFLAKE_OAUTH_SCOPE="session:role:SYNCLINE_ROLE")
    assert {"oauth_scope": "session:role:SYNCLINE_ROLE"} in world.server.seen()["logins"]
    for wrong in (
        {"SNOWFLAKE_TOKEN": "sentinel-wrong"},
        {"SNOWFLAKE_TOKEN": "sentinel-wrong", "SNOWFLAKE_AUTHENTICATOR": "oauth"},
        {"SNOWFLAKE_PASSWORD": "sentinel-wrong"},
        oauth | {"SNOWFLAKE_OAUTH_CLIENT_SECRET": "sentinel-wrong"},
    ):
        with pytest.raises(ConfigError) as caught:
            signed_in(world, **wrong)
        assert "sentinel" not in str(caught.value)
        assert isinstance(caught.value, SignInError), caught.value


def test_the_login_request_sets_the_session_and_nothing_alters_it_later(world: World) -> None:
    world.open().run("SELECT 1")
    login = world.server.seen()["logins"][-1]
    parameters = login["SESSION_PARAMETERS"]
    assert {name: parameters[name] for name in ("TIMEZONE", "LOCK_TIMEOUT", "ABORT_DETACHED_QUERY")} == {
        "TIMEZONE": "UTC",
        "LOCK_TIMEOUT": 600,
        "ABORT_DETACHED_QUERY": True,
    }
    assert parameters["ERROR_ON_NONDETERMINISTIC_MERGE"] is True
    assert parameters["ERROR_ON_NONDETERMINISTIC_UPDATE"] is True
    assert parameters["QUOTED_IDENTIFIERS_IGNORE_CASE"] is False
    assert parameters["STATEMENT_TIMEOUT_IN_SECONDS"] == 3600
    assert (login["ACCOUNT_NAME"], login["warehouse"], login["roleName"]) == (
        ACCOUNT,
        '"SYNCLINE_WH"',
        '"SYNCLINE_ROLE"',
    )
    assert not [each for each in world.server.seen()["statements"] if "ALTER SESSION" in each.upper()]


# ---- statements ----


def test_values_come_back_exact_and_instants_in_utc(world: World) -> None:
    session = world.open()
    [row] = session.run(
        "SELECT 12345678901234567, 1.50::NUMBER(18, 2), '2024-01-02 03:04:05.123456+02:00'::TIMESTAMP_TZ, 'a', NULL"
    )
    assert row == (12345678901234567, Decimal("1.50"), datetime(2024, 1, 2, 1, 4, 5, 123456, UTC), "a", None)
    assert row[2].tzinfo is UTC


def test_changes_are_counted_by_kind(world: World) -> None:
    session = world.open()
    name = world.table(session).sql(dialect="snowflake")
    assert session.change(f"INSERT INTO {name} (ID) SELECT 'a' UNION ALL SELECT 'b'") == (2,)
    assert session.change(f"UPDATE {name} SET AMOUNT = 1 WHERE ID = 'a'") == (1,)
    assert session.change(f"DELETE FROM {name} WHERE ID = 'nobody'") == (0,)
    merge = (
        f"MERGE INTO {name} AS t USING (SELECT 'a' AS ID, TRUE AS GONE UNION ALL SELECT 'b', FALSE"
        " UNION ALL SELECT 'c', FALSE) AS s ON t.ID = s.ID WHEN MATCHED AND s.GONE THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET AMOUNT = 2 WHEN NOT MATCHED THEN INSERT (ID) VALUES (s.ID)"
    )
    assert session.change(merge) == (1, 1, 1)
    nobody = f"MERGE INTO {name} AS t USING (SELECT 'z' AS ID) AS s ON t.ID = s.ID WHEN MATCHED THEN DELETE"
    assert session.change(nobody) == (0, 0, 0)
    assert session.change(f"INSERT OVERWRITE INTO {name} (ID) SELECT 'only'") == (1,)
    assert world.sent == len(world.server.seen()["statements"]) - 1  # the database was made by the test


def test_a_row_matched_twice_is_our_own_error_and_values_are_theirs(world: World) -> None:
    session = world.open()
    name = world.table(session).sql(dialect="snowflake")
    session.change(f"INSERT INTO {name} (ID) SELECT 'a'")
    twice = (
        f"MERGE INTO {name} AS t USING (SELECT 'a' AS ID UNION ALL SELECT 'a') AS s ON t.ID = s.ID"
        " WHEN MATCHED THEN UPDATE SET AMOUNT = 1"
    )
    with pytest.raises(SynclineError, match="100090") as caught:
        session.change(twice)
    assert not isinstance(caught.value, Transient | ConfigError)
    with pytest.raises(ValueOutOfType):
        session.change(f"INSERT INTO {name} (AMOUNT) SELECT 'no number'::VARCHAR")


def test_a_missing_object_is_told_apart(world: World) -> None:
    with pytest.raises(ObjectMissing, match="002003"):
        world.open().run(f'SELECT * FROM "{world.database}"."CRM"."NOPE"')


# ---- transactions ----


def write_and_fail(session: Any, name: str) -> None:
    with session.transaction():
        session.change(f"INSERT INTO {name} (ID) SELECT 'gone'")
        raise ZeroDivisionError


def write_twice(session: Any, name: str) -> None:
    with session.transaction():
        session.change(f"INSERT INTO {name} (ID) SELECT 'first'")
        session.change(f"INSERT INTO {name} (ID) SELECT 'second'")


def inserted(world: World, session: Any, name: str, id: str) -> None:
    session.change(f"INSERT INTO {name} (ID) SELECT '{id}'")


def test_a_transaction_commits_and_an_error_rolls_it_back(world: World) -> None:
    session = world.open()
    table = world.table(session)
    name = table.sql(dialect="snowflake")
    with session.transaction():
        inserted(world, session, name, "kept")
        assert world.rows(table) == []
    with pytest.raises(ZeroDivisionError):
        write_and_fail(session, name)
    assert [row[0] for row in world.rows(table)] == ["kept"]
    assert world.memory.unsettled == {}


@pytest.mark.parametrize("kind", ["lose-request", "lose-reply"])
def test_a_lost_commit_is_unknown_and_the_next_session_makes_it_final_known_outcome(world: World, kind: str) -> None:
    session = world.open()
    table = world.table(session)
    world.server.arm("^COMMIT$", kind)
    with pytest.raises(CommitUnknown), session.transaction():
        inserted(world, session, table.sql(dialect="snowflake"), "a")
    [(id, committing)] = world.memory.unsettled.items()
    assert committing
    world.server.reset()
    world.open()
    asked = world.server.seen()["statements"]
    assert asked == [f"SELECT SYSTEM$ABORT_TRANSACTION({id})", f"DESCRIBE TRANSACTION {id}"]
    assert [row[0] for row in world.rows(table)] == (["a"] if kind == "lose-reply" else [])
    assert world.memory.unsettled == {}
    assert world.slept == ([2.0] if kind == "lose-reply" else [])


def test_a_session_that_ends_within_a_transaction_takes_it_along_and_is_not_asked_again(world: World) -> None:
    session = world.open()
    table = world.table(session)
    name = table.sql(dialect="snowflake")
    world.server.arm("'second'", "end", code="390114")
    with pytest.raises(SessionGone, match="390114"):
        write_twice(session, name)
    assert world.server.seen()["statements"][-1].endswith("'first'"), "no ROLLBACK is sent to a session that is gone"
    with pytest.raises(SessionGone):
        session.run("SELECT 1")
    assert world.rows(table) == []
    [committing] = world.memory.unsettled.values()
    assert not committing
    world.open()
    assert world.memory.unsettled == {}


def test_a_transaction_of_a_dead_process_is_ended_by_id_and_of_a_live_one_is_not(world: World) -> None:
    """The dead process is real: it begins a transaction, writes, and is killed."""
    session = world.open()
    table = world.table(session)
    name = table.sql(dialect="snowflake")
    inserted(world, session, name, "a")
    own = Process.own(world.settings.place)
    other = replace(own, pid=1, started=0)  # a process that is alive
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    dead = replace(own, pid=int(child.stdout), started=0)
    assert dead.is_dead()
    assert not own.is_dead()
    assert not other.is_dead()
    holders = [world.server.reader(), world.server.reader()]
    for holder, process in zip(holders, (dead, other), strict=True):
        holder.cursor().execute(f"BEGIN TRANSACTION NAME {process.name()}")
    holders[0].cursor().execute(f"UPDATE {name} SET AMOUNT = 1")
    with session.transaction():
        session.change(f"UPDATE {name} SET AMOUNT = 2")
    statements = world.server.seen()["statements"]
    aborted = [each for each in statements if "ABORT_TRANSACTION" in each]
    assert len(aborted) == 1
    assert [row[1] for row in world.rows(table)] == [Decimal("2.00")]
    running = session.named_rows("SHOW TRANSACTIONS")
    assert [row["name"] for row in running] == [other.name()]
    for holder in holders:
        holder.close()


def test_a_lock_that_is_not_given_is_transient_and_names_who_may_hold_it(world: World) -> None:
    session = world.open()
    name = world.table(session).sql(dialect="snowflake")
    inserted(world, session, name, "a")
    with world.server.reader() as holder:
        holder.cursor().execute("BEGIN TRANSACTION NAME SOMEBODY")
        holder.cursor().execute(f"UPDATE {name} SET AMOUNT = 1")
        with pytest.raises(Transient, match=r"000625.*SOMEBODY") as caught, session.transaction():
            session.change(f"UPDATE {name} SET AMOUNT = 2")
        assert "SYSTEM$ABORT_TRANSACTION" in caught.value.hint
        holder.cursor().execute("ROLLBACK")


def test_ddl_commits_what_is_open_and_a_second_begin_is_ignored(world: World) -> None:
    """What the stand-in was taught; DDL-BEFORE rests on it being so on Snowflake."""
    session = world.open()
    table = world.table(session)
    name = table.sql(dialect="snowflake")
    with world.server.reader() as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute("BEGIN")
        cursor.execute(f"INSERT INTO {name} (ID) SELECT 'a'")
        cursor.execute(f'CREATE TABLE "{world.database}"."CRM"."OTHER" (A INT)')
        cursor.execute("ROLLBACK")
    assert [row[0] for row in world.rows(table)] == ["a"]


# ---- labels ----


def test_statements_carry_their_labels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from snowflake.connector.cursor import SnowflakeCursor

    tags: list[str] = []
    execute = SnowflakeCursor.execute

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        tags.append(kwargs["_statement_params"]["QUERY_TAG"])
        return execute(self, *args, **kwargs)

    session = world.open()
    monkeypatch.setattr(SnowflakeCursor, "execute", noted)
    session.run("SELECT 1")
    session.tag(pipeline="crm", run="run-1", stream="Account")
    session.run("SELECT 1")
    assert [json.loads(tag) for tag in tags] == [
        {"app": "syncline"},
        {"app": "syncline", "pipeline": "crm", "run": "run-1", "stream": "Account"},
    ]


def test_process_names_survive_a_round_trip() -> None:
    own = Process.own("Snowflake acme, DB.CRM")
    assert Process.parse(own.name()) == own
    assert own.pid == os.getpid()
    assert Process.parse("00000000-0000-4000-8000-000000000000") is None
