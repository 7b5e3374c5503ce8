"""An unfinished extraction, as the state store keeps it: a slice landed is a slice never read again (VALUE-RESUME)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from syncline.connectors.connector import Json, SliceKind, Window
from syncline.sinks.manifest import FileEntry, Mode, instant_of, text_of


@dataclass(frozen=True, slots=True)
class LandedSlice:
    """What one slice brought: its files, its rows at each hop, its digests in the overlap, its cursor range."""

    ordinal: int
    kind: SliceKind
    files: tuple[FileEntry, ...]
    rows_expected: int | None
    rows_read: int
    rows_known: int
    known: bytes | None
    cursor_least: datetime | None = None
    cursor_largest: datetime | None = None
    last: bool = False

    def to_json(self) -> dict[str, Json]:
        return {
            "ordinal": self.ordinal,
            "kind": self.kind,
            "files": [asdict(entry) for entry in self.files],
            "rows_expected": self.rows_expected,
            "rows_read": self.rows_read,
            "rows_known": self.rows_known,
            "known": None if self.known is None else base64.b64encode(self.known).decode(),
            "cursor_least": text_of(self.cursor_least),
            "cursor_largest": text_of(self.cursor_largest),
            "last": self.last,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> LandedSlice:
        return LandedSlice(
            ordinal=document["ordinal"],
            kind=document["kind"],
            files=tuple(FileEntry(**entry) for entry in document["files"]),
            rows_expected=document["rows_expected"],
            rows_read=document["rows_read"],
            rows_known=document["rows_known"],
            known=None if document["known"] is None else base64.b64decode(document["known"]),
            cursor_least=instant_of(document["cursor_least"]),
            cursor_largest=instant_of(document["cursor_largest"]),
            last=document.get("last", False),
        )


@dataclass(slots=True)
class Checkpoint:
    """``version`` is the watermark version the window starts from; once that moved, the checkpoint is stale.
    ``horizon`` is what the round brings the stream up to.

    ``announced`` is the source's count when the reading began, to which what was landed then answers.
    ``token`` is what the connector asked to remember (a job id); ``sealed`` says that the manifest stands.
    """

    run_id: str
    started_at: datetime
    window: Window
    horizon: datetime
    mode: Mode
    version: int
    columns: tuple[str, ...]
    definition: str
    announced: int | None = None
    token: Json | None = None
    sealed: bool = False
    slices: dict[str, LandedSlice] = field(default_factory=dict)

    @property
    def forgets(self) -> bool:
        """Whether the digests of this round were given up: then no further ones need be computed."""
        return any(landed.known is None for landed in self.slices.values())

    def add(self, name: str, landed: LandedSlice, digests_bytes_max: int) -> None:
        """Notes a slice. Digests are kept for all slices or for none, and within one bound together (BOUNDED)."""
        self.slices[name] = landed
        if self.forgets or sum(len(each.known or b"") for each in self.slices.values()) > digests_bytes_max:
            self.slices = {name: replace(each, known=None) for name, each in self.slices.items()}

    def drop_all_but(self, names: Set[str]) -> list[FileEntry]:
        """Keeps these slices only; returns the files of the others."""
        dropped = [landed for name, landed in self.slices.items() if name not in names]
        self.slices = {name: landed for name, landed in self.slices.items() if name in names}
        return [entry for landed in dropped for entry in landed.files]

    def files(self) -> list[FileEntry]:
        return [entry for landed in self.slices.values() for entry in landed.files]

    def to_json(self) -> dict[str, Json]:
        return {
            "run_id": self.run_id,
            "started_at": text_of(self.started_at),
            "low": text_of(self.window.low),
            "high": text_of(self.window.high),
            "horizon": text_of(self.horizon),
            "mode": self.mode,
            "version": self.version,
            "columns": list(self.columns),
            "definition": self.definition,
            "announced": self.announced,
            "token": self.token,
            "sealed": self.sealed,
            "slices": {name: landed.to_json() for name, landed in self.slices.items()},
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Checkpoint:
        high, started_at = instant_of(document["high"]), instant_of(document["started_at"])
        horizon = instant_of(document["horizon"])
        assert high is not None
        assert horizon is not None
        assert started_at is not None
        return Checkpoint(
            run_id=document["run_id"],
            started_at=started_at,
            window=Window(instant_of(document["low"]), high),
            horizon=horizon,
            mode=document["mode"],
            version=document["version"],
            columns=tuple(document["columns"]),
            definition=document["definition"],
            announced=document.get("announced"),
            token=document["token"],
            sealed=document["sealed"],
            slices={name: LandedSlice.from_json(each) for name, each in document["slices"].items()},
        )
