"""Lifecycle rules among those of others, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.connectors import aws
from syncline.connectors.errors import ConfigError, Transient
from syncline.sinks.bucket_lifecycle import apply_rules
from syncline.sinks.landing_url import Bucket
from syncline.sinks.lifecycle_rules import Rule, recommended
from tests.landing.worlds import BucketWorld

THEIRS: list[Rule] = [
    {"ID": "archive", "Status": "Enabled", "Filter": {"Prefix": "books/"}, "Expiration": {"Days": 3650}},
    {
        "ID": "tagged",
        "Status": "Disabled",
        "Filter": {"And": {"Prefix": "landing/", "Tags": [{"Key": "a", "Value": "b"}]}},
        "Transitions": [{"Days": 90, "StorageClass": "GLACIER"}],
    },
]


def place(world: BucketWorld, **settings: Any) -> Bucket:
    found = world.landing(**settings).bucket
    assert found is not None
    return found


def rules(world: BucketWorld) -> list[Rule]:
    found: list[Rule] = world.client.get_bucket_lifecycle_configuration(Bucket=world.bucket)["Rules"]
    return sorted(found, key=lambda rule: str(rule["ID"]))


def put(world: BucketWorld, *given: Rule) -> None:
    world.client.put_bucket_lifecycle_configuration(Bucket=world.bucket, LifecycleConfiguration={"Rules": list(given)})


def test_a_bucket_without_rules_gets_them(bucket_world: BucketWorld) -> None:
    assert apply_rules(place(bucket_world)) is True
    own = recommended(place(bucket_world))
    assert {rule["ID"] for rule in rules(bucket_world)} == {rule["ID"] for rule in own}
    assert apply_rules(place(bucket_world)) is False, "they stand already"


def test_rules_of_others_stay_as_they_are(bucket_world: BucketWorld) -> None:
    put(bucket_world, *THEIRS)
    before = rules(bucket_world)
    apply_rules(place(bucket_world))
    assert [rule for rule in rules(bucket_world) if not rule["ID"].startswith("syncline-")] == before


def test_an_own_rule_that_somebody_changed_is_put_right(bucket_world: BucketWorld) -> None:
    own = recommended(place(bucket_world))
    put(bucket_world, THEIRS[0], {**own[0], "Status": "Disabled"})
    assert apply_rules(place(bucket_world)) is True
    assert {rule["Status"] for rule in rules(bucket_world)} == {"Enabled"}
    assert len(rules(bucket_world)) == len(own) + 1


def test_two_landings_in_one_bucket_keep_their_rules_apart(bucket_world: BucketWorld) -> None:
    apply_rules(place(bucket_world))
    other = BucketWorld(bucket_world.client, bucket_world.endpoint, bucket_world.bucket, "landing/erp")
    apply_rules(place(other))
    assert len(rules(bucket_world)) == 6


def test_a_write_of_somebody_else_at_the_same_moment_is_noticed(
    bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_of = aws.client_of

    def racing(*given: Any) -> Any:
        client = client_of(*given)
        client.meta.events.register(
            "after-call.s3.PutBucketLifecycleConfiguration", lambda **_: put(bucket_world, *THEIRS)
        )
        return client

    monkeypatch.setattr(aws, "client_of", racing)
    with pytest.raises(Transient, match="at the same moment"):
        apply_rules(place(bucket_world))


def test_a_refusal_names_the_rights_and_writes_nothing(
    bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_of = aws.client_of

    def refused(*given: Any) -> Any:
        client = client_of(*given)
        denied = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

        def refuse(**_: object) -> None:
            from botocore.exceptions import ClientError

            raise ClientError(denied, "GetBucketLifecycleConfiguration")

        client.meta.events.register("before-call.s3.GetBucketLifecycleConfiguration", refuse)
        return client

    put(bucket_world, *THEIRS)
    before = rules(bucket_world)
    monkeypatch.setattr(aws, "client_of", refused)
    with pytest.raises(ConfigError, match="s3:GetLifecycleConfiguration"):
        apply_rules(place(bucket_world))
    assert rules(bucket_world) == before
