"""docs/scale.md has the model's tables, and what the model takes for granted of the program is counted on real runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from syncline.connectors.sandbox import Org, SandboxServer
from syncline.pipelines.pipeline import Stream
from syncline.state import MemoryState, ObjectStoreState, StateStore
from tests.docs.pages import read
from tests.journey.journey import Journey
from tests.salesforce.org_world import START, Site

pytestmark = pytest.mark.checkout


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    org = Org(seed=3, start=START, seed_rows={"Account": 20, "Contact": 20, "Opportunity": 20})
    with SandboxServer(org) as server:
        yield Journey(Site(org, server), tmp_path)


def idle_run(journey: Journey, state: StateStore, names: tuple[str, ...], counted: Counter[str]) -> int:
    """Requests of a run that finds nothing; ``counted`` is of that run alone."""
    settings: dict[str, Any] = {"state": state, "streams": tuple(map(Stream, names))}
    journey.run(journey.pipeline(**settings))
    journey.site.org.advance(86_400)
    journey.run(journey.pipeline(**settings))
    journey.site.org.advance(86_400)
    counted.clear()
    report = journey.run(journey.pipeline(**settings))
    assert report.status == "idle"
    return int(report.api_calls)


def test_the_page_has_the_model_s_tables() -> None:
    from benchmarks.scale import tables

    for table in tables():
        assert table in read("docs/scale.md")


STREAMS = pytest.mark.parametrize("names", [("Account",), ("Account", "Contact", "Opportunity")], ids=len)


@STREAMS
def test_an_idle_run_makes_the_requests_that_the_model_says(journey: Journey, names: tuple[str, ...]) -> None:
    from benchmarks.scale import idle_calls

    assert idle_run(journey, MemoryState(), names, Counter()) == idle_calls(len(names))


@STREAMS
def test_an_idle_run_asks_a_bucket_as_often_as_the_model_says(
    journey: Journey, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    from benchmarks import scale

    counted: Counter[str] = Counter()

    def watched(name: str) -> Any:
        real = getattr(obstore, name)

        def call(*args: Any, **settings: Any) -> Any:
            counted[name] += 1
            return real(*args, **settings)

        return call

    for name in ("get", "put", "list", "delete"):
        monkeypatch.setattr(obstore, name, watched(name))
    idle_run(journey, ObjectStoreState.over(MemoryStore()), names, counted)
    assert counted["put"] == scale.each_run(scale.BUCKET_WRITES, len(names))
    assert counted["get"] + counted["list"] == scale.each_run(scale.BUCKET_READS, len(names))


@dataclass
class Watched:
    """A state store whose calls are counted, a lease's as two: it is taken and given back."""

    state: Any
    counted: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        self.counted[name] += 2 if name == "lease" else 1
        return getattr(self.state, name)


@STREAMS
def test_an_idle_run_asks_a_state_store_as_often_as_the_model_says(journey: Journey, names: tuple[str, ...]) -> None:
    from benchmarks import scale

    state = Watched(MemoryState())
    idle_run(journey, state, names, state.counted)
    assert sum(state.counted.values()) == scale.each_run(scale.STATE_CALLS, len(names)), state.counted
