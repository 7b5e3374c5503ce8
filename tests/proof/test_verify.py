"""``verify`` names every damage by its kind, at every level that can see it, and nothing that is merely on its way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import ConfigError, CountMismatch
from syncline.connectors.records import Records
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.verify import Level, Sample, StreamProof, VerifyReport, verify
from tests.proof.damage import DAMAGES, counts, sql
from tests.runner.world import World, accounts

VALUES_ONLY = {
    "a column dropped",
    "a column renamed",
    "a column retyped",
    "a value changed",
    "a value lost",
    "a value where none was",
    "every value changed",
    "values exchanged",
}
"""What key and cursor do not show."""

UNCOUNTED = VALUES_ONLY | {"a row under another key", "a key lost", "a stamp lost", "a stamp before all time"}
"""What leaves every count and every newest cursor as it was; a row without a stamp is counted with the oldest."""


def look(world: World, **options: Any) -> VerifyReport:
    return verify(world.pipeline(), events=world.events, seams=world.seams(), **options)


def account(report: VerifyReport) -> StreamProof:
    return next(each for each in report.streams if each.stream == "Account")


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_named_by_its_kind(world: World, name: str) -> None:
    damage = DAMAGES[name]
    damage.do(world)
    report = look(world)
    assert counts(account(report).comparison) == damage.counts
    assert not report.equal
    assert [each.stream for each in report.streams if not each.comparison.equal] == ["Account"]


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - VALUES_ONLY))
def test_keys_and_cursors_show_every_damage_but_values(world: World, name: str) -> None:
    DAMAGES[name].do(world)
    found = account(look(world, level="keys"))
    assert not found.comparison.equal
    assert found.level == "keys"
    assert found.rows_checked == 0


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - UNCOUNTED))
def test_counts_show_every_damage_that_changes_a_count(world: World, name: str) -> None:
    DAMAGES[name].do(world)
    found = account(look(world, level="counts"))
    assert not found.comparison.equal
    assert found.level == "keys", "what counts find is named by reading keys"


def test_counts_read_nothing_whole_where_they_agree(world: World) -> None:
    report = look(world, level="counts")
    assert report.equal
    assert [each.level for each in report.streams] == ["counts", "counts"]
    assert not world.source.jobs
    whole = look(world, level="keys")
    assert report.api_calls <= whole.api_calls


@pytest.mark.parametrize("level", ["counts", "keys", "rows"])
def test_what_changed_after_the_watermark_is_pending(world: World, level: Level) -> None:
    world.clock.advance(minutes=3)
    world.source.insert("Account", accounts(50, 2))
    world.source.update("Account", [{"Id": "001000001", "Name": "edited"}])
    world.source.delete("Account", ["001000002"])
    world.source.delete("Account", ["001000003"], purge=True)
    world.clock.advance(minutes=3)
    report = look(world, level=level)
    assert report.equal, account(report).comparison
    world.run()
    assert world.equal()


def test_a_purge_of_a_moment_ago_is_waited_for_not_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that tells of its purges late, as Salesforce's log of deletions does."""
    select = Records._select

    def telling_late(source: Records, stream: StreamSchema, window: Window) -> Any:
        job = select(source, stream, window)
        told = pc.field("SystemModstamp") < pa.scalar(source.clock() - timedelta(seconds=source.settling_lag_s))
        return replace(job, tombstones=job.tombstones.filter(told))

    monkeypatch.setattr(Records, "_select", telling_late)
    world.clock.advance(minutes=5)
    world.source.delete("Account", ["001000003"], purge=True)
    before = world.clock()
    report = look(world)
    assert report.equal
    assert (world.clock() - before).total_seconds() > 60, "the deletion had not been told yet"
    assert account(report).rechecked == 1


def test_a_sample_compares_some_rows_in_full_and_all_keys(world: World) -> None:
    sql("DELETE FROM Account WHERE Id = '001000003'", "UPDATE Contact SET Name = 'forged'")(world)
    report = look(world, sample=Sample(count=10))
    assert counts(account(report).comparison)[0] == 1, "a missing key is found whatever the sample"
    contact = report.to_json()["streams"]["Contact"]
    assert contact["different"] == 10
    assert (contact["keys_share"], contact["rows_share"]) == (1.0, 0.4)


def test_every_share_of_a_sample_is_drawn(world: World) -> None:
    report = look(world, sample=Sample.parse("100%"))
    assert report.equal
    assert report.to_json()["streams"]["Account"]["rows_share"] == 1.0


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        *((text, "neither a number nor a share") for text in ("", "-3", "many", "1.5")),
        *((text, "a sample of no rows") for text in ("0", "00", "0%", "0.0 %")),
        ("101%", "no more rows than 100%"),
    ],
)
def test_a_sample_that_is_none_is_refused(text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"--sample .*{cause}"):
        Sample.parse(text)


@pytest.mark.parametrize("level", ["counts", "rows"])
def test_it_tells_what_it_does_meanwhile(world: World, level: Level) -> None:
    sql("INSERT INTO Account SELECT * REPLACE ('00199' AS Id) FROM Account WHERE Id = '001000003'")(world)
    world.events.events.clear()
    look(world, level=level)
    told = [(each.name, each.fields.get("stream")) for each in world.events.events]
    assert told[0] == ("proof_started", None)
    assert told[-1] == ("proof_finished", None)
    for name in ("stream_landed", "stream_staged", "stream_compared", "proof_paused"):
        assert (name, "Account") in told
    assert (("stream_counted", "Contact") in told) == (level == "counts")
    first, again = (each.fields for each in world.events.named("stream_compared") if each.fields["stream"] == "Account")
    assert (first["rows"], first["extra"], again["rows"], again["extra"]) == (25, 1, 0, 1)
    assert {each.fields["wait_s"] for each in world.events.named("proof_paused")} == {61.0}


def test_the_report_names_keys_columns_and_cells(world: World) -> None:
    sql("UPDATE Account SET Name = 'forged', Amount = 3 WHERE Id = '001000003'")(world)
    found = look(world).to_json()["streams"]["Account"]
    (example,) = found["examples"]
    assert (example["kind"], example["key"], example["columns"]) == ("different", ["001000003"], ["Name", "Amount"])
    assert sum(cell["differences"] for cell in found["buckets"]) == 1
    assert sum(cell["rows_target"] for cell in found["buckets"]) == 25
    assert {cell["state"] for cell in found["buckets"]} <= {"empty", "equal", "different"}


def test_at_most_twenty_keys_of_a_kind_are_named(world: World) -> None:
    sql("UPDATE Account SET Name = 'forged'")(world)
    found = look(world).to_json()["streams"]["Account"]
    assert found["different"] == 25
    assert len(found["examples"]) == 20


def test_marked_rows_are_not_extra_and_unmarked_ones_are(world: World) -> None:
    world.streams = (Stream("Account", on_delete="mark"),)
    world.run()
    world.source.delete("Account", ["001000003"])
    world.run()
    world.clock.advance(minutes=30)
    world.run()
    assert look(world).equal
    sql("UPDATE Account SET _syncline_deleted_at = NULL WHERE Id = '001000003'")(world)
    sql("UPDATE Account SET _syncline_deleted_at = now() WHERE Id = '001000004'")(world)
    assert counts(account(look(world)).comparison) == (1, 1, 0, 0)
    assert look(world, repair=True).equal
    marked = "SELECT Id FROM Account WHERE _syncline_deleted_at IS NOT NULL"
    assert world.query(marked) == [("001000003",)]
    sql("UPDATE Account SET _syncline_deleted_at = now()")(world)
    assert counts(account(look(world)).comparison) == (24, 0, 0, 0)
    assert look(world, repair=True).equal
    sql("ALTER TABLE Account DROP COLUMN _syncline_deleted_at")(world)
    assert counts(account(look(world)).comparison) == (0, 1, 0, 0), "nothing says any more that it was deleted"
    assert look(world, repair=True).equal
    assert world.query(marked) == [("001000003",)]


@pytest.mark.parametrize("level", ["keys", "rows"])
def test_a_marked_row_beside_a_live_one_is_found_and_mended(world: World, level: Level) -> None:
    """No run makes it, and one that met the key could not explain what it counts (COUNTED-HOPS)."""
    world.streams = (Stream("Account", on_delete="mark"),)
    world.run()
    marked = "INSERT INTO Account SELECT * REPLACE (now() AS _syncline_deleted_at) FROM Account"
    sql(f"{marked} WHERE Id IN ('001000003', '001000004')", f"{marked} WHERE Id = '001000003' LIMIT 1")(world)
    found = account(look(world, level=level))
    assert counts(found.comparison) == (0, 2, 0, 0)
    assert {each.key for each in found.comparison.examples} == {("001000003",), ("001000004",)}
    world.source.update("Account", [{"Id": "001000003", "Name": "edited"}])
    world.clock.advance(minutes=5)
    with pytest.raises(CountMismatch, match="holds more than once"):
        world.run()
    assert look(world, level=level, repair=True).equal
    world.run()
    assert world.equal()


def test_a_stream_without_a_cursor_is_compared(world: World) -> None:
    columns = world.source.rows("Account").drop_columns(["SystemModstamp"])
    world.source.add("Plain", columns.schema, key="Id", rows=columns)
    world.streams = (Stream("Plain"),)
    world.run()
    for level in ("counts", "keys", "rows"):
        assert look(world, level=level).equal
    sql("DELETE FROM Plain WHERE Id = '001000003'", "UPDATE Plain SET Name = 'x' WHERE Id = '001000004'")(world)
    assert counts(look(world).streams[0].comparison) == (1, 0, 0, 1)


def test_nothing_is_written_and_nothing_left_behind(world: World) -> None:
    sql("DELETE FROM Account WHERE Id = '001000003'")(world)
    before, landed = world.target("Account"), sorted(world.folder.rglob("*.parquet"))
    look(world)
    assert world.target("Account") == before
    assert sorted(world.folder.rglob("*.parquet")) == landed
    assert not world.source.jobs
    assert world.query("SELECT table_name FROM duckdb_tables() WHERE schema_name LIKE '%staging%'") == []


def test_a_stream_that_was_never_synced_is_refused(world: World) -> None:
    world.source.add("New", world.source.rows("Account").schema, key="Id", cursor="SystemModstamp")
    world.streams = (*world.streams, Stream("New"))
    with pytest.raises(ConfigError, match="never synced"):
        look(world)
