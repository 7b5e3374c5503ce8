"""What Syncline sends to Snowflake, statement by statement, and that it keeps the rules of ``snowflake_rules``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import snowflake.connector
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from syncline.connectors.errors import MassDelete, SynclineError
from syncline.sinks import snowflake_copy
from syncline.sinks.landing import Landing
from syncline.sinks.lattice import JSON
from syncline.sinks.manifest import FileEntry
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_copy import Copier
from syncline.sinks.snowflake_cost import Meter
from syncline.sinks.snowflake_session import SnowflakeSession
from syncline.sinks.snowflake_settings import settings_from
from syncline.sinks.snowflake_transactions import Memory
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snapshot import check_snapshot
from tests.sinks.snowflake_house import SnowflakeHouse
from tests.sinks.snowflake_rules import FILES_MAX, Rules, Script, Sent

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


@dataclass
class WatchedHouse(SnowflakeHouse):
    """Opens warehouses whose sessions pass the rules."""

    rules: Rules = field(default_factory=lambda: Rules("CRM_STAGING"))
    given: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Snowflake:
        given = {"database": self.database, "schema": "CRM", "network_timeout_s": 5, **self.given}
        settings = settings_from(self.server.variables, **given)
        connect = self.rules.connect(snowflake.connector.connect)
        return Snowflake(settings, clock=lambda: NOW, sleep=lambda seconds: None, connect=connect)

    def read(self, target: str) -> pa.Table | None:
        return super().read(target.upper())


def journey(trial: Trial, rules: Rules) -> dict[str, list[Sent]]:
    """A stream's life in four runs; what each of them sent."""
    sent: dict[str, list[Sent]] = {}

    def run(name: str, *changes: Change) -> None:
        trial.run(*changes)
        sent[name] = list(rules.sent)
        rules.sent.clear()

    contact = Change([record("9")], stream="Contact", on_delete="mark")
    run("first", Change([record("1"), record("2"), record("2", "twice", 1)]), contact)
    run("incremental", Change([record("1", "new", 2), record("3", stamp=2)], [tombstone("2", 2)]))
    wider = COLUMNS.append(pa.field("Amount", pa.decimal128(18, 2)))
    run("new_column", Change([{**record("3", stamp=3), "Amount": 1}], columns=wider))
    run("reload", Change([{**record("1", "again", 4), "Amount": 2}], columns=wider, mode="snapshot"))
    documents = COLUMNS.append(pa.field("Doc", JSON))
    run("documents", Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    run("documents_again", Change([{**record("1"), "Doc": '{"a":1}'}], stream="Ticket", columns=documents))
    return sent


@dataclass
class Watching:
    trial: Trial
    rules: Rules


@pytest.fixture
def watching(fake_snowflake: FakeSnowflake, tmp_path: Path) -> Watching:
    house = WatchedHouse(fake_snowflake, fake_snowflake.database())
    return Watching(Trial(house, Landing(str(tmp_path / "landing"))), house.rules)


# ---- the sequences ----


def test_each_kind_of_run_sends_the_statements_that_were_reviewed(watching: Watching) -> None:
    """DDL-BEFORE, ONE-TRANSACTION and FENCED-COMMIT can be read off each file."""
    sent = journey(watching.trial, watching.rules)
    assert watching.rules.breaches == []
    for name, statements in sent.items():
        check_snapshot(f"snowflake_run_{name}", titled(statements))
    assert [row["NAME"] for row in watching.trial.rows()] == ["again"]
    assert [each for each in sent["reload"] if each.inside and "INSERT OVERWRITE" in each.statement]


def titled(sent: Sequence[Sent]) -> list[tuple[str, str]]:
    plain = [(each, plain_text(each.statement)) for each in sent]
    return [(f"{n}{', in the transaction' if each.inside else ''}", text) for n, (each, text) in enumerate(plain, 1)]


def plain_text(statement: str) -> str:
    """Without what differs from run to run."""
    for pattern, shown in (
        (r"\bDB_[0-9A-F]{12}\b", "SALES"),
        (r"\bS[0-9A-F]{16}_", "S0000000000000000_"),
        (r"\bSYNCLINE_[0-9A-F]{12}_[0-9A-F]{12}_\d+_\d+", "SYNCLINE_PROCESS"),
        (r"file://\S*/syncline-put-\w+/", "file:///tmp/syncline-put/"),
    ):
        statement = re.sub(pattern, shown, statement)
    return statement.rstrip()


# ---- laws, broken by hand ----


def after_the_merge(rules: Rules, *statements: str) -> None:
    """Slips them in behind the first MERGE of a transaction."""
    left = [list(statements)]

    def slip(statement: str) -> Sequence[str]:
        last = rules.sent[-1] if rules.sent else None
        behind = last is not None and last.inside and last.statement.startswith("MERGE")
        return left.pop() if left and behind else ()

    rules.slip = slip


@pytest.mark.parametrize(
    "ddl",
    [
        pytest.param(None, id="none"),
        'CREATE TABLE "{db}"."CRM"."SLIPPED" ("A" INT)',
    ],
)
def test_ddl_that_slips_between_begin_and_commit_is_noticed_and_leaves_half_a_run(
    watching: Watching, ddl: str | None
) -> None:
    """DDL-BEFORE: a guard stops the run after its MERGE, and what the MERGE did is undone, or not."""
    trial, rules = watching.trial, watching.rules
    assert isinstance(trial.house, WatchedHouse)
    ids = [str(number) for number in range(DELETE_GUARD_ROWS_MIN + 2)]
    trial.run(Change([record(id, stamp=5) for id in ids]))
    if ddl is not None:
        after_the_merge(rules, ddl.format(db=trial.house.database))
    stale = record(ids[0], "older", 1)
    with pytest.raises(MassDelete):
        trial.run(Change([stale], [tombstone(id, 9) for id in ids[1:]], delete_share_max=0.2))
    assert len(trial.rows()) == (len(ids) if ddl is None else 1)
    assert [each.split(":")[0] for each in rules.breaches] == ([] if ddl is None else ["DDL-BEFORE", NOTHING_OPEN])


NOTHING_OPEN = "no transaction is open, what was to be one is in pieces"


def test_a_key_staged_twice_is_refused_and_nothing_is_written(watching: Watching) -> None:
    """NEWEST-WINS: de-duplicated rows never meet error 100090; rows that come twice behind its back do."""
    trial, rules = watching.trial, watching.rules
    trial.run(Change([record("1", "older"), record("1", "newer", 1), record("2")]))
    assert [row["NAME"] for row in trial.rows()] == ["newer", "name"]
    twice = iter([True])

    def slip(statement: str) -> Sequence[str]:
        if "CURRENT_TRANSACTION" not in statement or not next(twice, False):
            return ()
        staged = next(each.statement for each in reversed(rules.sent) if each.statement.startswith("COPY"))
        name = staged.split()[2]
        return [f"INSERT INTO {name} SELECT * FROM {name}"]

    rules.slip = slip
    with pytest.raises(SynclineError, match="100090"):
        trial.run(Change([record("3", "new", 9)]))
    assert len(trial.rows()) == 2


def test_one_row_is_made_of_a_doubled_key(watching: Watching) -> None:
    """What a repair does, in the run's transaction and in Snowflake's own syntax of DELETE."""
    trial, rules = watching.trial, watching.rules
    assert isinstance(trial.house, WatchedHouse)
    trial.run(Change([record("1"), record("2")]))
    with trial.house.server.reader() as reader:
        place = f'"{trial.house.database}"."CRM"."ACCOUNT"'
        reader.cursor().execute(f"INSERT INTO {place} SELECT * FROM {place} WHERE \"ID\" = '1'")
    warehouse = trial.house.open()
    unit = trial.stage(warehouse, Change([record("1", "new", 2), record("3", stamp=2)]))
    counts = warehouse.commit(replace(unit, tables=[replace(each, doubles=True) for each in unit.tables]))
    warehouse.close()
    assert (counts.tables["Account"].doubled, counts.tables["Account"].inserted) == (1, 2)
    assert [(row["ID"], row["NAME"]) for row in trial.rows()] == [("1", "new"), ("2", "name"), ("3", "name")]
    assert [each.inside for each in rules.sent if each.statement.startswith("DELETE")] == [True]
    assert rules.breaches == []


def test_exact_names_are_quoted_everywhere(watching: Watching) -> None:
    """EXACT-NAMES: no statement of a run relies on a name being folded."""
    trial, rules = watching.trial, watching.rules
    assert isinstance(trial.house, WatchedHouse)
    trial.house.given["names"] = "exact"
    rules.staging = "CRM_STAGING"
    trial.run(Change([record("1"), record("1", "newer", 1)], [tombstone("9")], on_delete="mark"))
    assert rules.breaches == []
    assert rules.names.tables[f"{trial.house.database}.CRM.Account"] >= {"Id", "Name", "_syncline_deleted_at"}


def test_the_fence_is_the_first_and_the_only_lock_is_taken_before_anything_is_read(watching: Watching) -> None:
    """FENCED-COMMIT under READ COMMITTED: what is read before the watermark's row is locked may change meanwhile."""
    trial, rules = watching.trial, watching.rules
    trial.run(Change([record("1")]), Change([record("2")], stream="Contact"))
    inside = [each.statement.split()[:3] for each in rules.sent if each.inside]
    assert inside[0] == ["SELECT", "CURRENT_TRANSACTION()"]
    assert [words[0] for words in inside[1:]] == ["UPDATE", "SELECT", "MERGE", "MERGE", "INSERT", "COMMIT"]
    targets = [words[2].rpartition(".")[2] for words in inside if words[0] == "MERGE"]
    assert targets == ['"ACCOUNT"', '"CONTACT"'], "locks are taken in one order, so that two runs cannot wait in a ring"
    rules.slip = lambda statement: [question(trial)] if "CURRENT_TRANSACTION" in statement else ()
    trial.run(Change([record("3", stamp=2)]))
    assert [each.split(":")[0] for each in rules.breaches] == ["READ COMMITTED"]


def question(trial: Trial) -> str:
    assert isinstance(trial.house, WatchedHouse)
    return f'SELECT COUNT(*) FROM "{trial.house.database}"."CRM"."ACCOUNT"'


# ---- the rules themselves, where no server need answer ----


def answered(rules: Rules, *statements: str) -> None:
    cursor = rules.connect(Script(lambda statement: (["n"], [(0,)])))().cursor()
    for statement in statements:
        cursor.execute(statement)


TABLE = 'CREATE TABLE "D"."CRM"."ACCOUNT" ("ID" VARCHAR)'
TOO_MANY = ", ".join(["'f'"] * (FILES_MAX + 1))
DML = 'INSERT INTO "D"."CRM"."ACCOUNT" ("ID") SELECT 1'


@pytest.mark.parametrize(
    ("breach", "statements"),
    [
        ("ONE-TRANSACTION", [DML]),
        ("DDL-BEFORE", ["BEGIN", DML, TABLE]),
        ("a second BEGIN is ignored", ["BEGIN", "BEGIN", "COMMIT"]),
        (NOTHING_OPEN, ["BEGIN", "COMMIT", "COMMIT"]),
        ("a setting of the session", ["BEGIN", "ALTER SESSION SET AUTOCOMMIT = FALSE"]),
        ("files are changed at once", ["BEGIN", DML, "REMOVE '@x/'"]),
        ("READ COMMITTED", ["BEGIN", 'SELECT "ID" FROM "D"."CRM"."ACCOUNT"']),
    ],
)
def test_what_snowflake_would_not_say_is_noticed(breach: str, statements: Sequence[str]) -> None:
    rules = Rules()
    answered(rules, TABLE)
    answered(rules, *statements)
    assert len(rules.breaches) == 1
    assert rules.breaches[0].startswith(breach)


@pytest.mark.parametrize(
    ("errno", "statement"),
    [
        (1_003, "SAVEPOINT a"),
        (1_003, 'DELETE FROM "D"."CRM"."ACCOUNT" AS "T" WHERE "T"."ID" = 1'),
        (1_003, 'UPDATE "D"."CRM"."ACCOUNT" AS "T" SET "ID" = 1'),
        (1_003, "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        (2_003, 'SELECT "ID" FROM "D"."CRM"."Account"'),
        (2_003, "SELECT id FROM d.crm.nope"),
        (904, 'SELECT "Id" FROM "D"."CRM"."ACCOUNT"'),
        (1_003, f"COPY INTO t FROM '@s' FILES = ({TOO_MANY}) FILE_FORMAT = (TYPE = PARQUET)"),
    ],
)
def test_what_snowflake_refuses_is_refused(errno: int, statement: str) -> None:
    rules = Rules()
    answered(rules, TABLE, 'SELECT "ID", id FROM d.crm.account')
    with pytest.raises(ProgrammingError) as caught:
        answered(rules, statement)
    assert caught.value.errno == errno
    assert rules.breaches == []


def test_two_thousand_files_are_copied_in_lists_that_are_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """COUNTED-HOPS over several COPYs; with a longer list, Snowflake's refusal would be met."""
    files = [FileEntry(f"crm/{number}.parquet", "s", "records", 1, 1, "") for number in range(2 * FILES_MAX + 1)]
    assert copied(files) == len(files)
    monkeypatch.setattr(snowflake_copy, "FILES_MAX", FILES_MAX + 1)
    with pytest.raises(SynclineError, match="exceeds 1000"):
        copied(files)


def copied(files: Sequence[FileEntry]) -> int:
    settings = settings_from(
        {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PASSWORD": "p", "SNOWFLAKE_WAREHOUSE": "w"},
        **{"database": "D", "schema": "CRM", "storage_integration": "LANDING"},
    )
    rules, meter = Rules("CRM_STAGING"), Meter(clock=lambda: 0.0)
    answered(rules, 'CREATE TABLE "D"."CRM_STAGING"."T" ("ID" VARCHAR)')
    connect = rules.connect(Script(loaded))
    session = SnowflakeSession(settings, Memory(), meter, lambda: None, lambda seconds: None, connect)
    table = exp.table_("T", db="CRM_STAGING", catalog="D", quoted=True)
    rows = Copier(settings, meter).copy(session, table, COLUMNS, files, Landing("s3://b/landing"), "records")
    assert rules.breaches == []
    return rows


def loaded(statement: str) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
    """COPY's report, one row a file."""
    listed = re.findall(r"'(\d+\.parquet)'", statement)
    return ["file", "status", "rows_loaded"], [(f"s3://b/landing/crm/{name}", "LOADED", 1) for name in listed]
