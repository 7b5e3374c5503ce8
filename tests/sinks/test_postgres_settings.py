"""What may be set about Postgres; nothing here connects."""

from __future__ import annotations

import os
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret
from syncline.sinks import Postgres
from syncline.sinks.dialect import Dialect, Place
from syncline.sinks.postgres_dialect import POSTGRES
from syncline.sinks.redshift_dialect import REDSHIFT
from syncline.sinks.snowflake_dialect import SNOWFLAKE
from syncline.sinks.targets import create_schema

URL = "postgresql://loader:s3cret-word@127.0.0.1:5433/ware"


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("names", {"names": "upper"}),
        ("schema", {"schema": ""}),
        ("schema", {"schema": "x" * 64}),
        ("schema", {"schema": "x" * 56}),  # its staging schema is longer than Postgres' names
        ("schema", {"staging_schema": "a\0b"}),
        ("statement_timeout_s", {"statement_timeout_s": 0}),
        ("lock_timeout_s", {"lock_timeout_s": -1}),
        ("lock_timeout_s", {"lock_timeout_s": 1e9}),
        ("url", {"url": "mysql://127.0.0.1/db"}),
        ("sslmode", {"url": "postgresql://u@db.example.com/ware?sslmode=prefer"}),
    ],
)
def test_a_setting_that_cannot_work_is_refused_when_the_warehouse_is_made(
    setting: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=setting) as caught:
        Postgres(**{"url": URL, **settings})
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_a_warehouse_shows_where_it_is_and_no_password() -> None:
    """NO-SECRETS: neither itself nor what it hands to libpq as text, which libpq quotes in its errors."""
    for warehouse in (Postgres(URL, "Crm"), Postgres(Secret(URL), "crm")):
        assert repr(warehouse) == "Postgres('postgresql://loader@127.0.0.1:5433/ware', schema='crm')"
        connection = warehouse.settings.connection()
        assert "s3cret" not in connection["conninfo"] + connection["options"]
        assert connection["password"] == "s3cret-word"
        warehouse.close()


def test_a_schema_keeps_its_spelling_where_names_are_exact() -> None:
    """EXACT-NAMES."""
    assert Postgres(URL, "Crm", names="exact").settings.schemas == ("Crm", "Crm_staging")
    assert Postgres(URL, "Crm", staging_schema="Tmp").settings.schemas == ("crm", "Tmp")


@pytest.mark.parametrize("dialect", [POSTGRES, SNOWFLAKE, REDSHIFT], ids=lambda dialect: dialect.name)
def test_a_schema_is_made_as_its_tables_will_name_it(dialect: Dialect) -> None:
    """EXACT-NAMES: where a table lives was said by the user, whatever is done to the source's names."""
    place = Place("", "Tmp")
    assert '"Tmp"' in create_schema(place, dialect)
    assert '"Tmp".' in dialect.render(place.table("account"))


def test_libpq_s_variables_say_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="PGHOST"):
        Postgres.from_env()
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGDATABASE", "ware")
    warehouse = Postgres.from_env("crm", names="exact")
    assert repr(warehouse) == "Postgres('postgresql://db.example.com/ware', schema='crm')"
    assert warehouse.settings.connection()["sslmode"] == "require"
