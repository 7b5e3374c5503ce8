"""The warehouse half of the straight-line programs: Parquet files into a DuckDB table in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks import account

SETTINGS: Final = {"preserve_insertion_order": "false"}
TARGET: Final = "Account"


def warm_up() -> None:
    """Pays DuckDB's import before the clock starts."""
    import duckdb

    duckdb.connect().close()


def insert(database: Path, files: Sequence[Path]) -> int:
    """Makes the table and fills it: the cheapest full load there is."""
    import duckdb

    with closing(duckdb.connect(str(database), config=dict(SETTINGS))) as connection:
        connection.execute("BEGIN")
        connection.execute(account.duckdb_table(TARGET))
        found = connection.execute(
            f'INSERT INTO "{TARGET}" SELECT * FROM read_parquet($files)', {"files": [str(path) for path in files]}
        ).fetchone()
        connection.execute("COMMIT")
    return 0 if found is None else int(found[0])


def replace_changed(database: Path, files: Sequence[Path]) -> int:
    """Deletes by key and inserts: the cheapest incremental there is, without counts, guards or a check for sameness."""
    import duckdb

    # What commit and checkpoint would tidy up is left for later (reference: deferred vacuum).
    with closing(duckdb.connect(str(database), config={**SETTINGS, "max_vacuum_tasks": "0"})) as connection:
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TEMP TABLE changed AS SELECT * FROM read_parquet($files)", {"files": [str(path) for path in files]}
        )
        connection.execute(f'DELETE FROM "{TARGET}" WHERE "Id" IN (SELECT "Id" FROM changed)')
        found = connection.execute(f'INSERT INTO "{TARGET}" SELECT * FROM changed').fetchone()
        connection.execute("COMMIT")
    return 0 if found is None else int(found[0])
