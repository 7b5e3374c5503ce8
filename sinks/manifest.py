"""The manifest: the sealed list of a stream's landed files for one run (SEALED-MANIFEST).

A run without a manifest landed nothing. The bytes are deterministic (sorted keys, no clock but the run's start), so
that a repeated seal of the same content compares equal.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import SliceKind, Window
from syncline.sinks import lattice

MANIFEST_VERSION = 1
COMPACTED_VERSION = 2
"""Of a manifest that stands for several runs: a program that does not know of those must not read it beside theirs."""

Mode: TypeAlias = Literal["changes", "snapshot"]
"""``changes``: the rows of a window. ``snapshot``: everything there is; what is absent is gone at the source."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One immutable Parquet object. ``path`` is relative to the landing's root; ``sha256`` is of the whole file."""

    path: str
    slice: str
    kind: SliceKind
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class MergedRun:
    """A run whose rows another manifest holds since the landing was compacted."""

    run_id: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Answers who, when, which window and query, how many rows at each hop, and where they are.

    ``columns`` are the stream's columns; a ``records`` file holds them and then ``_syncline_deleted`` (bool, not null)
    and ``_syncline_seq`` (int64, unique within the manifest, later is newer); a ``tombstones`` file holds the key, the
    cursor if there is one, and the same two. ``rows_read`` counts what the slices yielded, ``rows_known`` those
    dropped because the mirror knew them as committed; ``rows_read == rows_known + rows`` (COUNTED-HOPS).

    ``merged`` names, oldest first, the runs that this one stands for: their own manifests count no more, as soon as
    this one is sealed. Empty for what a run landed itself.
    """

    pipeline: str
    stream: str
    run_id: str
    started_at: datetime
    window: Window
    mode: Mode
    columns: pa.Schema
    key: tuple[str, ...]
    cursor: str | None
    files: tuple[FileEntry, ...]
    rows_announced: int | None
    rows_read: int
    rows_known: int
    api: str
    query: str
    cursor_least: datetime | None = None
    cursor_largest: datetime | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    merged: tuple[MergedRun, ...] = ()

    @property
    def runs(self) -> tuple[MergedRun, ...]:
        """The runs of the pipeline whose rows these are."""
        return self.merged or (MergedRun(self.run_id, self.rows),)

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.files)

    def rows_of(self, kind: SliceKind) -> int:
        return sum(entry.rows for entry in self.files if entry.kind == kind)

    def to_bytes(self) -> bytes:
        document = {
            "manifest_version": COMPACTED_VERSION if self.merged else MANIFEST_VERSION,
            "pipeline": self.pipeline,
            "stream": self.stream,
            "run_id": self.run_id,
            "started_at": text_of(self.started_at),
            "window": {"low": text_of(self.window.low), "high": text_of(self.window.high)},
            "mode": self.mode,
            "columns": [{"name": column.name, "type": lattice.name_of(column.type)} for column in self.columns],
            "arrow_schema": base64.b64encode(self.columns.serialize().to_pybytes()).decode(),
            "key": list(self.key),
            "cursor": self.cursor,
            "files": [asdict(entry) for entry in self.files],
            "rows": {
                "announced": self.rows_announced,
                "read": self.rows_read,
                "known": self.rows_known,
                "records": self.rows_of("records"),
                "tombstones": self.rows_of("tombstones"),
            },
            "api": self.api,
            "query": self.query,
            "cursor_least": text_of(self.cursor_least),
            "cursor_largest": text_of(self.cursor_largest),
            "versions": dict(self.versions),
        }
        if self.merged:
            document["merged"] = [asdict(each) for each in self.merged]
        # A lone surrogate in a name or a query has no UTF-8; written out as \udxxx it is the same character in JSON.
        return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False).encode(errors="backslashreplace")

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises ValueError for a document of another version or shape, or whose counts contradict each other."""
        try:
            manifest, rows = _parse(json.loads(data))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a manifest: {error!r}") from error
        if rows != (manifest.rows_of("records"), manifest.rows_of("tombstones")):
            raise ValueError("COUNTED-HOPS: the files' rows do not add up to the manifest's")
        if sum(each.rows for each in manifest.runs) != manifest.rows:
            raise ValueError("COUNTED-HOPS: the merged runs' rows do not add up to the manifest's")
        return manifest

    def with_files(self, files: tuple[FileEntry, ...]) -> Manifest:
        return replace(self, files=files)


def _parse(document: dict[str, Any]) -> tuple[Manifest, tuple[int, int]]:
    """The manifest, and the rows by kind that its document claims."""
    merged = tuple(MergedRun(**each) for each in document.get("merged", ()))
    expected = COMPACTED_VERSION if merged else MANIFEST_VERSION
    if document.get("manifest_version") != expected:
        raise ValueError(f"manifest version {document.get('manifest_version')!r}, expected {expected}")
    high = instant_of(document["window"]["high"])
    started_at = instant_of(document["started_at"])
    if high is None or started_at is None:
        raise ValueError("a manifest has a started_at and a window with a high")
    rows = document["rows"]
    manifest = Manifest(
        pipeline=document["pipeline"],
        stream=document["stream"],
        run_id=document["run_id"],
        started_at=started_at,
        window=Window(instant_of(document["window"]["low"]), high),
        mode=document["mode"],
        columns=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["arrow_schema"]))),
        key=tuple(document["key"]),
        cursor=document["cursor"],
        files=tuple(FileEntry(**entry) for entry in document["files"]),
        rows_announced=rows["announced"],
        rows_read=rows["read"],
        rows_known=rows["known"],
        api=document["api"],
        query=document["query"],
        cursor_least=instant_of(document["cursor_least"]),
        cursor_largest=instant_of(document["cursor_largest"]),
        versions=document["versions"],
        merged=merged,
    )
    return manifest, (rows["records"], rows["tombstones"])


def text_of(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC at microseconds, with a trailing Z."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
