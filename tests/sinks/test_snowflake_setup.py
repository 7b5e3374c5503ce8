"""``syncline check --show-setup``: its rights are enough for whole runs, each is needed, and nothing is secret."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector

from syncline.sinks.landing import Landing
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import settings_from
from syncline.sinks.snowflake_setup import setup
from syncline.sinks.trial import Change, Trial, record, tombstone
from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, FakeSnowflake, key_pair
from tests.sinks.snapshot import check_snapshot
from tests.sinks.snowflake_house import SnowflakeHouse
from tests.sinks.snowflake_rights import granted, needed
from tests.sinks.snowflake_rules import Rules

VARIABLES = {
    "SNOWFLAKE_ACCOUNT": "acme-prod",
    "SNOWFLAKE_USER": "syncline",
    "SNOWFLAKE_WAREHOUSE": "SYNCLINE_WH",
    "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "AWS",
}
BUCKET = Landing("s3://acme-landing/crm", sse="kms", kms_key_id="arn:aws:kms:eu-central-1:1:key/k")


def shown(landing: Landing, variables: dict[str, str] | None = None, **given: Any) -> str:
    settings = settings_from(VARIABLES if variables is None else variables, database="SALES", schema="CRM", **given)
    return setup(settings, landing)


def test_the_text_is_as_reviewed() -> None:
    check_snapshot(
        "snowflake_setup",
        [
            ("a bucket, by an integration", shown(BUCKET, storage_integration="CRM_LANDING")),
            ("a bucket, by a stage that exists", shown(BUCKET, stage="LANDINGS.PUBLIC.CRM", role="crm_role")),
            ("no bucket", shown(Landing("memory://"))),
        ],
    )


@pytest.mark.parametrize("landing", ["bucket", "folder"])
def test_the_rights_are_enough_for_whole_runs_and_none_is_too_much(
    fake_snowflake: FakeSnowflake, tmp_path: Path, landing: str
) -> None:
    """A first run with a delete, and a reload; in the schemas that the setup itself has made."""
    database = fake_snowflake.database()
    place, given = places(fake_snowflake, tmp_path, landing, database)
    settings = settings_from(fake_snowflake.variables, database=database, schema="CRM", network_timeout_s=5, **given)
    text = Snowflake(settings).setup(place)
    with fake_snowflake.reader() as administrator:
        for statement in re.findall(r"^CREATE SCHEMA .*(?=;$)", text, re.M):
            administrator.cursor().execute(statement)
    rules = Rules("CRM_STAGING")

    class House(SnowflakeHouse):
        def open(self) -> Snowflake:
            return Snowflake(settings, connect=rules.connect(snowflake.connector.connect))

    trial = Trial(House(fake_snowflake, database), place)
    trial.run(Change([record("1"), record("1", "new", 1)], [tombstone("2", 1)]))
    trial.run(Change([record("1", "again", 2)], mode="snapshot"))
    assert rules.breaches == []
    statements = [each.statement for each in rules.sent]
    assert not [each for each in statements if each.startswith("CREATE SCHEMA")], "the setup has made them"
    assert needed(statements, '"SYNCLINE_WH"') == granted(text)


def places(server: FakeSnowflake, folder: Path, kind: str, database: str) -> tuple[Landing, dict[str, str]]:
    if kind == "folder":
        return Landing(str(folder / "landing")), {}
    import boto3

    bucket = database.lower().replace("_", "-")
    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET}
    client = boto3.client("s3", endpoint_url=server.s3_endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=bucket)
    client.close()
    own = {"endpoint": server.s3_endpoint, "access_key_id": S3_KEY, "secret_access_key": S3_SECRET}
    return Landing(f"s3://{bucket}/crm", **own), {"storage_integration": "CRM_LANDING"}  # type: ignore[arg-type]


def test_a_right_that_lacks_is_noticed() -> None:
    """The comparison above can fail: for each right there is a statement that needs it."""
    text = shown(Landing("memory://"))
    statements = ['CREATE TABLE "SALES"."CRM"."T" ("A" INT)', 'INSERT INTO "SALES"."CRM"."T" SELECT 1']
    wanted = needed(statements, '"SYNCLINE_WH"')
    assert wanted < granted(text)
    assert wanted == {
        ("USAGE", 'WAREHOUSE "SYNCLINE_WH"'),
        ("USAGE", 'DATABASE "SALES"'),
        ("USAGE", 'SCHEMA "SALES"."CRM"'),
        ("CREATE TABLE", 'SCHEMA "SALES"."CRM"'),
    }
    assert ("OWNERSHIP", '"SALES"."CRM"."THEIRS"') in needed(['DELETE FROM "SALES"."CRM"."THEIRS"'], '"W"')


@pytest.mark.parametrize(
    ("way", "proof"),
    [
        ({"PRIVATE_KEY": key_pair()[0]}, "RSA_PUBLIC_KEY = '<the public key"),
        ({"TOKEN": "sentinel-token"}, "ADD PROGRAMMATIC ACCESS TOKEN SYNCLINE ROLE_RESTRICTION = 'SYNCLINE_ROLE'"),
        ({"PASSWORD": "sentinel-password"}, "CREATE USER"),
        ({"WORKLOAD_IDENTITY_PROVIDER": "GCP"}, "WORKLOAD_IDENTITY = (TYPE = GCP SUBJECT = "),
    ],
)
def test_the_user_s_proof_is_a_hole_to_fill_in_no_secrets(way: dict[str, str], proof: str) -> None:
    kept = {name: value for name, value in VARIABLES.items() if "IDENTITY" not in name}
    text = shown(BUCKET, kept | {f"SNOWFLAKE_{name}": value for name, value in way.items()})
    assert proof in text
    assert "sentinel" not in text
    assert "PRIVATE KEY" not in text


def policies(text: str) -> Sequence[dict[str, Any]]:
    return [json.loads(found) for found in re.findall(r"^\{$.*?^\}$", text, re.M | re.S)]


def test_the_policy_reads_the_landing_alone_and_trusts_one_account_s_external_id() -> None:
    reading, trust = policies(shown(BUCKET, storage_integration="CRM_LANDING"))
    by_action = {str(each["Action"]): each for each in reading["Statement"]}
    assert by_action["['s3:GetObject', 's3:GetObjectVersion']"]["Resource"] == "arn:aws:s3:::acme-landing/crm/*"
    assert by_action["s3:ListBucket"]["Condition"] == {"StringLike": {"s3:prefix": ["crm/*"]}}
    assert by_action["kms:Decrypt"]["Resource"] == "arn:aws:kms:eu-central-1:1:key/k"
    assert not [each for each in by_action if "Put" in each or "Delete" in each or "*" in each]
    assert "sts:ExternalId" in trust["Statement"][0]["Condition"]["StringEquals"]
