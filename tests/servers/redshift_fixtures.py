"""A Redshift stand-in and the S3 it copies from, started when a test first asks for them, one pair for each worker."""

from __future__ import annotations

import logging
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.servers.postgres import PgAddress, PgServer
from tests.servers.redshift import RedshiftServer
from tests.servers.redshift_catalog import SETUP
from tests.servers.redshift_load import Bucket, Quirks

ROLE = "arn:aws:iam::123456789012:role/copy"
DATABASE = "redshift"
S3_KEYS = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "sentinel-secret"}


@dataclass
class FakeRedshift:
    """The stand-in, a schema of one's own in it, and a bucket to land in."""

    server: RedshiftServer
    database: str
    schema: str
    user: str
    password: str
    s3_endpoint: str
    bucket: str
    certificate: Path
    pg: PgAddress

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a user who signs in with a password."""
        return {
            "REDSHIFT_HOST": "localhost",
            "REDSHIFT_PORT": str(self.server.port),
            "REDSHIFT_USER": self.user,
            "REDSHIFT_PASSWORD": self.password,
            "REDSHIFT_IAM_ROLE": ROLE,
        }

    @property
    def landing(self) -> dict[str, Any]:
        """What ``Landing`` takes."""
        keys = {"access_key_id": "AKIATEST", "secret_access_key": "sentinel-secret", "region": "us-east-1"}
        return {"url": f"s3://{self.bucket}/landing", "endpoint": self.s3_endpoint, **keys}

    def quirks(self, **given: Any) -> None:
        self.server.bucket = replace(self.server.bucket, quirks=Quirks(**given))

    def reader(self) -> Any:
        """Somebody else's session, through the stand-in."""
        import psycopg

        address = replace(self.pg, port=self.server.port)
        return psycopg.connect(f"{address.dsn}?sslmode=disable", autocommit=True)


@pytest.fixture(scope="session")
def copy_s3() -> Iterator[str]:
    """The endpoint of an S3 over HTTP."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def redshift_server(
    pg_server: PgServer, copy_s3: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RedshiftServer, Path]]:
    """The stand-in of this worker, and the certificate a client must know."""
    import boto3
    import psycopg
    import trustme

    authority = trustme.CA()
    certificate = tmp_path_factory.mktemp("redshift") / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with pg_server.connect() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE} STRATEGY file_copy")
    with psycopg.connect(replace(pg_server.admin, database=DATABASE).dsn) as connection:
        connection.execute(SETUP)
    client = boto3.client("s3", endpoint_url=copy_s3, region_name="us-east-1", **S3_KEYS)
    server = RedshiftServer(pg_server.admin, Bucket(client, frozenset({ROLE, "default"})), tls)
    server.start()
    yield server, certificate
    server.stop()


@pytest.fixture
def fake_redshift(
    redshift_server: tuple[RedshiftServer, Path], pg_server: PgServer, copy_s3: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeRedshift]:
    """The stand-in with nothing armed and nothing logged, and its certificate known.

    Schemas whose names begin with ``schema`` go with the test.
    """
    server, certificate = redshift_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    schema, bucket = f"t_{secrets.token_hex(6)}", f"rs-{secrets.token_hex(6)}"
    server.bucket = replace(server.bucket, quirks=Quirks())
    server.bucket.client.create_bucket(Bucket=bucket)
    server.reset()
    admin = replace(pg_server.admin, database=DATABASE)
    yield FakeRedshift(server, DATABASE, schema, admin.user, admin.password, copy_s3, bucket, certificate, admin)
    server.reset()
    server.drop_connections()
    with pg_server.connect(admin) as connection:
        made = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", (schema,))
        for (name,) in made.fetchall():
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')
