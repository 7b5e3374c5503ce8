"""One pipeline, every warehouse: nothing but the line that names the warehouse (and where it can read from) changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from syncline.connectors.errors import MassDelete
from syncline.connectors.sandbox import Field
from syncline.pipelines.pipeline import Stream
from syncline.sinks.landing import Landing
from syncline.sinks.trial import House
from tests.journey.journey import Journey
from tests.runner.test_laws import Forbidden
from tests.servers.postgres import PgAddress
from tests.servers.redshift_fixtures import FakeRedshift
from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, FakeSnowflake
from tests.sinks.houses import DuckDBHouse
from tests.sinks.postgres_house import PostgresHouse
from tests.sinks.redshift_house import RedshiftHouse
from tests.sinks.snowflake_house import SnowflakeHouse

STREAMS = (
    Stream("Account"),
    Stream("Contact", on_delete="mark"),
    Stream("Opportunity", fields=["Id", "Name", "Amount"]),
)


@dataclass
class Place:
    """A warehouse's storage, and the landing that it can read."""

    house: House
    landing: Landing | None = None


def duckdb(request: pytest.FixtureRequest) -> Place:
    return Place(DuckDBHouse(request.getfixturevalue("tmp_path") / "crm.duckdb"))


def postgres(request: pytest.FixtureRequest) -> Place:
    address: PgAddress = request.getfixturevalue("pg_database")
    return Place(PostgresHouse(address))


def snowflake(request: pytest.FixtureRequest) -> Place:
    import boto3

    server: FakeSnowflake = request.getfixturevalue("fake_snowflake")
    database = server.database()
    bucket = database.lower().replace("_", "-")
    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET}
    client = boto3.client("s3", endpoint_url=server.s3_endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=bucket)
    client.close()
    landing = Landing(
        f"s3://{bucket}/crm", endpoint=server.s3_endpoint, access_key_id=S3_KEY, secret_access_key=S3_SECRET
    )
    given = {"names": "exact", "storage_integration": "LANDING"}
    return Place(SnowflakeHouse(server, database, given), landing)


def redshift(request: pytest.FixtureRequest) -> Place:
    fake: FakeRedshift = request.getfixturevalue("fake_redshift")
    return Place(RedshiftHouse(fake), Landing(**fake.landing))


PLACES: tuple[Callable[[pytest.FixtureRequest], Place], ...] = (duckdb, postgres, snowflake, redshift)


@pytest.fixture(params=PLACES, ids=[place.__name__ for place in PLACES])
def place(request: pytest.FixtureRequest, journey: Journey) -> Place:
    found: Place = request.param(request)
    journey.streams = STREAMS
    journey.settings = {} if found.landing is None else {"landing": found.landing}
    return found


def run(journey: Journey, place: Place, **options: Any) -> Any:
    warehouse = place.house.open()
    try:
        return journey.run(journey.pipeline(warehouse=warehouse), **options)
    finally:
        warehouse.close()


def differences(journey: Journey, place: Place) -> list[str]:
    """What differs between the org's own snapshot and the live rows; nothing of Syncline takes part."""
    found = []
    for stream in journey.streams:
        wanted = journey.org.snapshot(stream.name)
        names = [name for name in wanted.column_names if stream.fields is None or name in stream.fields]
        have = place.house.read(stream.target)
        assert have is not None, stream.name
        if "_syncline_deleted_at" in have.column_names:
            have = have.filter(pc.is_null(have.column("_syncline_deleted_at")))
        ours, theirs = by_id(have, names), by_id(wanted, names)
        found += [f"{stream.name} {id}" for id in ours.keys() ^ theirs.keys()]
        found += [f"{stream.name} {id}: {ours[id]} {row}" for id, row in theirs.items() if ours.get(id, row) != row]
    return found


def by_id(table: pa.Table, names: list[str]) -> dict[str, dict[str, Any]]:
    return {row["Id"]: row for row in table.select(names).to_pylist()}


def test_the_same_pipeline_keeps_every_warehouse_equal_to_the_org(journey: Journey, place: Place) -> None:
    org = journey.org
    first = run(journey, place)
    assert first.status == "done"
    assert differences(journey, place) == []
    accounts, contacts = org.ids("Account"), org.ids("Contact")
    org.insert("Account", {"Name": 'Neu & Söhne, "GmbH"\n🚀 \\ %s'}, count=7)
    org.update("Account", accounts[:15], {"Industry": None, "AnnualRevenue": "123456789012345.67"})
    org.delete("Account", accounts[15:18])
    org.hard_delete("Account", accounts[18:20])
    org.delete("Contact", contacts[:3])
    org.add_field("Account", Field("Tier__c", "string", length=20), value="gold")
    second = run(journey, place)
    assert second.streams["Account"].counts.inserted == 7
    assert differences(journey, place) == []
    org.undelete("Account", accounts[15:16])
    org.undelete("Contact", contacts[:1])
    run(journey, place)
    assert differences(journey, place) == []
    run(journey, place)  # the whole read had no need of the delete log; now the overlap's part of it is known too
    idle = journey.run(journey.pipeline(warehouse=Forbidden(place.house.open())))
    assert idle.status == "idle"


def test_guarded_deletes_undo_every_stream_on_every_warehouse(journey: Journey, place: Place) -> None:
    """GUARDED-DELETE and ONE-TRANSACTION, through the runner."""
    run(journey, place)
    before = by_id(place.house.read("Account"), ["Id", "Name"])
    journey.org.update("Account", journey.org.ids("Account")[:3], {"Name": "not to be seen"})
    journey.org.delete("Opportunity", journey.org.ids("Opportunity")[:40])
    with pytest.raises(MassDelete):
        run(journey, place)
    assert by_id(place.house.read("Account"), ["Id", "Name"]) == before
    run(journey, place, allow_deletes=True)
    assert differences(journey, place) == []
