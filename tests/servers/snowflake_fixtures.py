"""A Snowflake stand-in with S3 beside it, started when a test first asks for it, one for each worker."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10

ACCOUNT = "acme-test"
USER = "SYNCLINE"
WAREHOUSE = "SYNCLINE_WH"
ROLE = "SYNCLINE_ROLE"
PASSWORD = "sentinel-password"
S3_KEY, S3_SECRET = "AKIATEST", "sentinel-secret"


@dataclass
class FakeSnowflake:
    """The stand-in's addresses, and what tests may ask of it. ``USER`` signs in with ``private_key``."""

    port: int
    s3_endpoint: str
    databases: list[str] = field(default_factory=list)

    @cached_property
    def private_key(self) -> str:
        """The user's key in PEM; its public half is known to the stand-in."""
        pem, public = quick_key_pair()
        self.add_user(user=USER, public_key=public, password=PASSWORD)
        return pem

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a user who signs in with a key pair."""
        return {
            "SNOWFLAKE_ACCOUNT": ACCOUNT,
            "SNOWFLAKE_USER": USER,
            "SNOWFLAKE_WAREHOUSE": WAREHOUSE,
            "SNOWFLAKE_ROLE": ROLE,
            "SNOWFLAKE_HOST": f"http://127.0.0.1:{self.port}",
            "SNOWFLAKE_PRIVATE_KEY": self.private_key,
        }

    def database(self) -> str:
        """A fresh database's name."""
        name = f"DB_{secrets.token_hex(6)}".upper()
        with self.reader() as reader:
            reader.cursor().execute(f'CREATE DATABASE "{name}"')
        self.databases.append(name)
        return name

    def drop_databases(self) -> None:
        self._ask("drop", self.databases)
        self.databases.clear()

    def reader(self, **settings: Any) -> Any:
        """A session of somebody else's, through the same driver."""
        import snowflake.connector

        self.private_key  # noqa: B018  the user exists from here on
        return snowflake.connector.connect(
            account=ACCOUNT,
            user=USER,
            password=PASSWORD,
            host="127.0.0.1",
            port=self.port,
            protocol="http",
            network_timeout=30,
            login_timeout=30,
            platform_detection_timeout_seconds=0.0,
            session_parameters={"TIMEZONE": "UTC", "CLIENT_TELEMETRY_ENABLED": False},
            **settings,
        )

    def add_user(self, **given: str) -> None:
        self._ask("users", given)

    def arm(self, pattern: str, kind: str, code: str = "390114", times: int = 1) -> None:
        """See ``fakesnow_wire`` for the kinds."""
        self._ask("faults", {"pattern": pattern, "kind": kind, "code": code, "times": times})

    def reset(self) -> list[dict[str, Any]]:
        """Forgets faults and what was seen; returns the faults that never struck."""
        left: list[dict[str, Any]] = self._ask("reset", {})
        return left

    def seen(self) -> dict[str, list[Any]]:
        """``statements`` that arrived and ``logins``, without secrets."""
        found: dict[str, list[Any]] = self._ask("seen", None)
        return found

    def _ask(self, what: str, document: object) -> Any:
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_test/{what}", data, timeout=10) as reply:
            return json.loads(reply.read())


def quick_key_pair() -> tuple[str, str]:
    """A fresh elliptic key: an RSA key is checked whenever it is read, which takes longer than the sign-in."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode(), public.decode()


def key_pair(passphrase: str | None = None) -> tuple[str, str]:
    """A fresh RSA key: the private half in PEM, encrypted where a passphrase is given, and the public one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        locked = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(START_TIMEOUT_S), "the Snowflake stand-in did not start in time"
    return process.stdout.readline()


@pytest.fixture(scope="session")
def snowflake_server() -> Iterator[FakeSnowflake]:
    """The process of this worker; ends with it, whatever becomes of the tests."""
    with running_snowflake() as server:
        yield server


@contextmanager
def running_snowflake() -> Iterator[FakeSnowflake]:
    """fakesnow and moto in a process of their own, which ends with its standard input at the latest."""
    command = [sys.executable, "-m", "tests.servers.fakesnow_child"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SNOWFLAKE_"))}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        line = _first_line(process)
        assert line, process.communicate()[1].decode()
        told = json.loads(line)
        yield FakeSnowflake(told["port"], told["s3"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture
def fake_snowflake(snowflake_server: FakeSnowflake, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSnowflake]:
    """The stand-in, with nothing armed and nothing seen; its databases go with the test."""
    monkeypatch.setenv("SF_TELEMETRY_DISABLE_CONNECTION_SHAPE", "true")
    snowflake_server.reset()
    yield snowflake_server
    snowflake_server.reset()
    snowflake_server.drop_databases()
