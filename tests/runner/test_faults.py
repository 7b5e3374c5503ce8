"""One fault at each operation of a reference scenario, of every kind: afterwards a run succeeds and target = source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncline.connectors.errors import SynclineError
from syncline.sinks.landing import Landing
from syncline.state.memory import MemoryState
from tests.runner.faults import Killed, Kind, Plan, faulty
from tests.runner.world import Clock, World, make_world

KINDS: list[Kind] = ["before", "after", "kill-before", "kill-after"]


def changed_world(folder: Path) -> World:
    """A synced world whose source then changed in every way."""
    world = make_world(folder, Clock())
    # What is kept in memory outlives a kill here as a disk would, and costs no waiting for one.
    memory = {"landing": Landing("memory://"), "state": MemoryState(clock=world.clock, random=os.urandom)}
    world.settings.update(workers=1, **memory)
    world.run()
    source = world.source
    source.update("Account", [{"Id": f"001{n:06}", "Name": "updated"} for n in range(12)])
    source.insert("Account", [{"Id": "001new", "Name": "new"}])
    source.delete("Account", ["001000020"])
    source.delete("Contact", ["001000021"], purge=True)
    return world


def operations(folder: Path) -> list[str]:
    plan = Plan()
    world = changed_world(folder)
    world.run(faulty(world.pipeline(), plan))
    assert world.equal()
    return plan.log


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_at_any_operation_the_next_run_makes_target_equal_source(tmp_path: Path, kind: Kind) -> None:
    count = len(operations(tmp_path / "reference"))
    assert count > 30, "the scenario passes every seam"
    for strike_at in range(count):
        world = changed_world(tmp_path / f"{kind}-{strike_at}")
        plan = Plan(strike_at, kind)
        before = {name: world.target(name) for name in ("Account", "Contact")}
        failed = False
        try:
            world.run(faulty(world.pipeline(), plan))
        except (SynclineError, Killed):
            failed = True
        after = {name: world.target(name) for name in ("Account", "Contact")}
        here = f"{kind} at {strike_at}, {plan.struck}"
        moved = [after[name] != before[name] for name in before]
        assert len(set(moved)) == 1, f"ONE-TRANSACTION: {here}"
        assert failed or world.equal(), f"a success must be one: {here}"
        unknowable = set(world.source.jobs) - jobs_remembered(world) if kind.startswith("kill") else set()
        world.run()
        assert world.equal(), here
        assert set(world.source.jobs) <= unknowable, f"no job outlives the next run: {here}"


def jobs_remembered(world: World) -> set[str]:
    """A job whose id a dead process never wrote down cannot be found again; the vendor removes it after some days."""
    marks = world.pipeline().state.recall("crm").values()
    tokens = [mark.checkpoint["token"] for mark in marks if mark.checkpoint is not None]
    return {token["job"] for token in tokens if token is not None}
