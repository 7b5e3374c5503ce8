"""Fixtures: each kind of landing, an S3 server over real HTTP, and the proxy in front of it."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.landing.proxy import FaultProxy, proxy_handler
from tests.landing.worlds import BucketWorld, FolderWorld, LandingWorld, MemoryWorld


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="sentinel-secret",
        region_name="us-east-1",
    )


@pytest.fixture
def bucket_world(s3_client: Any, s3_endpoint: str, request: pytest.FixtureRequest) -> BucketWorld:
    bucket = f"landing-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
    s3_client.create_bucket(Bucket=bucket)
    return BucketWorld(s3_client, s3_endpoint, bucket)


@pytest.fixture(params=["folder", "memory", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> LandingWorld:
    if request.param == "folder":
        return FolderWorld(tmp_path / "landing")
    if request.param == "memory":
        return MemoryWorld()
    bucket: BucketWorld = request.getfixturevalue("bucket_world")
    return bucket


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), proxy_handler(proxy, s3_endpoint))
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield proxy
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """An address that nobody listens at, kept from others while the test runs."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Spool files of other processes on this machine are none of these tests' business."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
