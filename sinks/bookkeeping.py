"""Statements on ``_syncline_watermarks`` and ``_syncline_runs``: the truth and its fence (FENCED-COMMIT)."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlglot import exp

from syncline.sinks.dialect import Dialect, Place, column, fill, instant, number, text
from syncline.sinks.warehouse import RUNS_TABLE, WATERMARKS_TABLE, CommittedRun, CommitUnit, Mark, Watermark


def select_watermarks(pipeline: str, place: Place, dialect: Dialect) -> str:
    query = fill(
        "SELECT stream, watermark, version, run_id, committed_at, columns, target, definition FROM watermarks"
        " WHERE pipeline = :pipeline ORDER BY stream",
        {"watermarks": place.table(WATERMARKS_TABLE)},
        pipeline=text(pipeline),
    )
    return dialect.render(query)


def watermark_of(row: Sequence[Any]) -> Watermark:
    """A row of ``select_watermarks``, its instants aware of their zone."""
    stream, watermark, version, run_id, committed_at, columns, target, definition = row
    return Watermark(
        stream, watermark, version, run_id, committed_at, tuple(json.loads(columns)), target or "", definition or ""
    )


def select_owners(place: Place, dialect: Dialect) -> str:
    """Who writes which target, whatever the pipeline; ``guards.check_owners`` judges the rows."""
    query = fill(
        "SELECT pipeline, stream, target FROM watermarks ORDER BY pipeline, stream",
        {"watermarks": place.table(WATERMARKS_TABLE)},
    )
    return dialect.render(query)


def move_watermark(unit: CommitUnit, mark: Mark, committed_at: datetime, place: Place, dialect: Dialect) -> str:
    """Compare-and-set: exactly one row changes, or another run was first."""
    skeleton = (
        "UPDATE watermarks SET watermark = :watermark, version = :next, run_id = :run_id,"
        " committed_at = :committed_at, columns = :columns, target = :target, definition = :definition"
        " WHERE pipeline = :pipeline AND stream = :stream AND version = :version"
        if mark.version
        else "INSERT INTO watermarks"
        " (pipeline, stream, watermark, version, run_id, committed_at, columns, target, definition)"
        " SELECT :pipeline, :stream, :watermark, :next, :run_id, :committed_at, :columns, :target, :definition"
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
        target=text(mark.target),
        definition=text(mark.definition),
    )
    return dialect.render(statement)


def seed_watermark(pipeline: str, stream: str, at: datetime, place: Place, dialect: Dialect) -> str:
    """Makes the row of a stream that never committed, with version 0, unless it is there; ``watermarks`` hides it."""
    tables = {"watermarks": place.table(WATERMARKS_TABLE)}
    holes: dict[str, exp.Expr] = {
        "pipeline": text(pipeline),
        "stream": text(stream),
        "zero": number(0),
        "nobody": text(""),
        "at": instant(at),
        "nothing": text("[]"),
    }
    if dialect.merges and not dialect.keys_targets:
        # MERGEs into one table wait for each other, INSERTs do not (Snowflake guide, transactions, resource locking).
        skeleton = (
            "MERGE INTO watermarks AS w USING (SELECT :pipeline AS pipeline, :stream AS stream) AS n"
            " ON w.pipeline = n.pipeline AND w.stream = n.stream WHEN NOT MATCHED THEN"
            " INSERT (pipeline, stream, version, run_id, committed_at, columns)"
            " VALUES (n.pipeline, n.stream, :zero, :nobody, :at, :nothing)"
        )
    else:
        skeleton = (
            "INSERT INTO watermarks (pipeline, stream, version, run_id, committed_at, columns)"
            " SELECT :pipeline, :stream, :zero, :nobody, :at, :nothing"
            " WHERE NOT EXISTS (SELECT 1 FROM watermarks AS w WHERE w.pipeline = :pipeline AND w.stream = :stream)"
        )
    return dialect.render(fill(skeleton, tables, **holes))


def move_watermarks(unit: CommitUnit, committed_at: datetime, place: Place, dialect: Dialect) -> str:
    """Compare-and-set of all the unit's watermarks: a row a mark changes, or another run was first."""
    marks = sorted(unit.marks, key=lambda mark: mark.stream)

    def by_stream(values: Sequence[exp.Expr]) -> exp.Expr:
        if len(marks) == 1:
            return values[0]
        cases = [
            exp.If(this=column("stream").eq(text(mark.stream)), true=value)
            for mark, value in zip(marks, values, strict=True)
        ]
        return exp.Case(ifs=cases)

    expected = [
        exp.and_(column("stream").eq(text(mark.stream)), column("version").eq(number(mark.version))) for mark in marks
    ]
    statement = fill(
        "UPDATE watermarks SET watermark = :watermark, version = version + 1, run_id = :run_id,"
        " committed_at = :committed_at, columns = :columns, target = :target, definition = :definition"
        " WHERE pipeline = :pipeline AND :expected",
        {"watermarks": place.table(WATERMARKS_TABLE)},
        pipeline=text(unit.pipeline),
        run_id=text(unit.run_id),
        committed_at=instant(committed_at),
        watermark=by_stream([_stamp(mark.watermark) for mark in marks]),
        columns=by_stream([_json(list(mark.columns)) for mark in marks]),
        target=by_stream([text(mark.target) for mark in marks]),
        definition=by_stream([text(mark.definition) for mark in marks]),
        expected=exp.paren(exp.or_(*expected)),
    )
    return dialect.render(statement)


def _stamp(value: datetime | None) -> exp.Expr:
    return exp.cast(exp.null(), "TIMESTAMPTZ") if value is None else instant(value)


def lock(place: Place, dialect: Dialect) -> str:
    """Keeps other writers away from the bookkeeping until this transaction ends, where the dialect has such a thing."""
    return dialect.lock.format(table=dialect.render(place.table(WATERMARKS_TABLE)))


def write_run(
    run: Callable[[str], Sequence[Sequence[Any]]],
    unit: CommitUnit,
    committed_at: datetime,
    place: Place,
    dialect: Dialect,
) -> None:
    """Writes the run's row by ``run``, which sends a statement; what it committed before stays told of."""
    before: list[Mapping[str, Any]] = []
    if unit.again and (found := run(select_run(unit, place, dialect))):
        run(delete_run(unit, place, dialect))
        before = [json.loads(told) for (told,) in found]
    run(insert_run(unit, committed_at, place, dialect, before))


def select_run(unit: CommitUnit, place: Place, dialect: Dialect) -> str:
    query = fill(
        "SELECT run FROM runs WHERE pipeline = :pipeline AND run_id = :run_id ORDER BY committed_at",
        {"runs": place.table(RUNS_TABLE)},
        pipeline=text(unit.pipeline),
        run_id=text(unit.run_id),
    )
    return dialect.render(query)


def delete_run(unit: CommitUnit, place: Place, dialect: Dialect) -> str:
    statement = fill(
        "DELETE FROM runs WHERE pipeline = :pipeline AND run_id = :run_id",
        {"runs": place.table(RUNS_TABLE)},
        pipeline=text(unit.pipeline),
        run_id=text(unit.run_id),
    )
    return dialect.render(statement)


def insert_run(
    unit: CommitUnit,
    committed_at: datetime,
    place: Place,
    dialect: Dialect,
    before: Sequence[Mapping[str, Any]] = (),
) -> str:
    statement = fill(
        "INSERT INTO runs (run_id, pipeline, started_at, committed_at, run)"
        " SELECT :run_id, :pipeline, :started_at, :committed_at, :run",
        {"runs": place.table(RUNS_TABLE)},
        run_id=text(unit.run_id),
        pipeline=text(unit.pipeline),
        started_at=instant(unit.started_at),
        committed_at=instant(committed_at),
        run=_json(unit.told_with(before)),
    )
    return dialect.render(statement)


def select_runs(pipeline: str, place: Place, dialect: Dialect) -> str:
    query = fill(
        "SELECT run_id, run FROM runs WHERE pipeline = :pipeline ORDER BY committed_at, run_id",
        {"runs": place.table(RUNS_TABLE)},
        pipeline=text(pipeline),
    )
    return dialect.render(query)


def committed_run(run_id: str, run: Mapping[str, Any]) -> CommittedRun:
    """What a run's row says; a row of another make says less, never something else."""
    return CommittedRun(run_id, str(run.get("kind", "")), _numbers(run.get("rows")), _numbers(run.get("versions")))


def _numbers(told: object) -> dict[str, int]:
    pairs = told.items() if isinstance(told, dict) else ()
    return {str(name): value for name, value in pairs if isinstance(value, int)}


def committed_runs(rows: Sequence[Sequence[Any]]) -> dict[str, CommittedRun]:
    """The rows of ``select_runs`` by run id, in the order of their last commit; a run may commit stream by stream."""
    found: dict[str, CommittedRun] = {}
    for run_id, run in rows:
        each, earlier = committed_run(run_id, json.loads(run)), found.pop(run_id, None)
        found[run_id] = each if earlier is None else replace(each, rows={**earlier.rows, **each.rows})
    return {run.run_id: run for run in in_order(list(found.values()))}


def in_order(runs: Sequence[CommittedRun]) -> list[CommittedRun]:
    """The runs with each stream's in the order of its versions (FENCED-COMMIT), which no clock can turn round; where
    those say nothing, as they come."""
    later: dict[int, list[int]] = {place: [] for place in range(len(runs))}
    waits = [0] * len(runs)
    for places in _by_version(runs):
        for before, after in pairwise(places):
            later[before].append(after)
            waits[after] += 1
    ready, found = [place for place, count in enumerate(waits) if not count], list[CommittedRun]()
    while later:
        # Runs that committed stream by stream, side by side, may each be after the other: then the earlier one first.
        place = heapq.heappop(ready) if ready else min(later)
        if place not in later:
            continue
        found.append(runs[place])
        for after in later.pop(place):
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(ready, after)
    return found


def _by_version(runs: Sequence[CommittedRun]) -> Iterator[list[int]]:
    """Each stream's runs as places in ``runs``. A version that was reached twice tells of a bookkeeping begun anew, and
    then versions order nothing."""
    streams: dict[str, dict[int, int]] = {}
    twice = set[str]()
    for place, run in enumerate(runs):
        for stream, version in run.versions.items():
            if streams.setdefault(stream, {}).setdefault(version, place) != place:
                twice.add(stream)
    for stream, versions in streams.items():
        if stream not in twice:
            yield [versions[version] for version in sorted(versions)]


def _json(value: object) -> exp.Literal:
    return text(json.dumps(value, sort_keys=True))
