"""Redshift when things go wrong: conflicts, cut connections, lost COMMITs, strangers.

The stand-in cuts connections and says error 1023 when told to. It cannot conflict by itself as Redshift does:
PostgreSQL reads committed rows and waits for locks where SNAPSHOT and SERIALIZABLE isolation end a transaction.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from syncline.connectors.errors import CommitUnknown, SignInError, Transient
from syncline.sinks.landing import Landing
from syncline.sinks.trial import PIPELINE, Change, Trial, record, tombstone
from syncline.sinks.warehouse import CommitUnit, RowCounts
from tests.servers.redshift import Fault
from tests.servers.redshift_fixtures import FakeRedshift
from tests.sinks.redshift_house import RedshiftHouse
from tests.sinks.redshift_rules import sent


class Slept(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def slept() -> Slept:
    return Slept()


@pytest.fixture
def trial(fake_redshift: FakeRedshift, slept: Slept) -> Trial:
    house = RedshiftHouse(fake_redshift, seams={"sleep": slept, "jitter": lambda: 1.0})
    return Trial(house, Landing(**fake_redshift.landing))


def begin(trial: Trial) -> None:
    trial.run(Change([record("1"), record("2")]))


def test_one_row_is_made_of_a_doubled_key(trial: Trial, fake_redshift: FakeRedshift) -> None:
    """What a repair does; keys that differ by trailing blanks are different keys, and DELETE knows no alias."""
    trial.run(Change([record("1"), record("1 "), record("2")]))
    table = sql.Identifier(fake_redshift.schema, "account")
    with fake_redshift.reader() as reader:
        reader.execute(
            sql.SQL("INSERT INTO {t} SELECT * FROM {t} WHERE id = '1' AND octet_length(id) = 1").format(t=table)
        )
    warehouse = trial.house.open()
    unit = trial.stage(warehouse, Change([record(each, "new", 2) for each in ("1", "1 ", "3")]))
    counts = warehouse.commit(replace(unit, tables=[replace(each, doubles=True) for each in unit.tables]))
    warehouse.close()
    found = counts.tables["Account"]
    assert (found.doubled, found.inserted, found.updated) == (1, 2, 1)
    assert trial.names() == {"1": "new", "1 ": "new", "2": "name", "3": "new"}


SECOND = Change([record("1", "new", 1), record("3", stamp=1)], [tombstone("2", 1)])
COUNTS = RowCounts(3, inserted=1, updated=1, deleted=1)


# ---- conflicts ----


@pytest.mark.parametrize("strikes", ["^LOCK", r'^UPDATE "\w+"."account"', "_syncline_runs", "^COMMIT"])
def test_a_serializable_conflict_has_the_whole_transaction_done_again(
    trial: Trial, fake_redshift: FakeRedshift, slept: Slept, strikes: str
) -> None:
    """Error 1023 (isolation levels): the transaction is undone, and all of it is repeated, its fence first."""
    begin(trial)
    fake_redshift.server.log.clear()
    fake_redshift.server.violate_serializability(strikes)
    assert trial.counts(SECOND) == COUNTS
    assert trial.names() == {"1": "new", "3": "name"}
    transactions = [each.statement for each in sent(fake_redshift.server.log) if each.transaction]
    assert transactions.count("BEGIN") == 2
    assert sum(each.startswith("LOCK") for each in transactions) == 2
    assert slept == [1.0]


def test_a_conflict_that_goes_on_ends_the_run_after_five_attempts_bounded(
    trial: Trial, fake_redshift: FakeRedshift, slept: Slept
) -> None:
    begin(trial)
    fake_redshift.server.violate_serializability("_syncline_runs", times=99)
    with pytest.raises(Transient, match="1023"):
        trial.run(SECOND)
    assert slept == [1.0, 2.0, 4.0, 8.0]
    assert trial.names() == {"1": "name", "2": "name"}


def test_a_conflict_while_the_watermarks_are_seeded_passes(trial: Trial, fake_redshift: FakeRedshift) -> None:
    fake_redshift.server.violate_serializability("INSERT INTO .*_syncline_watermarks")
    begin(trial)
    assert trial.names() == {"1": "name", "2": "name"}


# ---- cut connections ----


@pytest.mark.parametrize("strike", ["before", "after"])
@pytest.mark.parametrize("cut", ["^COPY", "pg_last_copy_count", "^DELETE", "_syncline_runs"])
def test_a_connection_that_is_cut_anywhere_but_in_the_commit_is_replaced(
    trial: Trial, fake_redshift: FakeRedshift, cut: str, strike: str
) -> None:
    """COPY remembers nothing: a repeat fills a fresh table. What was open when the connection went is undone."""
    begin(trial)
    fake_redshift.server.faults.append(Fault(cut, strike))
    assert trial.counts(SECOND) == COUNTS
    assert trial.names() == {"1": "new", "3": "name"}
    assert fake_redshift.server.faults == [], "the fault did strike"


def test_a_lost_seed_is_repeated(trial: Trial, fake_redshift: FakeRedshift) -> None:
    fake_redshift.server.faults.append(Fault("^COMMIT", "after"))
    begin(trial)
    assert trial.names() == {"1": "name", "2": "name"}


@pytest.mark.parametrize(("strike", "stands"), [("before", False), ("after", True)])
def test_a_lost_commit_is_neither_guessed_at_nor_repeated_known_outcome(
    trial: Trial, fake_redshift: FakeRedshift, strike: str, stands: bool
) -> None:
    begin(trial)
    warehouse = trial.house.open()
    unit: CommitUnit = trial.stage(warehouse, SECOND)
    fake_redshift.server.log.clear()
    fake_redshift.server.faults.append(Fault("^COMMIT", strike))
    with pytest.raises(CommitUnknown):
        warehouse.commit(unit)
    assert fake_redshift.server.log.count("COMMIT") == 1
    mark = warehouse.watermarks(PIPELINE)["Account"]
    assert (mark.run_id == unit.run_id, mark.version) == (stands, 2 if stands else 1)
    assert (trial.names() == {"1": "new", "3": "name"}) is stands
    warehouse.close()


# ---- strangers ----


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the driver leaves its socket to the garbage collector
def test_a_wrong_password_is_said_once_and_not_shown(fake_redshift: FakeRedshift, slept: Slept) -> None:
    """NO-SECRETS, and no retry that would lock the user out."""
    house = RedshiftHouse(fake_redshift, {"password": "sentinel-password"}, {"sleep": slept})
    warehouse = house.open()
    with pytest.raises(SignInError) as caught:
        warehouse.watermarks(PIPELINE)
    text = "".join(str(error) for error in _chain(caught.value))
    assert "sentinel-password" not in text
    assert "REDSHIFT_PASSWORD" in str(caught.value.hint)
    assert slept == []
    del caught
    gc.collect()


def _chain(error: BaseException | None) -> list[Any]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def test_the_password_is_in_no_statement_and_no_label(trial: Trial, fake_redshift: FakeRedshift) -> None:
    begin(trial)
    assert not [each for each in fake_redshift.server.log if fake_redshift.password in each]
    assert not [each for each in fake_redshift.server.log if "sentinel-secret" in each], "nor the bucket's key"


def test_names_are_folded_and_plain_sql_finds_them_exact_names(trial: Trial, fake_redshift: FakeRedshift) -> None:
    """As far as Redshift can: it folds quoted names as well. Names that collide are the conformance suite's matter."""
    begin(trial)
    with fake_redshift.reader() as reader:
        found = reader.execute(f"SELECT id, NAME FROM {fake_redshift.schema}.ACCOUNT ORDER BY id").fetchall()
    assert found == [("1", "name"), ("2", "name")]


def test_costs_are_told_apart_by_the_query_group(trial: Trial, fake_redshift: FakeRedshift) -> None:
    begin(trial)
    groups = [each for each in fake_redshift.server.log if each.startswith("SET query_group")]
    assert groups == [
        "SET query_group TO 'syncline:trial'",
        "SET query_group TO 'syncline:trial:run-0001'",
        "SET query_group TO 'syncline:trial:run-0001:Account'",
        "SET query_group TO 'syncline:trial:run-0001'",
    ]
