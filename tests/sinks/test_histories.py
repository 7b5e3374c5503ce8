"""Random histories of manifests: DuckDB, the in-memory warehouse and a dictionary agree on counts and rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.connectors.connector import DELETED_COLUMN
from syncline.sinks.duckdb import DuckDB
from syncline.sinks.landing import Landing
from syncline.sinks.memory import Memory
from syncline.sinks.trial import PIPELINE, START, Change, Trial, at, record, tombstone
from syncline.sinks.warehouse import DELETED_AT_COLUMN, CommitCounts, CommitUnit, Mark, Warehouse
from tests.sinks.houses import MemoryHouse, utc

IDS = ("a", "b", "c", "d")
NOW = datetime(2030, 1, 1, tzinfo=UTC)

STAMPS = st.one_of(st.none(), st.integers(0, 6))
RECORDS = st.builds(record, st.sampled_from(IDS), st.sampled_from(["x", "y", None]), STAMPS, deleted=st.booleans())
TOMBSTONES = st.builds(tombstone, st.sampled_from(IDS), STAMPS)
CHANGES = st.builds(
    Change,
    st.lists(RECORDS, max_size=6),
    st.lists(TOMBSTONES, max_size=2),
    mode=st.sampled_from(["changes", "changes", "snapshot"]),
    high=st.integers(0, 7).map(at),
)
SHAPES = st.fixed_dictionaries(
    {
        "on_delete": st.sampled_from(["delete", "mark", "ignore"]),
        "cursor": st.sampled_from(["Stamp", "Stamp", None]),
        "key": st.sampled_from([("Id",), ("Id",), ("Id", "Name"), ()]),
    }
)


@dataclass
class Pair:
    """The same manifests go to every warehouse."""

    trial: Trial
    warehouses: list[Warehouse]
    versions: Iterator[int]

    def run(self, change: Change) -> list[CommitCounts]:
        run_id, version = self.trial.next_run(), next(self.versions)
        plan = change.plan(run_id)
        manifest = self.trial.land(change, run_id)
        unit = CommitUnit(PIPELINE, run_id, START, [plan], [Mark(plan.stream, version, change.high, ())])
        results = []
        for warehouse in self.warehouses:
            warehouse.prepare([plan])
            assert warehouse.load(plan, manifest, self.trial.landing) == manifest.rows
            results.append(warehouse.commit(unit))
        return results


NUMBERS = itertools.count()


def rows_of(table: pa.Table | None) -> list[dict[str, Any]]:
    assert table is not None
    columns = [*sorted(set(table.column_names) - {DELETED_AT_COLUMN}), DELETED_AT_COLUMN]
    rows = [{name: row.get(name) for name in columns} for row in table.to_pylist()]
    return sorted(rows, key=repr)


def complete(change: Change) -> Change:
    """Without null keys; and a tombstone of a wider key names it all."""
    records = [{**row, "Name": row["Name"] or "z"} for row in change.records]
    tombstones = [{**row, "Name": "x"} for row in change.tombstones]
    if change.key == ("Id",):
        return change
    return replace(change, records=records, tombstones=tombstones if change.key else [])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, changes=st.lists(CHANGES, min_size=1, max_size=5))
def test_random_histories_end_alike_everywhere(
    tmp_path_factory: pytest.TempPathFactory, shape: dict[str, Any], changes: list[Change]
) -> None:
    name = f":memory:history{next(NUMBERS)}"
    house = MemoryHouse()
    clock = itertools.count()

    def now() -> datetime:
        return at(1_000_000 + next(clock) // 2)

    with duckdb.connect(name) as reader, closing(DuckDB(name, clock=now)) as one:
        other = Memory(house.storage, clock=now)
        trial = Trial(house, Landing(str(tmp_path_factory.mktemp("landing"))))
        pair = Pair(trial, [one, other], itertools.count())
        for change in changes:
            by_sql, by_hand = pair.run(complete(replace(change, **shape)))
            assert by_sql == by_hand
            found = utc(reader.sql('FROM "Account"').to_arrow_table())
            assert rows_of(found) == rows_of(house.read("Account"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, min_size=1, max_size=5), cursor=st.booleans())
def test_random_histories_of_deletes_end_as_a_dictionary_says(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Change], cursor: bool
) -> None:
    """The simplest statement of the merge there is: newest wins, deleted is gone, a snapshot's absent keys go."""
    house, model = MemoryHouse(), dict[str, dict[str, Any]]()
    trial = Trial(house, Landing(str(tmp_path_factory.mktemp("landing"))))
    for change in changes:
        adjusted = replace(change, cursor="Stamp" if cursor else None)
        trial.run(adjusted)
        apply(model, adjusted)
        found = {row["Id"]: (row["Name"], row["Stamp"]) for row in trial.rows()}
        assert found == {id: (row["Name"], row["Stamp"]) for id, row in model.items()}


def apply(model: dict[str, dict[str, Any]], change: Change) -> None:
    staged = [*change.records, *change.tombstones]
    recent = {id for id, row in model.items() if change.cursor and row["Stamp"] and row["Stamp"] >= change.high}
    for id in {row["Id"] for row in staged}:
        ages = [(age(row, change), number) for number, row in enumerate(staged) if row["Id"] == id]
        row = staged[max(ages)[1]]
        guarded = id in model and (change.mode == "changes" or id in recent)
        if guarded and age(row, change) < age(model[id], change):
            continue
        if row[DELETED_COLUMN]:
            model.pop(id, None)
        else:
            model[id] = row
    if change.mode == "snapshot":
        for id in set(model) - {row["Id"] for row in staged} - recent:
            del model[id]


def age(row: dict[str, Any], change: Change) -> datetime:
    """A null is older than any instant; without a cursor all are of one age."""
    return (row["Stamp"] or START.replace(year=1)) if change.cursor else START
