"""Every statement of a run on Postgres is cut off once, on its way there and on its way back; then comes a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from syncline.connectors.errors import CommitUnknown
from syncline.sinks.landing import Landing
from syncline.sinks.trial import Change, Trial, at, record, tombstone
from tests.servers.pg_proxy import DROP, LOSE_REPLY, PgProxy, between
from tests.servers.postgres import PgAddress, PgServer
from tests.sinks.postgres_house import PostgresHouse, new_schema

State = tuple[Any, ...]


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("faults") as address:
        yield address


@pytest.fixture
def proxy(address: PgAddress) -> Iterator[PgProxy]:
    with between(address) as proxy:
        yield proxy


class Killed(BaseException):
    """The process is gone: nothing of it comes after."""


def die(_: float) -> None:
    """In the place of the pause before another attempt."""
    raise Killed


class Copy:
    """Two streams in a schema of their own; each round changes, deletes and marks something in both."""

    def __init__(self, proxy: PgProxy, reader: psycopg.Connection[Any], folder: Path) -> None:
        self.proxy, self.reader = proxy, reader
        self.house = PostgresHouse(proxy.address, new_schema(), {})
        self.trial = Trial(self.house, Landing(str(folder / "landing")))
        self.trial.run(*self.round(0))

    def round(self, number: int) -> list[Change]:
        """Of the keys 2 and 3 one goes and one comes by turns, and all others get the round's value: every round is as
        many statements long as any other."""
        rows = [record(key, f"v{number}", number) for key in ("1", "23"[number % 2])]
        gone = [tombstone("23"[1 - number % 2], number)]
        return [
            Change(rows, gone, high=at(number)),
            Change(rows, gone, stream="Contact", on_delete="mark", high=at(number)),
        ]

    def expected(self, number: int) -> State:
        here, gone = ("3", "2") if number % 2 else ("2", "3")
        values = [("1", f"v{number}"), (here, f"v{number}")]
        marked = [(gone, f"v{number - 1}", True)] if number else []
        return values, sorted([(*value, False) for value in values] + marked)

    def standing(self) -> State:
        """What a reader with a connection of its own sees."""
        return tuple(
            self.ask(query)
            for query in (
                "SELECT id, name FROM {S}.account ORDER BY id",
                "SELECT id, name, _syncline_deleted_at IS NOT NULL FROM {S}.contact ORDER BY id",
            )
        )

    def marks(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT stream, version, run_id FROM {S}._syncline_watermarks ORDER BY stream")

    def runs(self) -> list[str]:
        return [run_id for (run_id,) in self.ask("SELECT run_id FROM {S}._syncline_runs ORDER BY 1")]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        name = sql.Identifier(self.house.schema)
        return self.reader.execute(sql.SQL(query).format(S=name)).fetchall()

    def struck(self, number: int, fault: str, position: int) -> str | None:
        """One run, killed where the fault strikes it; the statement that was struck, if any was."""
        self.house.settings["sleep"] = die
        first, found = len(self.proxy.statements), list[str]()

        def strike(statement: str) -> str | None:
            if found or len(self.proxy.statements) != first + position + 1:
                return None
            found.append(statement)
            return fault

        self.proxy.strike = strike
        try:
            self.trial.run(*self.round(number))
        except (Killed, CommitUnknown):
            assert found
        self.proxy.strike = lambda statement: None
        self.house.settings.clear()
        return found[0] if found else None


@pytest.fixture
def copy(proxy: PgProxy, tmp_path: Path) -> Iterator[Copy]:
    # The reader goes straight to the server: the proxy strikes what goes through it.
    with psycopg.connect(proxy.upstream.dsn, autocommit=True) as reader:
        yield Copy(proxy, reader, tmp_path)


@pytest.mark.parametrize("fault", [DROP, LOSE_REPLY])
def test_a_kill_at_any_statement_of_a_run_leaves_one_state_and_a_restart_the_expected_one(
    proxy: PgProxy, copy: Copy, fault: str
) -> None:
    """ONE-TRANSACTION, ROWS-THEN-MARK, KNOWN-OUTCOME."""
    reached = list[str]()
    while True:
        number = len(reached) + 1
        before, marks = copy.standing(), copy.marks()
        statement = copy.struck(number, fault, len(reached))
        if statement is None:
            break
        reached.append(statement)
        after, moved = copy.standing(), copy.marks() != marks
        assert after == (copy.expected(number) if moved else before), f"{fault} at {statement}"
        copy.trial.run(*copy.round(number))
        assert copy.standing() == copy.expected(number), f"restart after {fault} at {statement}"
        assert {version for _, version, _ in copy.marks()} == {len(copy.runs())}
    assert copy.standing() == copy.expected(number)
    commits = [at for at, each in enumerate(reached) if each == "COMMIT"]
    assert len(commits) == 1
    assert reached[commits[0] - 1].startswith("INSERT")
    assert len(reached) > commits[0] > 15


@pytest.mark.parametrize("fault", [DROP, LOSE_REPLY])
def test_a_connection_lost_before_the_commit_costs_one_more_attempt_and_no_more(
    proxy: PgProxy, copy: Copy, fault: str
) -> None:
    for position, begins in enumerate(("BEGIN", "LOCK", "UPDATE", "WITH", "INSERT")):
        left = [fault]
        proxy.strike = lambda each, left=left, begins=begins: (  # type: ignore[misc]
            left.pop() if left and each.startswith(begins) else None
        )
        copy.trial.run(*copy.round(position + 1))
        assert not left
        assert copy.standing() == copy.expected(position + 1)
    assert len(copy.runs()) == 6


@pytest.mark.parametrize(("fault", "stands"), [(DROP, False), (LOSE_REPLY, True)])
def test_a_lost_commit_is_unknown_and_the_run_s_row_tells(proxy: PgProxy, copy: Copy, fault: str, stands: bool) -> None:
    """KNOWN-OUTCOME: one error for both, and what is committed is never done again."""
    warehouse = copy.house.open()
    unit = copy.trial.stage(warehouse, *copy.round(1))
    proxy.strike = lambda each: fault if each == "COMMIT" else None
    with pytest.raises(CommitUnknown) as caught:
        warehouse.commit(unit)
    assert "run id tells" in caught.value.hint
    proxy.strike = lambda each: None
    found = warehouse.watermarks(unit.pipeline)
    assert [mark.run_id == unit.run_id for mark in found.values()] == [stands, stands]
    assert (unit.run_id in warehouse.committed_runs(unit.pipeline)) is stands
    assert copy.standing() == copy.expected(1 if stands else 0)
    warehouse.close()
