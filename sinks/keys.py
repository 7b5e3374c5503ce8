"""Where things lie in a landing; names are percent-escaped, so that any stream or slice makes one valid segment."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import quote

MANIFESTS = "_manifests"

_SEGMENT_MAX = 120
"""Local file systems allow 255 bytes a name, S3 1,024 a key (S3 user guide, object key names)."""


def escaped(name: str) -> str:
    """One path segment; nothing that a folder, S3, Glue or a shell takes for more than text survives in it."""
    text = quote(name, safe="", errors="surrogatepass")
    return "%2E" + text[1:] if text.startswith(".") else text


def stream_folder(pipeline: str, stream: str) -> str:
    return f"{escaped(pipeline)}/{escaped(stream)}"


def run_folder(pipeline: str, stream: str, started_at: datetime, run_id: str) -> str:
    """Hive-style, by the UTC day the run started, so that Glue, Athena and Spectrum read it as it is."""
    if started_at.utcoffset() is None:
        raise ValueError("a run starts at an aware instant")
    day = started_at.astimezone(UTC).strftime("%Y-%m-%d")
    return f"{stream_folder(pipeline, stream)}/dt={day}/run={escaped(run_id)}"


def manifest_key(pipeline: str, stream: str, run_id: str) -> str:
    return f"{stream_folder(pipeline, stream)}/{MANIFESTS}/{escaped(run_id)}.json"


def file_name(slice_id: str, number: int, nonce: str) -> str:
    """``<slice>-<n>-<nonce>.parquet``; a slice id too long for a name keeps its beginning and its digest.

    The nonce is the writer's own. A resumed run writes again, under the dead run's id, the slice that was landing
    when it died; and the dead may be alive after all. Neither may touch the other's files (SEALED-MANIFEST).
    """
    stem = escaped(slice_id)
    if len(stem) > _SEGMENT_MAX:
        digest = hashlib.sha256(stem.encode()).hexdigest()
        stem = f"{stem[: _SEGMENT_MAX - 20]}~{digest[:16]}"
    return f"{stem}-{number}-{nonce}.parquet"


def is_marked(name: str, mark: str) -> bool:
    """Whether the nonce in a landed file's name begins with ``mark``."""
    return bool(mark) and name.rpartition("-")[2].startswith(mark)
