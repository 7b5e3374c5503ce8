"""Sign-in: the token endpoint's four grants, SOAP login, sessions and their end (OAuth and SOAP guides)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, unescape

from syncline.connectors.sandbox.core import Core
from syncline.connectors.sandbox.http import ApiError, Request, Response, json_response
from syncline.connectors.sandbox.identifiers import DIGITS

JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SOAP_VERSION_MAX: Final = 64
_LOGIN_HOSTS: Final = ("login.salesforce.com", "test.salesforce.com")


@dataclass(slots=True)
class User:
    """Who may sign in; the password is joined with the security token by clients."""

    username: str = "integration@sandbox.example"
    password: str = "sandbox-password"
    security_token: str = "TOKEN"
    approved: bool = True
    active: bool = True


@dataclass(slots=True)
class Session:
    used_ms: int
    calls_left: int | None = None


@dataclass(slots=True)
class App:
    """The connected app: its keys, and the PEM public key or certificate of its JWT flow."""

    client_id: str = "sandbox-client-id"
    client_secret: str = "sandbox-client-secret"
    public_key: str | None = None
    audiences: set[str] = field(default_factory=lambda: {f"https://{host}" for host in _LOGIN_HOSTS})


class OAuthError(Exception):
    """The token endpoint's error shape: a JSON object."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def response(self) -> Response:
        return json_response({"error": self.error, "error_description": self.description}, self.status)


class Auth:
    def __init__(self, core: Core) -> None:
        self._core = core
        self.app = App()
        self.user = User()
        self.refresh_tokens: set[str] = {"5Aep861sandboxRefreshToken"}
        self._sessions: dict[str, Session] = {}
        self._calls_for_next: int | None = None

    # Sessions

    def open_tokens(self) -> list[str]:
        return list(self._sessions)

    def open_session(self) -> str:
        """A new access token."""
        token = f"{self._core.org_id[:15]}!AQ" + "".join(self._core.random.choices(DIGITS + "._", k=64))
        self._sessions[token] = Session(self._core.clock.now_ms(), self._calls_for_next)
        return token

    def revoke(self, token: str | None = None) -> None:
        """Ends one session, or all."""
        if token is None:
            self._sessions.clear()
        else:
            self._sessions.pop(token, None)

    def limit_calls(self, calls: int | None) -> None:
        """Every open session, and each new one, ends after that many calls; ``None`` lifts it for new ones."""
        self._calls_for_next = calls
        for session in self._sessions.values():
            session.calls_left = calls

    def check(self, request: Request) -> None:
        """Lets the request through or raises 401 (REST API guide, status codes)."""
        kind, _, token = request.header("Authorization").partition(" ")
        if token and kind not in ("Bearer", "OAuth"):
            raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        session = self._sessions.get(token)
        now_ms = self._core.clock.now_ms()
        idle_ms = round(self._core.settings.session_idle_s * 1000)
        if session is None or now_ms - session.used_ms >= idle_ms or session.calls_left == 0:
            self._sessions.pop(token, None)
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        session.used_ms = now_ms
        if session.calls_left is not None:
            session.calls_left -= 1

    # Token endpoint

    def token(self, request: Request) -> Response:
        if "application/x-www-form-urlencoded" not in request.header("Content-Type"):
            return OAuthError("invalid_request", "the body must be form-urlencoded").response()
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        grants = {
            "client_credentials": self._client_credentials, JWT_GRANT: self._jwt, "password": self._password,
            "refresh_token": self._refresh,
        }  # fmt: skip
        grant = form.get("grant_type", "")
        try:
            if not grant:
                raise OAuthError("invalid_request", "missing required parameter: grant_type")
            if grant not in grants:
                raise OAuthError("unsupported_grant_type", "grant type not supported")
            return grants[grant](request, form)
        except OAuthError as error:
            return error.response()

    def _client(self, request: Request, form: Mapping[str, str], secret_needed: bool = True) -> None:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        kind, _, coded = request.header("Authorization").partition(" ")
        if kind == "Basic":
            client_id, _, secret = base64.b64decode(coded).decode().partition(":")
        if client_id != self.app.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if (secret or secret_needed) and secret != self.app.client_secret:
            raise OAuthError("invalid_client", "invalid client credentials")

    def _on_login_host(self, request: Request) -> bool:
        return request.header("Host").partition(":")[0].lower() in _LOGIN_HOSTS

    def _client_credentials(self, request: Request, form: Mapping[str, str]) -> Response:
        if self._on_login_host(request):
            raise OAuthError("invalid_grant", "request not supported on this domain")
        self._client(request, form)
        return self._granted({})

    def _password(self, request: Request, form: Mapping[str, str]) -> Response:
        self._client(request, form)
        user = self.user
        if form.get("username") != user.username or form.get("password") != user.password + user.security_token:
            raise OAuthError("invalid_grant", "authentication failure")
        self._check_user()
        return self._granted({})

    def _refresh(self, request: Request, form: Mapping[str, str]) -> Response:
        self._client(request, form, secret_needed=False)
        held = form.get("refresh_token", "")
        if held not in self.refresh_tokens:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        if not self._core.settings.rotate_refresh_tokens:
            return self._granted({})
        self.refresh_tokens.discard(held)
        renewed = "5Aep861" + "".join(self._core.random.choices(DIGITS, k=60))
        self.refresh_tokens.add(renewed)
        return self._granted({"refresh_token": renewed})

    def _jwt(self, request: Request, form: Mapping[str, str]) -> Response:
        import jwt

        assertion = form.get("assertion", "")
        try:
            claims = jwt.decode(
                assertion, self.app.public_key or "", algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError) as error:
            raise OAuthError("invalid_grant", "invalid assertion") from error
        if claims.get("iss") != self.app.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        accepted = self.app.audiences | {self._core.instance_url}
        if claims.get("aud") not in accepted:
            raise OAuthError("invalid_grant", "audience is invalid")
        # Some clients write the number as a text, which Salesforce reads too.
        expires_s = str(claims.get("exp", "")).partition(".")[0]
        if not expires_s.isdigit() or int(expires_s) * 1000 <= self._core.clock.now_ms():
            raise OAuthError("invalid_grant", "expired authorization code")
        if claims.get("sub") != self.user.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        self._check_user()
        return self._granted({})

    def _check_user(self) -> None:
        if not self.user.active:
            raise OAuthError("invalid_grant", "inactive user")
        if not self.user.approved:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")

    def _granted(self, more: Mapping[str, str]) -> Response:
        core = self._core
        identity = f"https://login.salesforce.com/id/{core.org_id}/{core.user_id}"
        issued_at = str(core.clock.now_ms())
        signed = hmac.new(self.app.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256)
        return json_response({
            "access_token": self.open_session(), "signature": base64.b64encode(signed.digest()).decode(),
            "scope": "api", "instance_url": core.instance_url, "id": identity, "token_type": "Bearer",
            "issued_at": issued_at, **more,
        })  # fmt: skip

    def userinfo(self) -> Response:
        core = self._core
        return json_response({
            "user_id": core.user_id, "organization_id": core.org_id, "preferred_username": self.user.username,
        })  # fmt: skip

    # SOAP

    def soap_login(self, request: Request) -> Response:
        """``login()`` of the partner API, up to version 64."""
        found = re.match(r"/services/Soap/u/(\d+)\.\d", request.path)
        if found is None or int(found.group(1)) > SOAP_VERSION_MAX:
            return _fault("UNSUPPORTED_API_VERSION", "login() is not available in this API version")
        if "xml" not in request.header("Content-Type") or not request.header("SOAPAction"):
            return _fault("INVALID_SOAP_HEADER", "Content-Type text/xml and a SOAPAction are needed")
        text = request.body.decode()
        user, password = self.user, _element(text, "password")
        refused = "Invalid username, password, security token; or user locked out."
        if not user.active or _element(text, "username") != user.username or not password.startswith(user.password):
            return _fault("INVALID_LOGIN", refused)
        by_address = "organizationId" in text
        if password != user.password + user.security_token and not by_address:
            return _fault("LOGIN_MUST_USE_SECURITY_TOKEN", refused)
        return self._soap_result(found.group(1))

    def _soap_result(self, version: str) -> Response:
        core = self._core
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
            "<soapenv:Body><loginResponse><result><passwordExpired>false</passwordExpired>"
            f"<serverUrl>{escape(core.instance_url)}/services/Soap/u/{version}.0/{core.org_id[:15]}</serverUrl>"
            f"<sessionId>{escape(self.open_session())}</sessionId><userId>{core.user_id}</userId><userInfo>"
            f"<organizationId>{core.org_id}</organizationId><sessionSecondsValid>"
            f"{int(core.settings.session_idle_s)}</sessionSecondsValid></userInfo></result></loginResponse>"
            "</soapenv:Body></soapenv:Envelope>"
        )
        return Response(200, {"Content-Type": "text/xml;charset=UTF-8"}, (body.encode(),))


def _element(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}>(.*?)</(?:\w+:)?{name}>", text, re.S)
    return unescape(found.group(1)) if found else ""


def _fault(code: str, message: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
        "</soapenv:Body></soapenv:Envelope>"
    )
    return Response(500, {"Content-Type": "text/xml;charset=UTF-8"}, (body.encode(),))
