"""Threads that take turns, so that one seed decides how they interleave.

Only one of them runs at any time. At each step it may hand over to another, and the seed says whether and to whom; one
that waits for something is passed over until it has come. To the code above they are ordinary threads of an ordinary
pool: slices are read side by side, runs overlap, and yet everything happens in the same order each time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

SWITCH_SHARE = 0.3
"""How often a step hands over, where there is somebody to hand over to."""

STUCK_S = 60.0
"""Real seconds after which a thread that was handed the turn is taken to hang."""


class Deadlock(RuntimeError):
    """Everybody waits for somebody else."""


class _Worker:
    """One thread of control. ``waits_for`` says when it may go on; ``None``: at once."""

    def __init__(self, work: Callable[[], None] | None) -> None:
        self.work = work
        self.baton = threading.Semaphore(0)
        self.waits_for: Callable[[], bool] | None = None
        self.started = work is None

    def ready(self) -> bool:
        return self.waits_for is None or self.waits_for()


class Turns:
    """The thread that makes it is the first worker; ``pool`` and ``beside`` make the others."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._workers = [_Worker(None)]
        self._local = threading.local()
        self._local.worker = self._workers[0]

    def step(self) -> None:
        """Called at every operation: perhaps another worker goes on first."""
        worker = getattr(self._local, "worker", None)
        if worker is not None and len(self._workers) > 1 and self._random.random() < SWITCH_SHARE:
            self._hand_over(worker)

    def until(self, come: Callable[[], bool]) -> None:
        """Lets the others go on until ``come()``."""
        worker = getattr(self._local, "worker", None)
        while worker is not None and not come():
            worker.waits_for = come
            try:
                self._hand_over(worker)
            finally:
                worker.waits_for = None

    def beside(self, works: Sequence[Callable[[], T]]) -> list[T | BaseException]:
        """Runs all of them interleaved; what each returned or raised, in their order."""
        with self.pool(len(works), "") as pool:
            futures = [pool.submit(work) for work in works]
            self.until(lambda: all(future.done() for future in futures))
        return [future.exception() or future.result() for future in futures]

    def pool(self, workers: int, name: str) -> Executor:
        """As ``ThreadPoolExecutor``."""
        return _Pool(self, workers)

    def wait(
        self, futures: Iterable[Future[Any]], timeout: float | None = None, return_when: str = ALL_COMPLETED
    ) -> tuple[list[Future[Any]], set[Future[Any]]]:
        """As ``concurrent.futures.wait``; those that are done come in the order in which they were submitted."""
        waited = sorted(futures, key=lambda future: future.number if isinstance(future, _Future) else 0)

        def come() -> bool:
            if return_when == FIRST_COMPLETED:
                return not waited or any(future.done() for future in waited)
            failed = return_when != ALL_COMPLETED and any(_failed(future) for future in waited)
            return failed or all(future.done() for future in waited)

        self.until(come)
        return [each for each in waited if each.done()], {each for each in waited if not each.done()}

    def spawn(self, work: Callable[[], None]) -> None:
        self._workers.append(_Worker(work))

    def _hand_over(self, worker: _Worker) -> None:
        following = self._choose()
        if following is not worker:
            self._resume(following)
            if not worker.baton.acquire(timeout=STUCK_S):
                raise Deadlock("a thread holds a lock over an operation that another waits for: enter it ``alone``")

    def _choose(self) -> _Worker:
        ready = [worker for worker in self._workers if worker.ready()]
        if not ready:
            raise Deadlock(f"{len(self._workers)} workers wait for one another")
        return ready[0] if len(ready) == 1 else self._random.choice(ready)

    def _resume(self, worker: _Worker) -> None:
        if worker.started:
            worker.baton.release()
            return
        worker.started = True
        _start(lambda: self._run(worker))

    def _run(self, worker: _Worker) -> None:
        self._local.worker = worker
        assert worker.work is not None
        worker.work()
        self._workers.remove(worker)
        self._resume(self._choose())


class _Thread:
    """A thread that takes one piece of work after another: starting one costs more than a step."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while True:
            self.work.get()()
            _resting.append(self)


_resting: list[_Thread] = []


def _start(work: Callable[[], None]) -> None:
    try:
        thread = _resting.pop()
    except IndexError:
        thread = _Thread()
    thread.work.put(work)


class _Future(Future[Any]):
    """Waiting for it lets the others go on."""

    def __init__(self, turns: Turns, number: int) -> None:
        super().__init__()
        self.number = number
        self._turns = turns

    def result(self, timeout: float | None = None) -> Any:
        self._turns.until(self.done)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._turns.until(self.done)
        return super().exception(timeout)


class _Pool(Executor):
    def __init__(self, turns: Turns, workers: int) -> None:
        self._turns = turns
        self._free = workers
        self._futures: list[_Future] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = _Future(self._turns, len(self._futures))
        self._futures.append(future)

        def work() -> None:
            self._turns.until(lambda: self._free > 0 or future.cancelled())
            if not future.set_running_or_notify_cancel():
                return
            self._free -= 1
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - as every executor does; it is raised by result()
                self._free += 1
                future.set_exception(error)
            else:
                self._free += 1
                future.set_result(result)

        self._turns.spawn(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for future in self._futures if cancel_futures else ():
            future.cancel()
        if wait:
            self._turns.until(lambda: all(future.done() for future in self._futures))


def _failed(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None
