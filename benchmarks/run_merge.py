"""The merge step alone: changed rows, landed already, into a large target, from opening its file to closing it.

``make`` makes the target; ``plain`` deletes by key and inserts, in one transaction; ``syncline`` goes through the
warehouse's port: prepare, load, commit, with counts, guards and bookkeeping. What ``plain`` tells of ``scan`` is one
look through the key column for the changed keys.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from benchmarks import plain_duckdb, target
from benchmarks.meter import Meter, Reading, tell

if TYPE_CHECKING:
    from syncline.sinks import Landing

DATABASE: Final = "target.duckdb"
USED_LATE: Final = (
    "duckdb", "sqlglot", "pyarrow.parquet", "syncline.sinks.duckdb_commit", "syncline.sinks.duckdb_upkeep",
    "syncline.sinks.landing", "syncline.sinks.staging",
)  # fmt: skip


def warm_up() -> None:
    for name in USED_LATE:
        import_module(name)
    plain_duckdb.warm_up()


def make(folder: Path, landing: Landing, rows: int) -> Reading:
    meter = Meter()
    target.make(folder / DATABASE, landing, rows)
    return meter.read(rows)


def plain(folder: Path, landing: Landing, rows: target.Rows) -> Reading:
    files = landing.paths(target.land(landing, rows, "run-plain").files, folder)
    scan = scanned(folder / DATABASE, files)
    meter = Meter()
    replaced = replace_changed(folder / DATABASE, files)
    if replaced != rows.count:
        raise RuntimeError(f"{rows.count} rows landed, {replaced} replaced")
    return meter.read(rows.count, scan={"wall_s": scan.wall_s, "cpu_s": scan.cpu_s})


def syncline(folder: Path, landing: Landing, rows: target.Rows) -> Reading:
    manifest = target.land(landing, rows, "run-0001")
    warehouse = target.open_warehouse(folder / DATABASE)
    meter = Meter()
    try:
        counts = target.merge(warehouse, landing, manifest)
    finally:
        warehouse.close()
    if counts.updated != rows.count:
        raise RuntimeError(f"{rows.count} rows landed, {counts.updated} updated")
    return meter.read(rows.count, warehouse_statements=warehouse.statements)


def scanned(database: Path, files: Sequence[Path]) -> Reading:
    import duckdb

    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        connection.execute('CREATE TEMP TABLE changed AS SELECT "Id" FROM read_parquet($files)', _names(files))
        meter = Meter()
        found = connection.execute(
            f'SELECT count(*) FROM "{target.NAME}" WHERE "Id" IN (SELECT "Id" FROM changed)'
        ).fetchone()
        return meter.read(0 if found is None else int(found[0]))


def replace_changed(database: Path, files: Sequence[Path]) -> int:
    """As ``plain_duckdb.replace_changed`` does, for this table's columns, and no further than the keys reach."""
    import duckdb

    columns = ", ".join(f'"{name}"' for name in target.COLUMNS.names)
    # As in plain_duckdb: what commit and checkpoint would tidy up is left for later.
    with closing(
        duckdb.connect(str(database), config={**plain_duckdb.SETTINGS, "max_vacuum_tasks": "0"})
    ) as connection:
        connection.execute("BEGIN")
        connection.execute(
            f"CREATE TEMP TABLE changed AS SELECT {columns}, now() FROM read_parquet($files)", _names(files)
        )
        bounds = connection.execute('SELECT min("Id"), max("Id") FROM changed').fetchone()
        assert bounds is not None
        # Bounds as literals spare what lies beyond them; those that a join finds by itself do not (measured, 2.0).
        connection.execute(
            f'DELETE FROM "{target.NAME}" WHERE "Id" IN (SELECT "Id" FROM changed)'
            f""" AND "Id" BETWEEN '{bounds[0]}' AND '{bounds[1]}'"""
        )
        found = connection.execute(f'INSERT INTO "{target.NAME}" SELECT * FROM changed').fetchone()
        connection.execute("COMMIT")
    return 0 if found is None else int(found[0])


def _names(files: Sequence[Path]) -> dict[str, object]:
    return {"files": [str(path) for path in files]}


def main() -> None:
    from syncline.sinks import Landing

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--step", choices=("make", "plain", "syncline"), required=True)
    parser.add_argument("--target-rows", type=int, required=True)
    parser.add_argument("--changed", type=int, default=0)
    parser.add_argument("--keys", choices=get_args(target.Keys), default="spread")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    landing = Landing(str(asked.folder / "landing"))
    warm_up()
    if asked.step == "make":
        tell(make(asked.folder, landing, asked.target_rows))
        return
    rows = target.changed(asked.target_rows, asked.changed, asked.keys)
    step = plain if asked.step == "plain" else syncline
    told = step(asked.folder, landing, rows)
    told.detail.update(target_rows=asked.target_rows, keys=asked.keys)
    tell(told)


if __name__ == "__main__":
    main()
