"""What Syncline sends to Redshift, statement by statement, and that its transactions hold DML only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import MassDelete
from syncline.sinks import served_commit
from syncline.sinks.landing import Landing
from syncline.sinks.lattice import JSON
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN
from tests.servers.redshift_fixtures import FakeRedshift
from tests.sinks.redshift_house import RedshiftHouse
from tests.sinks.redshift_rules import Sent, breaches, sent
from tests.sinks.snapshot import FOLDER, check_snapshot

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)

RUNS = ("first", "incremental", "new_column", "wider_column", "reload", "documents", "documents_again")


@pytest.fixture
def trial(fake_redshift: FakeRedshift) -> Trial:
    house = RedshiftHouse(fake_redshift, seams={"clock": lambda: NOW})
    return Trial(house, Landing(**fake_redshift.landing))


def journey(trial: Trial, log: list[str]) -> dict[str, list[str]]:
    """A stream's life in five runs; what each of them sent."""
    found: dict[str, list[str]] = {}

    def run(*changes: Change) -> None:
        log.clear()
        trial.run(*changes)
        found[RUNS[len(found)]] = list(log)

    contact = Change([record("9")], stream="Contact", on_delete="mark")
    run(Change([record("1"), record("2"), record("2", "twice", 1)]), contact)
    run(Change([record("1", "new", 2), record("3", stamp=2)], [tombstone("2", 2)]))
    wider = COLUMNS.append(pa.field("Amount", pa.int64())).append(pa.field("Tags", pa.list_(pa.string())))
    run(Change([{**record("3", stamp=3), "Amount": 1, "Tags": ["a", "b"]}], columns=wider))
    money = wider.set(wider.get_field_index("Amount"), pa.field("Amount", pa.decimal128(18, 2)))
    again = {**record("1", "again", 4), "Amount": 2, "Tags": None}
    run(Change([again], columns=money))
    run(Change([{**again, "Tags": []}], columns=money, mode="snapshot"))
    documents = COLUMNS.append(pa.field("Doc", JSON))
    run(Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    run(Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    return found


# ---- the sequences ----


def test_each_kind_of_run_sends_the_statements_that_were_reviewed(trial: Trial, fake_redshift: FakeRedshift) -> None:
    """DDL-BEFORE, ONE-TRANSACTION and FENCED-COMMIT can be read off each file."""
    for name, log in journey(trial, fake_redshift.server.log).items():
        check_snapshot(f"redshift_run_{name}", titled(sent(log), fake_redshift))
        assert breaches(log) == []
    assert [(row["Id"], row["Name"]) for row in trial.rows()] == [("1", "again")]
    assert {path.stem for path in FOLDER.glob("redshift_run_*")} == {f"redshift_run_{name}" for name in RUNS}


def titled(statements: Sequence[Sent], fake: FakeRedshift) -> list[tuple[str, str]]:
    return [
        (f"{n}, in transaction {each.transaction}" if each.transaction else f"{n}", plain_text(each.statement, fake))
        for n, each in enumerate(statements, 1)
    ]


def plain_text(statement: str, fake: FakeRedshift) -> str:
    """Without what differs from run to run."""
    shown = re.sub(r"\bs[0-9a-f]{16}_", "s0000000000000000_", statement)
    shown = shown.replace(fake.schema, "crm").replace(fake.bucket, "bucket")
    return re.sub(r"/[0-9a-f]{16}\.manifest", "/<16 hex digits>.manifest", shown)


# ---- DDL-BEFORE, broken by hand ----


@pytest.mark.parametrize(
    ("slipped", "left", "says"),
    [
        pytest.param("", "undone", None, id="nothing"),
        pytest.param("CREATE TABLE {schema}.slipped (a INT)", "undone", None, id="create"),
        pytest.param("ALTER TABLE {schema}.account ADD COLUMN b INT", "undone", None, id="alter"),
        pytest.param("TRUNCATE {schema}.other", "half a run", None, id="truncate"),
        pytest.param("ALTER TABLE {schema}.account ALTER COLUMN name TYPE VARCHAR(9)", "undone", "25001", id="length"),
        pytest.param("VACUUM {schema}.account", "undone", "25001", id="vacuum"),
        pytest.param("ALTER TABLE {schema}.account APPEND FROM {schema}.other", "undone", "25001", id="append"),
    ],
)
def test_ddl_that_slips_between_begin_and_commit_is_noticed(
    trial: Trial, fake_redshift: FakeRedshift, monkeypatch: pytest.MonkeyPatch, slipped: str, left: str, says: str
) -> None:
    """DDL-BEFORE: a guard stops the run after its writing, and all that was written is undone, or not."""
    ids = [str(number) for number in range(DELETE_GUARD_ROWS_MIN + 2)]
    trial.run(Change([record(id, stamp=5) for id in ids]))
    with fake_redshift.reader() as other:
        other.execute(f"CREATE TABLE {fake_redshift.schema}.other (a INT)")
    statement = slipped.format(schema=fake_redshift.schema)

    def check(*given: Any) -> None:
        if slipped:
            given_session[0].run(statement)
        raise MassDelete("delete rows", "Account", "too many", "look")

    given_session: list[Any] = []
    write = served_commit.write

    def noting(session: Any, *rest: Any) -> Any:
        given_session.append(session)
        return write(session, *rest)

    monkeypatch.setattr(served_commit, "write", noting)
    monkeypatch.setattr(served_commit, "check_deletes", check)
    fake_redshift.server.log.clear()
    with pytest.raises(Exception, match=says or "too many"):
        trial.run(Change([record(ids[0], "new", 9)], [tombstone(id, 9) for id in ids[1:]], delete_share_max=0.2))
    assert breaches(fake_redshift.server.log) == ([statement] if slipped else [])
    assert len(trial.rows()) == (len(ids) if left == "undone" else 1)
