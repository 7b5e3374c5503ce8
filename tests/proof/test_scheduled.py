"""``Stream(verify_every=...)``: hard deletes and late commits heal by themselves, when due and no sooner."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.connectors.errors import ConfigError, MassDelete, QuotaReached
from syncline.pipelines import verify as proving
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.report import RunReport
from syncline.pipelines.scheduled import run_scheduled
from tests.proof.damage import hard_delete, sql
from tests.runner.world import World


@pytest.fixture
def world(world: World) -> World:
    world.streams = (Stream("Account", verify_every="7d"), Stream("Contact"))
    return world


def tick(world: World, pipeline: Pipeline | None = None, **options: Any) -> RunReport:
    """The scheduled run, five minutes later."""
    world.clock.advance(minutes=5)
    return run_scheduled(pipeline or world.pipeline(), events=world.events, seams=world.seams(), **options)


def proved(report: RunReport) -> list[str]:
    return sorted(report.proof["streams"]) if report.proof else []


def test_it_heals_what_no_increment_sees_when_it_is_due(world: World) -> None:
    hard_delete(world)
    world.clock.advance(days=6)
    assert proved(tick(world)) == []
    assert not world.equal()
    world.clock.advance(days=1)
    report = tick(world)
    assert proved(report) == ["Account"]
    assert report.proof is not None
    assert report.proof["repaired"] == {"Account": 2}
    assert world.equal()
    assert any("2 rows differed" in each for each in report.warnings)
    recorded = next(each for each in world.pipeline().state.runs("crm", 5) if each.run_id == report.run_id)
    assert recorded.report["proof"]["repaired"] == {"Account": 2}
    world.clock.advance(days=6)
    assert proved(tick(world)) == []
    world.clock.advance(days=1)
    assert proved(tick(world)) == ["Account"]


def test_between_proofs_an_idle_run_stays_free(world: World) -> None:
    """IDLE-IS-FREE."""
    world.clock.advance(days=1)
    report = tick(world)
    assert (report.status, report.warehouse_statements, report.proof) == ("idle", 0, None)


def test_a_reading_of_everything_counts_as_a_proof(world: World) -> None:
    world.clock.advance(days=6)
    world.reload("Account")
    world.clock.advance(days=2)
    assert proved(tick(world)) == []


def test_when_it_was_proved_survives_a_lost_state(world: World) -> None:
    world.clock.advance(days=8)
    assert proved(tick(world)) == ["Account"]
    (world.folder / "state.db").unlink()
    world.clock.advance(days=5)
    assert proved(tick(world)) == []
    asked = tick(world).warehouse_statements
    assert asked == 0, "it was asked once, and is remembered"
    world.clock.advance(days=2)
    assert proved(tick(world)) == ["Account"]


def test_where_nobody_knows_of_a_proof_it_is_due(world: World) -> None:
    (world.folder / "state.db").unlink()
    assert proved(tick(world)) == ["Account"]


def test_a_quota_puts_it_off_and_the_run_stands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*args: Any, **options: Any) -> Any:
        raise QuotaReached("start job", "Account", "90% of the daily API requests are used", "wait")

    world.clock.advance(days=8)
    with monkeypatch.context() as patched:
        patched.setattr(proving, "extract_all", reached)
        report = tick(world)
    assert report.proof is None
    assert any("put off to the next run" in each for each in report.warnings)
    assert proved(tick(world)) == ["Account"]


def test_it_is_guarded_and_stays_due(world: World) -> None:
    """GUARDED-DELETE: the sync stands, nothing was deleted, and the command ends with exit code 4."""
    sql("INSERT INTO Account SELECT * REPLACE ('9' || Id AS Id) FROM Account")(world)
    world.clock.advance(days=8)
    with pytest.raises(MassDelete):
        tick(world)
    assert len(world.target("Account")) == 50
    assert proved(tick(world, allow_deletes=True)) == ["Account"]
    assert world.equal()


def test_a_wrong_duration_is_refused() -> None:
    with pytest.raises(ConfigError, match="verify_every"):
        Stream("Account", verify_every="weekly")
    with pytest.raises(ConfigError, match="verify_every"):
        Stream("Account", verify_every="0d")
