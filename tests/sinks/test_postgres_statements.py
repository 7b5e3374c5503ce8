"""What Syncline sends to Postgres, as read off the wire; to servers whose MERGE counts, and to older ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from syncline.sinks import postgres_session
from syncline.sinks.conformance_merge import MergeLaws
from syncline.sinks.landing import Landing
from syncline.sinks.lattice import JSON
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from tests.servers.pg_proxy import PgProxy, between
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import LowerHouse, new_schema
from tests.sinks.snapshot import check_snapshot

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
DML = ("BEGIN", "LOCK", "UPDATE", "INSERT", "DELETE", "SELECT", "WITH changed AS (MERGE", "COMMIT", "ROLLBACK")


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("statements") as address:
        yield address


@pytest.fixture
def without_merge_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Postgres 15 and 16, whose MERGE does not tell what it did."""
    monkeypatch.setattr(postgres_session, "MERGE_RETURNS_VERSION", 990_000)


@pytest.fixture
def proxy(address: PgAddress) -> Iterator[PgProxy]:
    with between(address) as proxy:
        yield proxy


def plain_text(statement: str, schema: str) -> str:
    """Without what differs from run to run: the schema, and the digest of it that staging tables' names begin with."""
    return re.sub(r"\bs[0-9a-f]{16}_", "s0000000000000000_", statement).replace(schema, "crm")


def journey(proxy: PgProxy, schema: str, folder: Path) -> dict[str, list[str]]:
    """A stream's life in five runs; what each of them sent."""
    trial = Trial(LowerHouse(proxy.address, schema, {"clock": lambda: NOW}), Landing(str(folder)))
    sent: dict[str, list[str]] = {}

    def run(name: str, *changes: Change) -> None:
        trial.run(*changes)
        sent[name] = [plain_text(statement, schema) for statement in proxy.statements]
        proxy.statements.clear()

    contact = Change([record("9")], stream="Contact", on_delete="mark")
    run("first", Change([record("1"), record("2"), record("2", "twice", 1)]), contact)
    run("incremental", Change([record("1", "new", 2), record("3", stamp=2)], [tombstone("2", 2)]))
    run("mark", Change([record("9", "x", 3)], [tombstone("8", 3)], stream="Contact", on_delete="mark"))
    wider = COLUMNS.append(pa.field("Amount", pa.decimal128(18, 2)))
    run("new_column", Change([{**record("3", stamp=3), "Amount": 1}], columns=wider))
    run("reload", Change([{**record("1", "again", 4), "Amount": 2}], columns=wider, mode="snapshot"))
    documents = COLUMNS.append(pa.field("Doc", JSON))
    run("documents", Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    run("documents_again", Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    assert [row["Name"] for row in trial.rows()] == ["again"]
    return sent


def transactions(statements: Sequence[str]) -> list[list[str]]:
    """What stands between each BEGIN and its end, both included."""
    found: list[list[str]] = []
    inside = False
    for statement in statements:
        if statement == "BEGIN":
            found.append([])
            inside = True
        if inside:
            found[-1].append(statement)
        if statement in ("COMMIT", "ROLLBACK"):
            inside = False
    return found


def titled(statements: Sequence[str]) -> list[tuple[str, str]]:
    lines, inside = [], False
    for number, statement in enumerate(statements, 1):
        inside = inside or statement == "BEGIN"
        lines.append((f"{number}{', in the transaction' if inside else ''}", statement))
        inside = inside and statement not in ("COMMIT", "ROLLBACK")
    return lines


def test_each_kind_of_run_sends_the_statements_that_were_reviewed(proxy: PgProxy, tmp_path: Path) -> None:
    """DDL-BEFORE, ONE-TRANSACTION and FENCED-COMMIT can be read off each file."""
    for name, statements in journey(proxy, new_schema(), tmp_path).items():
        check_snapshot(f"postgres_run_{name}", titled(statements))


@pytest.mark.usefixtures("without_merge_counts")
def test_postgres_15_is_sent_statements_that_can_be_counted(proxy: PgProxy, tmp_path: Path) -> None:
    sent = journey(proxy, new_schema(), tmp_path)
    check_snapshot("postgres_15_run_incremental", titled(sent["incremental"]))
    assert not [statement for statements in sent.values() for statement in statements if "MERGE" in statement]


def test_a_transaction_holds_dml_alone_and_moves_the_watermarks_first(proxy: PgProxy, tmp_path: Path) -> None:
    """DDL-BEFORE, FENCED-COMMIT, ROWS-THEN-MARK by order: lock, fence, rows, run row, COMMIT."""
    for name, statements in journey(proxy, new_schema(), tmp_path).items():
        *seeds, unit = transactions(statements)
        assert len(seeds) == (1 if name in ("first", "documents") else 0)
        assert all(statement.startswith(DML) for statement in unit), unit
        assert [statement.split()[0] for statement in unit[:3]] == ["BEGIN", "LOCK", "UPDATE"]
        assert "_syncline_watermarks" in unit[2]
        assert unit[-2].startswith('INSERT INTO "crm"."_syncline_runs"')
        assert unit[-1] == "COMMIT"


@pytest.mark.usefixtures("without_merge_counts")
class TestPostgres15(MergeLaws):
    @pytest.fixture
    def trial(self, address: PgAddress, tmp_path: Path) -> Trial:
        return Trial(LowerHouse(address, new_schema()), Landing(str(tmp_path / "landing")))
