"""moto's objects as files for DuckDB, without a request for each part of each of them."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from fsspec.spec import AbstractFileSystem
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends


class Objects(AbstractFileSystem):  # type: ignore[misc]
    """Every bucket of the moto server in this process; read only."""

    protocol = "s3"
    cachable = False

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found = self._found(path)
        return {"name": self._strip_protocol(path), "size": found.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        last: datetime = self._found(path).last_modified
        return last

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Every object below, however deep: all that ``glob`` needs."""
        bucket, _, prefix = self._strip_protocol(path).partition("/")
        try:
            keys, *_ = _backend().list_objects(_backend().get_bucket(bucket), prefix, None, None, None)
        except MissingBucket:
            raise FileNotFoundError(path) from None
        found = [{"name": f"{bucket}/{key.name}", "size": key.size, "type": "file"} for key in keys]
        return found if detail else [each["name"] for each in found]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BytesIO:
        return io.BytesIO(self._found(path).value)

    def _found(self, path: str) -> Any:
        bucket, _, key = self._strip_protocol(path).partition("/")
        try:
            found = _backend().get_object(bucket, key)
        except MissingBucket:
            found = None
        if found is None:
            raise FileNotFoundError(path)
        return found


def _backend() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
