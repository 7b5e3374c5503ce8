"""S3 over real HTTP: checksums, whose bucket it is, roles that run out, creates whose outcome is doubtful.

What moto cannot do honestly: it keeps no SHA-256 of a single put, checks no bucket owner and accelerates nothing. So
these tests look at what is sent, signed, by the real client; `tests/live` is where a real bucket answers.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from datetime import UTC, datetime, timedelta
from importlib import util
from typing import Any
from urllib.parse import unquote

import pytest

from syncline.connectors import aws, s3, s3_settings
from syncline.connectors.errors import ConfigError, DataError, SignInError, Transient
from syncline.connectors.s3_settings import S3Settings
from syncline.connectors.secret import Secret
from syncline.sinks import object_store
from syncline.sinks.landing import Landing
from syncline.sinks.object_store import BucketStore
from tests.landing.proxy import Answer, FaultProxy, Request
from tests.landing.worlds import RUN_ID, BucketWorld, incompressible, land, manifest_of, rows

LARGE = 40 * 1024 * 1024
"""Half of it once compressed: three parts."""
ROLE = "arn:aws:iam::123456789012:role/landing-writer"
OWNER = "123456789012"


@pytest.fixture
def behind(bucket_world: BucketWorld, proxy: FaultProxy) -> BucketWorld:
    """The bucket as reached through the proxy."""
    return BucketWorld(bucket_world.client, proxy.endpoint, bucket_world.bucket)


def is_create(request: Request) -> bool:
    return request.method == "PUT" and "if-none-match" in request.headers


# --- what both clients are told


def test_boto3_paces_itself_and_its_attempts_are_bounded(behind: BucketWorld) -> None:
    """BOUNDED, and adaptive: after throttling it also sends less (boto3 guide, retries)."""
    place = behind.landing(retries_max=3).bucket
    assert place is not None
    config = aws.client_of(place.settings, "s3").meta.config
    assert config.retries == {"mode": "adaptive", "total_max_attempts": 4}
    assert (config.connect_timeout, config.read_timeout) == (10, 300)


@pytest.mark.parametrize("service", ["s3", "glue", "sts"])
def test_without_an_endpoint_everything_goes_by_https(behind: BucketWorld, service: str) -> None:
    """TLS only: what a variable of the environment leads to plain http is refused, see below."""
    place = behind.landing(endpoint=None).bucket
    assert place is not None
    assert aws.client_of(place.settings, service).meta.endpoint_url.startswith("https://")
    opened = s3.open_bucket(place.settings)
    assert opened.client_options is not None
    assert opened.client_options["allow_http"] in (False, "false")


# --- checksums


def test_a_single_put_carries_the_manifest_s_checksum_of_the_whole_object(
    behind: BucketWorld, proxy: FaultProxy
) -> None:
    (entry,) = land(behind.landing())
    (put,) = [request for request in proxy.seen if request.method == "PUT"]
    assert base64.b64decode(put.headers["x-amz-checksum-sha256"]).hex() == entry.sha256
    assert "x-amz-checksum-sha256" in put.headers["authorization"]


def test_each_part_carries_its_checksum_and_the_object_its_own(behind: BucketWorld, proxy: FaultProxy) -> None:
    (entry,) = land(behind.landing(), incompressible(LARGE))
    (begun,) = [request for request in proxy.seen if request.method == "POST" and "uploads" in request.path]
    assert begun.headers["x-amz-checksum-algorithm"] == "SHA256"
    parts = [request for request in proxy.seen if "partNumber" in request.path]
    assert len(parts) == 3
    assert all(request.headers["x-amz-checksum-sha256"] for request in parts)
    head = behind.client.head_object(Bucket=behind.bucket, Key=f"{behind.prefix}/{entry.path}")
    assert head["Metadata"] == {"sha256": entry.sha256}


def test_a_manifest_carries_a_checksum_too(behind: BucketWorld, proxy: FaultProxy) -> None:
    manifest = manifest_of(())
    behind.landing().seal(manifest)
    (create,) = [request for request in proxy.seen if is_create(request)]
    expected = hashlib.sha256(manifest.to_bytes()).digest()
    assert base64.b64decode(create.headers["x-amz-checksum-sha256"]) == expected


def test_a_store_that_knows_no_checksums_is_not_sent_any(behind: BucketWorld, proxy: FaultProxy) -> None:
    land(behind.landing(checksums=False))
    assert not any(name.startswith("x-amz-checksum") for request in proxy.seen for name in request.headers)


# --- whose bucket it is


def test_every_request_for_an_object_says_whose_bucket_it_must_be(behind: BucketWorld, proxy: FaultProxy) -> None:
    landing = behind.landing(expected_bucket_owner=OWNER)
    (entry,) = land(landing, incompressible(LARGE))
    landing.seal(manifest_of((entry,)))
    landing.find("crm", "Account", RUN_ID)
    landing.discard([entry])
    assert len(proxy.seen) >= 6, [request.path for request in proxy.seen]
    for request in proxy.seen:
        if "list-type" in request.path:
            assert "x-amz-expected-bucket-owner" not in request.headers, "obstore does not sign it here"
            continue
        assert request.headers["x-amz-expected-bucket-owner"] == OWNER
        assert "x-amz-expected-bucket-owner" in request.headers["authorization"], "S3 refuses it unsigned"


def test_a_bucket_of_somebody_else_is_a_config_error(behind: BucketWorld, proxy: FaultProxy) -> None:
    proxy.fault = lambda request: (403, "AccessDenied")
    with pytest.raises(ConfigError, match="whose bucket it is"):
        land(behind.landing(expected_bucket_owner=OWNER))


def test_boto3_s_requests_say_whose_bucket_it_must_be_as_well(behind: BucketWorld, proxy: FaultProxy) -> None:
    landing = behind.landing(expected_bucket_owner=OWNER)
    assert landing.bucket is not None
    aws.client_of(landing.bucket.settings, "s3").list_objects_v2(Bucket=behind.bucket)
    assert [request.headers.get("x-amz-expected-bucket-owner") for request in proxy.seen] == [OWNER]


# --- transfer acceleration


def test_an_accelerated_bucket_is_reached_by_its_own_name(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = Landing("s3://far-away/crm", accelerate=True, access_key_id="k", secret_access_key="s")
    assert landing.bucket is not None
    config = s3.open_bucket(landing.bucket.settings).config
    assert config["endpoint"] == "https://far-away.s3-accelerate.amazonaws.com"
    assert config["virtual_hosted_style_request"] in (True, "true")
    monkeypatch.setattr(s3_settings, "_ACCELERATED", proxy.endpoint)
    proxy.fault = lambda request: (403, "AccessDenied")
    with pytest.raises(ConfigError):
        land(landing)
    assert [unquote(request.path).partition("/dt=")[0] for request in proxy.seen] == ["/crm/crm/Account"], "no bucket"


# --- creates in doubt


def test_a_seal_that_met_another_write_is_repeated_and_then_stands(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409: nobody knows yet whether the manifest will exist; it must be taken neither for sealed nor for failed."""
    monkeypatch.setattr(object_store, "CREATE_PAUSE_S", 0.0)
    refused: list[Request] = []

    def conflict(request: Request) -> Answer:
        if is_create(request) and len(refused) < object_store.CREATE_TRIES - 1:
            refused.append(request)
            return 409, "ConditionalRequestConflict"
        return None

    proxy.fault = conflict
    landing = behind.landing()
    manifest = manifest_of(land(landing))
    landing.seal(manifest)
    assert len(refused) == object_store.CREATE_TRIES - 1
    assert landing.find("crm", "Account", RUN_ID) == manifest


def test_a_create_that_meets_other_writes_for_ever_is_transient(behind: BucketWorld, proxy: FaultProxy) -> None:
    """BOUNDED, LOUD: neither "created" nor "exists" is guessed."""
    slept: list[float] = []
    settings = S3Settings(
        behind.bucket, endpoint=proxy.endpoint, access_key_id="k", secret_access_key=Secret("s"), retries_max=0
    )
    store = BucketStore(s3.open_bucket(settings), "s3://x", sleep=slept.append)
    proxy.fault = lambda request: (409, "ConditionalRequestConflict")
    with pytest.raises(Transient, match="another write"):
        store.create("key", b"{}")
    assert len(proxy.seen) == object_store.CREATE_TRIES
    assert slept == [0.2, 0.4, 0.8, 1.6]


def test_a_412_that_only_a_lost_reply_caused_is_a_success(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEALED-MANIFEST: the first attempt created it, its reply was lost, the client's own retry meets itself."""
    monkeypatch.setattr(s3, "BACKOFF_FIRST_S", 0.001)
    lost: list[Request] = []

    def lose(request: Request) -> bool:
        if is_create(request) and not lost:
            lost.append(request)
            return True
        return False

    proxy.lose = lose
    landing = behind.landing()
    manifest = manifest_of(land(landing))
    landing.seal(manifest)
    assert len(lost) == 1
    assert len([request for request in proxy.seen if is_create(request)]) >= 2
    assert landing.find("crm", "Account", RUN_ID) == manifest


def test_a_412_because_of_another_s_manifest_is_an_error(bucket_world: BucketWorld) -> None:
    landing = bucket_world.landing()
    landing.seal(manifest_of(()))
    with pytest.raises(DataError, match="another manifest"):
        landing.seal(manifest_of((), query="other"))


# --- roles


@pytest.fixture
def sts(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_endpoint)


def test_a_role_is_taken_on_and_its_credentials_sign(behind: BucketWorld, proxy: FaultProxy, sts: None) -> None:
    land(behind.landing(role_arn=ROLE, external_id="crm-7", role_session_name="crm"))
    for request in proxy.seen:
        assert "Credential=AKIATEST/" not in request.headers["authorization"]
        assert "Credential=ASIA" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"]


class Clockwork:
    """STS as a function: each role lasts until the test lets it run out."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.lasts = timedelta(hours=1)

    def assume(self, base: Any, settings: S3Settings) -> dict[str, str]:
        self.calls.append({"arn": settings.role_arn})
        return {
            "access_key": f"ASIA{len(self.calls)}",
            "secret_key": "sentinel-secret",
            "token": "sentinel-token",
            "expiry_time": (datetime.now(UTC) + self.lasts).isoformat(),
        }


def test_a_role_s_credentials_are_renewed_before_they_run_out(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    clockwork = Clockwork()
    monkeypatch.setattr(aws, "_assume", clockwork.assume)
    landing = behind.landing(role_arn=ROLE)
    land(landing)
    land(landing, slice_id="page-2")
    assert len(clockwork.calls) == 1, "an hour's credentials serve many requests"
    assert "Credential=ASIA1/" in proxy.seen[-1].headers["authorization"]
    assert landing.bucket is not None
    handed = aws.SessionCredentials(aws.session_of(landing.bucket.settings))
    clockwork.lasts = timedelta(minutes=9)
    assert handed()["access_key_id"] == "ASIA2"
    clockwork.lasts = timedelta(hours=1)
    now = handed()
    assert now["access_key_id"] == "ASIA3", "nine minutes left are too few to hand out"
    assert handed()["access_key_id"] == "ASIA3"
    assert now["expires_at"] is not None
    assert now["expires_at"] <= datetime.now(UTC) + timedelta(minutes=10), "obstore asks again before they run out"


@pytest.mark.parametrize(
    ("answer", "kind"), [((403, "AccessDenied"), SignInError), ((503, "ServiceUnavailable"), Transient)]
)
def test_a_role_that_is_refused_says_so(
    behind: BucketWorld,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    kind: type[Exception],
) -> None:
    """LOUD, NO-SECRETS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.endpoint)
    proxy.fault = lambda request: answer
    with pytest.raises(kind) as caught:
        land(behind.landing(role_arn=ROLE, external_id="crm-7", retries_max=0))
    assert "assume role" in str(caught.value) or ROLE in str(caught.value)
    assert caught.value.hint  # type: ignore[attr-defined]
    assert "sentinel" not in str(caught.value)


def test_the_role_s_name_id_and_session_are_sent(
    behind: BucketWorld, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.endpoint)
    bodies: list[str] = []
    real = aws._client

    def watched(session: Any, settings: S3Settings, service: str) -> Any:
        client = real(session, settings, service)
        client.meta.events.register("before-send.sts", lambda request, **_: bodies.append(str(request.body)))
        return client

    monkeypatch.setattr(aws, "_client", watched)
    land(behind.landing(role_arn=ROLE, external_id="crm-7", role_session_name="crm-sync"))
    assert "ExternalId=crm-7" in bodies[0]
    assert "RoleSessionName=crm-sync" in bodies[0]
    assert "DurationSeconds=3600" in bodies[0]


def test_an_sts_endpoint_in_the_clear_is_refused(behind: BucketWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.example.com")
    with pytest.raises(SignInError, match="in the clear"):
        land(behind.landing(role_arn=ROLE))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"role_arn": "landing-writer"}, "not the name of a role"),
        ({"role_arn": "arn:aws:iam::12:role/x"}, "not the name of a role"),
        ({"external_id": "x1"}, "needs role_arn"),
        ({"role_session_name": "crm"}, "needs role_arn"),
        ({"role_arn": ROLE, "role_session_name": "a b"}, "STS does not take it"),
        ({"role_arn": ROLE, "external_id": "x"}, "STS does not take it"),
        ({"expected_bucket_owner": "1234"}, "not an AWS account"),
        ({"accelerate": True, "endpoint": "https://storage.example.com"}, "each chooses where requests go"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_pipeline_loads(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Landing("s3://bucket/crm", **settings)
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_dotted_bucket_is_not_accelerated() -> None:
    with pytest.raises(ConfigError, match="dots"):
        Landing("s3://my.bucket/crm", accelerate=True)


def test_a_role_without_boto3_is_refused_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr(s3_settings, "find_spec", lambda name: None if name == "boto3" else real(name))
    with pytest.raises(ConfigError, match=r"syncline\[aws\]"):
        Landing("s3://bucket/crm", role_arn=ROLE)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match="needs boto3"):
        aws.session_of(S3Settings("bucket"))


def test_a_folder_takes_none_of_the_bucket_s_settings() -> None:
    given: dict[str, Any]
    for given in ({"checksums": False}, {"expected_bucket_owner": OWNER}, {"accelerate": True}, {"role_arn": ROLE}):
        with pytest.raises(ConfigError, match="only an s3:// landing has"):
            Landing("/data", **given)


def test_rows_are_the_same_whatever_was_sent_along(bucket_world: BucketWorld, sts: None) -> None:
    landing = bucket_world.landing(expected_bucket_owner=OWNER, role_arn=ROLE, sse="s3")
    (entry,) = land(landing, rows(7))
    assert entry.rows == 7
