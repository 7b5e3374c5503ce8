"""A reload beside an increment that broke off, and a warehouse put back to before both; found by the simulation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncline.sinks.duckdb import DuckDB
from tests.runner.faults import Killed, Plan, faulty
from tests.runner.test_outcomes import killed_at, strike_named
from tests.runner.world import World


class Noted:
    """A warehouse that notes which streams each commit moves."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.moved: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, unit: Any) -> Any:
        self.moved.append(sorted(mark.stream for mark in unit.marks))
        return self.inner.commit(unit)


def test_a_reload_does_not_hide_what_an_unfinished_increment_left_at_the_source(world: World) -> None:
    killed_at(world, "extraction.read item", nth=1)
    assert len(world.source.jobs) >= 1
    world.reload("Account")
    world.reload("Contact")
    world.clock.advance(minutes=5)
    world.run()
    assert world.source.jobs == ()
    assert world.equal()


def test_streams_of_a_warehouse_put_back_come_forward_together_one_transaction(world: World) -> None:
    """The mirror knows of one stream that it was reloaded, of the other that its first round is unfinished."""
    killed_at(world, "warehouse.commit")
    world.reload("Account")
    world.database.unlink()
    noted = Noted(DuckDB(str(world.database)))
    world.run(world.pipeline(warehouse=noted))
    assert noted.moved[0] == ["Account", "Contact"]
    assert world.equal()


def test_files_of_a_manifest_sealed_in_the_last_moment_are_never_removed_sealed_manifest(world: World) -> None:
    """The run dies between sealing and writing that down, and a reload moves the watermark past its window."""
    plan = Plan(kind="kill-after")
    plan.around = strike_named(plan, "landing.seal", 0)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.run(faulty(world.pipeline(workers=1), plan))
    world.reload("Account", "Contact")
    world.run()
    landing = world.folder / "landing"
    manifests = [json.loads(path.read_bytes()) for path in landing.glob("**/_manifests/*.json")]
    files = [landing / entry["path"] for each in manifests for entry in each["files"]]
    assert len(manifests) >= 3
    assert [str(each) for each in files if not each.exists()] == []
    assert world.equal()
