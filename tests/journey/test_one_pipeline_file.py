"""The same pipeline file on four warehouses: one line of it differs, the rest comes from the environment.

The commands are the user's own, ``run`` and ``verify``; drivers and connections are real, and time but for a minute.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.sandbox import Org, SandboxServer
from tests.pipelines.doubles import Folder
from tests.servers.postgres import PgAddress
from tests.servers.redshift_fixtures import FakeRedshift
from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, FakeSnowflake

PIPELINE = """\
from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream
from syncline.sinks import DuckDB, Landing, Postgres, Redshift, Snowflake

pipeline = Pipeline(
    "crm",
    source=Salesforce.from_env(settling_lag_s=0),
    landing=Landing("s3://{bucket}/crm"),
    warehouse={warehouse},
    streams=[Stream("Account"), Stream("Contact", on_delete="mark")],
)
"""


def s3(endpoint: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


@dataclass
class Place:
    """What the line says, and what the environment must say beside it."""

    line: str
    s3_endpoint: str
    environment: dict[str, str] = field(default_factory=dict)
    reads_bucket: bool = False
    bucket: str = field(default_factory=lambda: f"one-{secrets.token_hex(6)}")


def duckdb(request: pytest.FixtureRequest) -> Place:
    return Place('DuckDB("crm.duckdb")', request.getfixturevalue("copy_s3"))


def postgres(request: pytest.FixtureRequest) -> Place:
    address: PgAddress = request.getfixturevalue("pg_database")
    environment = {"PGPASSWORD": address.password}
    line = f'Postgres("{address.dsn_without_password}", schema="crm")'
    return Place(line, request.getfixturevalue("copy_s3"), environment)


def snowflake(request: pytest.FixtureRequest) -> Place:
    server: FakeSnowflake = request.getfixturevalue("fake_snowflake")
    line = f'Snowflake.from_env(database="{server.database()}", schema="CRM", storage_integration="LANDING")'
    return Place(line, server.s3_endpoint, dict(server.variables), reads_bucket=True)


def redshift(request: pytest.FixtureRequest) -> Place:
    fake: FakeRedshift = request.getfixturevalue("fake_redshift")
    line = f'Redshift.from_env(database="{fake.database}", schema="{fake.schema}")'
    return Place(line, fake.s3_endpoint, dict(fake.variables), reads_bucket=True)


PLACES: tuple[Callable[[pytest.FixtureRequest], Place], ...] = (duckdb, postgres, snowflake, redshift)


@pytest.fixture(params=PLACES, ids=[place.__name__ for place in PLACES])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param(request)
    return found


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[Org]:
    org = Org(seed=5, seed_rows={"Account": 60, "Contact": 40})
    with SandboxServer(org) as server:
        monkeypatch.setenv("SALESFORCE_INSTANCE_URL", server.url)
        monkeypatch.setenv("SALESFORCE_CLIENT_ID", org.client_id)
        monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", org.client_secret)
        yield org


@pytest.fixture
def folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    client = s3(place.s3_endpoint)
    client.create_bucket(Bucket=place.bucket)
    client.close()
    given = {"AWS_ENDPOINT_URL_S3": place.s3_endpoint, "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET}
    for name, value in {**given, **keys, **place.environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path)
    folder.write("pipelines/crm.py", PIPELINE.format(bucket=place.bucket, warehouse=place.line))
    return folder


LEFT_BY_A_KILLED_PROOF = "crm/for=verify/crm/Account/dt=2024-01-01/run=killed/left.parquet"


def done(folder: Folder, *words: str) -> Any:
    result = folder.call(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_one_line_decides_where_the_copy_is_kept(folder: Folder, org: Org, place: Place) -> None:
    first = done(folder, "run", "crm")
    assert {name: stream["inserted"] for name, stream in first["streams"].items()} == {"Account": 60, "Contact": 40}
    accounts = org.ids("Account")
    org.update("Account", accounts[:2], {"Name": 'Söhne & "Co"\n\\ %s'})
    org.delete("Account", accounts[2:3])
    org.delete("Contact", org.ids("Contact")[:1])
    org.advance(60)  # windows end below the org's clock, which it tells in whole seconds
    second = done(folder, "run", "crm")["streams"]
    assert (second["Account"]["updated"], second["Account"]["deleted"], second["Contact"]["deleted"]) == (2, 1, 1)
    client = s3(place.s3_endpoint)
    if place.reads_bucket:
        client.put_object(Bucket=place.bucket, Key=LEFT_BY_A_KILLED_PROOF, Body=b"")
    verified = done(folder, "verify", "crm")
    assert verified["equal"], verified
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=place.bucket)["Contents"]]
    assert keys
    assert not [key for key in keys if "for=" in key], "what a proof and a COPY set aside is gone"
    client.close()
