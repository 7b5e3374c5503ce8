"""What the bench holds against the goals is the work that it says, and a goal that is missed is told as missed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from benchmarks import goals, run_merge, target
from benchmarks.cases import CASES
from benchmarks.cases_command import CRON
from benchmarks.cases_streams import IDLE_MANY, IDLE_OBJECTS, SMALL_OBJECTS
from benchmarks.cases_target import SYNCS, merge_case
from benchmarks.many_objects import OBJECTS_MAX, object_types
from benchmarks.measure import Measurement
from benchmarks.meter import Reading
from syncline.sinks import Landing
from tests.docs.pages import read

pytestmark = pytest.mark.checkout

ROWS = 4_000
CHANGED = 40


def figure(
    case: str, program: str = "syncline", *, cpu_s: float = 1.0, wall_s: float = 1.0, peak_mb: float = 100.0,
    rows: int = 1_000_000, **detail: Any,
) -> Measurement:  # fmt: skip
    return Measurement(case, program, Reading(rows, wall_s, cpu_s, peak_mb, 0.0, detail), wall_s, 0.5)


def merges(keys: str, cpu_s: float) -> list[Measurement]:
    """Into targets of two sizes, between which one scan costs a second more, and Syncline ``cpu_s`` more."""
    small, large = (merge_case(rows, keys) for rows in (10, 100))
    found = [figure(small, target_rows=10, cpu_s=1.0), figure(large, target_rows=100, cpu_s=1.0 + cpu_s)]
    for rows, scan_s in ((10, 0.5), (100, 1.5)):
        found.append(figure(merge_case(rows, "spread"), "plain_merge", target_rows=rows, scan={"cpu_s": scan_s}))
    return found


def syncs(last: float) -> Measurement:
    return figure(SYNCS, syncs={"1": {"cpu_s": 1.0, "file_mb": 1.0}, "100": {"cpu_s": last, "file_mb": 9.0}})


def beside(case: str, program: str, cpu_s: float) -> list[Measurement]:
    return [figure(case, cpu_s=cpu_s), figure(case, program, cpu_s=1.0)]


GOALS = [
    ("Bulk: CPU over the CSV", lambda v: beside("bulk", "plain_csv", v), 1.15, 1.16),
    ("Bulk, five times the rows: CPU", lambda v: beside("larger", "plain_csv", v), 1.15, 1.16),
    ("REST: CPU over the JSON", lambda v: beside("rest", "plain_json", v), 1.15, 1.16),
    ("Bulk: rows/s over the CSV", lambda v: [figure("bulk", wall_s=v), figure("bulk", "plain_csv")], 1.1, 1.12),
    ("Bulk: rows/s over those of dlt", lambda v: [figure("bulk"), figure("rest", "dlt", wall_s=v)], 15.1, 14.9),
    ("Bulk: CPU over that of dlt", lambda v: [figure("bulk"), figure("rest", "dlt", cpu_s=v)], 9.0, 8.9),
    ("Bulk: peak memory", lambda v: [figure("bulk", peak_mb=v)], 450, 451),
    ("Bulk, twenty times the rows: peak", lambda v: [figure("largest", peak_mb=v)], 450, 451),
    ("a tenth of the rows changed: CPU", lambda v: beside("a tenth changed", "plain_csv", v), 1.3, 1.31),
    ("merge, spread keys", lambda v: merges("spread", v), 1.29, 1.31),
    ("merge, newest keys", lambda v: merges("newest", v), 0.49, 0.51),
    (f"{SYNCS}: CPU", lambda v: [syncs(v)], 1.3, 1.31),
    (f"{IDLE_MANY}: CPU", lambda v: [idle(cpu_s=v)], 0.99, 1.0),
    (f"{IDLE_MANY}: CPU with", lambda v: [idle(process_cpu_s=v)], 0.99, 1.0),
    (f"{IDLE_MANY}: requests", lambda v: [idle(api_calls=v)], IDLE_OBJECTS, IDLE_OBJECTS + 1),
    (f"{IDLE_MANY}: warehouse", lambda v: [idle(warehouse_statements=v)], 0, 1),
    ("200 small streams", lambda v: [figure("small", cpu_s=v * SMALL_OBJECTS)], 0.049, 0.05),
    ("REST, two streams", lambda v: [figure("rest, two streams, threads", cpu_s=v)], 1.1, 1.0),
    ("syncline run", lambda v: [figure(CRON, wall_s=v)], 1.19, 1.2),
    ("syncline --help", lambda v: [figure("help", wall_s=v)], 0.29, 0.3),
]  # fmt: skip


def idle(cpu_s: float = 0.1, **told: float) -> Measurement:
    detail: dict[str, Any] = {"api_calls": 1, "warehouse_statements": 0, "process_cpu_s": 1, **told}
    return figure(IDLE_MANY, rows=0, cpu_s=cpu_s, **detail)


@pytest.mark.parametrize(("name", "made", "good", "bad"), GOALS, ids=[name for name, *_ in GOALS])
def test_a_goal_is_met_up_to_its_bound_and_no_further(name: str, made: Any, good: float, bad: float) -> None:
    for value, met in ((good, True), (bad, False)):
        [verdict, *_] = [each for each in goals.verdicts(made(value)) if each.name.startswith(name)]
        assert verdict.met is met, verdict


def test_what_was_not_measured_or_failed_is_no_goal_met() -> None:
    failed = [Measurement(case, "syncline", None, 1.0, 0.0, "failed") for case in ("bulk", "rest", "small", CRON)]
    for measured in ([], failed):
        assert {(each.met, each.value) for each in goals.verdicts(measured)} == {(None, "not measured")}


def test_every_work_is_told_on_the_page() -> None:
    page = read("docs/benchmarks.md")
    assert [name for name in CASES if f"`{name}`" not in page] == []


def test_an_org_of_many_objects_has_a_prefix_for_each() -> None:
    assert len({each.key_prefix for each in object_types(OBJECTS_MAX)}) == OBJECTS_MAX
    with pytest.raises(ValueError, match="prefixes"):
        object_types(OBJECTS_MAX + 1)


@pytest.mark.parametrize("keys", ["spread", "newest"])
def test_the_port_and_the_plain_script_leave_the_same_rows(tmp_path: Path, keys: target.Keys) -> None:
    rows = target.changed(ROWS, CHANGED, keys)
    tables = []
    for step in (run_merge.plain, run_merge.syncline):
        folder = tmp_path / step.__name__
        folder.mkdir()
        landing = Landing(str(folder / "landing"))
        run_merge.make(folder, landing, ROWS)
        assert step(folder, landing, rows).rows == CHANGED
        tables.append(held(folder))
    assert tables[0].equals(tables[1])
    assert tables[0].num_rows == ROWS
    renamed = [index for index, name in enumerate(tables[0]["Name"].to_pylist()) if name.endswith(", version 1")]
    assert renamed == list(range(rows.first, rows.first + rows.step * CHANGED, rows.step))


def held(folder: Path) -> pa.Table:
    columns = ", ".join(f'"{name}"' for name in target.COLUMNS.names)
    with closing(duckdb.connect(str(folder / run_merge.DATABASE), read_only=True)) as connection:
        return connection.sql(f'SELECT {columns} FROM "{target.NAME}" ORDER BY "Id"').to_arrow_table()
