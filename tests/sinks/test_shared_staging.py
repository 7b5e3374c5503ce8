"""One staging schema for several copies: a run drops what its own dead runs left there, and nothing of another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from syncline.sinks.dialect import Place
from syncline.sinks.landing import Landing
from syncline.sinks.postgres_dialect import POSTGRES
from syncline.sinks.redshift_dialect import REDSHIFT
from syncline.sinks.served import Served
from syncline.sinks.served_staging import drop_dead, prefix, table_name
from syncline.sinks.snowflake_dialect import SNOWFLAKE
from syncline.sinks.trial import Change, Trial, record, tombstone
from syncline.state.run_id import new_run_id
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import PostgresHouse, new_schema


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("shared_staging") as address:
        yield address


def tables(address: PgAddress, schema: str) -> list[str]:
    with psycopg.connect(address.dsn) as reader:
        found = reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
        return [name for (name,) in found]


def test_a_run_into_one_schema_leaves_the_staged_rows_of_a_run_into_another(address: PgAddress, tmp_path: Path) -> None:
    """ONE-TRANSACTION for both, though the pipelines have one name; their own dead tables are dropped."""
    staging = new_schema()
    settings = {"names": "exact", "staging_schema": staging}
    trial, production = (
        Trial(PostgresHouse(address, new_schema(), settings), Landing(str(tmp_path / name))) for name in ("dev", "prod")
    )
    dead = trial.house.open()
    trial.stage(dead, Change([record("1")]))
    assert isinstance(dead, Served)
    dead._drop_session()  # a process that is killed tidies nothing up
    warehouse = production.house.open()
    unit = production.stage(warehouse, Change([record("1"), record("2")]))
    assert len(tables(address, staging)) == 2
    trial.run(Change([record("1"), record("2"), record("3")]))
    assert len(tables(address, staging)) == 1
    assert warehouse.commit(unit).tables["Account"].inserted == 2
    warehouse.close()
    assert tables(address, staging) == []
    assert (len(trial.rows()), len(production.rows())) == (3, 2)


def test_what_is_staged_a_second_time_takes_the_place_of_the_first(address: PgAddress, tmp_path: Path) -> None:
    """A proof stages a stream for its counts by time and again for its rows: neither table outlives it."""
    staging = new_schema()
    house = PostgresHouse(address, new_schema(), {"names": "exact", "staging_schema": staging})
    trial = Trial(house, Landing(str(tmp_path / "landing")))
    trial.run(Change([record("1")]))
    warehouse = house.open()
    with_both, records = Change([record("1")], [tombstone("2")]), Change([record("1")])
    for change, left in ((with_both, 2), (with_both, 2), (records, 1)):
        run_id = trial.next_run()
        plan = replace(change, mode="snapshot").plan(run_id)
        warehouse.load(plan, trial.land(change, run_id), trial.landing)
        assert len(tables(address, staging)) == left
    assert warehouse.compare(plan).equal
    warehouse.close()
    assert tables(address, staging) == []


PLACES = [Place("", "crm"), Place("", "crm_dev"), Place("DEV", "CRM"), Place("PROD", "CRM"), Place("", "PROD")]


def test_no_two_places_and_pipelines_share_a_prefix() -> None:
    names = [prefix(pipeline, place) for pipeline in ("crm", "billing", "PROD") for place in PLACES]
    assert len({name.lower() for name in names}) == len(names)


@pytest.mark.parametrize("dialect", [POSTGRES, REDSHIFT, SNOWFLAKE], ids=lambda each: each.name)
@pytest.mark.parametrize("stream", ["A", "Account" * 12, "Übersicht"])
def test_a_run_s_own_tables_are_never_taken_for_dead_ones(dialect: object, stream: str) -> None:
    """However much of the stream's name is cut off: the run's id is whole in every name."""
    assert isinstance(dialect, type(POSTGRES))
    home, staging = Place("", "crm"), Place("", "crm_staging")
    run_id, later = (new_run_id(datetime(2026, 1, day, tzinfo=UTC), lambda count: b"\xab" * count) for day in (2, 3))
    bytes_max = dialect.capabilities.name_bytes_max
    own = [table_name(prefix("crm", home), stream, run_id, kind, bytes_max) for kind in ("records", "tombstones")]
    other = table_name(prefix("crm", home), stream + "2", run_id, "records", bytes_max)
    assert len({*own, other}) == 3
    assert max(map(len, own)) <= bytes_max
    spelled = [replace(dialect, names="exact").spell(name) for name in own]
    assert drop_dead(spelled, "crm", [run_id], home, staging, dialect) == []
    assert len(drop_dead(spelled, "crm", [later], home, staging, dialect)) == 2
    assert drop_dead(spelled, "crm", [later], Place("", "crm_dev"), staging, dialect) == []
