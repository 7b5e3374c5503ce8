"""Sign-in that is really checked: fakesnow lets everybody in.

Users and their public keys, passwords and tokens are what the test says. A key pair's JWT is verified as Snowflake's
guide on key-pair authentication describes: issuer ``ACCOUNT.USER.SHA256:<fingerprint>``, subject ``ACCOUNT.USER``,
signature, expiry. The token endpoint for OAuth client credentials is here, too.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from starlette.requests import Request
from starlette.responses import JSONResponse

from tests.servers.fakesnow_patches import fake_server

PUBLIC = ("ACCOUNT_NAME", "LOGIN_NAME", "AUTHENTICATOR", "SESSION_PARAMETERS", "SECONDARY_ROLES", "PROVIDER")


class Refused(Exception):
    """``code`` is the server's number for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Users:
    """Who may sign in, and with what. Tests add to it through the control address."""

    public_keys: dict[str, list[str]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    oauth_clients: dict[str, str] = field(default_factory=dict)
    oauth_tokens: set[str] = field(default_factory=set)
    logins: list[dict[str, Any]] = field(default_factory=list)

    def add(self, given: Mapping[str, Any]) -> None:
        user = str(given.get("user", "")).upper()
        if "public_key" in given:
            self.public_keys.setdefault(user, []).append(given["public_key"])
        if "password" in given:
            self.passwords[user] = given["password"]
        if "token" in given:
            self.tokens[given["token"]] = user
        if "oauth_client" in given:
            self.oauth_clients[given["oauth_client"]] = given["oauth_secret"]

    def admit(self, data: Mapping[str, Any]) -> None:
        """Raises Refused for whoever cannot prove who he is."""
        authenticator = str(data.get("AUTHENTICATOR", "SNOWFLAKE")).upper()
        token, user = str(data.get("TOKEN") or ""), str(data.get("LOGIN_NAME") or "").upper()
        if authenticator == "SNOWFLAKE_JWT":
            self._admit_key(token, str(data["ACCOUNT_NAME"]).upper(), user)
        elif authenticator == "OAUTH":
            if token not in self.oauth_tokens:
                raise Refused("390303", "Invalid OAuth access token.")
        elif authenticator == "PROGRAMMATIC_ACCESS_TOKEN":
            if self.tokens.get(token) != user:
                raise Refused("394400", "Programmatic access token is invalid.")
        elif not user or self.passwords.get(user) != data.get("PASSWORD"):
            raise Refused("390100", "Incorrect username or password was specified.")

    def _admit_key(self, token: str, account: str, user: str) -> None:
        try:
            claimed = jwt.decode(token, options={"verify_signature": False})
            for pem in self.public_keys.get(user, []):
                key = load_pem_public_key(pem.encode())
                der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                print_ = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
                if claimed["iss"] == f"{account}.{user}.{print_}":
                    proved = jwt.decode(token, key, algorithms=["RS256", "ES256", "ES384"])  # type: ignore[arg-type]
                    if proved["sub"] == f"{account}.{user}":
                        return
        except (jwt.PyJWTError, KeyError) as error:
            raise Refused("394300", f"JWT token is invalid: {error}") from error
        raise Refused("394304", "JWT token is invalid: its key's fingerprint is not the user's.")


async def body_of(request: Request) -> bytes:
    body = await request.body()
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body


class Login:
    """The login and token addresses."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def login(self, request: Request) -> JSONResponse:
        data = json.loads(await body_of(request))["data"]
        self._users.logins.append({**{name: data[name] for name in PUBLIC if name in data}, **request.query_params})
        try:
            self._users.admit(data)
        except Refused as refusal:
            return JSONResponse({"data": {}, "code": refusal.code, "message": str(refusal), "success": False})
        answer = await fake_server.login_request(request)
        document = json.loads(bytes(answer.body))
        document["data"] |= {
            "masterToken": document["data"]["token"],
            "sessionId": len(self._users.logins),
            "validityInSeconds": 3600,
            "masterValidityInSeconds": 14_400,
        }
        return JSONResponse(document)

    async def renew(self, request: Request) -> JSONResponse:
        """A session goes on under a new token for as long as it is there; its transaction goes on with it."""
        sessions, old = fake_server.sessions, json.loads(await body_of(request))["oldSessionToken"]
        if old not in sessions:
            message = "Authentication token has expired.  The user must authenticate again."
            return JSONResponse({"data": {}, "code": "390114", "message": message, "success": False})
        new = secrets.token_urlsafe(32)
        sessions[new] = sessions.pop(old)
        return JSONResponse({"data": {"sessionToken": new, "masterToken": new}, "success": True})

    async def token(self, request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode())
        given = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        client, _, secret = given.partition(":")
        if form.get("grant_type") != ["client_credentials"] or self._users.oauth_clients.get(client) != secret:
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        token = secrets.token_urlsafe(16)
        self._users.oauth_tokens.add(token)
        self._users.logins.append({"oauth_scope": form.get("scope", [""])[0]})
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 600})
