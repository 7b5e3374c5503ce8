"""``verify --repair`` mends a target damaged in every way, by the laws of a run; a proof of all of it follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from syncline.connectors.errors import CountMismatch, FenceLost, LeaseHeld, MassDelete, Transient
from syncline.pipelines.extract import extract_all
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.runner import REPLANS_MAX
from syncline.pipelines.verify import VerifyReport, verify
from syncline.sinks.duckdb import DuckDB
from tests.proof.damage import DAMAGES, sql
from tests.runner.world import World, accounts


def mend(world: World, pipeline: Pipeline | None = None, **options: Any) -> VerifyReport:
    return verify(pipeline or world.pipeline(), events=world.events, seams=world.seams(), repair=True, **options)


def prove(world: World) -> VerifyReport:
    return verify(world.pipeline(), events=world.events, seams=world.seams())


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_every_damage_is_mended(world: World, name: str) -> None:
    DAMAGES[name].do(world)
    report = mend(world)
    assert report.equal
    assert report.repaired == {"Account": sum(DAMAGES[name].counts)}
    assert prove(world).equal
    assert world.equal(), "asked of the table itself"
    world.run()
    assert world.equal(), "the next run stands on it"


def test_a_run_that_meets_a_key_twice_stops_and_a_repair_makes_it_one(world: World) -> None:
    """COUNTED-HOPS: no merge makes such a key or explains it."""
    DAMAGES["a row twice"].do(world)
    before = world.target("Account")
    world.source.update("Account", [{"Id": "001000003", "Name": "edited"}])
    world.clock.advance(minutes=5)
    with pytest.raises(CountMismatch, match="holds more than once"):
        world.run()
    assert world.target("Account") == before
    report = mend(world)
    assert report.equal
    (run,) = report.repair_runs
    record = next(each for each in world.pipeline().state.runs("crm", 5) if each.run_id == run)
    assert record.report["streams"]["Account"]["doubled"] == 1
    world.run()
    assert world.equal()


def twice(where: str) -> Callable[[World], None]:
    return sql(f"INSERT INTO Account SELECT * REPLACE ('other' AS Name) FROM Account WHERE {where}")


def test_a_key_twice_that_left_the_source_leaves_the_target(world: World) -> None:
    twice("Id IN ('001000004', '001000006')")(world)
    DAMAGES["a hard delete at the source"].do(world)
    assert mend(world).equal
    assert world.equal()


def test_marked_rows_twice_of_a_gone_key_are_named_and_hold_up_nothing_else(world: World) -> None:
    """LOUD: which of them was right nobody knows, and what is marked must not be lost."""
    world.streams = (Stream("Account", on_delete="mark"),)
    world.run()
    world.source.delete("Account", ["001000003", "001000004"])
    world.clock.advance(minutes=20)
    world.run()
    again = "INSERT INTO Account SELECT * FROM Account WHERE Id = '{}'"
    sql(
        again.format("001000003"),
        again.format("001000007"),
        "UPDATE Account SET Name = 'forged' WHERE Id > '001000020'",
        "UPDATE Account SET _syncline_deleted_at = NULL WHERE Id = '001000004'",
        again.format("001000004"),
    )(world)
    report = mend(world)
    assert not report.equal
    assert {each.key for each in report.streams[0].comparison.examples} == {("001000003",), ("001000004",)}
    (record,) = [each for each in world.pipeline().state.runs("crm", 5) if each.run_id in report.repair_runs]
    (warning,) = record.report["streams"]["Account"]["warnings"]
    assert (
        "2 keys that left the source stand in Account more than once (001000003 first): delete all rows but" in warning
    )
    assert warning in [each.fields["text"] for each in world.events.named("warning")]
    kept = "DELETE FROM Account WHERE Id = '{0}' AND rowid > (SELECT min(rowid) FROM Account WHERE Id = '{0}')"
    sql(kept.format("001000003"), kept.format("001000004"))(world)
    assert mend(world).equal
    world.run()
    assert prove(world).equal


def test_many_keys_twice_are_guarded_and_a_reload_makes_them_one_as_well(world: World) -> None:
    """GUARDED-DELETE."""
    twice("true")(world)
    before = world.target("Account")
    with pytest.raises(MassDelete, match="25 of keys that stand there more than once"):
        mend(world)
    with pytest.raises(MassDelete):
        world.reload("Account")
    assert world.target("Account") == before
    world.reload("Account", allow_deletes=True)
    assert world.equal()
    twice("true")(world)
    assert mend(world, allow_deletes=True).equal
    assert world.equal()


@pytest.mark.parametrize("level", ["counts", "keys"])
def test_what_the_cheaper_levels_find_is_mended(world: World, level: Any) -> None:
    DAMAGES["all at once"].do(world)
    assert mend(world, level=level).equal
    sql("UPDATE Account SET Name = 'forged' WHERE Id = '001000007'")(world)
    assert mend(world, level=level).equal, "it does not look at values"
    assert not prove(world).equal


def test_only_the_differing_rows_are_written(world: World) -> None:
    sql("DELETE FROM Account WHERE Id = '001000003'")(world)
    before = world.query("SELECT max(_syncline_synced_at) FROM Account")[0][0]
    world.clock.advance(minutes=5)
    report = mend(world)
    assert world.query(f"SELECT Id FROM Account WHERE _syncline_synced_at > '{before}'") == [("001000003",)]
    (run,) = report.repair_runs
    record = next(each for each in world.pipeline().state.runs("crm", 5) if each.run_id == run)
    assert (record.report["kind"], record.status) == ("repair", "done")
    counts = record.report["streams"]["Account"]
    assert (counts["read"], counts["landed"], counts["staged"], counts["inserted"]) == (1, 1, 1, 1), "COUNTED-HOPS"


def test_an_equal_target_is_not_written(world: World) -> None:
    before = world.watermarks()
    report = mend(world)
    assert (report.equal, report.repair_runs, dict(report.repaired)) == (True, (), {})
    assert world.watermarks() == before


def test_the_watermark_stays_and_its_version_moves(world: World) -> None:
    """ROWS-THEN-MARK: what changed since is still the next run's; FENCED-COMMIT: other runs learn of the repair."""
    before = world.watermarks()
    world.clock.advance(minutes=3)
    world.source.update("Account", [{"Id": "001000001", "Name": "edited"}])
    sql("DELETE FROM Account WHERE Id = '001000003'")(world)
    world.clock.advance(minutes=3)
    mend(world)
    after = world.watermarks()
    assert after["Account"][0] == before["Account"][0]
    assert after["Account"][1] == before["Account"][1] + 1
    assert after["Contact"] == before["Contact"]
    world.run()
    assert world.equal()


def test_several_streams_are_mended_in_one_transaction(world: World) -> None:
    """ONE-TRANSACTION."""
    sql("DELETE FROM Account WHERE Id = '001000003'", "DELETE FROM Contact WHERE Id = '001000004'")(world)
    report = mend(world)
    assert len(report.repair_runs) == 1
    assert {run_id for _, _, run_id in world.watermarks().values()} == set(report.repair_runs)
    assert world.equal()


def many_extra(world: World) -> None:
    sql("INSERT INTO Account SELECT * REPLACE ('9' || Id AS Id) FROM Account")(world)


def test_a_mass_delete_is_guarded_until_allowed(world: World) -> None:
    """GUARDED-DELETE."""
    many_extra(world)
    before = world.target("Account")
    with pytest.raises(MassDelete):
        mend(world)
    assert world.target("Account") == before
    assert mend(world, allow_deletes=True).equal
    assert world.equal()


@pytest.mark.parametrize("on_delete", ["delete", "mark"])
def test_hard_deletes_leave_as_the_stream_says(world: World, on_delete: Any) -> None:
    world.streams = (Stream("Account", on_delete=on_delete),)
    world.run()
    DAMAGES["a hard delete at the source"].do(world)
    assert mend(world).equal
    left = world.query("SELECT count(*) FROM Account WHERE Id IN ('001000004', '001000005')")
    assert left == ([(0,)] if on_delete == "delete" else [(2,)])
    assert prove(world).equal


class Interloper:
    """The warehouse, and somebody who does something each time before a transaction."""

    def __init__(self, inner: DuckDB, act: Callable[[], None], times: int) -> None:
        self.inner, self.act, self.times = inner, act, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def prepare(self, tables: Any) -> None:
        if self.times and tables:
            self.times -= 1
            self.inner.close()
            self.act()
        self.inner.prepare(tables)


def bump(world: World) -> None:
    """What another run's commit does: newer rows, and versions."""
    world.source.update("Account", [{"Id": "001000003", "Name": "newer"}])
    newer = "UPDATE Account SET Name = 'newer' WHERE Id = '001000003'"
    sql(newer, "UPDATE _syncline_watermarks SET version = version + 1, run_id = 'other' WHERE stream = 'Account'")(
        world
    )


def test_another_run_s_commit_meanwhile_is_never_overwritten(world: World) -> None:
    """FENCED-COMMIT, NEWEST-WINS: the keys are read again, after the other run's commit."""
    sql("UPDATE Account SET Name = 'forged' WHERE Id IN ('001000003', '001000004')")(world)
    warehouse: Any = Interloper(DuckDB(str(world.database)), lambda: bump(world), times=1)
    mend(world, world.pipeline(warehouse=warehouse))
    assert world.query("SELECT Name FROM Account WHERE Id = '001000003'") == [("newer",)]
    assert world.equal()


def test_a_fence_lost_every_time_ends_the_repair(world: World) -> None:
    """BOUNDED."""
    sql("UPDATE Account SET Name = 'forged' WHERE Id = '001000004'")(world)
    warehouse: Any = Interloper(DuckDB(str(world.database)), lambda: bump(world), times=REPLANS_MAX)
    with pytest.raises(FenceLost):
        mend(world, world.pipeline(warehouse=warehouse))
    assert world.query("SELECT Name FROM Account WHERE Id = '001000004'") == [("forged",)]


def test_many_differences_are_mended_by_a_whole_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """BOUNDED: no more keys are held than a bound."""
    monkeypatch.setattr("syncline.pipelines.proving.DIFFERING_KEYS_MAX", 5)
    sql("UPDATE Account SET Name = 'forged'", "DELETE FROM Contact WHERE Id = '001000004'")(world)
    report = mend(world)
    assert report.equal
    assert len(report.repair_runs) == 2
    assert world.equal()


def test_a_stream_without_a_key_is_mended_by_a_whole_read(world: World) -> None:
    columns = world.source.rows("Account").drop_columns(["SystemModstamp"])
    world.source.add("Plain", columns.schema, rows=columns)
    world.streams = (Stream("Plain"),)
    world.run()
    sql("DELETE FROM Plain WHERE Id = '001000003'", "UPDATE Plain SET Name = 'x' WHERE Id = '001000004'")(world)
    assert not prove(world).equal
    assert mend(world).equal
    assert world.equal()


STUCK = "SystemModstamp = '2199-01-01 00:00:00+00'"


def test_rows_stamped_into_the_future_are_mended_by_a_whole_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """NEWEST-WINS: nothing was committed since the source was asked, whatever the target's stamps say."""
    monkeypatch.setattr("syncline.pipelines.proving.DIFFERING_KEYS_MAX", 5)
    DAMAGES["a hard delete at the source"].do(world)
    sql(f"UPDATE Account SET Name = 'stuck', {STUCK}")(world)
    report = mend(world)
    assert report.equal
    assert world.equal()
    (run,) = report.repair_runs
    record = next(each for each in world.pipeline().state.runs("crm", 5) if each.run_id == run)
    assert (record.report["kind"], record.status) == ("repair", "done")
    world.source.update("Account", [{"Id": "001000003", "Name": "edited"}])
    world.run()
    assert world.equal(), "the next run stands on it"


def test_a_stream_without_a_key_is_mended_of_rows_from_the_future(world: World) -> None:
    rows = world.source.rows("Account")
    world.source.add("Plain", rows.schema, cursor="SystemModstamp", rows=rows)
    world.streams = (Stream("Plain"),)
    world.run()
    sql(f"UPDATE Plain SET {STUCK} WHERE Id < '001000003'")(world)
    assert not prove(world).equal
    assert mend(world).equal
    assert world.equal()


def test_a_commit_during_a_whole_read_is_never_overwritten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """FENCED-COMMIT, NEWEST-WINS: everything is read again, after the other run's commit."""
    monkeypatch.setattr("syncline.pipelines.proving.DIFFERING_KEYS_MAX", 5)
    sql("UPDATE Account SET Name = 'forged'")(world)
    acts = iter([lambda: bump(world)])

    def overtaken(*arguments: Any) -> Any:
        landed = extract_all(*arguments)
        next(acts, lambda: None)()
        return landed

    with monkeypatch.context() as patch:
        patch.setattr("syncline.pipelines.repair_whole.extract_all", overtaken)
        report = mend(world)
    assert report.equal
    assert world.query("SELECT Name FROM Account WHERE Id = '001000003'") == [("newer",)]
    assert world.equal()
    warehouse: Any = Interloper(DuckDB(str(world.database)), lambda: bump(world), times=REPLANS_MAX)
    sql("UPDATE Account SET Name = 'forged'")(world)
    with pytest.raises(FenceLost):
        mend(world, world.pipeline(warehouse=warehouse))


def test_a_whole_read_that_was_cut_off_is_gone_on_with_until_something_is_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VALUE-RESUME; NEWEST-WINS: what was read before another commit is older than that."""
    monkeypatch.setattr("syncline.pipelines.proving.DIFFERING_KEYS_MAX", 5)

    def fail() -> None:
        raise Transient("load", "Account", "the connection broke", "run again")

    def cut_off() -> None:
        sql("UPDATE Account SET Name = 'forged'")(world)
        with pytest.raises(Transient):
            mend(world, world.pipeline(warehouse=cast(Any, Interloper(DuckDB(str(world.database)), fail, times=1))))

    def resumed(report: VerifyReport) -> bool:
        record = world.pipeline().state.runs("crm", 1)[0]
        assert report.equal
        return bool(record.report["resumed"])

    cut_off()
    assert resumed(mend(world))
    assert world.equal()
    cut_off()
    bump(world)
    world.clock.advance(minutes=1)
    assert not resumed(mend(world))
    assert world.query("SELECT Name FROM Account WHERE Id = '001000003'") == [("newer",)]
    assert world.equal()


def test_a_repair_waits_for_a_run_under_way(world: World) -> None:
    sql("DELETE FROM Account WHERE Id = '001000003'")(world)
    with world.pipeline().state.lease("crm", 1e6), pytest.raises(LeaseHeld):
        mend(world)
    assert mend(world).equal


def test_two_proofs_at_once_are_refused(world: World) -> None:
    """The second would remove the first one's jobs at the source."""
    with world.pipeline().state.lease("crm.verify", 1e6), pytest.raises(LeaseHeld):
        prove(world)


def test_a_repair_that_fails_wrote_nothing_and_the_next_one_mends(world: World) -> None:
    sql("DELETE FROM Account WHERE Id = '001000003'")(world)

    def fail() -> None:
        raise Transient("load", "Account", "the connection broke", "run again")

    warehouse: Any = Interloper(DuckDB(str(world.database)), fail, times=1)
    with pytest.raises(Transient):
        mend(world, world.pipeline(warehouse=warehouse))
    assert len(world.target("Account")) == 24
    world.source.insert("Account", accounts(60, 1))
    assert mend(world).equal
    world.run()
    assert world.equal()
