"""What a run that goes on with another's slices proves of them, and what it removes (VALUE-RESUME, COUNTED-HOPS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from syncline.connectors.connector import Json, Slice
from syncline.connectors.errors import CountMismatch
from syncline.pipelines.pipeline import Stream
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_outcomes import killed_at, strike_named
from tests.runner.test_unfinished import PLAIN
from tests.runner.world import World


@dataclass
class EndsEarly:
    """A connector that does not know a window's rows beforehand, and whose list of slices lacks the last one."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def plan(self, *args: Any) -> Any:
        return EndsEarlyExtraction(self.inner.plan(*args))


@dataclass
class EndsEarlyExtraction:
    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def forecast(self) -> Any:
        return replace(self.inner.forecast, rows=None)

    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        yield from list(self.inner.slices(resume, remember))[:-1]


def test_a_result_whose_slices_do_not_add_up_is_not_committed_counted_hops(world: World) -> None:
    world.streams = (Stream("Account"),)
    with pytest.raises(CountMismatch, match="announced 25 rows, its slices hold 20") as refused:
        world.run(world.pipeline(source=EndsEarly(world.source)))
    assert refused.value.exit_code == 4
    assert not world.database.exists()
    assert world.source.jobs == ()
    world.run()
    assert world.equal(), "the next run reads anew"


def test_slices_of_an_earlier_run_count_too_counted_hops(world: World) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.read item", nth=2)
    with pytest.raises(CountMismatch, match="announced 25 rows, its slices hold 20"):
        world.run(world.pipeline(source=EndsEarly(world.source)))
    world.run()
    assert world.equal()


def test_what_left_the_source_with_a_lost_job_does_not_stay_in_the_target(world: World) -> None:
    """The lost job's slices hold a record that the new one lacks: landed beside them, it would not be absent."""
    world.source.add("Plain", PLAIN, key="Id", rows=[{"Id": f"{n:02}", "Name": "a"} for n in range(25)])
    world.streams = (Stream("Plain"),)
    plan = Plan(kind="kill-before")
    plan.around = strike_named(plan, "extraction.read item", 2)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.reload("Plain", pipeline=faulty(world.pipeline(workers=1), plan))
    world.source.forget_jobs()
    world.source.delete("Plain", ["03"])
    report = world.reload("Plain")
    assert report.resumed
    assert report.streams["Plain"].landed == 24
    assert world.equal()


def test_a_sealed_run_leaves_a_job_that_its_heir_only_removes(world: World) -> None:
    world.streams = (Stream("Account"),)
    killed_at(world, "extraction.close")
    [_] = world.source.jobs
    made = jobs_made(world)
    world.run()
    assert world.source.jobs == ()
    assert jobs_made(world) == made + 1, "one for its own window, none to find the old one"


def jobs_made(world: World) -> int:
    return world.source._jobs_made
