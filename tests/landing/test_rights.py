"""The IAM policy in docs/operations.md allows all that the landing and its upkeep ask of AWS, and nothing else.

Everything that is asked is recorded: requests to S3 by a proxy in front of moto, whichever client sent them; calls to
Glue by botocore's own events. Which action a request needs is from the service authorization reference of each service.
moto weighs no policies here; that AWS agrees is for a real account to show. KMS is asked by S3, not by Syncline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from syncline.connectors import aws
from syncline.connectors.s3_settings import S3Settings
from syncline.connectors.secret import secret
from syncline.pipelines.compacting import compact
from syncline.pipelines.expiry import expire
from syncline.pipelines.landing_rules import lifecycle
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.registering import register
from tests.docs.pages import blocks
from tests.landing.proxy import Answer, FaultProxy, Request
from tests.landing.worlds import BucketWorld, incompressible, land
from tests.runner.world import Clock, World, make_world

pytestmark = pytest.mark.checkout

LATER = datetime.now(UTC) + timedelta(days=400)

_OF_BUCKET = {
    "publicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "ownershipControls": "s3:GetBucketOwnershipControls",
    "policy": "s3:GetBucketPolicy",
    "policyStatus": "s3:GetBucketPolicyStatus",
    "acl": "s3:GetBucketAcl",
    "encryption": "s3:GetEncryptionConfiguration",
    "versioning": "s3:GetBucketVersioning",
    "lifecycle": "s3:GetLifecycleConfiguration",
    "location": "s3:GetBucketLocation",
    "uploads": "s3:ListBucketMultipartUploads",
    "list-type": "s3:ListBucket",
}
"""By the request's query: service authorization reference, Amazon S3."""

_OF_OBJECT = {"PUT": "s3:PutObject", "POST": "s3:PutObject", "GET": "s3:GetObject", "HEAD": "s3:GetObject"}


@dataclass(frozen=True)
class Asked:
    action: str
    resource: str
    prefix: str | None = None


def asked_of_s3(request: Request) -> list[Asked]:
    url = urlsplit(request.path)
    query = parse_qs(url.query, keep_blank_values=True)
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    if key:
        removal = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
        return [Asked(_OF_OBJECT.get(request.method, removal), f"arn:aws:s3:::{bucket}/{key}")]
    if "delete" in query:
        keys = re.findall(r"<Key>([^<]+)</Key>", request.body.decode())
        assert keys
        return [Asked("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{each}") for each in keys]
    (name,) = query.keys() & _OF_BUCKET.keys()
    if request.method == "PUT":
        assert name == "lifecycle"
        return [Asked("s3:PutLifecycleConfiguration", f"arn:aws:s3:::{bucket}")]
    assert request.method == "GET"
    return [Asked(_OF_BUCKET[name], f"arn:aws:s3:::{bucket}", query["prefix"][0] if name == "list-type" else None)]


def policy_of(page: str) -> dict[str, Any]:
    (document,) = [json.loads(block.text) for block in blocks(page) if block.language == "json"]
    assert document["Version"] == "2012-10-17"
    return dict(document)


def statements(policy: dict[str, Any], bucket: str) -> Iterator[dict[str, Any]]:
    """With the test's own bucket put in, as the reader puts in theirs."""
    assert len({each["Sid"] for each in policy["Statement"]}) == len(policy["Statement"])
    for each in json.loads(json.dumps(policy["Statement"]).replace("acme-landing", bucket)):
        assert each["Effect"] == "Allow"
        assert each.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        yield each


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allows(statement: Mapping[str, Any], asked: Asked) -> bool:
    if asked.action not in listed(statement["Action"]):
        return False
    if not any(fnmatchcase(asked.resource, each) for each in listed(statement["Resource"])):
        return False
    if "Condition" not in statement:
        return True
    prefixes = statement["Condition"]["StringLike"]["s3:prefix"]
    return asked.prefix is not None and any(fnmatchcase(asked.prefix, each) for each in prefixes)


@pytest.fixture
def behind(bucket_world: BucketWorld, proxy: FaultProxy) -> BucketWorld:
    return BucketWorld(bucket_world.client, proxy.endpoint, bucket_world.bucket, "crm")


@pytest.fixture
def crm(tmp_path: Path, behind: BucketWorld) -> World:
    world = make_world(tmp_path / "crm", Clock())
    world.streams = (Stream("Account"),)
    world.settings["landing"] = behind.landing(sse="kms")
    return world


def change(world: World, number: int) -> None:
    world.source.update("Account", [{"Id": f"001{number:06}", "Name": f"changed at {world.clock.now}"}])
    world.run()


def test_the_policy_allows_all_that_is_asked_and_nothing_else(
    crm: World, behind: BucketWorld, bucket_world: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", bucket_world.endpoint)
    catalogued = watched_glue(monkeypatch)
    key = S3Settings(access_key_id="AKIATEST", secret_access_key=secret("sentinel-secret"), region="us-east-1")
    aws.client_of(key, "glue").create_database(DatabaseInput={"Name": "crm"})
    catalogued.clear()
    everything(crm, behind, proxy)
    s3 = [each for request in proxy.seen for each in asked_of_s3(request)]
    policy = list(statements(policy_of("docs/operations.md"), behind.bucket))
    refused = {each for each in s3 if not any(allows(statement, each) for statement in policy)}
    assert not refused
    account = "arn:aws:glue:eu-central-1:123456789012:"
    for name in set(catalogued):
        for resource in ("catalog", "database/crm", "table/crm/account"):
            asked = Asked(f"glue:{name}", account + resource)
            assert any(allows(statement, asked) for statement in policy), asked
    granted = {action for statement in policy for action in listed(statement["Action"])}
    used = {each.action for each in s3} | {f"glue:{name}" for name in catalogued}
    assert granted - used == {"kms:GenerateDataKey", "kms:Decrypt"}, "least rights: nothing is granted in vain"


def everything(crm: World, behind: BucketWorld, proxy: FaultProxy) -> None:
    """What the landing's commands do, and a failed upload, in one session."""
    pipeline = crm.pipeline()
    pipeline.landing.check()
    lifecycle(pipeline, apply=True)
    crm.streams = (Stream("Account", fields=["Id", "Name"]),)
    crm.run()
    change(crm, 1)
    register(crm.pipeline(), database="crm")
    crm.streams = (Stream("Account"),)
    change(crm, 2)
    register(crm.pipeline(), database="crm")
    for number in (3, 4):
        change(crm, number)
    compact(crm.pipeline(), now=crm.clock.now + timedelta(days=1))
    compact(crm.pipeline(), now=LATER)
    register(crm.pipeline(), database="crm")
    land(behind.landing(), incompressible(40 * 1024 * 1024))
    proxy.fault = refusing_parts
    with pytest.raises(Exception, match="AccessDenied"):
        land(behind.landing(), incompressible(40 * 1024 * 1024), "page-2")
    proxy.fault = lambda request: None
    expire(crm.pipeline(), older_than=timedelta(days=30), now=LATER, beyond_replay=True)


def refusing_parts(request: Request) -> Answer:
    return (403, "AccessDenied") if "partNumber=" in request.path else None


def watched_glue(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    client_of = aws.client_of

    def watching(settings: S3Settings, service: str) -> Any:
        client = client_of(settings, service)
        client.meta.events.register("before-call.glue", lambda model, **_: calls.append(model.name))
        return client

    monkeypatch.setattr(aws, "client_of", watching)
    return calls


def test_runs_need_but_the_two_statements_of_getting_started(
    crm: World, behind: BucketWorld, proxy: FaultProxy
) -> None:
    """Removing is asked for only where something failed or was superseded."""
    crm.run()
    change(crm, 1)
    change(crm, 2)
    policy = list(statements(policy_of("docs/getting-started.md"), behind.bucket))
    asked = {each for request in proxy.seen for each in asked_of_s3(request)}
    assert not {each for each in asked if not any(allows(statement, each) for statement in policy)}
    whole = list(statements(policy_of("docs/operations.md"), behind.bucket))
    assert policy == whole[: len(policy)], "two pages, one policy"
