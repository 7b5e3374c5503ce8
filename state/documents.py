r"""How state is written where it is kept in objects: one line of JSON, then bytes that JSON would only swell.

::

    {"format": 1, "writes": ["3f..."], "streams": {"Account": {..., "known_bytes": 320000}}}\n<digests of Account>...

``writes`` holds the marks of the latest writes, so that a writer whose reply was lost can see that it succeeded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from syncline.connectors.errors import ConfigError
from syncline.state.holder import Holder
from syncline.state.lease import Claim
from syncline.state.store import Remembered, RunRecord

FORMAT = 1
HINT_DELETE = "delete the object while no run is under way: nothing is lost but time, the warehouse holds the truth"


@dataclass(frozen=True, slots=True)
class Document:
    """An object's content: ``body`` is JSON, ``tail`` bytes. ``writes`` are marks of writers, the latest last."""

    body: Mapping[str, Any]
    tail: bytes = b""
    writes: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        header = {"format": FORMAT, "writes": self.writes, **self.body}
        return b"%s\n%s" % (json.dumps(header).encode(), self.tail)

    def written_by(self, mark: str, marks_max: int) -> Document:
        return replace(self, writes=(*self.writes, mark)[-marks_max:])


def decoded(data: bytes, object: str) -> Document:
    """
    Raises:
        ConfigError: it is damaged, or was written by a newer program; ``object`` says which.
    """
    line, _, tail = data.partition(b"\n")
    try:
        body = json.loads(line)
        written, writes = body.pop("format"), tuple(body.pop("writes"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(object, error) from error
    if written != FORMAT:
        cause = f"it is of format {written}, this program writes {FORMAT}"
        raise ConfigError("open state", object, cause, f"use the newer program, or {HINT_DELETE}")
    return Document(body, tail, writes)


def damaged(object: str, error: Exception) -> ConfigError:
    return ConfigError("read state", object, f"it is damaged: {error!r}", HINT_DELETE)


def mirror_document(marks: Mapping[str, Remembered]) -> Document:
    streams = {stream: _mark_body(mark) for stream, mark in marks.items()}
    return Document({"streams": streams}, b"".join(mark.known or b"" for mark in marks.values()))


def mirror_of(document: Document) -> dict[str, Remembered]:
    marks: dict[str, Remembered] = {}
    start = 0
    for stream, body in document.body["streams"].items():
        size = body["known_bytes"]
        marks[stream] = _mark(body, None if size is None else document.tail[start : start + size])
        start += size or 0
    if start != len(document.tail):
        raise ValueError(f"{start} bytes of digests were announced, {len(document.tail)} are there")
    return marks


def claim_document(claim: Claim) -> Document:
    holder = {"host": claim.holder.host, "pid": claim.holder.pid, "space": claim.holder.space}
    times = {"since": _text(claim.since), "until": _text(claim.until)}
    return Document({"token": claim.token, "holder": {**holder, "born": claim.holder.born}, **times})


def claim_of(document: Document) -> Claim:
    body = document.body
    since, until = datetime.fromisoformat(body["since"]), datetime.fromisoformat(body["until"])
    return Claim(body["token"], Holder(**body["holder"]), since, until)


def run_document(run: RunRecord) -> Document:
    times = {"started_at": _text(run.started_at), "finished_at": _text(run.finished_at)}
    names = {"run_id": run.run_id, "pipeline": run.pipeline, "status": run.status}
    return Document({**names, **times, "report": dict(run.report)})


def run_of(document: Document) -> RunRecord:
    body = document.body
    return RunRecord(
        run_id=body["run_id"],
        pipeline=body["pipeline"],
        status=body["status"],
        started_at=datetime.fromisoformat(body["started_at"]),
        finished_at=_instant(body["finished_at"]),
        report=body["report"],
    )


def _mark_body(mark: Remembered) -> dict[str, Any]:
    return {
        "watermark": _text(mark.watermark),
        "version": mark.version,
        "run_id": mark.run_id,
        "columns": mark.columns,
        "known_bytes": None if mark.known is None else len(mark.known),
        "checkpoint": mark.checkpoint,
        "full_at": _text(mark.full_at),
        "definition": mark.definition,
        "place": mark.place,
    }


def _mark(body: Mapping[str, Any], known: bytes | None) -> Remembered:
    return Remembered(
        watermark=_instant(body["watermark"]),
        version=body["version"],
        run_id=body["run_id"],
        columns=tuple(body["columns"]),
        known=known,
        checkpoint=body["checkpoint"],
        full_at=_instant(body["full_at"]),
        definition=body["definition"],
        place=body.get("place", ""),  # an older program knows of none, and drops it
    )


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
