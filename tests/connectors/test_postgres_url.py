"""How a Postgres server is named; no way of writing it gives a password away (NO-SECRETS)."""

from __future__ import annotations

import os
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.errors import ConfigError
from syncline.connectors.postgres_url import parse_postgres_url
from syncline.connectors.secret import Secret


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


PASSWORD = "s3cret"
WRITTEN = [
    "postgresql://u:{}@127.0.0.1/db",
    "postgres://u:{}@localhost:5432/db?application_name=x",
    "postgresql://u@127.0.0.1/db?password={}",
    "postgresql://u@127.0.0.1/db?sslpassword={}&sslmode=require",
    "postgresql://u:{}@[::1]:5433,127.0.0.1:5434/db",
]


@pytest.mark.parametrize("url", WRITTEN)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_escaped_password_reaches_the_driver_and_nothing_else(url: str, text: str) -> None:
    password = f"{PASSWORD}{text}"
    parsed = parse_postgres_url(Secret(url.format(quote(password, safe=""))))
    assert password in [value for name, value in parsed.parameters().items() if "password" in name]
    for shown in (parsed.shown, parsed.conninfo, repr(parsed)):
        assert PASSWORD not in shown


@pytest.mark.parametrize("url", WRITTEN)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="="), min_size=1))
def test_a_password_that_is_not_escaped_is_kept_apart_or_refused_unseen(url: str, text: str) -> None:
    first, last = "Xs3cret", "tai1Y"
    for shown in shown_of(url.format(f"{first}{text}{last}")):
        assert first not in shown
        assert last not in shown


def shown_of(url: str) -> list[str]:
    """All that anybody gets to see of it."""
    try:
        parsed = parse_postgres_url(url)
    except ConfigError as error:
        return [str(error), repr(error.__cause__)]
    return [parsed.shown, repr(parsed.secrets), parsed.conninfo]


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("mysql://u@h/db", "does not begin"),
        ("host=127.0.0.1 password=s3cret", "does not begin"),
        ("postgresql://u:s3/cret@127.0.0.1/db", "too early"),
        ("postgresql://u:s3#cret@127.0.0.1/db", "too early"),
        ("postgresql://u:s3?cret@127.0.0.1/db", "too early"),
        ("postgresql://u:s3[cret@127.0.0.1/db", "cannot be read"),
        ("postgresql://127.0.0.1:s3cret/db", "port"),
        ("postgresql://u@127.0.0.1/db?password=s3&cret", "none of libpq"),
        ("", "PGHOST"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_its_cure(url: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause) as caught:
        parse_postgres_url(url)
    assert "cret" not in str(caught.value).replace("syncline", "")
    assert caught.value.hint


def test_every_setting_that_the_driver_knows_may_stand_in_a_url() -> None:
    for option in psycopg.pq.Conninfo.get_defaults():
        if option.keyword not in (b"authtype", b"tty"):  # of old, without effect
            assert parse_postgres_url(f"postgresql://u@127.0.0.1/db?{option.keyword.decode()}=")


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        ("postgresql://u@127.0.0.1/db", None),
        ("postgresql://u@localhost/db", None),
        ("postgresql:///db?host=/var/run", None),
        ("postgresql://u@db.example.com/db", "require"),
        ("postgresql://u@127.0.0.1,db.example.com/db", "require"),
        ("postgresql://u@db.example.com/db?sslmode=verify-full", None),
    ],
)
def test_tls_is_asked_for_beyond_this_machine(url: str, sslmode: str | None) -> None:
    assert parse_postgres_url(url).parameters().get("sslmode") == sslmode


@pytest.mark.parametrize("said", ["disable", "allow", "prefer"])
def test_a_connection_in_the_clear_beyond_this_machine_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        parse_postgres_url(f"postgresql://u@db.example.com/db?sslmode={said}")
    monkeypatch.setenv("PGSSLMODE", said)
    with pytest.raises(ConfigError, match="without TLS"):
        parse_postgres_url("postgresql://u@db.example.com/db")
    assert parse_postgres_url("postgresql://u@127.0.0.1/db").sslmode is None


def test_libpq_s_variables_fill_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOST": "db.example.com", "USER": "u", "PORT": "5433", "DATABASE": "crm"}.items():
        monkeypatch.setenv(f"PG{name}", value)
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    parsed = parse_postgres_url("")
    assert parsed.shown == "postgresql://u@db.example.com:5433/crm"
    assert parsed.parameters() == {"conninfo": "", "sslmode": "require"}
    assert parse_postgres_url("", "other").parameters()["password"] == "other"
