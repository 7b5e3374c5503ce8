"""A dask cluster of real processes on this machine, whose workers a test may kill."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from distributed import Client

from tests.executor.shelf import Arrival

REPOSITORY = Path(__file__).parents[2]
WORKERS = 2


@dataclass
class Cluster:
    """One scheduler and its workers. ``address`` is the scheduler's ``host:port``."""

    environ: Mapping[str, str]
    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    address: str = ""
    addresses: dict[int, str] = field(default_factory=dict)
    drains: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler, self.address = self._start("scheduler", "--port", "0", until=r"Scheduler at:\s+tcp://(\S+)")

    def kill(self, arrival: Arrival) -> None:
        arrival.kill()
        self.end(arrival.pid)

    def end(self, pid: int) -> None:
        [process] = [each for each in self.processes if each.pid == pid]
        process.kill()
        process.wait()

    def forget(self, pid: int) -> None:
        """Has the scheduler do what it does of itself when it has not heard of a worker for long (worker-ttl)."""
        with Client(self.address, set_as_default=False) as client:
            client.run_on_scheduler(_forget, address=self.addresses[pid])

    @property
    def executor(self) -> str:
        return f"dask://{self.address}"

    def refill(self) -> None:
        """As many workers as there should be, ready for work."""
        alive = [each for each in self.processes if each is not self.scheduler and each.poll() is None]
        for _ in range(WORKERS - len(alive)):
            options = ("--no-nanny", "--nthreads", "1", "--local-directory", str(self.folder))
            process, address = self._start("worker", self.address, *options, until=r"Start worker at:\s+(tcp://\S+)")
            self.addresses[process.pid] = address
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(WORKERS)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()  # a paused one as well
        for process in self.processes:
            process.wait()
        for drain in self.drains:
            drain.join()
        for process in self.processes:
            if process.stderr is not None:
                process.stderr.close()

    def _start(self, what: str, *options: str, until: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, "--host", "127.0.0.1", "--no-dashboard"]
        process = subprocess.Popen(
            [*command, *options], env=self.environ, cwd=self.folder, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(until, line):
                self.drains.append(threading.Thread(target=_drain, args=(process.stderr,)))
                self.drains[-1].start()
                return process, found[1]
        raise AssertionError(f"dask {what} ended before it was ready")


async def _forget(dask_scheduler: Any, address: str) -> None:
    await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)


def _drain(stream: IO[str]) -> None:
    for _ in stream:
        pass


@contextmanager
def cluster_in(folder: Path, **environ: str) -> Iterator[Cluster]:
    quickly = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    cluster = Cluster({**os.environ, "PYTHONPATH": str(REPOSITORY), **quickly, **environ}, folder)
    try:
        yield cluster
    finally:
        cluster.stop()
