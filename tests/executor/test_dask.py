"""Slices read by the workers of a dask cluster, which are killed, paused and lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from distributed.cfexecutor import ClientExecutor

from syncline.connectors.errors import ConfigError, Stopped, Transient
from syncline.pipelines import dask_engine
from syncline.pipelines.pipeline import WORKERS_MAX
from syncline.pipelines.stop import StopSignal
from tests.executor.cluster import Cluster, cluster_in
from tests.executor.conftest import TOKEN, Desk
from tests.executor.shelf import PATIENCE_S, Arrival, Once, go
from tests.executor.test_driver import lose_and_resume


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("dask"), SHELF_TOKEN=TOKEN) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    _cluster.refill()
    return _cluster


@pytest.fixture
def desk(desk: Desk, cluster: Cluster) -> Desk:
    desk.executor = cluster.executor
    return desk


def test_a_cluster_copies_what_threads_copy(desk: Desk, cluster: Cluster) -> None:
    table = desk.fill("Account", 40)
    with desk.gate(go) as gate:
        report = desk.run()
    desk.require_equal(table)
    desk.require_landed_once()
    assert {each.pid for each in gate.arrivals} <= {each.pid for each in cluster.processes}
    assert report.api_calls == 4


@pytest.mark.parametrize("point", ["reading", "landed"])
def test_a_slice_whose_worker_is_killed_is_read_by_another_and_lands_once(
    desk: Desk, cluster: Cluster, point: str
) -> None:
    """COUNTED-HOPS, SEALED-MANIFEST."""
    table = desk.fill("Account", 40)
    killed = Once("Account-0020", point, cluster.kill)
    with desk.gate(killed) as gate:
        desk.run()
    assert killed.met
    assert len({each.pid for each in gate.arrivals if each.at == ("Account-0020", "reading")}) == 2
    desk.require_equal(table)
    desk.require_landed_once()


def test_a_killed_run_is_gone_on_with_by_the_next_one(desk: Desk) -> None:
    """VALUE-RESUME. The dead run's workers live on and land what nobody names; its successor's manifest is whole."""
    lose_and_resume(desk, go)


def test_a_worker_that_was_given_up_and_wakes_lands_what_nobody_names(desk: Desk, cluster: Cluster) -> None:
    """SEALED-MANIFEST: paused past its time, its slice is given to another; both finish, the run takes one."""
    table = desk.fill("Account", 40)
    landed_late = threading.Event()

    def give_up(arrival: Arrival) -> None:
        os.kill(arrival.pid, signal.SIGSTOP)
        cluster.forget(arrival.pid)

    paused = Once("Account-0010", "reading", give_up)

    def decide(arrival: Arrival) -> None:
        paused(arrival)
        if paused.met and arrival.pid == paused.met[0].pid and arrival.at == ("Account-0010", "landed"):
            landed_late.set()

    with desk.gate(decide) as gate:
        report = desk.run()
        assert gate.slices_read().count("Account-0010") == 2
        paused.met[0].say("go")
        os.kill(paused.met[0].pid, signal.SIGCONT)
        assert landed_late.wait(PATIENCE_S)
    cluster.end(paused.met[0].pid)
    assert report.stream("Account").read == 40
    desk.require_equal(table)
    named = desk.manifest().files
    assert sorted(entry.slice for entry in named) == [f"Account-{first:04}" for first in range(0, 40, 10)]
    assert len(desk.files()) == 5, "the late one is there, and no manifest names it"


def test_a_slice_that_kills_every_worker_it_is_given_to_fails_the_run(desk: Desk, cluster: Cluster) -> None:
    """BOUNDED, LOUD: dask gives up after some losses, and the run says so."""
    desk.fill("Account", 10)

    def kill_and_refill(arrival: Arrival) -> None:
        cluster.kill(arrival)
        cluster.refill()

    with desk.gate(kill_and_refill), pytest.raises(Transient, match=r"2 workers were lost while reading it, tcp://"):
        desk.run()


def test_a_stop_ends_the_run_while_a_worker_reads_on_for_nothing(desk: Desk) -> None:
    table = desk.fill("Account", 40)
    stop, ended = StopSignal(), threading.Event()

    def stop_and_hold(arrival: Arrival) -> None:
        stop.request()
        assert ended.wait(PATIENCE_S), "the run ended while its worker was held"
        go(arrival)

    with desk.gate(Once("Account-0010", "reading", stop_and_hold)):
        with pytest.raises(Stopped):
            desk.run(stop=stop)
        ended.set()
    desk.run()
    desk.require_equal(table)


def test_a_lost_scheduler_fails_the_run_and_the_next_one_goes_on(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOUD, VALUE-RESUME."""
    table = desk.fill("Account", 30)
    monkeypatch.setattr(dask_engine, "CONNECT_TIMEOUT_S", 1.0)
    with cluster_in(tmp_path, SHELF_TOKEN=TOKEN) as lost:
        lost.refill()

        def lose(arrival: Arrival) -> None:
            lost.scheduler.kill()
            go(arrival)

        with desk.gate(Once("Account-0020", "reading", lose)), pytest.raises(Transient, match="no dask scheduler"):
            desk.run(desk.pipeline(executor=lost.executor, workers=1))
    with desk.gate(go) as gate:
        desk.run()
    assert gate.slices_read() == ["Account-0020"]
    desk.require_equal(table)


def test_breaking_off_after_the_scheduler_was_lost_hides_no_first_error() -> None:
    """LOUD: the error that ended the run is the one that is raised."""

    class Closed:
        status = "closed"

        def submit(self, *_: object) -> None:
            raise AssertionError("a closed client was used")

        cancel = submit

    engine = dask_engine.Dask("127.0.0.1:1")
    engine._client = cast("Any", Closed())
    engine._executor = ClientExecutor(engine._client)
    engine.abort()
    with pytest.raises(BrokenExecutor), engine.executor():
        pass


def test_a_scheduler_that_is_not_there_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill("Account", 10)
    monkeypatch.setattr(dask_engine, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Transient, match="no dask scheduler answers") as caught:
        desk.run(desk.pipeline(executor=f"dask://127.0.0.1:{port}"))
    assert "dask scheduler" in caught.value.hint


def test_a_run_with_nothing_to_read_does_not_connect(desk: Desk) -> None:
    """IDLE-IS-FREE."""
    desk.fill("Account", 0)
    desk.run(desk.pipeline(executor="dask://127.0.0.1:1"))


@pytest.mark.parametrize("url", ["dask://host", "dask:host:8786", "dask://host:x", "dask://u:p@host:1", "dask://h:1/x"])
def test_an_address_that_is_none_is_refused_when_the_file_loads(desk: Desk, url: str) -> None:
    with pytest.raises(ConfigError, match="setting executor") as caught:
        desk.pipeline(executor=url)
    assert "dask://host:8786" in caught.value.hint


def test_a_cluster_is_given_as_many_slices_as_may_be(desk: Desk) -> None:
    desk.fill("Account", 0)
    pipeline = desk.pipeline(workers=None)
    assert (pipeline.executor, pipeline.workers) == (desk.executor, WORKERS_MAX)
