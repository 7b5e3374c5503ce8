"""Sign-in by every grant, the errors of the token endpoint, and sessions that end."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from syncline.connectors.sandbox import Org, Request
from tests.sandbox.calling import START, Caller

MY_DOMAIN = "acme.my.salesforce.com"


def ask(org: Org, form: dict[str, str], host: str = MY_DOMAIN, **headers: str) -> tuple[int, dict[str, Any]]:
    given = {"host": host, "content-type": "application/x-www-form-urlencoded", **headers}
    response = org.handle(Request("POST", "/services/oauth2/token", given, urlencode(form).encode()))
    return response.status, json.loads(response.content())


def client(org: Org) -> dict[str, str]:
    return {"client_id": org.client_id, "client_secret": org.client_secret}


def works(org: Org, token: str) -> int:
    return org.handle(Request("GET", "/services/data/v60.0/limits", {"authorization": f"Bearer {token}"})).status


def test_client_credentials_in_body_or_header(org: Org) -> None:
    grant = {"grant_type": "client_credentials"}
    status, told = ask(org, grant | client(org))
    assert (status, told["token_type"], told["instance_url"]) == (200, "Bearer", org.instance_url)
    assert told["issued_at"] == str(int(START.timestamp() * 1000))
    assert told["id"].startswith(f"https://login.salesforce.com/id/{org.org_id}/005")
    assert "refresh_token" not in told
    assert works(org, told["access_token"]) == 200
    basic = base64.b64encode(f"{org.client_id}:{org.client_secret}".encode()).decode()
    assert ask(org, grant, authorization=f"Basic {basic}")[0] == 200


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com:443"])
def test_client_credentials_only_at_my_domain(org: Org, host: str) -> None:
    status, told = ask(org, {"grant_type": "client_credentials"} | client(org), host)
    assert (status, told["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "someone"}, "invalid_client_id"),
        ({"client_secret": "guess"}, "invalid_client"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
def test_token_errors_are_objects(org: Org, change: dict[str, str], error: str) -> None:
    status, told = ask(org, {"grant_type": "client_credentials"} | client(org) | change)
    assert (status, told["error"]) == (400, error)
    assert told["error_description"]


def test_password_grant_wants_password_and_token_joined(org: Org) -> None:
    user = org.user
    form = {"grant_type": "password", "username": user.username, "password": user.password + user.security_token}
    assert ask(org, form | client(org))[0] == 200
    told = ask(org, form | client(org) | {"password": user.password})[1]
    assert told == {"error": "invalid_grant", "error_description": "authentication failure"}
    user.active = False
    assert ask(org, form | client(org))[1]["error_description"] == "inactive user"


def test_refresh_tokens_rotate_when_switched_on(org: Org) -> None:
    held = next(iter(org.refresh_tokens))
    form = {"grant_type": "refresh_token", "refresh_token": held, "client_id": org.client_id}
    assert "refresh_token" not in ask(org, form)[1]
    org.settings.rotate_refresh_tokens = True
    renewed = ask(org, form)[1]["refresh_token"]
    assert ask(org, form)[1] == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert ask(org, form | {"refresh_token": renewed})[0] == 200


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({}, None, ""),
        ({"aud": "https://test.salesforce.com"}, None, ""),
        ({"aud": "https://elsewhere.example"}, "invalid_grant", "audience"),
        ({"exp": int(START.timestamp()) - 1}, "invalid_grant", "expired"),
        ({"sub": "nobody@example.com"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"iss": "other"}, "invalid_client_id", "client"),
    ],
)
def test_a_jwt_is_verified_claim_by_claim(
    org: Org, key: rsa.RSAPrivateKey, change: dict[str, Any], error: str | None, words: str
) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    org.app.public_key = public.decode()
    claims = {
        "iss": org.client_id, "sub": org.user.username, "aud": "https://login.salesforce.com",
        "exp": int(START.timestamp()) + 180,
    }  # fmt: skip
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    status, told = ask(org, form | {"assertion": jwt.encode(claims | change, key, algorithm="RS256")})
    assert told.get("error") == error
    assert status == (400 if error else 200)
    assert words in told.get("error_description", "")


def test_a_jwt_signed_by_another_key_is_refused(org: Org, key: rsa.RSAPrivateKey) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    org.app.public_key = other.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    assertion = jwt.encode({"iss": org.client_id}, key, algorithm="RS256")
    assert ask(org, form | {"assertion": assertion})[1]["error"] == "invalid_grant"


def soap(org: Org, username: str, password: str, version: str = "60.0") -> tuple[int, str]:
    body = f"<n1:login><n1:username>{username}</n1:username><n1:password>{password}</n1:password></n1:login>"
    headers = {"content-type": "text/xml", "soapaction": "login", "host": "login.salesforce.com"}
    response = org.handle(Request("POST", f"/services/Soap/u/{version}", headers, body.encode()))
    return response.status, response.content().decode()


def test_soap_login_and_its_faults(org: Org) -> None:
    user = org.user
    status, text = soap(org, user.username, user.password + user.security_token)
    assert status == 200
    token = text.split("<sessionId>")[1].split("</sessionId>")[0]
    assert works(org, token) == 200
    assert f"<serverUrl>{org.instance_url}/services/Soap/u/60.0/" in text
    for password, version, code in (
        ("wrong", "60.0", "INVALID_LOGIN"),
        (user.password, "60.0", "LOGIN_MUST_USE_SECURITY_TOKEN"),
        (user.password + user.security_token, "65.0", "UNSUPPORTED_API_VERSION"),
    ):
        status, text = soap(org, user.username, password, version)
        assert status == 500
        assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in text


def test_sessions_end_by_idleness_but_not_by_use(org: Org, call: Caller) -> None:
    for _ in range(3):
        org.advance(7_199)
        assert call.get("/limits").status == 200
    org.advance(7_200)
    refused = call.get("/limits")
    assert refused.error == (401, "INVALID_SESSION_ID")
    assert refused.message == "Session expired or invalid"
    assert "Sforce-Limit-Info" not in refused.headers


def test_sessions_end_by_revocation_and_by_number_of_calls(org: Org, call: Caller) -> None:
    org.limit_session_calls(2)
    assert [call.get("/limits").status for _ in range(3)] == [200, 200, 401]
    assert [works(org, token) for token in [org.access_token()] * 3] == [200, 200, 401]
    org.limit_session_calls(None)
    token = org.access_token()
    assert works(org, token) == 200
    org.revoke_sessions()
    assert works(org, token) == 401


def test_authorization_headers_of_the_wrong_kind(org: Org, call: Caller) -> None:
    assert call.send("GET", "/services/data/v60.0/limits", authorization="Basic abc").error == (
        401,
        "INVALID_AUTH_HEADER",
    )
    assert call.send("GET", "/services/data/v60.0/limits", authorization="").error == (401, "INVALID_SESSION_ID")
    assert call.send("GET", "/services/oauth2/userinfo").json["organization_id"] == org.org_id


def test_an_org_that_moved_names_its_new_address(org: Org) -> None:
    org.instance_url = "https://moved.my.salesforce.com"
    assert ask(org, {"grant_type": "client_credentials"} | client(org))[1]["instance_url"] == org.instance_url
