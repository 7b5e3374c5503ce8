"""Where a warehouse says that it is: the same text for one place, another for another, nothing secret in it, and nobody
connected to (IDLE-IS-FREE, NO-SECRETS)."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.secret import Secret
from syncline.sinks import DuckDB, Postgres
from syncline.sinks.memory import Memory, Storage
from syncline.sinks.redshift import Redshift
from syncline.sinks.redshift_settings import settings_from as redshift_settings
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import settings_from as snowflake_settings

SENTINEL = "sentinel-password"


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PG", "REDSHIFT_", "SNOWFLAKE_"))]:
        monkeypatch.delenv(name)


def postgres(url: str, schema: str = "public", **settings: Any) -> str:
    return Postgres(Secret(url), schema, **settings).place


def redshift(**given: Any) -> str:
    keyed = {"host": "crm.example.com", "user": "syncline", "password": SENTINEL, "database": "sales", "schema": "crm"}
    return Redshift(redshift_settings({}, **{**keyed, **given})).place


def snowflake(**given: Any) -> str:
    account = {"account": "acme-prod", "user": "SYNC", "warehouse": "WH", "database": "SALES", "schema": "CRM"}
    environ = {"SNOWFLAKE_PASSWORD": SENTINEL}
    return Snowflake(snowflake_settings(environ, **{**account, **given})).place


IAM: dict[str, Any] = {"host": "", "password": "", "iam": True, "region": "eu-central-1"}


def test_one_place_is_one_text_whoever_enters_it_and_however(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "crm.duckdb")
    files = {DuckDB(path).place for path in ("crm.duckdb", "./crm.duckdb", tmp_path / "crm.duckdb", "link.duckdb")}
    assert files == {f"duckdb:{tmp_path}/crm.duckdb?schema=main"}
    assert postgres(f"postgresql://a:{SENTINEL}@db.example.com/crm") == "postgres://db.example.com:5432/crm/public"
    assert postgres("postgresql://b@db.example.com:5432/crm?sslmode=verify-full&connect_timeout=3") == postgres(
        f"postgresql://a@db.example.com/crm?password={SENTINEL}"
    )
    assert redshift() == "redshift://crm.example.com:5439/sales/crm"
    assert redshift(user="another", statement_timeout_s=5, schema="CRM") == redshift()
    assert snowflake() == "snowflake://acme-prod/SALES/CRM"
    assert snowflake(user="ANOTHER", warehouse="OTHER_WH", role="R", database="sales") == snowflake()


def test_what_a_url_leaves_out_is_taken_from_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = postgres("postgresql://a@db.example.com:5433/crm")
    for name, value in {"HOST": "db.example.com", "PORT": "5433", "DATABASE": "crm", "PASSWORD": SENTINEL}.items():
        monkeypatch.setenv(f"PG{name}", value)
    assert Postgres().place == whole
    monkeypatch.setenv("PGSERVICE", "reporting")
    assert Postgres().place != whole, "a service may lead anywhere"


def test_another_place_is_another_text(tmp_path: Path) -> None:
    places = [
        DuckDB(tmp_path / "a.duckdb").place,
        DuckDB(tmp_path / "b.duckdb").place,
        DuckDB(tmp_path / "a.duckdb", "crm").place,
        DuckDB(":memory:a").place,
        Memory().place,
        Memory(Storage()).place,
        postgres("postgresql://a@db.example.com/crm"),
        postgres("postgresql://a@db.example.com/sales"),
        postgres("postgresql://a@db2.example.com/crm"),
        postgres("postgresql://a@db.example.com:5433/crm"),
        postgres("postgresql://a@db.example.com/crm?hostaddr=10.0.0.1"),
        postgres("postgresql://a@db.example.com/crm", "crm"),
        postgres("postgresql://a@db.example.com/crm%2Fcrm", "crm"),
        postgres("postgresql://a@db.example.com/crm", "crm/crm", names="exact"),
        postgres("postgresql://a@db.example.com/"),
        postgres("postgresql://b@db.example.com/"),
        redshift(),
        redshift(host="other.example.com"),
        redshift(port=5440),
        redshift(database="other"),
        redshift(schema="other"),
        redshift(**IAM, cluster_identifier="crm"),
        redshift(**IAM, serverless_workgroup="other"),
        redshift(**{**IAM, "region": "us-east-1"}, cluster_identifier="crm"),
        snowflake(),
        snowflake(account="acme-test"),
        snowflake(host="acme.privatelink.snowflakecomputing.com"),
        snowflake(database="OTHER"),
        snowflake(schema="OTHER"),
        snowflake(schema='"crm"'),
    ]
    assert [pair for pair in combinations(places, 2) if pair[0] == pair[1]] == []
    assert not [place for place in places if SENTINEL in place]


def test_a_named_connection_is_told_by_its_name() -> None:
    def named(connection: str) -> str:
        environ = {"SNOWFLAKE_CONNECTION": connection}
        return Snowflake(snowflake_settings(environ, database="SALES", schema="CRM")).place

    assert named("prod") == "snowflake://connection=prod/SALES/CRM"
    assert named("prod") != named("test")


def test_the_place_is_a_text_that_every_state_can_keep(tmp_path: Path) -> None:
    """No byte of a file's name, and none of a url, hinders a run from remembering."""
    odd = DuckDB(os.fsdecode(os.fsencode(tmp_path) + b"/\xff 50%.duckdb")).place
    for place in (odd, postgres("postgresql://a@db.example.com/c%00rm?host=/tmp/a%20b")):
        assert place.encode("ascii")
        assert "\0" not in place
