"""``syncline landing expire``: what goes, and above all what never does. Real runs, DuckDB, SQLite, folder and S3."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors import aws
from syncline.connectors.connector import Window
from syncline.connectors.errors import ConfigError, DataError, LeaseHeld
from syncline.pipelines.expiry import expire, judge
from syncline.pipelines.landing_runs import Known
from syncline.pipelines.pipeline import Stream
from syncline.sinks.landing import Landing
from syncline.sinks.upkeep import Holding
from syncline.sinks.warehouse import CommittedRun, Watermark
from tests.landing.worlds import BucketWorld, manifest_of
from tests.runner.faults import Killed
from tests.runner.test_outcomes import killed_at
from tests.runner.world import Clock, World, accounts, make_world

LATER = datetime.now(UTC) + timedelta(days=400)
"""Runs start by the world's clock, files are written by this machine's: both are old by now."""

MONTH = timedelta(days=30)


@pytest.fixture
def crm(tmp_path: Path) -> World:
    world = make_world(tmp_path / "crm", Clock())
    world.streams = (Stream("Account"),)
    return world


def landing_of(world: World) -> Landing:
    return world.pipeline().landing


def sealed(world: World) -> list[str]:
    return list(landing_of(world).sealed("crm", "Account"))


def files(world: World) -> list[Path]:
    return sorted((world.folder / "landing" / "crm").rglob("*.parquet"))


def change(world: World, number: int = 1) -> str:
    world.source.update("Account", [{"Id": f"001{number:06}", "Name": f"changed at {world.clock.now}"}])
    return world.run().run_id


def expired(world: World, **options: Any) -> dict[str, Any]:
    report = expire(world.pipeline(), **{"older_than": MONTH, "now": LATER, **options})
    found: dict[str, Any] = report["streams"]["Account"]
    return found


def goes_on(world: World) -> None:
    """The next run brings what changed, and the target equals the source."""
    change(world, 7)
    assert world.equal()


def test_runs_before_the_last_whole_read_go_and_nothing_else(crm: World) -> None:
    old = [crm.run().run_id, change(crm), change(crm)]
    whole = crm.reload("Account").run_id
    kept = [whole, change(crm), change(crm)]
    found = expired(crm)
    assert found["expired"] == old
    assert found["kept"] == {"newest": 1, "replay": 2}
    assert sealed(crm) == kept
    assert {path.parent.name for path in files(crm)} == {f"run={run_id}" for run_id in kept}
    goes_on(crm)


def test_the_first_whole_read_is_what_a_replay_begins_with(crm: World) -> None:
    runs = [crm.run().run_id, change(crm), change(crm)]
    assert expired(crm)["expired"] == []
    assert sealed(crm) == runs


def test_beyond_replay_only_the_newest_stays(crm: World) -> None:
    runs = [crm.run().run_id, change(crm), change(crm)]
    found = expired(crm, beyond_replay=True)
    assert (found["expired"], found["kept"]) == (runs[:2], {"newest": 1})
    goes_on(crm)


def test_a_run_that_is_not_old_stays(crm: World) -> None:
    runs = [crm.run().run_id, change(crm), change(crm)]
    now = crm.clock.now + timedelta(days=29)
    assert expired(crm, now=now, beyond_replay=True)["kept"] == {"newest": 1, "young": 2}
    assert sealed(crm) == runs


def test_a_dry_run_tells_the_same_and_removes_nothing(crm: World) -> None:
    crm.run()
    change(crm)
    before = files(crm)
    told = expired(crm, beyond_replay=True, dry_run=True)
    assert told["files"] == 3, "the first read's three slices"
    assert files(crm) == before
    assert expired(crm, beyond_replay=True) == told
    assert len(files(crm)) == len(before) - 3


def test_a_sealed_run_that_never_committed_is_loaded_as_it_is_afterwards(crm: World) -> None:
    crm.run()
    crm.source.update("Account", [{"Id": "001000001", "Name": "sealed"}])
    killed_at(crm, "warehouse.commit")
    (run_id,) = sealed(crm)[1:]
    crm.clock.advance(minutes=5)
    assert expired(crm, beyond_replay=True)["kept"] == {"newest": 1, "unfinished": 1}
    report = crm.run()
    assert report.resumed == [run_id]
    assert crm.equal()


def test_without_its_checkpoint_too_a_run_that_never_committed_stays(crm: World) -> None:
    crm.run()
    crm.source.update("Account", [{"Id": "001000001", "Name": "sealed"}])
    killed_at(crm, "warehouse.commit")
    crm.clock.advance(minutes=5)
    (crm.folder / "state.db").unlink()
    assert expired(crm, beyond_replay=True)["kept"] == {"newest": 1, "uncommitted": 1}
    goes_on(crm)
    assert expired(crm, beyond_replay=True)["kept"] == {"newest": 1, "uncommitted": 1}, "nor when later ones did"


def test_slices_of_an_unfinished_reading_stay(crm: World) -> None:
    killed_at(crm, "extraction.read item", nth=2)
    landed = files(crm)
    assert landed, "a slice had landed"
    crm.clock.advance(minutes=5)
    assert expired(crm)["files"] == 0
    assert files(crm) == landed
    crm.run()
    assert crm.equal()


def test_leavings_of_dead_runs_go_when_they_are_old_and_nothing_else_does(crm: World) -> None:
    crm.run()
    folder = crm.folder / "landing" / "crm" / "Account"
    dead = folder / "dt=2026-02-01" / "run=20260201T000000000000Z-00000d" / "page-1-0-ab.parquet"
    beside = files(crm)[0].with_name("page-1-0-ffff.parquet")
    fresh = dead.with_name("page-1-1-ab.parquet")
    alien = [folder / "notes.txt", folder.parent / "notes.txt", folder / "dt=2026-02-01" / "notes.txt"]
    for path in (dead, beside, fresh, *alien):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1")
    now = datetime.now(UTC)
    for path in (dead, beside, *alien):
        os.utime(path, ((now - 2 * MONTH).timestamp(),) * 2)
    found = expired(crm, now=now)
    assert (found["orphans"], found["bytes"]) == (2, 8)
    assert not dead.exists()
    assert not beside.exists(), "a dead writer's file in the folder of a run that was sealed later"
    assert fresh.exists()
    assert all(path.exists() for path in alien)


def test_folders_that_become_empty_go_too(crm: World) -> None:
    crm.run()
    crm.clock.advance(days=3)
    change(crm)
    expired(crm, beyond_replay=True)
    folders = [path.name for path in (crm.folder / "landing" / "crm" / "Account").iterdir()]
    assert sorted(folders) == ["_manifests", "dt=2026-03-04"]


@pytest.mark.parametrize("scope", ["crm", "crm.reload"])
def test_a_run_under_way_is_left_alone(crm: World, scope: str) -> None:
    crm.run()
    before = files(crm)
    with crm.pipeline().state.lease(scope, 120.0), pytest.raises(LeaseHeld):
        expired(crm)
    assert files(crm) == before


def test_an_age_below_a_day_is_refused(crm: World) -> None:
    with pytest.raises(ConfigError, match="less than a day"):
        expired(crm, older_than=timedelta(hours=23))


def test_a_manifest_that_cannot_be_read_stops_everything(crm: World) -> None:
    runs = [crm.run().run_id, change(crm)]
    (crm.folder / "landing" / "crm" / "Account" / "_manifests" / f"{runs[0]}.json").write_text("{}")
    before = files(crm)
    with pytest.raises(DataError, match=runs[0]):
        expired(crm, beyond_replay=True)
    assert files(crm) == before


@pytest.mark.parametrize("survives", range(9))
def test_a_kill_at_any_step_leaves_no_manifest_without_its_files(crm: World, survives: int) -> None:
    """SEALED-MANIFEST: whatever a manifest still names is there."""
    crm.run()
    change(crm)
    change(crm)
    pipeline = crm.pipeline()
    store = pipeline.landing.store
    left, remove = iter(range(survives)), store.remove

    def removing(key: str) -> None:
        if next(left, None) is None:
            raise Killed(key)
        remove(key)

    store.remove = removing  # type: ignore[method-assign]
    with suppress(Killed):
        expire(pipeline, older_than=MONTH, now=LATER, beyond_replay=True)
    for run_id in sealed(crm):
        manifest = landing_of(crm).find("crm", "Account", run_id)
        assert manifest is not None
        assert landing_of(crm).paths(manifest.files, crm.folder)
    crm.clock.advance(minutes=5)
    expired(crm, beyond_replay=True)
    assert len(files(crm)) == 1, "the next one clears up"
    goes_on(crm)


def test_a_warehouse_that_cannot_tell_what_committed_is_refused(crm: World) -> None:
    class Plain:
        def __init__(self, warehouse: Any) -> None:
            self.watermarks, self.close = warehouse.watermarks, warehouse.close

    crm.run()
    pipeline = crm.pipeline()
    with pytest.raises(ConfigError, match="which runs committed"):
        expire(crm.pipeline(warehouse=Plain(pipeline.warehouse)), older_than=MONTH, now=LATER)


# --- judging, alone

AT = datetime(2026, 1, 1, tzinfo=UTC)


def holding(*run_ids: str, **given: Any) -> Holding:
    made = [manifest_of((), run_id=run_id, started_at=AT, window=Window(AT, AT + MONTH)) for run_id in run_ids]
    return Holding("Account", tuple(replace(each, **given) for each in made), ())


def known(*run_ids: str, rows: int = 0, kind: str = "run", mark: str | None = None) -> Known:
    runs = {run_id: CommittedRun(run_id, kind, {"Account": rows}) for run_id in run_ids}
    marks = {} if mark is None else {"Account": Watermark("Account", AT, 3, mark, AT)}
    return Known(frozenset(), runs, marks)


def test_a_run_whose_row_counts_other_rows_is_not_known_to_be_committed_counted_hops() -> None:
    assert judge(holding("a", "b"), known("a", "b", rows=1), LATER, False) == {"a": "uncommitted", "b": "uncommitted"}


def test_a_run_that_committed_other_streams_only_is_not_known_to_be_committed() -> None:
    other = Known(frozenset(), {"a": CommittedRun("a", "run", {"Contact": 0})}, {})
    assert judge(holding("a", "b"), other, LATER, False) == {"a": "uncommitted", "b": "uncommitted"}


def test_the_watermark_s_run_is_newest_though_others_have_later_ids() -> None:
    """A reload that began before an increment commits after it."""
    assert judge(holding("a", "b", "c"), known("a", "b", "c", mark="b"), LATER, False) == {"b": "newest", "c": "newest"}


@pytest.mark.parametrize(("kind", "kept"), [("run", {"a", "b", "c"}), ("repair", {"c"})])
def test_a_repair_is_no_whole_read_though_its_window_has_no_beginning(kind: str, kept: set[str]) -> None:
    whole = holding("a", "b", "c", window=Window(None, AT))
    first = Holding("Account", (whole.sealed[0], *holding("b", "c").sealed), ())
    assert set(judge(first, known("a", "b", "c", kind=kind), LATER, False)) == kept


# --- S3


@pytest.fixture
def bucket(crm: World, bucket_world: BucketWorld) -> BucketWorld:
    crm.settings["landing"] = bucket_world.landing()
    return bucket_world


def test_a_bucket_is_cleared_of_old_runs_and_dead_files(crm: World, bucket: BucketWorld) -> None:
    crm.run()
    newest = change(crm)
    bucket.overwrite("crm/Account/dt=2026-01-01/run=dead/page-1-0-ab.parquet", b"PAR1")
    bucket.overwrite("crmother/Account/dt=2026-01-01/run=dead/page-1-0-ab.parquet", b"PAR1")
    found = expired(crm, beyond_replay=True)
    assert found["orphans"] == 1
    mine = [key for key in bucket.listing() if key.startswith("crm/")]
    assert [key for key in mine if "_manifests" in key] == [f"crm/Account/_manifests/{newest}.json"]
    assert all(f"run={newest}/" in key for key in mine if "_manifests" not in key)
    assert len([key for key in bucket.listing() if key.startswith("crmother/")]) == 1
    goes_on(crm)


def begin(bucket: BucketWorld, key: str) -> None:
    bucket.client.create_multipart_upload(Bucket=bucket.bucket, Key=f"{bucket.prefix}/{key}")


@pytest.mark.parametrize(("hours", "aborted"), [(23, False), (25, True)])
def test_uploads_that_a_killed_process_left_are_aborted(
    crm: World, bucket: BucketWorld, monkeypatch: pytest.MonkeyPatch, hours: int, aborted: bool
) -> None:
    """moto says of every upload that it began in 2010, so the instant is put into its answer."""
    began, client_of = datetime.now(UTC), aws.client_of

    def dating(*given: Any) -> Any:
        client = client_of(*given)
        client.meta.events.register("after-call.s3.ListMultipartUploads", date)
        return client

    def date(parsed: dict[str, Any], **_: object) -> None:
        for upload in parsed.get("Uploads", ()):
            upload["Initiated"] = began

    monkeypatch.setattr(aws, "client_of", dating)
    crm.run()
    mine, other = "crm/Account/dt=1/run=a/x.parquet", "crmother/Account/dt=1/run=a/x.parquet"
    begin(bucket, mine)
    begin(bucket, other)
    now = began + timedelta(hours=hours)
    dry = expire(crm.pipeline(), older_than=MONTH, now=now, dry_run=True)
    assert len(bucket.uploads()) == 2
    wet = expire(crm.pipeline(), older_than=MONTH, now=now)
    assert wet["uploads_aborted"] == dry["uploads_aborted"] == ([f"{bucket.prefix}/{mine}"] if aborted else [])
    assert bucket.uploads() == [f"{bucket.prefix}/{key}" for key in ([] if aborted else [mine]) + [other]]


def test_who_may_not_see_uploads_is_told_and_the_rest_is_done(
    crm: World, bucket: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.run()
    change(crm)

    def refuse(*given: object) -> None:
        raise ConfigError("list unfinished uploads", bucket.bucket, "AccessDenied: not for you", "grant it")

    monkeypatch.setattr("syncline.pipelines.expiry.abort_uploads", refuse)
    report = expire(crm.pipeline(), older_than=MONTH, now=LATER, beyond_replay=True)
    assert ["AccessDenied" in text for text in report["warnings"]] == [True]
    assert len(sealed(crm)) == 1


def test_a_state_that_was_copied_back_costs_nothing(crm: World) -> None:
    """KNOWN-OUTCOME: the mirror may be older than the warehouse; what the warehouse committed decides."""
    crm.run()
    shutil.copy(crm.folder / "state.db", crm.folder / "older.db")
    change(crm)
    change(crm)
    shutil.copy(crm.folder / "older.db", crm.folder / "state.db")
    assert expired(crm, beyond_replay=True)["kept"] == {"newest": 1}
    goes_on(crm)


def test_names_need_not_be_tidy(crm: World) -> None:
    crm.source.add("Odd/Name.", accounts_schema(crm), key="Id", cursor="SystemModstamp", rows=accounts(0, 3))
    crm.streams = (Stream("Odd/Name.", target="odd"),)
    crm.clock.advance(minutes=30)
    crm.run()
    report = expire(crm.pipeline(), older_than=MONTH, now=LATER)
    assert report["streams"]["Odd/Name."]["kept"] == {"newest": 1}


def accounts_schema(world: World) -> Any:
    return world.source.describe(["Account"])[0].columns
