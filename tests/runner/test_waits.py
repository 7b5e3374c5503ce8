"""A run says why it stands still: the source's refusals, each with the pause that follows (LOUD, BOUNDED)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from syncline.connectors.connector import Wait
from syncline.connectors.errors import Transient
from tests.runner.world import World

BUSY = Wait("query", "Account", "the org is busy", 2, 30.25)


@dataclass
class Hesitant:
    """A connector that asks twice for the time."""

    inner: Any
    gives_up: bool = False
    listener: Callable[[Wait], None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def on_wait(self, listener: Callable[[Wait], None] | None) -> None:
        self.listener = listener

    def horizon(self) -> Any:
        assert self.listener is not None
        self.listener(BUSY)
        if self.gives_up:
            raise Transient("query", "Account", "gave up", "run again")
        return self.inner.horizon()


def test_a_request_that_is_sent_again_is_told_with_its_pause(world: World) -> None:
    source = Hesitant(world.source)
    report = world.run(world.pipeline(source=source))
    [told] = world.events.named("request_retried")
    assert told.fields == {
        "run_id": report.run_id,
        "pipeline": "crm",
        "operation": "query",
        "object": "Account",
        "cause": "the org is busy",
        "attempt": 2,
        "wait_s": 30.25,
    }
    assert source.listener is None, "what happens after the run is not the run's"


def test_it_is_told_also_where_the_run_fails(world: World) -> None:
    source = Hesitant(world.source, gives_up=True)
    with pytest.raises(Transient):
        world.run(world.pipeline(source=source))
    assert len(world.events.named("request_retried")) == 1
    assert source.listener is None
