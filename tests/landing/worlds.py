"""A landing of each kind, with a way to look behind it, and rows to land."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from syncline.connectors.connector import Window
from syncline.sinks.landing import Landing
from syncline.sinks.lifecycle_rules import recommended
from syncline.sinks.manifest import FileEntry, Manifest
from syncline.sinks.slice_writer import SliceWriter

STARTED_AT = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
RUN_ID = "20261123T235959000000Z-000000"
COLUMNS = pa.schema([("Id", pa.utf8()), ("Seq", pa.int64())])


def rows(count: int, start: int = 0) -> pa.Table:
    numbers = pa.array(range(start, start + count), pa.int64())
    return pa.table({"Id": numbers.cast(pa.utf8()), "Seq": numbers}, COLUMNS)


def incompressible(size_bytes: int) -> pa.Table:
    """A row of ``Id`` that no codec makes smaller."""
    return pa.table({"Id": [os.urandom(size_bytes // 2).hex()], "Seq": [0]}, COLUMNS)


def open_writer(landing: Landing, slice_id: str = "page-1", columns: pa.Schema = COLUMNS, **given: Any) -> SliceWriter:
    names: dict[str, Any] = {"pipeline": "crm", "stream": "Account", "run_id": RUN_ID, "started_at": STARTED_AT}
    return landing.writer(**{**names, "slice_id": slice_id, "kind": "records", "columns": columns, **given})


def land(landing: Landing, table: pa.Table | None = None, slice_id: str = "page-1") -> tuple[FileEntry, ...]:
    table = rows(10) if table is None else table
    with open_writer(landing, slice_id, table.schema) as writer:
        writer.write(table)
    return writer.files


def land_and_fail(writer: SliceWriter, times: int = 1) -> None:
    """Writes a row group so many times and then raises ZeroDivisionError inside the block."""
    with writer:
        for _ in range(times):
            writer.write(rows(100_000))
        raise ZeroDivisionError


def manifest_of(files: tuple[FileEntry, ...], **given: Any) -> Manifest:
    values: dict[str, Any] = {
        "pipeline": "crm",
        "stream": "Account",
        "run_id": RUN_ID,
        "started_at": STARTED_AT,
        "window": Window(None, STARTED_AT),
        "mode": "changes",
        "columns": COLUMNS,
        "key": ("Id",),
        "cursor": None,
        "files": files,
        "rows_announced": None,
        "rows_read": sum(entry.rows for entry in files),
        "rows_known": 0,
        "api": "rest",
        "query": "SELECT Id, Seq FROM Account",
    }
    return Manifest(**{**values, **given})


BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


class LandingWorld(Protocol):
    """A landing under test, and a way to look behind it."""

    def landing(self, **settings: Any) -> Landing: ...

    def listing(self) -> list[str]:
        """What lies below the root, as a stranger lists it; spool files too, where they lie there."""
        ...

    def overwrite(self, key: str, data: bytes) -> None: ...

    def remove(self, key: str) -> None: ...

    def protect(self) -> list[str]:
        """Sets the place up as ``check`` wants it to be; what its stand-in cannot be is told, as the check says it."""
        ...


@dataclass
class FolderWorld:
    root: Path

    def landing(self, **settings: Any) -> Landing:
        return Landing(str(self.root), **settings)

    def listing(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def overwrite(self, key: str, data: bytes) -> None:
        (self.root / key).write_bytes(data)

    def remove(self, key: str) -> None:
        (self.root / key).unlink()

    def protect(self) -> list[str]:
        return []


@dataclass
class MemoryWorld:
    opened: Landing = field(default_factory=lambda: Landing("memory://"))

    def landing(self, **settings: Any) -> Landing:
        return Landing.over(self.opened._store, **settings)

    def _objects(self) -> Any:
        return self.opened._store._store  # type: ignore[attr-defined]

    def listing(self) -> list[str]:
        return sorted(entry["path"] for page in self._objects().list() for entry in page)

    def overwrite(self, key: str, data: bytes) -> None:
        self._objects().put(key, data)

    def remove(self, key: str) -> None:
        self._objects().delete(key)

    def protect(self) -> list[str]:
        return []


@dataclass
class BucketWorld:
    client: Any
    endpoint: str
    bucket: str
    prefix: str = "landing/crm"

    def landing(self, **settings: Any) -> Landing:
        keys = {"access_key_id": "AKIATEST", "secret_access_key": "sentinel-secret", "region": "us-east-1"}
        return Landing(f"s3://{self.bucket}/{self.prefix}", **{"endpoint": self.endpoint, **keys, **settings})

    def listing(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        assert all(entry["Key"].startswith(f"{self.prefix}/") for entry in found)
        return [entry["Key"].removeprefix(f"{self.prefix}/") for entry in found]

    def overwrite(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=data)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def protect(self) -> list[str]:
        """moto does not weigh a statement's conditions: one that denies plain http would deny everything."""
        client, bucket = self.client, self.bucket
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCKED)
        client.put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        )
        encrypt = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}]
        client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": encrypt})
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        place = self.landing().bucket
        assert place is not None
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": recommended(place)})
        return ["its policy does not refuse plain http"]

    def set_policy(self, *statements: dict[str, Any]) -> None:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(document))

    def tls_only(self) -> dict[str, Any]:
        return {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["s3:*"],
            "Resource": [f"arn:aws:s3:::{self.bucket}", f"arn:aws:s3:::{self.bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }

    def uploads(self) -> list[str]:
        """Keys of multipart uploads under way or forgotten."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]
