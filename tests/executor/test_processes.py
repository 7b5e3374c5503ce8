"""Slices read by processes: the same laws, also when processes are killed in the middle of a slice."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import QuotaReached, Stopped, SynclineError, Transient
from syncline.pipelines import executor
from syncline.pipelines.executor import LOST_MAX
from syncline.pipelines.processes import Processes
from syncline.pipelines.stop import StopSignal
from tests.executor.conftest import TOKEN, Desk
from tests.executor.shelf import PATIENCE_S, Arrival, Once, go

KILLED = "a worker was lost: its slice is read again by another"


def test_processes_copy_what_threads_copy_and_say_the_same(desk: Desk) -> None:
    table = desk.fill("Account", 35)
    with desk.gate(go) as gate:
        report = desk.run()
    desk.require_equal(table)
    desk.require_landed_once()
    assert os.getpid() not in {each.pid for each in gate.arrivals}
    account = report.stream("Account")
    assert (account.announced, account.read, account.landed, account.counts.inserted) == (35, 35, 35, 35)
    assert account.warnings == ["the shelf creaks"]
    assert report.api_calls == 4, "the workers' requests are counted"
    assert sum(event.fields["rows"] for event in desk.events.named("rows_read")) == 35
    assert len(desk.events.named("slice_landed")) == 4


def test_an_increment_drops_what_the_mirror_knows_in_a_worker_as_well(desk: Desk) -> None:
    """IDLE-IS-FREE: the digests go with the order."""
    desk.fill("Account", 5)
    pipeline = desk.pipeline()
    desk.run(pipeline)
    desk.clock.advance(minutes=5)
    (desk.folder / "now").write_text(desk.clock().isoformat())
    report = desk.run(pipeline)
    assert report.status == "idle"
    assert report.warehouse_statements == 0


def test_a_window_of_a_few_rows_is_read_by_the_run_itself(desk: Desk) -> None:
    """An increment of a page costs no process; one row more and the slices go to workers."""
    table = desk.fill("Account", 20)
    desk.patch.setattr(executor, "HERE_ROWS_MAX", 20)
    with desk.gate(go) as gate:
        desk.run()
        assert {each.pid for each in gate.arrivals} == {os.getpid()}
        desk.require_equal(table)
        desk.require_landed_once()
        desk.fill("Contact", 21)
        desk.run(desk.pipeline(streams=["Contact"]))
    assert os.getpid() not in {each.pid for each in gate.arrivals if each.slice.startswith("Contact")}


@pytest.mark.parametrize("point", ["reading", "landed"])
def test_a_slice_whose_worker_is_killed_is_read_by_another_and_lands_once(desk: Desk, point: str) -> None:
    """COUNTED-HOPS, SEALED-MANIFEST: also where the lost worker had landed its file already."""
    table = desk.fill("Account", 40)
    killed = Once("Account-0020", point, Arrival.kill)
    with desk.gate(killed) as gate:
        report = desk.run()
    assert killed.met
    desk.require_equal(table)
    desk.require_landed_once()
    again = [each.pid for each in gate.arrivals if each.at == ("Account-0020", "reading")]
    assert len(set(again)) == 2, "by another process"
    assert len(gate.slices_read()) == 5, "the other slices were read once"
    assert KILLED in report.stream("Account").warnings


def test_a_slice_that_kills_every_worker_fails_the_run_and_the_next_one_goes_on(desk: Desk) -> None:
    """BOUNDED, LOUD, VALUE-RESUME."""
    table = desk.fill("Account", 30)

    def kill_at_the_third(arrival: Arrival) -> None:
        arrival.kill() if arrival.slice == "Account-0020" else go(arrival)

    with desk.gate(kill_at_the_third) as gate, pytest.raises(Transient, match="4 workers were lost") as caught:
        desk.run(desk.pipeline(workers=1))
    assert "want of memory" in caught.value.hint
    assert gate.slices_read().count("Account-0020") == 1 + LOST_MAX
    with desk.gate(go) as gate:
        desk.run()
    assert gate.slices_read() == ["Account-0020"], "slices that had landed are not read again"
    desk.require_equal(table)
    desk.require_landed_once()


class Twice(Processes):
    """An engine that gives each order to two processes, as one does that takes a slow worker for a lost one."""

    rereads = True

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        with super().executor() as first, super().executor() as second:
            yield Both(first, second)


class Both(Executor):
    def __init__(self, *of: Executor) -> None:
        self.of = of

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The last one's result, once both are there."""
        futures = [each.submit(fn, *args, **kwargs) for each in self.of]
        for future in futures:
            future.result()
        return futures[-1]


def test_an_order_carried_out_twice_lands_once(desk: Desk) -> None:
    """SEALED-MANIFEST: two workers finish the same slice; one result counts, the other's files go."""
    table = desk.fill("Account", 30)
    desk.patch.setattr(executor, "_engine", lambda name: Twice())
    with desk.gate(go) as gate:
        report = desk.run(desk.pipeline(workers=1))
    assert len(gate.slices_read()) == 6
    assert report.stream("Account").read == 30
    desk.require_equal(table)
    desk.require_landed_once()


def test_files_of_another_run_s_workers_are_left_alone(desk: Desk) -> None:
    """SEALED-MANIFEST: a run that was paused and wakes up must not clear what its successor lands under the same id."""
    desk.fill("Account", 20)
    planted: list[Path] = []

    def plant_and_kill(arrival: Arrival) -> None:
        own = max((desk.folder / "landing").rglob("Account-0010*.parquet"))
        planted.append(own.with_name(f"Account-0010-0-{'0' * 16}.parquet"))
        planted[0].write_bytes(own.read_bytes())
        arrival.kill()

    with desk.gate(Once("Account-0010", "landed", plant_and_kill)):
        desk.run()
    named = {desk.folder / "landing" / entry.path for entry in desk.manifest().files}
    assert {desk.folder / "landing" / path for path in desk.files()} == {*named, planted[0]}


def test_a_stop_ends_the_workers_and_leaves_nothing_behind(desk: Desk) -> None:
    table = desk.fill("Account", 40)
    stop = StopSignal()

    def stop_and_hold(arrival: Arrival) -> None:
        stop.request()
        arrival.wait_end()

    held = Once("Account-0010", "reading", stop_and_hold)
    with desk.gate(held), pytest.raises(Stopped):
        desk.run(stop=stop)
    assert not [each for each in desk.files() if not each.endswith(".part")]
    desk.run()
    desk.require_equal(table)
    assert not [each for each in desk.files() if each.endswith(".part")], "a half file is swept by the next run"


def test_an_error_of_one_stream_ends_the_workers_of_the_others(desk: Desk) -> None:
    desk.fill("Account", 20)
    desk.fill("Contact", 20)
    both = threading.Barrier(2)

    def decide(arrival: Arrival) -> None:
        if arrival.at == ("Account-0000", "reading"):
            both.wait(PATIENCE_S)
            arrival.say("quota")
        elif arrival.at == ("Contact-0000", "reading"):
            both.wait(PATIENCE_S)
            arrival.wait_end()
        else:
            go(arrival)

    with desk.gate(decide) as gate, pytest.raises(QuotaReached):
        desk.run(desk.pipeline(streams=["Account", "Contact"]))
    assert not gate.errors


def test_an_error_in_a_worker_keeps_its_class_and_loses_its_secrets(desk: Desk) -> None:
    """NO-SECRETS, LOUD: exit code and resume depend on the class; the text is scrubbed where the secret is known."""
    table = desk.fill("Account", 30)
    with (
        desk.gate(Once("Account-0010", "reading", lambda arrival: arrival.say("quota"))),
        pytest.raises(QuotaReached) as caught,
    ):
        desk.run(desk.pipeline(workers=1))
    assert caught.value.cause == "the quota of *** is used"
    assert caught.value.exit_code == 4
    with desk.gate(go) as gate:
        desk.run()
    assert "Account-0000" not in gate.slices_read(), "VALUE-RESUME: kept for the next run"
    desk.require_equal(table)


def test_a_defect_in_a_worker_is_told_with_its_place_and_without_its_text(desk: Desk) -> None:
    desk.fill("Account", 10)
    with (
        desk.gate(Once("Account-0000", "reading", lambda arrival: arrival.say("break"))),
        pytest.raises(SynclineError, match=r"unexpected ValueError in a worker, at shelf\.py:\d+") as caught,
    ):
        desk.run()
    assert TOKEN not in f"{caught.value}{caught.value.__cause__}"


def test_ctrl_c_on_a_terminal_is_the_run_s_affair(desk: Desk) -> None:
    """The signal reaches every process of the group; a worker that died of it would look like a lost one."""
    table = desk.fill("Account", 10)

    def interrupt(arrival: Arrival) -> None:
        os.kill(arrival.pid, signal.SIGINT)
        go(arrival)

    with desk.gate(Once("Account-0000", "reading", interrupt)) as gate:
        report = desk.run()
    assert len(gate.slices_read()) == 1
    assert KILLED not in report.stream("Account").warnings
    desk.require_equal(table)
