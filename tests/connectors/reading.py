"""Reads a connector's stream the way a run does, for tests that care about the rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from syncline.connectors import Connector, StreamSchema, Window


def described(connector: Connector, name: str) -> StreamSchema:
    [schema] = connector.describe([name])
    return schema


def rows_of(
    connector: Connector, name: str, low: datetime | None, high: datetime | None = None
) -> list[dict[str, Any]]:
    """The live rows of one window of a stream, as dicts."""
    schema = described(connector, name)
    extraction = connector.plan(schema, Window(low, connector.horizon() if high is None else high))
    try:
        batches = [batch for slice in extraction.slices(None, lambda _: None) for batch in extraction.read(slice)]
    finally:
        extraction.close("landed")
    return [row for batch in batches for row in batch.records.to_pylist()]
