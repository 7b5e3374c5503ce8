"""State in Postgres when the server, the network or a holder fails; every error is the real server's."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from syncline.connectors.errors import ConfigError, LeaseHeld, SignInError, SynclineError, Transient
from syncline.state import postgres_session
from syncline.state.conformance import MARK, TTL_S, run_at
from syncline.state.lease import Claim
from syncline.state.postgres import PostgresState
from syncline.state.postgres_session import ATTEMPTS_MAX
from tests.servers.pg_proxy import DROP, LOSE_REPLY, PgProxy, between, once
from tests.servers.postgres import PgAddress, PgServer
from tests.state.postgres_state import Home, new_home


@pytest.fixture(scope="module")
def address(pg_server: PgServer) -> Iterator[PgAddress]:
    with pg_server.database("faults") as address:
        yield address


@pytest.fixture
def home(address: PgAddress) -> Home:
    return new_home(address)


@pytest.fixture
def proxy(address: PgAddress) -> Iterator[PgProxy]:
    with between(address) as proxy:
        yield proxy


def through(proxy: PgProxy, home: Home) -> PostgresState:
    return replace(home, address=proxy.address).open()


# --- holders that stop or die

CHILD = """
import os, signal, sys
from syncline.connectors.errors import LeaseHeld
from syncline.state import postgres_session
from syncline.state.postgres import PostgresState

postgres_session.ASLEEP_S = 0.2
state = PostgresState(os.environ["STATE_URL"], schema=sys.argv[1])
"""
HOLDS = (
    CHILD
    + """
with state.lease("crm", 3600) as lease:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        lease.renew()
        print("renewed")
    except LeaseHeld as error:
        print(error.cause)
"""
)
STOPS_WHILE_IT_TAKES_THE_LEASE = (
    CHILD
    + """
seen = []
def decide(held):
    if not seen:
        seen.append(None)
        print("ready", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    seen.append(held)
    return held
state.swap("crm", decide)
print("found", "a holder" if seen[-1] else "nobody")
"""
)


@contextmanager
def child(script: str, home: Home) -> Iterator[subprocess.Popen[str]]:
    environment = {"PYTHONPATH": ":".join(sys.path), "STATE_URL": home.address.dsn}
    command = [sys.executable, "-c", script, home.schema]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_stopped_holder_loses_its_lease_once_it_has_run_out(home: Home) -> None:
    with child(HOLDS, home) as holder:
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaseHeld, match=f"process {holder.pid}"), home.open().lease("crm", TTL_S):
            pass
        home.ask("UPDATE STATE.leases SET until = clock_timestamp()")  # so much time went by
        with home.open().lease("crm", TTL_S) as ours:
            holder.send_signal(signal.SIGCONT)
            said, _ = holder.communicate("go on\n", timeout=60)
            assert "another run holds the lease" in said
            ours.renew()  # what the other gave back on its way out was not this one


def test_a_process_stopped_in_the_middle_of_a_swap_holds_up_nobody(home: Home) -> None:
    """The server ends the sleeper's transaction, and the sleeper looks again when it wakes."""
    home.open().record(run_at(0))
    with child(STOPS_WHILE_IT_TAKES_THE_LEASE, home) as sleeper:
        with home.open().lease("crm", TTL_S):
            sleeper.send_signal(signal.SIGCONT)
            said, _ = sleeper.communicate(timeout=60)
        assert said == "found a holder\n"


def test_the_lease_of_a_killed_process_of_this_host_is_taken_over_at_once(home: Home) -> None:
    with child(HOLDS, home) as holder:
        holder.kill()
        holder.wait()
        with home.open().lease("crm", TTL_S):
            pass


# --- connections that are lost


def test_a_lost_connection_is_made_anew(home: Home, proxy: PgProxy) -> None:
    state = through(proxy, home)
    state.remember("crm", {"Account": MARK})
    proxy.drop_connections()
    assert state.recall("crm") == {"Account": MARK}
    assert proxy.connections == 2


OPERATIONS: dict[str, Callable[[PostgresState], object]] = {
    "remember": lambda state: state.remember("crm", {"Account": MARK, "Contact": MARK}),
    "record": lambda state: state.record(replace(run_at(0), finished_at=run_at(1).started_at)),
    "lease": lambda state: _take_and_renew(state),
}


def _take_and_renew(state: PostgresState) -> None:
    with state.lease("crm", TTL_S) as lease:
        lease.renew()


@pytest.mark.parametrize("fault", [DROP, LOSE_REPLY])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_connection_lost_at_any_statement_changes_nothing_in_what_stands(
    address: PgAddress, operation: str, fault: str
) -> None:
    """KNOWN-OUTCOME: what was committed without a word is recognised, and not taken for another run's."""
    act = OPERATIONS[operation]
    with between(address) as proxy:
        home = new_home(address)
        act(through(proxy, home))
        expected, count = standing(home), len(proxy.statements)
    assert count > 5
    for position in range(count):
        home = new_home(address)
        with between(address) as proxy:
            left = [fault]

            def strike(_: str, proxy: PgProxy = proxy, position: int = position, left: list[str] = left) -> str | None:
                return left.pop() if left and len(proxy.statements) == position + 1 else None

            proxy.strike = strike
            act(through(proxy, home))
            assert not left, f"statement {position} never came"
        assert standing(home) == expected, f"{fault} at statement {position}: {proxy.statements[position]}"


def standing(home: Home) -> object:
    """Everything but tokens and times."""
    state = home.open()
    leases = home.ask("SELECT pipeline, pid, until < since FROM STATE.leases")
    return state.recall("crm"), state.runs("crm", 5), leases


def test_a_lost_reply_to_the_taking_of_a_lease_does_not_lock_a_run_out_of_itself(home: Home, proxy: PgProxy) -> None:
    state = through(proxy, home)
    state.record(run_at(0))
    proxy.strike = once(LOSE_REPLY, "COMMIT")
    taken: list[Claim | None] = []
    with state.lease("crm", TTL_S) as lease:
        state.swap("crm", taken.append)
        lease.renew()
        with pytest.raises(LeaseHeld), home.open().lease("crm", TTL_S):
            pass
    assert taken[0] is not None


# --- what the server refuses


def struck(home: Home, sqlstate: str) -> PostgresState:
    """Every row that is remembered meets this error of the server."""
    state = home.open()
    state.remember("crm", {"Account": MARK})
    home.ask(
        "CREATE FUNCTION STATE.strike() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}', MESSAGE = 'struck'; END $$"
    )
    home.ask("CREATE TRIGGER strike BEFORE INSERT ON STATE.marks EXECUTE FUNCTION STATE.strike()")
    return state


@pytest.mark.parametrize(
    ("sqlstate", "expected", "hint"),
    [
        ("53100", SynclineError, "free disk space"),
        ("23514", ConfigError, "the warehouse holds the truth"),
        ("22P02", ConfigError, "the warehouse holds the truth"),
        ("25006", ConfigError, "docs/warehouses.md"),
        ("40001", Transient, "run again"),
        ("40P01", Transient, "run again"),
        ("57014", Transient, "run again"),
        ("53300", Transient, "run again"),
        ("P0001", SynclineError, "run again"),
    ],
)
def test_a_refusal_is_told_by_its_sqlstate(home: Home, sqlstate: str, expected: type[SynclineError], hint: str) -> None:
    state = struck(home, sqlstate)
    with pytest.raises(SynclineError, match="struck") as caught:
        state.remember("crm", {"Account": replace(MARK, version=4)})
    assert type(caught.value) is expected
    assert hint in caught.value.hint
    assert state.recall("crm") == {"Account": MARK}


def test_a_row_that_somebody_keeps_locked_is_waited_for_no_longer_than_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "ATTEMPTS_MAX", 1)  # a second each
    home.open().remember("crm", {"Account": MARK})
    state = home.open(statement_timeout_s=1)
    with psycopg.connect(home.address.dsn) as other:
        schema = home.schema.replace('"', '""')
        other.execute(f'LOCK TABLE "{schema}".marks'.encode())
        with pytest.raises(Transient) as caught:
            state.remember("crm", {"Account": replace(MARK, version=4)})
    assert "timeout" in caught.value.cause


def test_a_claim_that_is_being_decided_on_is_locked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that look at the same moment cannot both find that the lease ran out."""
    monkeypatch.setattr(postgres_session, "ATTEMPTS_MAX", 1)
    with home.open().lease("crm", TTL_S):
        pass
    refused: list[Claim | None] = []

    def decide(held: Claim | None) -> Claim | None:
        with pytest.raises(Transient, match="timeout"), home.open(statement_timeout_s=1).lease("crm", TTL_S):
            pass
        refused.append(held)
        return held

    home.open().swap("crm", decide)
    assert len(refused) == 1


def test_the_server_s_time_is_asked_for_in_the_transaction_that_decides(home: Home, proxy: PgProxy) -> None:
    with home.open().lease("crm", TTL_S):
        pass
    with through(proxy, home).lease("crm", TTL_S):
        pass
    clocks = [at for at, each in enumerate(proxy.statements) if "clock_timestamp" in each]
    assert "FOR UPDATE" in proxy.statements[clocks[1] - 1]
    assert not [statement for statement in proxy.statements if statement.startswith("SAVEPOINT")]


def test_a_wrong_password_is_a_sign_in_error_and_is_not_tried_again(home: Home) -> None:
    pauses: list[float] = []
    state = PostgresState(home.address.dsn_without_password, password="not-this-one", sleep=pauses.append)
    with pytest.raises(SignInError) as caught:
        state.recall("crm")
    assert pauses == []
    assert "not-this-one" not in str(caught.value)
    assert [finding.level for finding in state.check()] == ["error"]


def test_a_missing_database_is_a_config_error(home: Home) -> None:
    state = PostgresState(replace(home.address, database="nowhere").dsn, sleep=lambda _: None)
    with pytest.raises(ConfigError, match="nowhere"):
        state.recall("crm")


def test_a_server_that_is_not_there_is_transient_and_tried_again(home: Home) -> None:
    pauses: list[float] = []
    with between(home.address) as proxy:
        gone = proxy.address
    with pytest.raises(Transient):
        PostgresState(gone.dsn, sleep=pauses.append).recall("crm")
    assert len(pauses) == ATTEMPTS_MAX - 1


def test_missing_rights_are_a_config_error(home: Home) -> None:
    home.open().remember("crm", {"Account": MARK})
    name = "reader_of_state"
    home.ask(f"CREATE ROLE {name} LOGIN PASSWORD 'read-only-please'")
    try:
        state = replace(home, address=replace(home.address, user=name, password="read-only-please")).open()
        with pytest.raises(ConfigError, match="permission denied") as caught:
            state.recall("crm")
        assert "docs/warehouses.md" in caught.value.hint
        [finding] = state.check()
        assert finding.level == "error"
        state.close()
    finally:
        home.ask(f"DROP ROLE {name}")


@pytest.mark.parametrize("table", ["marks", "runs"])
def test_a_lost_table_is_an_error_whose_hint_is_true(home: Home, table: str) -> None:
    state = home.open()
    state.remember("crm", {"Account": MARK})
    home.ask(f"DROP TABLE STATE.{table}")
    with pytest.raises(ConfigError, match="damaged") as caught:
        (state.recall if table == "marks" else lambda name: state.runs(name, 5))("crm")
    assert "drop the state's schema" in caught.value.hint
    home.ask("DROP SCHEMA STATE CASCADE")
    home.open().remember("crm", {"Account": MARK})
    assert home.open().recall("crm") == {"Account": MARK}
