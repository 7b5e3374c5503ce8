"""Whole reads of a source that goes on changing: a record edited meanwhile must not vanish from its table."""

from __future__ import annotations

from typing import Any

from syncline.pipelines.pipeline import Stream
from syncline.pipelines.verify import verify
from tests.runner.world import World


def edit_now(world: World, name: str) -> None:
    """Edits a record inside the settling lag of what is run next."""
    world.clock.advance(minutes=5)
    world.source.update("Account", [{"Id": "001000001", "Name": name}])
    world.clock.advance(minutes=-5, seconds=5)


def name_of(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT Name FROM Account WHERE Id = '001000001'")


def test_a_reload_keeps_a_record_edited_a_moment_ago(world: World) -> None:
    world.run()
    edit_now(world, "edited")
    report = world.reload("Account")
    assert report.streams["Account"].counts.absent == 0
    assert name_of(world) == [("edited",)], "readers never see a gap"
    watermark, _, _ = world.watermarks()["Account"]
    assert watermark < world.clock(), "COMPLETE-WINDOW: the watermark stays at the horizon"
    world.run()
    assert world.equal()


def test_a_periodic_full_read_keeps_a_record_edited_a_moment_ago(world: World) -> None:
    world.streams = (Stream("Account", full_every="1h"),)
    world.run()
    world.clock.advance(hours=2)
    edit_now(world, "edited")
    report = world.run()
    assert report.streams["Account"].mode == "snapshot"
    assert name_of(world) == [("edited",)]


def test_a_record_edited_after_the_horizon_is_still_found_by_the_next_run(world: World) -> None:
    world.run()
    edit_now(world, "first")
    world.reload("Account")
    world.source.delete("Account", ["001000002"], purge=True)
    world.source.update("Account", [{"Id": "001000001", "Name": "second"}])
    world.clock.advance(minutes=5)
    world.run()
    assert world.equal()


def test_verify_takes_a_record_edited_a_moment_ago_for_pending(world: World) -> None:
    world.run()
    edit_now(world, "edited")
    world.clock.advance(minutes=5)
    report = verify(world.pipeline(), events=world.events, seams=world.seams())
    assert report.equal
    comparison = next(each.comparison for each in report.streams if each.stream == "Account")
    assert (comparison.rows_source, comparison.rows_target, comparison.pending) == (25, 25, 1)
