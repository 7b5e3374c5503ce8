"""Signing in: every way works, a refusal is explained and never repeated, nothing is shown (NO-SECRETS)."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from syncline.connectors.errors import ConfigError, SignInError, Transient
from syncline.connectors.salesforce import Salesforce
from syncline.connectors.salesforce.hosts import audience_of, origin_of
from syncline.connectors.salesforce.settings import Settings, credentials_from, version_of
from syncline.connectors.salesforce.signin import (
    ClientCredentials,
    JwtBearer,
    ReadyToken,
    Reply,
    UsernamePassword,
)
from syncline.connectors.salesforce.transport import Seams
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import Site
from tests.salesforce.scripted import Scripted, answer


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


@pytest.fixture
def jwt_site(site: Site, key: rsa.RSAPrivateKey) -> Site:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    site.org.app.public_key = key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()
    return site


def environ(**values: str) -> Mapping[str, str]:
    return {f"SALESFORCE_{name}": value for name, value in values.items()}


# ---- every way ----


def test_client_credentials_at_the_instance(site: Site) -> None:
    assert site.connect().horizon() < site.org.now()


def test_nothing_connects_before_the_first_use(site: Site) -> None:
    source = site.connect()
    repr(source)
    assert site.org.log.totals().get("all", 0) == 0
    source.close()


def test_jwt_with_the_key_as_text(jwt_site: Site, pem: str) -> None:
    site = jwt_site
    user = environ(
        INSTANCE_URL=site.server.url, CLIENT_ID=site.org.client_id, USERNAME=site.org.user.username, PRIVATE_KEY=pem
    )
    assert site.connect(user).horizon() < site.org.now()
    in_one_line = {**user, "SALESFORCE_PRIVATE_KEY": pem.replace("\n", "\\n")}
    assert site.connect(in_one_line).horizon() < site.org.now()


def test_jwt_with_the_key_in_a_file(jwt_site: Site, pem: str, tmp_path: Path) -> None:
    site = jwt_site
    file = tmp_path / "key.pem"
    file.write_text(pem)
    user = environ(
        INSTANCE_URL=site.server.url,
        CLIENT_ID=site.org.client_id,
        USERNAME=site.org.user.username,
        PRIVATE_KEY_FILE=str(file),
    )
    assert site.connect(user).horizon() < site.org.now()


def test_a_ready_token_works_until_it_ends_and_then_says_what_to_do(site: Site) -> None:
    source = site.connect(environ(INSTANCE_URL=site.server.url, ACCESS_TOKEN=site.org.access_token()))
    source.horizon()
    site.org.revoke_sessions()
    with pytest.raises(SignInError, match="SALESFORCE_ACCESS_TOKEN"):
        source.horizon()


def test_user_name_password_and_token_through_soap(site: Site) -> None:
    user = site.org.user
    given = environ(
        INSTANCE_URL=site.server.url, USERNAME=user.username, PASSWORD=user.password, SECURITY_TOKEN=user.security_token
    )
    source = site.connect(given)
    source.horizon()
    site.org.revoke_sessions()
    source.horizon()
    assert site.calls("POST /services/Soap/u/62.0") == 2


def test_soap_login_stays_at_the_last_version_that_has_it(site: Site) -> None:
    user = site.org.user
    given = environ(
        INSTANCE_URL=site.server.url,
        USERNAME=user.username,
        PASSWORD=user.password,
        SECURITY_TOKEN=user.security_token,
        API_VERSION="66.0",
    )
    site.connect(given, api_version="66.0").horizon()
    assert site.calls("POST /services/Soap/u/64.0") == 1


def test_passwords_with_markup_arrive_as_they_are(site: Site) -> None:
    site.org.user.password = "<&>"
    user = site.org.user
    given = environ(
        INSTANCE_URL=site.server.url, USERNAME=user.username, PASSWORD=user.password, SECURITY_TOKEN=user.security_token
    )
    site.connect(given).horizon()


@pytest.mark.parametrize(
    ("domain", "origin", "audience"),
    [
        ("login", "https://login.salesforce.com", "https://login.salesforce.com"),
        ("test", "https://test.salesforce.com", "https://test.salesforce.com"),
        ("acme.my", "https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("acme--uat.sandbox.my", "https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "https://login.salesforce.com"),
        ("http://localhost:1/x", "http://localhost:1", "https://login.salesforce.com"),
        ("http://[::1]:1", "http://[::1]:1", "https://login.salesforce.com"),
    ],
)
def test_production_sandbox_and_my_domain_hosts(domain: str, origin: str, audience: str) -> None:
    assert origin_of(domain, "SALESFORCE_DOMAIN") == origin
    assert audience_of(origin) == audience


@pytest.mark.parametrize(
    "domain",
    [
        "http://acme.my.salesforce.com", "acme", "ftp://acme.my.salesforce.com", "https://", "http://127.0.0.1.evil.org",
        "https://user:word@acme.my.salesforce.com", "acme.lightning.force.com", "http://10.0.0.1", "",
    ],
)  # fmt: skip
def test_an_unsafe_or_wrong_address_is_refused_before_anything_is_sent(domain: str) -> None:
    with pytest.raises(ConfigError, match="SALESFORCE_DOMAIN"):
        origin_of(domain, "SALESFORCE_DOMAIN")


# ---- refusals ----


def test_wrong_credentials_are_tried_once_and_explained(site: Site) -> None:
    given = {**site.environ(), "SALESFORCE_CLIENT_SECRET": "not-the-secret"}
    with pytest.raises(SignInError) as caught:
        site.connect(given).horizon()
    assert caught.value.exit_code == 2
    assert "SALESFORCE_CLIENT_SECRET" in caught.value.hint
    assert site.calls("POST */token") == 1, "repeated attempts lock accounts"


def test_a_wrong_password_is_tried_once_and_explained(site: Site) -> None:
    given = environ(
        INSTANCE_URL=site.server.url, USERNAME=site.org.user.username, PASSWORD="wrong-word", SECURITY_TOKEN="wrong-too"
    )
    with pytest.raises(SignInError, match="INVALID_LOGIN") as caught:
        site.connect(given).horizon()
    assert "password" in caught.value.hint
    assert site.calls("POST */Soap/*") == 1


def test_a_consumer_nobody_approved_is_explained(jwt_site: Site, pem: str) -> None:
    jwt_site.org.user.approved = False
    given = environ(
        INSTANCE_URL=jwt_site.server.url,
        CLIENT_ID=jwt_site.org.client_id,
        USERNAME=jwt_site.org.user.username,
        PRIVATE_KEY=pem,
    )
    with pytest.raises(SignInError) as caught:
        jwt_site.connect(given).horizon()
    assert "pre-authorise" in caught.value.hint


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_ten_minutes_off_is_named(jwt_site: Site, pem: str, minutes: int) -> None:
    site = jwt_site
    site.org.app.audiences = {"https://nobody.example"} if minutes > 0 else site.org.app.audiences
    credentials = JwtBearer(site.server.url, site.org.client_id, site.org.user.username, Secret(pem))
    seams = Seams(sleep=site.wait, now=lambda: site.org.now() + timedelta(minutes=minutes))
    with pytest.raises(SignInError) as caught:
        Salesforce(credentials, seams=seams).horizon()
    side = "ahead of" if minutes > 0 else "behind"
    assert f"clock is 10 min {side} Salesforce's" in caught.value.hint


def test_trouble_at_the_platform_is_repeated_also_for_sign_in(site: Site) -> None:
    site.org.inject("error", path="*/token", status=503, body="<html>maintenance</html>", times=2)
    site.connect().horizon()
    assert site.calls("POST */token") == 3


def test_a_token_answer_that_is_no_token_is_an_error_that_may_pass() -> None:
    with Scripted(lambda asked: answer(200, b"<html>captive portal</html>")) as server:
        credentials = ClientCredentials(server.url, "id", Secret("word"))
        source = Salesforce(credentials, seams=Seams(sleep=lambda seconds: None))
        with pytest.raises(Transient):
            source.horizon()


def test_an_instance_url_that_is_not_safe_is_refused_no_secrets() -> None:
    told = json.dumps({"access_token": "t-0123456", "instance_url": "http://attacker.example"}).encode()
    with Scripted(lambda asked: answer(200, told)) as server, pytest.raises(ConfigError, match="safe"):
        Salesforce(ClientCredentials(server.url, "id", Secret("word"))).horizon()


def test_credentials_never_follow_a_redirect_no_secrets() -> None:
    with Scripted(lambda asked: answer(200)) as other:
        with (
            Scripted(lambda asked: answer(307, Location=other.url)) as server,
            pytest.raises(ConfigError, match="redirects"),
        ):
            Salesforce(ClientCredentials(server.url, "id", Secret("the-client-word"))).horizon()
        assert other.asked == []


def test_a_broken_key_is_named_and_not_shown_no_secrets() -> None:
    bad = Secret("-----BEGIN PRIVATE KEY-----\nMIISentinelKeyText\n-----END PRIVATE KEY-----")
    source = Salesforce(JwtBearer("http://127.0.0.1:1", "id", "user", bad))
    with pytest.raises(ConfigError, match="SALESFORCE_PRIVATE_KEY"):
        source.horizon()
    try:
        source.horizon()
    except ConfigError:
        assert "SentinelKeyText" not in traceback.format_exc()


def test_no_value_of_the_connector_shows_its_secrets_no_secrets(site: Site) -> None:
    values = (
        ClientCredentials("https://x", "id", Secret("sentinel-1")),
        JwtBearer("https://x", "id", "user", Secret("sentinel-2")),
        ReadyToken("https://x", Secret("sentinel-3")),
        UsernamePassword("https://x", "user", Secret("sentinel-4"), Secret("sentinel-5"), "62.0"),
    )
    assert "sentinel" not in repr([values, *(Salesforce(each) for each in values)])
    with pytest.raises(TypeError):
        pickle.dumps(values[0])
    assert "sentinel" not in repr(Reply(200, {}, b""))


# ---- the environment ----

KEY_WAY = {"CLIENT_ID": "i", "USERNAME": "u", "DOMAIN": "acme.my"}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"DOMAIN": "acme.my", "CLIENT_ID": "i", "CLIENT_SECRET": "s"}, ClientCredentials),
        ({"INSTANCE_URL": "http://127.0.0.1:8080", "CLIENT_ID": "i", "CLIENT_SECRET": "s"}, ClientCredentials),
        ({**KEY_WAY, "PRIVATE_KEY": "pem"}, JwtBearer),
        ({"CLIENT_ID": "i", "USERNAME": "u", "PRIVATE_KEY": "pem"}, JwtBearer),
        ({"ACCESS_TOKEN": "t", "INSTANCE_URL": "https://acme.my.salesforce.com"}, ReadyToken),
        ({"USERNAME": "u", "PASSWORD": "p", "SECURITY_TOKEN": "t", "DOMAIN": "test"}, UsernamePassword),
        ({"USERNAME": "u", "PASSWORD": "p", "SECURITY_TOKEN": "  "}, UsernamePassword),
    ],
)
def test_the_environment_describes_one_way(given: dict[str, str], kind: type) -> None:
    credentials, version = credentials_from(environ(**given))
    assert type(credentials) is kind
    assert version is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, ["SALESFORCE_CLIENT_SECRET", "SALESFORCE_PRIVATE_KEY"]),
        ({"CLIENT_ID": "i", "CLIENT_SECRET": ""}, ["SALESFORCE_CLIENT_SECRET"]),
        ({"CLIENT_SECRET": "s", "DOMAIN": "acme.my"}, ["SALESFORCE_CLIENT_ID"]),
        ({"CLIENT_SECRET": "s", "CLIENT_ID": "i"}, ["SALESFORCE_DOMAIN"]),
        ({"CLIENT_SECRET": "s", "CLIENT_ID": "i", "DOMAIN": "login"}, ["SALESFORCE_DOMAIN=login", "My Domain"]),
        ({"PRIVATE_KEY": "p"}, ["SALESFORCE_CLIENT_ID", "SALESFORCE_USERNAME"]),
        ({"ACCESS_TOKEN": "t"}, ["SALESFORCE_INSTANCE_URL"]),
        ({"PASSWORD": "p"}, ["SALESFORCE_USERNAME"]),
        ({"ACCESS_TOKEN": "t", "CLIENT_SECRET": "s"}, ["SALESFORCE_ACCESS_TOKEN and SALESFORCE_CLIENT_SECRET"]),
        ({"PASSWORD": "p", "PRIVATE_KEY": "s"}, ["SALESFORCE_PRIVATE_KEY and SALESFORCE_PASSWORD"]),
        ({"PRIVATE_KEY": "p", "PRIVATE_KEY_FILE": "f"}, ["SALESFORCE_PRIVATE_KEY and SALESFORCE_PRIVATE_KEY_FILE"]),
        ({**KEY_WAY, "PRIVATE_KEY_FILE": "/no/such/key"}, ["SALESFORCE_PRIVATE_KEY_FILE=/no/such/key"]),
        ({"CLIENT_SECRET": "s", "CLIENT_ID": "i", "INSTANCE_URL": "http://acme.com"}, ["SALESFORCE_INSTANCE_URL"]),
    ],
)
def test_what_is_missing_or_contradictory_is_named(given: dict[str, str], named: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        credentials_from(environ(**given))
    assert all(name in str(caught.value) for name in named), str(caught.value)


def test_from_env_reads_the_process_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ(DOMAIN="acme.my", CLIENT_ID="i", CLIENT_SECRET="s", API_VERSION="v64").items():
        monkeypatch.setenv(name, value)
    assert Salesforce.from_env().settings.api_version == "64.0"
    assert Salesforce.from_env(api_version="61", api="bulk").settings == Settings(api_version="61.0", api="bulk")
    with pytest.raises(ConfigError):
        Salesforce.from_env({})


@pytest.mark.parametrize("text", ["49.0", "sixty", "62.5", "", "v"])
def test_a_version_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="api_version"):
        version_of(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api": "soap"}, {"quota_share": 0}, {"quota_share": 1.1}, {"settling_lag_s": -1}, {"page_rows": 0},
        {"bulk_rows_min": -1}, {"job_deadline_s": 0}, {"number_scale_min": 19}, {"formula_numbers": "text"},
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
