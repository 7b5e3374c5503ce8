"""An S3 server over HTTP: moto, which honours conditional puts (of 16 that race one wins).

What it does not do honestly: it refuses no wrong signature, and knows no throttling and no lost replies; those come
from the proxy in front of it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ACCESS_KEY = "AKIATEST"
SECRET_KEY = "sentinel-secret"


@dataclass
class S3Server:
    """``settings`` are what a landing or a state in a bucket of it is given."""

    endpoint: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def settings(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}

    @property
    def client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", **keys)

    def new_bucket(self, prefix: str = "bucket") -> str:
        """The name of a bucket that nobody had before."""
        name = f"{prefix}-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A server on a free port, in threads of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()
