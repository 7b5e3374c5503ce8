"""The pipeline of the README is run as it stands, into a Snowflake stand-in; only addresses are not a reader's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.sandbox import Org, SandboxServer
from syncline.pipelines import runner
from tests.docs.pages import blocks
from tests.runner.world import Collected
from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, FakeSnowflake

pytestmark = pytest.mark.checkout

LANDING = 'Landing("s3://acme-landing/crm")'


def test_the_pipeline_of_the_readme_fills_snowflake_by_way_of_s3(
    fake_snowflake: FakeSnowflake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    org = Org(seed=1, seed_rows={"Account": 20, "Contact": 10})
    with SandboxServer(org) as server:
        given = {
            "SALESFORCE_INSTANCE_URL": server.url,
            "SALESFORCE_CLIENT_ID": org.client_id,
            "SALESFORCE_CLIENT_SECRET": org.client_secret,
            **fake_snowflake.variables,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        make_places(fake_snowflake)
        [block] = [each for each in blocks("README.md") if each.language == "python"]
        assert LANDING in block.text
        keys = f"endpoint={fake_snowflake.s3_endpoint!r}, access_key_id={S3_KEY!r}, secret_access_key={S3_SECRET!r}"
        names: dict[str, Any] = {}
        exec(compile(block.text.replace(LANDING, f"{LANDING[:-1]}, {keys})"), block.page, "exec"), names)
        report = runner.run(names["pipeline"], events=Collected())
    assert {name: each.counts.inserted for name, each in report.streams.items()} == {"Account": 20, "Contact": 10}
    with fake_snowflake.reader(database="SALES", schema="CRM") as reader:
        assert len(reader.cursor().execute("SELECT name FROM account").fetchall()) == 20


def make_places(server: FakeSnowflake) -> None:
    """The database and the bucket that the README's file names."""
    import boto3

    with server.reader() as reader:
        reader.cursor().execute("CREATE DATABASE SALES")
    server.databases.append("SALES")
    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET}
    client = boto3.client("s3", endpoint_url=server.s3_endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="acme-landing")
    client.close()
