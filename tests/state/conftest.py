"""Fixtures: a bucket of a real S3 server over HTTP, and a proxy before it that loses replies."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from syncline.state.object_store import ObjectStoreState
from tests.landing.proxy import FaultProxy, Request, proxy_handler
from tests.servers.s3 import S3Server


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))


class LossyProxy(FaultProxy):
    """Passes requests on; the connection breaks before the reply where ``loses`` says so, after S3 has acted."""

    loses: Callable[[Request], bool] = staticmethod(lambda request: False)
    """FaultProxy's own ``lose`` answers with a 500; here nothing comes back at all."""


@dataclass(frozen=True)
class BucketState:
    """Opens the state of one bucket, directly or through the proxy."""

    server: S3Server
    bucket: str
    proxy: LossyProxy

    def open(self, **settings: Any) -> ObjectStoreState:
        return ObjectStoreState(f"s3://{self.bucket}/deep/state", **self.server.settings | settings)

    def through_proxy(self, **settings: Any) -> ObjectStoreState:
        return self.open(**{"endpoint": self.proxy.endpoint, "retries_max": 2} | settings)

    def objects(self) -> list[str]:
        listed = self.server.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [entry["Key"] for entry in listed]


@pytest.fixture
def bucket_state(s3_server: S3Server) -> Iterator[BucketState]:
    proxy = LossyProxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lossy_handler(proxy, s3_server.endpoint))
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield BucketState(s3_server, s3_server.new_bucket("state"), proxy)
    server.shutdown()
    thread.join()
    server.server_close()


def lossy_handler(proxy: LossyProxy, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(proxy_handler(proxy, upstream)):  # type: ignore[misc]
        def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            if proxy.loses(Request(self.command, self.path, dict(self.headers))):
                self.close_connection = True
                return
            super().reply(status, headers, body)

    return Handler
