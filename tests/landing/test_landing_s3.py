"""S3 over real HTTP: what is sent, what is kept, and what each refusal becomes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from syncline.connectors import s3
from syncline.connectors.errors import ConfigError, DataError, SignInError, SynclineError, Transient
from syncline.connectors.s3_settings import S3Settings
from syncline.sinks import object_store
from syncline.sinks.landing import Landing
from syncline.sinks.object_store import BucketStore
from tests.landing.proxy import Answer, FaultProxy, Request
from tests.landing.worlds import COLUMNS, RUN_ID, BucketWorld, incompressible, land, manifest_of, open_writer, rows

KEY_ID = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
LARGE = 40 * 1024 * 1024


@pytest.fixture
def behind(bucket_world: BucketWorld, proxy: FaultProxy) -> BucketWorld:
    """The bucket as reached through the proxy."""
    return BucketWorld(bucket_world.client, proxy.endpoint, bucket_world.bucket)


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.path


def is_manifest(request: Request) -> bool:
    return "_manifests" in request.path


# --- encryption


@pytest.mark.parametrize("large", [False, True], ids=["one put", "parts"])
@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"sse": "s3"}, {"ServerSideEncryption": "AES256"}),
        ({"sse": "kms", "kms_key_id": KEY_ID}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY_ID}),
    ],
    ids=["s3", "kms"],
)
def test_every_object_is_encrypted_as_set(
    bucket_world: BucketWorld, settings: dict[str, str], kept: dict[str, str], large: bool
) -> None:
    landing = bucket_world.landing(**settings)
    files = land(landing, incompressible(LARGE) if large else rows(10))
    landing.seal(manifest_of(files))
    for key in bucket_world.listing():
        head = bucket_world.client.head_object(Bucket=bucket_world.bucket, Key=f"{bucket_world.prefix}/{key}")
        assert {name: head.get(name) for name in kept} == kept
    assert len(bucket_world.listing()) == 2


def test_kms_is_asked_by_bucket_key_for_parts_too(behind: BucketWorld, proxy: FaultProxy) -> None:
    land(behind.landing(sse="kms", kms_key_id=KEY_ID), incompressible(LARGE))
    started = [request for request in proxy.seen if request.method == "POST" and "uploads" in request.path]
    assert [request.headers.get("x-amz-server-side-encryption-bucket-key-enabled") for request in started] == ["true"]


def test_without_a_setting_the_buckets_own_encryption_decides(behind: BucketWorld, proxy: FaultProxy) -> None:
    land(behind.landing())
    assert not any(name.startswith("x-amz-server-side") for request in proxy.seen for name in request.headers)


# --- the conditional create


def test_only_the_manifest_is_created_conditionally(behind: BucketWorld, proxy: FaultProxy) -> None:
    """SEALED-MANIFEST."""
    landing = behind.landing()
    landing.seal(manifest_of(land(landing)))
    puts = [request for request in proxy.seen if request.method == "PUT"]
    assert [request.headers.get("if-none-match") for request in puts] == [None, "*"]
    assert [is_manifest(request) for request in puts] == [False, True]


def test_a_seal_whose_reply_was_lost_can_be_repeated(behind: BucketWorld, proxy: FaultProxy) -> None:
    landing = behind.landing(retries_max=0)
    manifest = manifest_of(land(landing))

    def lose_reply(request: Request) -> Answer:
        if is_manifest(request) and request.method == "PUT":
            proxy.fault = lambda request: None
            behind.client.put_object(
                Bucket=behind.bucket,
                Key=f"{behind.prefix}/crm/Account/_manifests/{RUN_ID}.json",
                Body=manifest.to_bytes(),
            )
            return 500, "InternalError"
        return None

    proxy.fault = lose_reply
    with pytest.raises(Transient):
        landing.seal(manifest)
    landing.seal(manifest)
    assert landing.find("crm", "Account", RUN_ID) == manifest


def test_a_manifest_that_is_said_to_exist_and_is_not_there_is_told(behind: BucketWorld, proxy: FaultProxy) -> None:
    landing = behind.landing()
    proxy.fault = lambda request: (412, "PreconditionFailed") if request.method == "PUT" else None
    with pytest.raises(Transient, match="something else writes or removes"):
        landing.seal(manifest_of(()))


# --- parts


def test_a_large_file_goes_up_in_parallel_parts_of_bounded_size(
    behind: BucketWorld, proxy: FaultProxy, tmp_path: Path
) -> None:
    """BOUNDED."""
    table = incompressible(LARGE)
    (entry,) = land(behind.landing(), table)
    parts = [request for request in proxy.seen if is_part(request)]
    assert len(parts) == -(-entry.size_bytes // object_store.PART_BYTES)
    assert max(int(request.headers["content-length"]) for request in parts) == object_store.PART_BYTES
    assert behind.uploads() == []


def test_a_failed_upload_is_aborted_and_leaves_nothing(behind: BucketWorld, proxy: FaultProxy) -> None:
    landing = behind.landing(retries_max=0)
    proxy.fault = lambda request: (503, "SlowDown") if "partNumber=2" in request.path else None
    with pytest.raises(Transient, match="SlowDown"):
        land(landing, incompressible(LARGE))
    assert behind.uploads() == []
    assert behind.listing() == []


KILLED_CHILD = """
import sys
from tests.landing.worlds import BucketWorld, incompressible, land, manifest_of
landing = BucketWorld(None, sys.argv[1], sys.argv[2]).landing()
landing.seal(manifest_of(land(landing, incompressible(40 * 1024 * 1024))))
"""


def test_a_killed_upload_leaves_no_object_and_no_manifest(behind: BucketWorld, proxy: FaultProxy) -> None:
    """SEALED-MANIFEST."""
    under_way, go_on = threading.Event(), threading.Event()

    def stall(request: Request) -> Answer:
        if "partNumber=2" in request.path:
            under_way.set()
            go_on.wait(30)
            return 500, "InternalError"
        return None

    proxy.fault = stall
    child = subprocess.Popen([sys.executable, "-c", KILLED_CHILD, proxy.endpoint, behind.bucket])
    assert under_way.wait(30)
    child.kill()
    child.wait()
    go_on.set()
    assert behind.listing() == []


def test_an_uploaded_object_carries_its_checksum(bucket_world: BucketWorld) -> None:
    for table in (rows(1), incompressible(LARGE)):
        (entry,) = land(bucket_world.landing(), table)
        key = f"{bucket_world.prefix}/{entry.path}"
        assert bucket_world.client.head_object(Bucket=bucket_world.bucket, Key=key)["Metadata"] == {
            "sha256": entry.sha256
        }


# --- retries and refusals


def test_a_store_that_is_busy_for_a_while_is_asked_again(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "BACKOFF_FIRST_S", 0.001)
    refused: list[Request] = []

    def busy(request: Request) -> Answer:
        if len(refused) < 4:
            refused.append(request)
            return 503, "SlowDown"
        return None

    proxy.fault = busy
    landing = behind.landing()
    landing.seal(manifest_of(land(landing)))
    assert len(refused) == 4
    assert len(behind.listing()) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((503, "SlowDown"), Transient, "SlowDown"),
        ((500, "InternalError"), Transient, "InternalError"),
        ((503, "KMS.ThrottlingException"), Transient, "KMS.Throttling"),
        ((400, "ThrottlingException"), Transient, "Throttling"),
        ((429, "TooManyRequests"), Transient, "TooMany"),
        ((403, "AccessDenied"), ConfigError, "s3:PutObject"),
        ((403, "SignatureDoesNotMatch"), SignInError, "AWS_ACCESS_KEY_ID"),
        ((403, "InvalidAccessKeyId"), SignInError, "AWS_ACCESS_KEY_ID"),
        ((400, "ExpiredToken"), SignInError, "ran out"),
        ((403, "RequestTimeTooSkewed"), ConfigError, "clock"),
        ((404, "NoSuchBucket"), ConfigError, "create the bucket"),
        ((301, "PermanentRedirect"), ConfigError, "region"),
        ((400, "AuthorizationHeaderMalformed"), ConfigError, "region"),
        ((400, "KMS.DisabledException"), ConfigError, "KMS key"),
        ((400, "InvalidArgument"), ConfigError, "settings"),
    ],
)
def test_each_refusal_says_whether_a_retry_helps_and_what_to_do(
    behind: BucketWorld, proxy: FaultProxy, answer: tuple[int, str], kind: type[SynclineError], said: str
) -> None:
    """LOUD, and NO-SECRETS."""
    landing = behind.landing(retries_max=0)
    (entry,) = land(landing)
    proxy.fault = lambda request: answer
    for attempt in (
        lambda: land(landing),
        lambda: landing.seal(manifest_of(())),
        lambda: landing.find("crm", "Account", RUN_ID),
        lambda: landing.sealed("crm", "Account"),
        lambda: landing.paths([entry], Path("/nowhere")),
    ):
        with pytest.raises(kind) as caught:
            attempt()
        assert type(caught.value) is kind
        assert said in str(caught.value)
        assert caught.value.hint
        assert "sentinel-secret" not in str(caught.value)
        assert "Debug source" not in str(caught.value)


def test_a_server_that_cannot_be_reached_is_transient(bucket_world: BucketWorld, unused_endpoint: str) -> None:
    with pytest.raises(Transient, match="error sending request"):
        land(bucket_world.landing(endpoint=unused_endpoint, retries_max=0))


def test_a_missing_bucket_is_a_config_error_with_a_cure(bucket_world: BucketWorld) -> None:
    landing = BucketWorld(bucket_world.client, bucket_world.endpoint, "no-such-bucket").landing()
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        land(landing)
    (finding,) = landing.check()
    assert finding.level == "error"
    assert finding.cure.startswith("create the bucket")


def test_a_download_that_breaks_off_is_not_taken_for_the_file(
    behind: BucketWorld, proxy: FaultProxy, tmp_path: Path
) -> None:
    (entry,) = land(behind.landing(), incompressible(LARGE))
    proxy.cut_after_bytes = 1_000_000
    with pytest.raises((Transient, DataError)):
        behind.landing(retries_max=0).paths([entry], tmp_path)


# --- credentials and endpoints


def test_credentials_and_endpoint_come_from_the_environment(
    bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sentinel-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://other.invalid")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket_world.endpoint)
    land(Landing(f"s3://{bucket_world.bucket}/{bucket_world.prefix}"))
    assert len(bucket_world.listing()) == 1


def test_credentials_come_from_a_profile(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[landing]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = sentinel-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "landing")
    land(Landing(f"s3://{behind.bucket}/{behind.prefix}", endpoint=proxy.endpoint, region="eu-central-1"))
    assert "Credential=AKIAPROFILE/" in proxy.seen[0].headers["authorization"]
    assert "/eu-central-1/s3/" in proxy.seen[0].headers["authorization"]


def test_without_credentials_the_error_says_how_to_give_them(bucket_world: BucketWorld) -> None:
    landing = Landing(f"s3://{bucket_world.bucket}", endpoint=bucket_world.endpoint)
    with pytest.raises(SignInError, match="no AWS credentials") as caught:
        land(landing)
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_session_token_is_sent(behind: BucketWorld, proxy: FaultProxy) -> None:
    land(behind.landing(session_token="sentinel-token"))
    assert {request.headers.get("x-amz-security-token") for request in proxy.seen} == {"sentinel-token"}


def test_a_bucket_without_a_prefix_works(bucket_world: BucketWorld, tmp_path: Path) -> None:
    bucket_world.prefix = ""
    landing = bucket_world.landing()
    assert landing.url == f"s3://{bucket_world.bucket}"
    landing.seal(manifest_of(land(landing)))
    assert list(landing.sealed("crm", "Account")) == [RUN_ID]


# --- privacy


def test_check_notices_a_bucket_that_strangers_can_read(bucket_world: BucketWorld, proxy: FaultProxy) -> None:
    private = bucket_world.landing()._store
    assert isinstance(private, BucketStore)

    def stranger(endpoint: str) -> Landing:
        settings = S3Settings(bucket_world.bucket, endpoint=endpoint, retries_max=0)
        opened = s3.open_bucket(settings, signed=False)
        return Landing.over(BucketStore(private._store, private.url, bucket_world.prefix, lambda: opened))

    proxy.fault = lambda request: (200, "anything")
    findings = stranger(proxy.endpoint).check()
    assert [each.text for each in findings if each.level == "error"] == ["anyone can read it without signing in"]
    proxy.fault = lambda request: (403, "AccessDenied")
    findings = stranger(proxy.endpoint).check()
    assert "strangers cannot read it" in {finding.text for finding in findings}
    assert not any("authorization" in request.headers for request in proxy.seen)


def test_nothing_spooled_is_left_behind(bucket_world: BucketWorld) -> None:
    landing = bucket_world.landing()
    with open_writer(landing, columns=COLUMNS) as writer:
        writer.write(rows(100_000))
        assert len(list(landing._store.spool_folder.iterdir())) == 1
    assert list(landing._store.spool_folder.iterdir()) == []
