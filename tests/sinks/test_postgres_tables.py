"""Tables on a real Postgres: upkeep, what others own there or were granted, and numbers that JSONB does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from syncline.connectors.errors import ConfigError, ValueOutOfType
from syncline.sinks.landing import Landing
from syncline.sinks.lattice import JSON
from syncline.sinks.postgres import Postgres
from syncline.sinks.trial import Change, Trial, record
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import PostgresHouse, new_schema


@dataclass
class Place:
    """A copy of one stream, and an administrator beside it."""

    address: PgAddress
    schema: str
    house: PostgresHouse
    trial: Trial

    def ask(self, statement: str) -> None:
        with psycopg.connect(self.address.dsn, autocommit=True) as admin:
            admin.execute(self.filled(statement))

    def filled(self, statement: str) -> sql.Composed:
        return sql.SQL(statement).format(S=sql.Identifier(self.schema))


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("tables") as address:
        yield address


@pytest.fixture
def place(address: PgAddress, tmp_path: Path) -> Place:
    schema = new_schema()
    house = PostgresHouse(address, schema, {"names": "lower"})
    place = Place(address, schema, house, Trial(house, Landing(str(tmp_path / "landing"))))
    place.trial.run(Change([record("1"), record("2")]))
    return place


def test_a_table_that_upkeep_would_pass_over_in_silence_is_refused_loud(place: Place) -> None:
    """VACUUM of another's table, or of a view, only warns; it must not look done."""
    place.ask("CREATE ROLE tables_tender LOGIN PASSWORD 'tends-nothing'")
    place.ask(
        "GRANT USAGE ON SCHEMA {S} TO tables_tender; GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA {S} TO tables_tender"
    )
    tender = Postgres(replace(place.address, user="tables_tender", password="tends-nothing").dsn, place.schema)
    with pytest.raises(ConfigError, match="account") as caught:
        tender.maintain(["Account"])
    tender.close()
    assert "owner" in caught.value.hint
    place.ask("DROP OWNED BY tables_tender; DROP ROLE tables_tender")
    place.ask("ALTER TABLE {S}.account RENAME TO theirs; CREATE VIEW {S}.account AS SELECT * FROM {S}.theirs")
    owner = Postgres(place.address.dsn, place.schema)
    with pytest.raises(ConfigError, match="account"):
        owner.maintain(["Account"])
    owner.close()


def test_a_reload_keeps_what_others_were_granted_and_made(place: Place) -> None:
    place.ask("CREATE ROLE tables_analyst; GRANT SELECT ON {S}.account TO tables_analyst")
    place.ask("CREATE VIEW {S}.names AS SELECT name FROM {S}.account")
    place.trial.run(Change([record("1", "Ann", 5)], mode="snapshot", delete_share_max=1.0))
    with psycopg.connect(place.address.dsn, autocommit=True) as admin:
        assert admin.execute(place.filled("SELECT name FROM {S}.names")).fetchall() == [("Ann",)]
        granted = "SELECT has_table_privilege('tables_analyst', %s, 'SELECT')"
        assert admin.execute(granted, [f"{place.schema}.account"]).fetchall() == [(True,)]
    place.ask("DROP OWNED BY tables_analyst; DROP ROLE tables_analyst")


@pytest.mark.parametrize("number", ["1e131072", "1e-16384", "9" * 131_073])
def test_a_number_of_a_document_that_jsonb_does_not_hold_stops_the_run_and_the_longest_is_exact(
    place: Place, number: str
) -> None:
    columns = pa.schema([("Id", pa.string()), ("Doc", JSON)])
    longest = "9" * 131_072
    documents = Change([{"Id": "1", "Doc": longest}], columns=columns, cursor=None, stream="Document")
    place.trial.run(documents)
    with pytest.raises(ValueOutOfType, match="overflow"):
        place.trial.run(replace(documents, records=[{"Id": "1", "Doc": number}]))
    [row] = place.house.read("document").to_pylist()  # type: ignore[union-attr]
    assert row["doc"] == longest
