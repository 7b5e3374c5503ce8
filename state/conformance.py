"""What every state store must pass, as a pytest class with one fixture to override.

::

    class TestMyStore(StateConformance):
        @pytest.fixture
        def open_store(self, tmp_path, clock):
            return lambda: MyStore(tmp_path / "state", clock=clock)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeAlias

import pytest

from syncline.connectors.errors import LeaseHeld
from syncline.state.store import Remembered, RunRecord, StateStore

OpenStore: TypeAlias = Callable[[], StateStore]

START = datetime(2026, 11, 23, 14, 2, 11, 123456, tzinfo=UTC)
TTL_S = 60.0
RACERS = 6
RACE_TIMEOUT_S = 60.0
"""After so long a racer that failed is not waited for any more, so that its error is seen."""

AWKWARD_NAMES = (
    "crm/../x",
    ".",
    "..",
    "a b%2Fc",
    "Ünïcode \U0001f600",
    "quote'\"`;--",
    "back\\slash",
    "line\nend",
    "x" * 150,
)
MARK = Remembered(
    watermark=START,
    version=3,
    run_id="run-3",
    columns=("Id", "Name"),
    known=b"\x00" * 16,
    checkpoint={"job": "750x", "slices": [1, {"deep": None}], "text": 'quote " \u2028 \U0001f600'},
    full_at=START - timedelta(days=7),
    definition="abc",
    place="duckdb:/srv/crm%20\U0001f600/crm.duckdb?schema=main",
)


class ManualClock:
    """A clock that moves when told to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class StateConformance:
    """The state port's promises. ``open_store`` opens the same state anew at each call, as another process would."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def open_store(self, clock: ManualClock) -> OpenStore:
        raise NotImplementedError("override open_store")

    # --- the mirror

    def test_a_pipeline_never_seen_has_an_empty_mirror(self, open_store: OpenStore) -> None:
        assert dict(open_store().recall("crm")) == {}

    def test_what_is_remembered_is_recalled_by_another_process_unchanged(self, open_store: OpenStore) -> None:
        open_store().remember("crm", {"Account": MARK})
        assert open_store().recall("crm")["Account"] == MARK

    def test_a_stream_that_was_never_committed_is_remembered_as_such(self, open_store: OpenStore) -> None:
        never = Remembered(watermark=None, version=0, run_id="")
        open_store().remember("crm", {"Account": never})
        assert open_store().recall("crm")["Account"] == never

    def test_digests_not_known_are_not_the_same_as_no_digests(self, open_store: OpenStore) -> None:
        marks = {"Unknown": replace(MARK, known=None), "Empty": replace(MARK, known=b"")}
        open_store().remember("crm", marks)
        recalled = open_store().recall("crm")
        assert recalled["Unknown"].known is None
        assert recalled["Empty"].known == b""

    @pytest.mark.parametrize(("before", "after"), [(b"\x01" * 16, None), (None, b""), (b"", b"\x02" * 32)])
    def test_digests_are_replaced_whatever_they_were(
        self, open_store: OpenStore, before: bytes | None, after: bytes | None
    ) -> None:
        for known in (before, after):
            open_store().remember("crm", {"Account": replace(MARK, known=known)})
        assert open_store().recall("crm")["Account"].known == after

    def test_a_checkpoint_is_forgotten_when_there_is_none_any_more(self, open_store: OpenStore) -> None:
        open_store().remember("crm", {"Account": MARK})
        open_store().remember("crm", {"Account": replace(MARK, checkpoint=None)})
        assert open_store().recall("crm")["Account"].checkpoint is None

    def test_an_empty_checkpoint_is_not_the_same_as_none(self, open_store: OpenStore) -> None:
        open_store().remember("crm", {"Account": replace(MARK, checkpoint={})})
        assert open_store().recall("crm")["Account"].checkpoint == {}

    def test_remembering_a_stream_leaves_the_others_as_they_are(self, open_store: OpenStore) -> None:
        open_store().remember("crm", {"Account": MARK, "Contact": replace(MARK, version=9)})
        open_store().remember("other", {"Account": replace(MARK, version=5)})
        open_store().remember("crm", {"Account": replace(MARK, version=4)})
        assert {name: mark.version for name, mark in open_store().recall("crm").items()} == {"Account": 4, "Contact": 9}
        assert {name: mark.version for name, mark in open_store().recall("other").items()} == {"Account": 5}

    def test_remembering_is_all_or_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        store.remember("crm", {"Account": MARK, "Contact": MARK})
        broken = replace(MARK, version=4, checkpoint={"not": object()})
        with pytest.raises(TypeError):
            store.remember("crm", {"Account": replace(MARK, version=4), "Contact": broken})
        assert {mark.version for mark in open_store().recall("crm").values()} == {3}

    def test_a_recalled_mirror_is_a_copy(self, open_store: OpenStore) -> None:
        store = open_store()
        store.remember("crm", {"Account": MARK})
        recalled = store.recall("crm")
        store.remember("crm", {"Account": replace(MARK, version=4)})
        assert recalled["Account"].version == 3

    @pytest.mark.parametrize("year", [1, 1700, 9998])
    def test_watermarks_keep_microseconds_in_any_year(self, open_store: OpenStore, year: int) -> None:
        mark = replace(MARK, watermark=datetime(year, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
        open_store().remember("crm", {"Account": mark})
        assert open_store().recall("crm")["Account"] == mark

    def test_digests_may_be_many(self, open_store: OpenStore) -> None:
        """The default bound is 20,000 rows a stream, 16 bytes each."""
        marks = {name: replace(MARK, known=name.encode() * 16 * 20_000) for name in "ABC"}
        open_store().remember("crm", marks)
        assert open_store().recall("crm") == marks

    @pytest.mark.parametrize("name", AWKWARD_NAMES)
    def test_names_are_kept_as_they_are(self, open_store: OpenStore, name: str) -> None:
        """EXACT-NAMES."""
        store = open_store()
        store.remember(name, {name: MARK, "Account": replace(MARK, version=1)})
        store.record(replace(run_at(0), pipeline=name))
        assert dict(open_store().recall(name)) == {name: MARK, "Account": replace(MARK, version=1)}
        assert [run.pipeline for run in open_store().runs(name, 5)] == [name]
        with store.lease(name, TTL_S), pytest.raises(LeaseHeld), open_store().lease(name, TTL_S):
            pass

    def test_pipelines_whose_names_begin_alike_do_not_meet(self, open_store: OpenStore) -> None:
        names = ("crm", "crm2", "CRM", "crm.json", "crm/Account")
        for version, name in enumerate(names):
            open_store().remember(name, {"Account": replace(MARK, version=version)})
            open_store().record(replace(run_at(version), pipeline=name))
        assert [open_store().recall(name)["Account"].version for name in names] == list(range(len(names)))
        assert [[run.pipeline for run in open_store().runs(name, 5)] for name in names] == [[name] for name in names]

    def test_of_many_that_remember_at_once_none_undoes_another(self, open_store: OpenStore) -> None:
        def remember(number: int) -> None:
            open_store().remember("crm", {f"stream-{number}": replace(MARK, version=number), "shared": MARK})

        at_once(remember)
        versions = {name: mark.version for name, mark in open_store().recall("crm").items()}
        assert versions == {f"stream-{number}": number for number in range(RACERS)} | {"shared": MARK.version}

    # --- the history

    def test_runs_come_newest_first_and_no_more_than_asked_for(self, open_store: OpenStore) -> None:
        for minute in (2, 0, 1):
            open_store().record(run_at(minute))
        assert [run.run_id for run in open_store().runs("crm", 2)] == ["run-02", "run-01"]

    def test_runs_are_ordered_by_instant_whatever_zone_they_were_given_in(self, open_store: OpenStore) -> None:
        store = open_store()
        east = timezone(timedelta(hours=9))
        store.record(replace(run_at(0), run_id="early", started_at=START.astimezone(east)))
        store.record(run_at(1))
        assert [run.run_id for run in open_store().runs("crm", 5)] == ["run-01", "early"]

    def test_a_run_recorded_again_is_replaced(self, open_store: OpenStore) -> None:
        open_store().record(run_at(0))
        done = replace(run_at(0), status="done", finished_at=START, report={"rows": {"read": 5}})
        open_store().record(done)
        assert list(open_store().runs("crm", 5)) == [done]

    def test_runs_of_other_pipelines_are_not_listed(self, open_store: OpenStore) -> None:
        open_store().record(replace(run_at(0), pipeline="other"))
        assert list(open_store().runs("crm", 5)) == []

    def test_the_newest_of_many_runs_are_listed(self, open_store: OpenStore) -> None:
        store = open_store()
        minutes = [7, 3, 11, 0, 9, 1, 5, 10, 2, 8, 4, 6]
        for minute in minutes:
            store.record(run_at(minute))
        assert [run.run_id for run in open_store().runs("crm", 4)] == ["run-11", "run-10", "run-09", "run-08"]
        assert len(open_store().runs("crm", 100)) == len(minutes)
        assert list(open_store().runs("crm", 0)) == []

    @pytest.mark.parametrize("year", [1, 1700, 9998])
    def test_runs_are_listed_in_any_year(self, open_store: OpenStore, year: int) -> None:
        odd = replace(run_at(0), started_at=datetime(year, 1, 1, 0, 0, 0, 1, tzinfo=UTC), finished_at=START)
        open_store().record(odd)
        assert list(open_store().runs("crm", 5)) == [odd]

    # --- the lease

    def test_a_lease_keeps_others_out_until_it_is_given_back(self, open_store: OpenStore) -> None:
        with open_store().lease("crm", TTL_S), pytest.raises(LeaseHeld), open_store().lease("crm", TTL_S):
            pytest.fail("two runs hold the lease")
        with open_store().lease("crm", TTL_S):
            pass

    def test_a_lease_is_given_back_when_the_run_fails(self, open_store: OpenStore) -> None:
        with pytest.raises(ZeroDivisionError), open_store().lease("crm", TTL_S):
            raise ZeroDivisionError
        with open_store().lease("crm", TTL_S):
            pass

    def test_leases_of_different_pipelines_do_not_meet(self, open_store: OpenStore) -> None:
        with open_store().lease("crm", TTL_S), open_store().lease("other", TTL_S):
            pass

    def test_the_refusal_says_who_holds_the_lease_since_when_and_until_when(self, open_store: OpenStore) -> None:
        with open_store().lease("crm", TTL_S), pytest.raises(LeaseHeld) as refused, open_store().lease("crm", TTL_S):
            pass
        assert "process" in refused.value.cause
        assert "since 2026-11-23 14:02:11 UTC, until 2026-11-23 14:03:11 UTC" in refused.value.cause
        assert refused.value.hint

    def test_a_lease_that_ran_out_can_be_taken(self, open_store: OpenStore, clock: ManualClock) -> None:
        with open_store().lease("crm", TTL_S):
            clock.advance(TTL_S)
            with open_store().lease("crm", TTL_S):
                pass

    def test_a_renewed_lease_lasts_from_its_renewal(self, open_store: OpenStore, clock: ManualClock) -> None:
        with open_store().lease("crm", TTL_S) as lease:
            clock.advance(TTL_S - 1)
            lease.renew()
            clock.advance(TTL_S - 1)
            with pytest.raises(LeaseHeld), open_store().lease("crm", TTL_S):
                pass

    def test_a_lease_that_ran_out_and_nobody_took_is_renewed(self, open_store: OpenStore, clock: ManualClock) -> None:
        with open_store().lease("crm", TTL_S) as lease:
            clock.advance(TTL_S + 1)
            lease.renew()
            with pytest.raises(LeaseHeld), open_store().lease("crm", TTL_S):
                pass

    def test_renewing_a_lease_that_another_run_took_is_refused(self, open_store: OpenStore, clock: ManualClock) -> None:
        with open_store().lease("crm", TTL_S) as lost:
            clock.advance(TTL_S)
            with open_store().lease("crm", TTL_S) as taken:
                with pytest.raises(LeaseHeld):
                    lost.renew()
                taken.renew()

    def test_a_run_that_slept_past_its_lease_loses_it_even_to_a_run_that_is_over(
        self, open_store: OpenStore, clock: ManualClock
    ) -> None:
        """What the sleeper knows is old: the other run has moved the watermark (FENCED-COMMIT stops it in the end)."""
        with open_store().lease("crm", TTL_S) as slept:
            clock.advance(TTL_S)
            with open_store().lease("crm", TTL_S):
                pass
            with pytest.raises(LeaseHeld, match="gave it back"):
                slept.renew()
        with open_store().lease("crm", TTL_S):
            pass

    def test_giving_back_a_lost_lease_leaves_the_new_holder_alone(
        self, open_store: OpenStore, clock: ManualClock
    ) -> None:
        lost = open_store().lease("crm", TTL_S)
        lost.__enter__()
        clock.advance(TTL_S)
        with open_store().lease("crm", TTL_S):
            lost.__exit__(None, None, None)
            with pytest.raises(LeaseHeld), open_store().lease("crm", TTL_S):
                pass

    def test_of_many_that_take_a_free_lease_one_gets_it(self, open_store: OpenStore) -> None:
        assert sorted(race_for_lease(open_store)) == [False] * (RACERS - 1) + [True]

    def test_of_many_that_take_over_a_lease_that_ran_out_one_gets_it(
        self, open_store: OpenStore, clock: ManualClock
    ) -> None:
        with open_store().lease("crm", TTL_S) as lost:
            clock.advance(TTL_S)
            assert sorted(race_for_lease(open_store)) == [False] * (RACERS - 1) + [True]
            with pytest.raises(LeaseHeld):
                lost.renew()

    def test_a_holder_that_died_between_two_operations_is_followed_after_its_lease(
        self, open_store: OpenStore, clock: ManualClock
    ) -> None:
        """Nobody gives the lease back; what the dead remembered before is there, and its run still says "running"."""
        store = open_store()
        dead = store.lease("crm", TTL_S)
        dead.__enter__()
        store.record(run_at(0))
        store.remember("crm", {"Account": MARK})
        with pytest.raises(LeaseHeld), open_store().lease("crm", TTL_S):
            pass
        clock.advance(TTL_S)
        with open_store().lease("crm", TTL_S):
            assert open_store().recall("crm") == {"Account": MARK}
            assert [run.status for run in open_store().runs("crm", 5)] == ["running"]

    def test_a_lease_given_back_stays_given_back(self, open_store: OpenStore) -> None:
        with open_store().lease("crm", TTL_S) as lease:
            pass
        lease.renew()
        with open_store().lease("crm", TTL_S):
            pass


def at_once(act: Callable[[int], None]) -> None:
    """``act`` by as many threads as there are racers, all let loose together; raises what one of them raised."""
    start = threading.Barrier(RACERS)

    def run(number: int) -> None:
        start.wait()
        act(number)

    with ThreadPoolExecutor(RACERS) as pool:
        list(pool.map(run, range(RACERS)))


def race_for_lease(open_store: OpenStore) -> list[bool]:
    """Who got the lease; the winner holds it until all have tried."""
    tried = threading.Barrier(RACERS, timeout=RACE_TIMEOUT_S)
    got = [False] * RACERS

    def take(number: int) -> None:
        try:
            with open_store().lease("crm", TTL_S):
                got[number] = True
                tried.wait()
        except LeaseHeld:
            tried.wait()

    at_once(take)
    return got


def run_at(minute: int) -> RunRecord:
    started_at = START + timedelta(minutes=minute)
    return RunRecord(run_id=f"run-{minute:02}", pipeline="crm", status="running", started_at=started_at)
