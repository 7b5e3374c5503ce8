"""Slices that must be read after all others, for records move into them while those are read (COMPLETE-WINDOW)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from syncline.connectors.connector import Json, Slice
from syncline.pipelines import runner
from syncline.pipelines.pipeline import Stream
from tests.runner.test_late import LastFirst
from tests.runner.test_outcomes import Watched, WatchedExtraction, killed_at
from tests.runner.world import World


class Moves(Watched):
    """A source whose records move into its last slice."""

    def plan(self, *args: Any) -> Any:
        return MovesExtraction(self, self.inner.plan(*args))


class MovesExtraction(WatchedExtraction):
    def slices(self, resume: Json | None, remember: Callable[[Json], None]) -> Iterator[Slice]:
        slices = list(self._inner.slices(resume, remember))
        yield from slices[:-1]
        yield from (replace(each, last=True) for each in slices[-1:])


@pytest.fixture
def alone(world: World) -> World:
    world.streams = (Stream("Account"),)
    return world


def test_a_last_slice_is_read_when_all_others_have_landed(alone: World) -> None:
    source, pool = Moves(alone.source), LastFirst()
    seams = replace(alone.seams(), pool=lambda count, name: pool, wait=pool.wait)
    alone.clock.advance(minutes=5)
    runner.run(alone.pipeline(source=source), events=alone.events, seams=seams)
    assert len(source.read_slices) == 3
    assert source.read_slices[-1] == max(source.read_slices, key=lambda name: int(name.rpartition("-")[2]))
    assert alone.equal()


def test_a_last_slice_is_read_again_where_an_earlier_one_is(alone: World) -> None:
    """Landed by an earlier run it lacks what has moved since from the slice that is read now."""
    killed_at(alone, "landing.seal", source=Moves(alone.source))
    lost, *others = sorted((alone.folder / "landing").rglob("run=*/*.parquet"))
    assert len(others) == 2
    lost.unlink()
    heir = Moves(alone.source)
    alone.run(alone.pipeline(source=heir))
    assert len(heir.read_slices) == 2
    named = {int(name.rpartition("-")[2]) for name in heir.read_slices}
    assert max(named) == int(heir.read_slices[-1].rpartition("-")[2])
    assert alone.equal()


def test_a_last_slice_that_landed_is_not_read_again_where_the_others_stand(alone: World) -> None:
    killed_at(alone, "landing.seal", source=Moves(alone.source))
    heir = Moves(alone.source)
    alone.run(alone.pipeline(source=heir))
    assert heir.read_slices == []
    assert alone.equal()
