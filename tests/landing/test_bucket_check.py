"""What ``syncline check`` reads about a bucket, over real HTTP.

moto records policies and blocks and enforces neither for strangers; that a stranger is really kept out is tried by
``test_landing_s3.py`` through the proxy, and by `tests/live` against a real bucket.
"""

from __future__ import annotations

from typing import Any

import pytest

from syncline.connectors import aws
from syncline.connectors.finding import Finding
from syncline.sinks import bucket_check
from syncline.sinks.lifecycle_rules import covers, merged, recommended
from tests.landing.proxy import FaultProxy
from tests.landing.worlds import BLOCKED, BucketWorld


@pytest.fixture
def behind(bucket_world: BucketWorld, proxy: FaultProxy) -> BucketWorld:
    return BucketWorld(bucket_world.client, proxy.endpoint, bucket_world.bucket)


def findings(world: BucketWorld, **settings: Any) -> list[Finding]:
    landing = world.landing(**settings)
    assert landing.bucket is not None
    return bucket_check.check_bucket(landing.bucket, "bucket")


def of_level(world: BucketWorld, level: str, **settings: Any) -> str:
    return "\n".join(finding.text for finding in findings(world, **settings) if finding.level == level)


def policy(world: BucketWorld, *statements: dict[str, Any]) -> None:
    world.set_policy(*statements)


def everyone_reads(world: BucketWorld) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{world.bucket}/*",
    }


def test_a_bucket_as_it_should_be_has_only_good_findings(bucket_world: BucketWorld) -> None:
    bucket_world.protect()
    policy(bucket_world, bucket_world.tls_only())
    found = findings(bucket_world)
    assert {finding.level for finding in found} == {"ok"}, found
    assert [finding.text for finding in found] == [
        "public access is blocked",
        "its policy refuses plain http",
        "encrypts by default (aws:kms)",
        "a lifecycle rule clears up unfinished uploads",
        "keeps versions, and a lifecycle rule ends old ones",
        "is in us-east-1",
    ]


def test_a_bucket_that_its_policy_opens_is_an_error_with_the_cure(bucket_world: BucketWorld) -> None:
    policy(bucket_world, everyone_reads(bucket_world))
    (error,) = [finding for finding in findings(bucket_world) if finding.level == "error"]
    assert error.text == "the bucket is public: its policy lets everyone in"
    assert "put-public-access-block" in error.cure
    assert bucket_world.bucket in error.cure


def test_a_bucket_that_its_acl_opens_is_an_error(bucket_world: BucketWorld) -> None:
    bucket_world.client.put_bucket_acl(Bucket=bucket_world.bucket, ACL="public-read")
    assert of_level(bucket_world, "error") == "the bucket is public: its access control list gives everyone READ"


def test_both_doors_are_named(bucket_world: BucketWorld) -> None:
    policy(bucket_world, everyone_reads(bucket_world))
    bucket_world.client.put_bucket_acl(Bucket=bucket_world.bucket, ACL="public-read-write")
    assert "its policy lets everyone in and its access control list gives" in of_level(bucket_world, "error")


@pytest.mark.parametrize("flag", ["RestrictPublicBuckets", "IgnorePublicAcls"])
def test_each_block_closes_the_door_it_is_for_and_no_other(bucket_world: BucketWorld, flag: str) -> None:
    policy(bucket_world, everyone_reads(bucket_world))
    bucket_world.client.put_bucket_acl(Bucket=bucket_world.bucket, ACL="public-read")
    bucket_world.client.put_public_access_block(
        Bucket=bucket_world.bucket, PublicAccessBlockConfiguration={**dict.fromkeys(BLOCKED, False), flag: True}
    )
    error = of_level(bucket_world, "error")
    assert ("policy" in error) == (flag != "RestrictPublicBuckets")
    assert ("access control" in error) == (flag != "IgnorePublicAcls")


def test_a_bucket_that_nothing_protects_yet_is_warned_of(bucket_world: BucketWorld) -> None:
    warnings = of_level(bucket_world, "warn")
    assert "public access is not blocked for good" in warnings
    assert "does not refuse plain http" in warnings
    assert "no lifecycle rule aborts the uploads" in warnings
    assert of_level(bucket_world, "error") == ""


def test_kms_without_a_bucket_key_is_warned_of(bucket_world: BucketWorld) -> None:
    encrypt = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    bucket_world.client.put_bucket_encryption(
        Bucket=bucket_world.bucket, ServerSideEncryptionConfiguration={"Rules": encrypt}
    )
    assert "without a bucket key" in of_level(bucket_world, "warn")
    assert "without a bucket key" not in of_level(bucket_world, "warn", sse="kms")


def test_versions_that_nothing_ends_are_warned_of(bucket_world: BucketWorld) -> None:
    bucket_world.client.put_bucket_versioning(Bucket=bucket_world.bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "no lifecycle rule ends them" in of_level(bucket_world, "warn")


def test_what_may_not_be_read_is_unknown_and_no_failure(behind: BucketWorld, proxy: FaultProxy) -> None:
    proxy.fault = lambda request: (403, "AccessDenied")
    (only,) = findings(behind)
    assert only.level == "warn"
    for aspect in ("public access block", "ownership", "policy", "encryption", "versioning", "lifecycle", "region"):
        assert f"{aspect} (AccessDenied)" in only.text
    assert "s3:GetLifecycleConfiguration" in only.cure


def test_a_store_that_knows_no_such_question_is_unknown(behind: BucketWorld, proxy: FaultProxy) -> None:
    proxy.fault = lambda request: (501, "NotImplemented") if "publicAccessBlock" in request.path else None
    assert "public access block (NotImplemented)" in of_level(behind, "warn", retries_max=0)


def test_a_public_policy_is_an_error_even_where_the_block_may_not_be_read(
    behind: BucketWorld, proxy: FaultProxy
) -> None:
    policy(behind, everyone_reads(behind))
    proxy.fault = lambda request: (403, "AccessDenied") if "publicAccessBlock" in request.path else None
    assert of_level(behind, "error") == "the bucket is public: its policy lets everyone in"


def test_another_region_is_named(s3_client: Any, s3_endpoint: str) -> None:
    s3_client.create_bucket(Bucket="far-off", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    world = BucketWorld(s3_client, s3_endpoint, "far-off")
    assert "is in eu-west-1, asked for in us-east-1" in of_level(world, "warn")
    assert "is in eu-west-1" in of_level(world, "ok", region="eu-west-1")


def test_acceleration_that_is_off_at_the_bucket_is_an_error(
    bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = bucket_world.landing(endpoint=None, accelerate=True)
    assert landing.bucket is not None
    monkeypatch.setattr(aws, "client_of", lambda settings, service: bucket_world.client)
    place = landing.bucket

    def error() -> list[str]:
        return [each.text for each in bucket_check.check_bucket(place, "bucket") if each.level == "error"]

    assert error() == ["transfer acceleration is off at the bucket"]
    bucket_world.client.put_bucket_accelerate_configuration(
        Bucket=bucket_world.bucket, AccelerateConfiguration={"Status": "Enabled"}
    )
    assert error() == []


def test_without_boto3_it_is_said_what_was_not_looked_at(
    bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "find_spec", lambda name: None)
    (only,) = findings(bucket_world)
    assert only.level == "warn"
    assert "boto3 is missing: public access block" in only.text
    assert "syncline[aws]" in only.cure


def test_the_landing_s_own_check_includes_the_bucket_s(bucket_world: BucketWorld) -> None:
    policy(bucket_world, everyone_reads(bucket_world))
    errors = [finding for finding in bucket_world.landing().check() if finding.level == "error"]
    assert [finding.text for finding in errors] == ["the bucket is public: its policy lets everyone in"]
    assert errors[0].subject == f"landing s3://{bucket_world.bucket}/{bucket_world.prefix}"


# --- lifecycle rules


def test_own_rules_join_others_and_replace_only_themselves(bucket_world: BucketWorld) -> None:
    place = bucket_world.landing().bucket
    assert place is not None
    own = recommended(place)
    theirs = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}}
    nameless = {"Status": "Disabled", "Prefix": "old/", "Expiration": {"Days": 9}}
    stale = {**own[0], "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 99}}
    assert merged([theirs, stale, nameless], own) == [theirs, own[0], nameless, own[1], own[2]]
    assert merged(merged([theirs], own), own) == merged([theirs], own)


def test_no_recommended_rule_expires_landed_files(bucket_world: BucketWorld) -> None:
    """S3 does not know which runs are committed."""
    place = bucket_world.landing().bucket
    assert place is not None
    for rule in recommended(place):
        days = rule.get("Expiration", {}).get("Days")
        assert days is None or rule["Filter"]["Prefix"].endswith("/_check/")


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ({"Filter": {"Prefix": ""}}, True),
        ({"Filter": {}}, True),
        ({"Prefix": "landing/"}, True),
        ({"Filter": {"Prefix": "landing/crm/"}}, True),
        ({"Filter": {"Prefix": "landing/crm/Account/"}}, False),
        ({"Filter": {"Prefix": "other/"}}, False),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, False),
        ({"Filter": {"And": {"Prefix": "", "Tags": []}}}, False),
        ({"Filter": {"Prefix": ""}, "Status": "Disabled"}, False),
    ],
)
def test_a_rule_covers_the_landing_when_it_applies_to_all_of_it(rule: dict[str, Any], covered: bool) -> None:
    assert covers({"Status": "Enabled", **rule}, "landing/crm") is covered
