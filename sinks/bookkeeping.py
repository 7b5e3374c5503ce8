"""Statements on ``_syncline_watermarks`` and ``_syncline_runs``: the truth and its fence (FENCED-COMMIT)."""

from __future__ import annotations

import json
from datetime import datetime

from sqlglot import exp

from syncline.sinks.dialect import Dialect, Place, fill, instant, number, text
from syncline.sinks.warehouse import RUNS_TABLE, WATERMARKS_TABLE, CommitUnit, Mark


def select_watermarks(pipeline: str, place: Place, dialect: Dialect) -> str:
    query = fill(
        "SELECT stream, watermark, version, run_id, committed_at, columns FROM watermarks WHERE pipeline = :pipeline"
        " ORDER BY stream",
        {"watermarks": place.table(WATERMARKS_TABLE)},
        pipeline=text(pipeline),
    )
    return dialect.render(query)


def move_watermark(unit: CommitUnit, mark: Mark, committed_at: datetime, place: Place, dialect: Dialect) -> str:
    """Compare-and-set: exactly one row changes, or another run was first."""
    skeleton = (
        "UPDATE watermarks SET watermark = :watermark, version = :next, run_id = :run_id,"
        " committed_at = :committed_at, columns = :columns"
        " WHERE pipeline = :pipeline AND stream = :stream AND version = :version"
        if mark.version
        else "INSERT INTO watermarks (pipeline, stream, watermark, version, run_id, committed_at, columns)"
        " SELECT :pipeline, :stream, :watermark, :next, :run_id, :committed_at, :columns"
        " WHERE NOT EXISTS (SELECT 1 FROM watermarks WHERE pipeline = :pipeline AND stream = :stream)"
    )
    statement = fill(
        skeleton,
        {"watermarks": place.table(WATERMARKS_TABLE)},
        pipeline=text(unit.pipeline),
        stream=text(mark.stream),
        watermark=instant(mark.watermark),
        version=number(mark.version),
        next=number(mark.version + 1),
        run_id=text(unit.run_id),
        committed_at=instant(committed_at),
        columns=_json(list(mark.columns)),
    )
    return dialect.render(statement)


def insert_run(unit: CommitUnit, committed_at: datetime, place: Place, dialect: Dialect) -> str:
    statement = fill(
        "INSERT INTO runs (run_id, pipeline, started_at, committed_at, run)"
        " SELECT :run_id, :pipeline, :started_at, :committed_at, :run",
        {"runs": place.table(RUNS_TABLE)},
        run_id=text(unit.run_id),
        pipeline=text(unit.pipeline),
        started_at=instant(unit.started_at),
        committed_at=instant(committed_at),
        run=_json(dict(unit.run)),
    )
    return dialect.render(statement)


def _json(value: object) -> exp.Literal:
    return text(json.dumps(value, sort_keys=True))
