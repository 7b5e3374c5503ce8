"""``check`` of a DuckDB file: every trouble a run would meet there is found before, with its cure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncline.connectors.finding import Finding
from syncline.sinks.duckdb import DuckDB


def found(path: str | Path, **settings: object) -> Finding:
    warehouse = DuckDB(path, sleep=no_wait, **settings)  # type: ignore[arg-type]
    [finding] = warehouse.check()
    assert str(path) in finding.subject
    return finding


def no_wait(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} s: a check does not wait for a file that is held")


def test_a_file_that_is_not_there_yet_can_be_made_and_is_not(tmp_path: Path) -> None:
    assert found(tmp_path / "crm.duckdb").level == "ok"
    assert list(tmp_path.iterdir()) == [], "a check leaves nothing behind"


def test_a_file_that_is_there_is_opened_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    finding = found(path)
    assert (finding.level, finding.text) == ("ok", "it can be opened")
    assert list(tmp_path.iterdir()) == [path]
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM t").fetchall() == [(7,)]


def test_a_folder_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    finding = found(tmp_path / "nowhere" / "crm.duckdb")
    assert finding.level == "error"
    assert "open DuckDB file" in finding.text
    assert "check that the folder exists" in finding.cure


def test_a_folder_that_may_not_be_written_is_found_though_the_file_may_be_read(tmp_path: Path) -> None:
    """The super user may write everywhere, so the refusal is DuckDB's own, told at the file it was asked to make."""
    path = tmp_path / "crm.duckdb"
    duckdb.connect(str(path)).close()

    def connect(wanted: str) -> duckdb.DuckDBPyConnection:
        if wanted != str(path):
            raise duckdb.IOException(f'IO Error: Cannot open file "{wanted}": Permission denied')
        return duckdb.connect(wanted)

    finding = found(path, connect=connect)
    assert finding.level == "error"
    assert "Permission denied" in finding.text


def test_a_full_disk_is_an_error_though_a_later_run_may_find_room(tmp_path: Path) -> None:
    class Full:
        def execute(self, statement: str) -> Any:
            if statement.startswith("CREATE"):
                raise duckdb.IOException("IO Error: No space left on device")
            return duckdb.connect().execute("SELECT 1")

        def close(self) -> None: ...

    finding = found(tmp_path / "crm.duckdb", connect=lambda path: Full())
    assert finding.level == "error"
    assert "free disk space" in finding.cure


@pytest.mark.parametrize("content", [b"no database at all, but more than enough bytes " * 200, b"short"])
def test_a_file_of_another_kind_is_found(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "crm.duckdb"
    path.write_bytes(content)
    finding = found(path)
    assert finding.level == "error"
    assert "DuckDB database" in finding.cure
    assert path.read_bytes() == content


def test_a_file_that_another_process_holds_is_told_at_once_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "crm.duckdb"
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        finding = found(path)
        holder.communicate("")
    assert finding.level == "warn", "a run that is under way is no fault"
    assert f"process {holder.pid}" in finding.text
    assert "close it" in finding.cure


def test_a_database_in_memory_is_a_warning() -> None:
    assert found(":memory:").level == "warn"
