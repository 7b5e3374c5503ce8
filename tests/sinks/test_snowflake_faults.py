"""A commit in Snowflake is struck at its steps, over HTTP: by a kill, an ended session, a lost reply, a held lock.

The stand-in refuses a locked row at once, where Snowflake lets the statement wait up to ``lock_timeout_s``; both come
to the engine as 000625. Its detached transactions stay open until they are ended by id, as Snowflake's do for minutes.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import CommitUnknown, Transient
from syncline.sinks.landing import Landing
from syncline.sinks.served import ATTEMPTS_MAX
from syncline.sinks.snowflake_session import COMMIT_SEEN_AFTER_S, SnowflakeSession
from syncline.sinks.snowflake_transactions import Process
from syncline.sinks.trial import Change, Trial, at, record, tombstone
from tests.servers.snowflake_fixtures import FakeSnowflake
from tests.sinks.snowflake_house import SnowflakeHouse

FENCE = r"UPDATE [^\n]*_SYNCLINE_WATERMARKS"
MERGE_FIRST, MERGE_LAST = r"MERGE INTO [^\n]*\.\"ACCOUNT\"", r"MERGE INTO [^\n]*\.\"CONTACT\""
RUN_ROW = r"INSERT INTO [^\n]*_SYNCLINE_RUNS"
ABORTED = "SELECT SYSTEM$ABORT_TRANSACTION"

State = tuple[Any, ...]


class Copy:
    """Two streams; each round changes one row and deletes or brings back another in both."""

    def __init__(self, server: FakeSnowflake, folder: Path) -> None:
        self.server, self.slept = server, list[float]()
        seams = {"sleep": self.slept.append, "jitter": lambda: 1.0}
        self.house = SnowflakeHouse(server, server.database(), given={}, seams=seams)
        self.trial = Trial(self.house, Landing(str(folder / "landing")))
        self.trial.run(*self.round(0))

    def round(self, number: int) -> list[Change]:
        here, gone = ("3", "2") if number % 2 else ("2", "3")
        rows = [record("1", f"v{number}", number), record(here, f"v{number}", number)]
        return [
            Change(rows, [tombstone(gone, number)], stream=name, high=at(number)) for name in ("Account", "Contact")
        ]

    def expected(self, number: int) -> State:
        rows = [("1", f"v{number}"), ("3" if number % 2 else "2", f"v{number}")]
        return rows, rows

    def standing(self) -> State:
        """What a reader with a session of its own sees."""
        return tuple(self.ask(f"SELECT id, name FROM {name} ORDER BY id") for name in ("account", "contact"))

    def versions(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT version, run_id FROM _syncline_watermarks ORDER BY stream")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.server.reader(database=self.house.database, schema="CRM") as reader:
            return [tuple(row) for row in reader.cursor().execute(query).fetchall()]

    def statements(self) -> list[str]:
        found: list[str] = self.server.seen()["statements"]
        return found


@pytest.fixture
def copy(fake_snowflake: FakeSnowflake, tmp_path: Path) -> Copy:
    return Copy(fake_snowflake, tmp_path)


# ---- a kill ----


def killed(copy: Copy, number: int, pattern: str, moment: str) -> None:
    """One run in a process of its own, which gets SIGKILL just before or just after the statement."""
    plain = SnowflakeSession._send

    def send(self: SnowflakeSession, statement: str) -> Any:
        struck = re.match(pattern, statement)
        if struck and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        cursor = plain(self, statement)
        if struck:
            os.kill(os.getpid(), signal.SIGKILL)
        return cursor

    child = os.fork()
    if not child:
        try:
            SnowflakeSession._send = send  # type: ignore[method-assign]
            copy.trial.run(*copy.round(number))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the statement is never sent"
    assert os.WTERMSIG(status) == signal.SIGKILL
    copy.trial.next_run()  # the dead run's id


def test_a_kill_at_a_step_of_the_commit_leaves_one_state_and_a_restart_the_expected_one(copy: Copy) -> None:
    """ONE-TRANSACTION, ROWS-THEN-MARK: what the dead process left open holds its locks until it is ended by id."""
    steps = [
        ("BEGIN", "before", 0),
        ("BEGIN", "after", 1),
        (FENCE, "after", 1),
        (MERGE_LAST, "after", 1),
        ("COMMIT", "before", 1),
        ("COMMIT", "after", 0),
    ]
    for number, (pattern, moment, left) in enumerate(steps, start=1):
        step = f"{moment} {pattern}"
        before, versions = copy.standing(), copy.versions()
        killed(copy, number, pattern, moment)
        moved = copy.versions() != versions
        assert moved == (step == "after COMMIT"), step
        assert copy.standing() == (copy.expected(number) if moved else before), step
        first = len(copy.statements())
        copy.trial.run(*copy.round(number))
        assert copy.standing() == copy.expected(number), step
        assert sum(each.startswith(ABORTED) for each in copy.statements()[first:]) == left, step
    assert copy.slept == [], "nobody waited for the dead"


# ---- a session that ends ----


@pytest.mark.parametrize(
    ("pattern", "kind", "code"),
    [
        ("^BEGIN", "end", "390114"),
        (FENCE, "end", "390111"),
        (MERGE_FIRST, "end", "390112"),
        (MERGE_LAST, "end", "390115"),
        (RUN_ROW, "lose-request", ""),
        (MERGE_LAST, "lose-reply", ""),
    ],
)
def test_a_session_that_ends_between_copy_and_commit_is_replaced_and_nothing_is_loaded_twice(
    copy: Copy, pattern: str, kind: str, code: str
) -> None:
    warehouse = copy.house.open()
    unit = copy.trial.stage(warehouse, *copy.round(1))
    first, logins = len(copy.statements()), len(copy.server.seen()["logins"])
    copy.server.arm(pattern, kind, code)
    counts = warehouse.commit(unit)
    sent, signed_in = copy.statements()[first:], len(copy.server.seen()["logins"])
    warehouse.close()
    assert [(each.inserted, each.updated, each.deleted) for each in counts.tables.values()] == [(1, 1, 1)] * 2
    assert copy.standing() == copy.expected(1)
    assert copy.slept == [1.0]
    assert signed_in == logins + 1
    assert not [each for each in sent if re.match("COPY|PUT|CREATE", each)]
    assert {version for version, _ in copy.versions()} == {2}


def test_a_session_s_token_that_expires_is_renewed_and_its_transaction_goes_on(copy: Copy) -> None:
    """390112 alone is the driver's to mend: no second sign-in, no second attempt."""
    warehouse = copy.house.open()
    unit = copy.trial.stage(warehouse, *copy.round(1))
    logins = len(copy.server.seen()["logins"])
    copy.server.arm(MERGE_LAST, "refuse", "390112")
    warehouse.commit(unit)
    assert len(copy.server.seen()["logins"]) == logins
    warehouse.close()
    assert copy.standing() == copy.expected(1)
    assert copy.slept == []


# ---- a lost reply to COMMIT ----


@pytest.mark.parametrize(("kind", "stands"), [("lose-request", False), ("lose-reply", True)])
def test_a_lost_commit_is_unknown_and_the_run_s_row_tells_known_outcome(copy: Copy, kind: str, stands: bool) -> None:
    """One error for both; the transaction is ended by id before the answer is read, so that the answer is final."""
    warehouse = copy.house.open()
    unit = copy.trial.stage(warehouse, *copy.round(1))
    copy.server.arm("^COMMIT$", kind)
    with pytest.raises(CommitUnknown):
        warehouse.commit(unit)
    assert copy.statements()[-1] != "COMMIT" or stands, "COMMIT is never repeated"
    first = len(copy.statements())
    found = warehouse.watermarks(unit.pipeline)
    asked = copy.statements()[first:]
    assert asked[0].startswith(ABORTED)
    assert [mark.run_id == unit.run_id for mark in found.values()] == [stands, stands]
    assert (unit.run_id in warehouse.committed_runs(unit.pipeline)) is stands
    assert copy.standing() == copy.expected(1 if stands else 0)
    assert copy.slept == ([COMMIT_SEEN_AFTER_S] if stands else [])
    warehouse.close()


# ---- a lock that somebody holds ----


@contextmanager
def holding(copy: Copy) -> Iterator[tuple[Any, str]]:
    """A transaction of a process on another machine, of which nothing can be known, with locks on a target; its id."""
    elsewhere = replace(Process.own(""), machine="0" * 12)
    with copy.server.reader(database=copy.house.database, schema="CRM") as reader:
        cursor = reader.cursor()
        cursor.execute(f"BEGIN TRANSACTION NAME {elsewhere.name()}")
        cursor.execute("UPDATE contact SET name = 'theirs'")
        yield cursor, str(cursor.execute("SELECT CURRENT_TRANSACTION()").fetchone()[0])
        cursor.execute("ROLLBACK")


def test_a_transaction_left_elsewhere_is_waited_for_and_never_ended_by_us(copy: Copy) -> None:
    """Snowflake ends it when it has been idle for five minutes and blocks somebody; here the second pause does."""
    with holding(copy) as (cursor, theirs):

        def sleep(pause_s: float) -> None:
            copy.slept.append(pause_s)
            if len(copy.slept) == 2:
                cursor.execute("ROLLBACK")

        copy.house.seams["sleep"] = sleep
        copy.trial.run(*copy.round(1))
    assert copy.slept == [1.0, 2.0]
    assert copy.standing() == copy.expected(1)
    ended = [each for each in copy.statements() if each.startswith(ABORTED)]
    assert theirs not in "".join(ended)


def test_a_lock_that_is_never_given_ends_the_run_and_names_the_holder(copy: Copy) -> None:
    """BOUNDED: so many attempts, each of which Snowflake lets wait for ``lock_timeout_s``."""
    with holding(copy), pytest.raises(Transient, match=r"000625.*transaction \d+ \(SYNCLINE_") as caught:
        copy.trial.run(*copy.round(1))
    assert "SYSTEM$ABORT_TRANSACTION" in caught.value.hint
    assert len(copy.slept) == ATTEMPTS_MAX - 1
    assert copy.standing() == copy.expected(0)
    assert {version for version, _ in copy.versions()} == {1}
