"""What every landing promises, on a folder, in memory and on S3 over HTTP."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncline.connectors.errors import ConfigError, DataError
from syncline.sinks.landing import Landing
from syncline.sinks.object_store import ObjectStore
from tests.landing.worlds import (
    COLUMNS,
    RUN_ID,
    STARTED_AT,
    LandingWorld,
    incompressible,
    land,
    land_and_fail,
    manifest_of,
    open_writer,
    rows,
)

MANIFEST_KEY = f"crm/Account/_manifests/{RUN_ID}.json"


def read_all(paths: list[Path]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, page_checksum_verification=True) for path in paths])


# --- SEALED-MANIFEST


def test_what_is_landed_and_sealed_is_found_and_read_back(world: LandingWorld, tmp_path: Path) -> None:
    manifest = manifest_of(land(world.landing(), rows(1000)))
    world.landing().seal(manifest)
    landing = world.landing()
    assert landing.find("crm", "Account", RUN_ID) == manifest
    assert read_all(landing.paths(manifest.files, tmp_path / "copies")).equals(rows(1000))


def test_no_manifest_no_data(world: LandingWorld) -> None:
    land(world.landing())
    assert world.landing().find("crm", "Account", RUN_ID) is None
    assert list(world.landing().sealed("crm", "Account")) == []


def test_sealing_the_same_manifest_again_is_fine(world: LandingWorld) -> None:
    manifest = manifest_of(land(world.landing()))
    world.landing().seal(manifest)
    world.landing().seal(manifest)
    assert list(world.landing().sealed("crm", "Account")) == [RUN_ID]


def test_a_sealed_manifest_is_never_overwritten(world: LandingWorld) -> None:
    manifest = manifest_of(land(world.landing()))
    world.landing().seal(manifest)
    with pytest.raises(DataError, match="SEALED-MANIFEST"):
        world.landing().seal(replace(manifest, rows_known=7))
    assert world.landing().find("crm", "Account", RUN_ID) == manifest


def test_of_many_that_seal_different_manifests_at_once_one_wins(world: LandingWorld) -> None:
    landing = world.landing()
    manifests = [replace(manifest_of(land(landing)), rows_known=number) for number in range(8)]
    start = threading.Barrier(len(manifests))

    def seal(number: int) -> bool:
        start.wait()
        try:
            landing.seal(manifests[number])
        except DataError:
            return False
        return True

    with ThreadPoolExecutor(len(manifests)) as pool:
        won = [number for number, success in enumerate(pool.map(seal, range(len(manifests)))) if success]
    assert len(won) == 1
    assert landing.find("crm", "Account", RUN_ID) == manifests[won[0]]


def test_a_manifest_that_names_a_missing_file_is_not_sealed(world: LandingWorld) -> None:
    files = land(world.landing())
    world.remove(files[0].path)
    with pytest.raises(DataError, match=r"page-1-0-\w+.parquet: it is missing"):
        world.landing().seal(manifest_of(files))
    assert world.listing() == []


def test_a_manifest_that_names_a_short_file_is_not_sealed(world: LandingWorld) -> None:
    files = land(world.landing())
    world.overwrite(files[0].path, b"PAR1")
    with pytest.raises(DataError, match="it has 4 bytes"):
        world.landing().seal(manifest_of(files))
    assert MANIFEST_KEY not in world.listing()


def test_a_run_without_rows_can_be_sealed(world: LandingWorld) -> None:
    with open_writer(world.landing()) as writer:
        writer.write(rows(0))
    assert writer.files == ()
    world.landing().seal(manifest_of(writer.files))
    assert world.listing() == [MANIFEST_KEY]


def test_sealed_runs_come_oldest_first(world: LandingWorld) -> None:
    for run_id in ("20261123T000000000002Z-a", "20251123T000000000000Z-b", "20261123T000000000001Z-c"):
        world.landing().seal(manifest_of((), run_id=run_id))
    runs = ["20251123T000000000000Z-b", "20261123T000000000001Z-c", "20261123T000000000002Z-a"]
    assert list(world.landing().sealed("crm", "Account")) == runs
    assert list(world.landing().sealed("crm", "Account", after=runs[0])) == runs[1:]
    assert list(world.landing().sealed("crm", "Account", after=runs[2])) == []


def test_a_damaged_manifest_is_an_error_that_names_it(world: LandingWorld) -> None:
    world.landing().seal(manifest_of(()))
    world.overwrite(MANIFEST_KEY, b'{"manifest_version": 1}')
    with pytest.raises(DataError, match=f"{RUN_ID}.json"):
        world.landing().find("crm", "Account", RUN_ID)


def test_a_manifest_at_another_runs_place_is_an_error(world: LandingWorld) -> None:
    world.landing().seal(manifest_of(()))
    world.overwrite(MANIFEST_KEY, manifest_of((), stream="Contact").to_bytes())
    with pytest.raises(DataError, match="it is of crm, Contact"):
        world.landing().find("crm", "Account", RUN_ID)


# --- whole or nothing


@pytest.mark.parametrize("written", [0, 1, 3])
def test_an_exception_leaves_nothing_of_the_slice(world: LandingWorld, written: int) -> None:
    landing = world.landing(file_bytes_max=1)
    writer = open_writer(landing)
    with pytest.raises(ZeroDivisionError):
        land_and_fail(writer, written)
    assert world.listing() == []
    assert writer.files == ()


def test_a_failed_slice_leaves_the_others_alone(world: LandingWorld) -> None:
    landing = world.landing()
    files = land(landing, slice_id="page-2")
    with pytest.raises(ZeroDivisionError):
        land_and_fail(open_writer(landing, "page-1"))
    assert world.listing() == [files[0].path]


def test_a_slice_whose_write_failed_is_not_landed_even_if_the_error_was_swallowed(world: LandingWorld) -> None:
    def write() -> None:
        with open_writer(world.landing()) as writer:
            writer.write(rows(10))
            with pytest.raises(DataError, match="other names or types"):
                writer.write(pa.table({"Id": ["x"]}))

    with pytest.raises(DataError, match="not whole"):
        write()
    assert world.listing() == []


def test_nobody_sees_a_file_before_it_is_whole(world: LandingWorld) -> None:
    with open_writer(world.landing()) as writer:
        writer.write(rows(100_000))
        assert [key for key in world.listing() if key.endswith(".parquet")] == []
    assert [key for key in world.listing() if key.endswith(".parquet")] == [writer.files[0].path]


def test_two_writers_of_one_slice_never_touch_each_others_files(world: LandingWorld, tmp_path: Path) -> None:
    """A resumed run writes under the dead run's id, and the dead may be alive."""
    sealed = land(world.landing(), rows(10))
    land(world.landing(), rows(20))
    with pytest.raises(ZeroDivisionError):
        land_and_fail(open_writer(world.landing()))
    assert read_all(world.landing().paths(sealed, tmp_path)).equals(rows(10))


# --- COUNTED-HOPS and BOUNDED


def test_files_roll_and_their_rows_add_up(world: LandingWorld, tmp_path: Path) -> None:
    landing = world.landing(file_bytes_max=1)
    with open_writer(landing) as writer:
        for start in range(0, 250_000, 50_000):
            writer.write(rows(50_000, start))
    assert [entry.rows for entry in writer.files] == [100_000, 100_000, 50_000]
    assert writer.rows == 250_000
    assert [entry.path.rpartition("/")[2][:9] for entry in writer.files] == ["page-1-0-", "page-1-1-", "page-1-2-"]
    assert read_all(landing.paths(writer.files, tmp_path)).equals(rows(250_000))


def test_writers_work_in_parallel(world: LandingWorld, tmp_path: Path) -> None:
    landing = world.landing()

    def write(number: int) -> int:
        return land(landing, rows(5_000, number * 5_000), f"page-{number}")[0].rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(8))) == [5_000] * 8
    assert len(world.listing()) == 8


# --- reading back


def test_paths_keep_the_order_of_the_entries(world: LandingWorld, tmp_path: Path) -> None:
    landing = world.landing()
    files = [*land(landing, rows(1, 1), "b"), *land(landing, rows(1, 2), "a"), *land(landing, rows(1, 3), "c")]
    assert read_all(landing.paths(files, tmp_path)).column("Seq").to_pylist() == [1, 2, 3]


def test_a_file_that_went_missing_is_an_error_that_names_it(world: LandingWorld, tmp_path: Path) -> None:
    files = [*land(world.landing(), slice_id="page-1"), *land(world.landing(), slice_id="page-2")]
    world.remove(files[1].path)
    with pytest.raises(DataError, match=r"page-2-0-\w+.parquet: it is missing"):
        world.landing().paths(files, tmp_path)


def test_a_short_file_is_an_error_that_names_it(world: LandingWorld, tmp_path: Path) -> None:
    (entry,) = land(world.landing())
    world.overwrite(entry.path, b"PAR1")
    with pytest.raises(DataError, match=rf"page-1-0-\w+.parquet: it has 4 bytes, its manifest says {entry.size_bytes}"):
        world.landing().paths([entry], tmp_path)


@pytest.mark.parametrize("world", ["memory", "s3"], indirect=True)
def test_a_damaged_download_is_an_error_that_names_it(world: LandingWorld, tmp_path: Path) -> None:
    (entry,) = land(world.landing())
    world.overwrite(entry.path, b"x" * entry.size_bytes)
    with pytest.raises(DataError, match=r"page-1-0-\w+.parquet: its checksum"):
        world.landing().paths([entry], tmp_path)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "crm/../../x"])
def test_a_manifest_cannot_lead_out_of_the_landing(world: LandingWorld, tmp_path: Path, path: str) -> None:
    (entry,) = land(world.landing())
    with pytest.raises(DataError, match="out of the landing"):
        world.landing().paths([replace(entry, path=path)], tmp_path)


# --- discard


def test_discarded_files_are_gone_and_the_missing_do_not_matter(world: LandingWorld) -> None:
    files = [*land(world.landing(), slice_id="page-1"), *land(world.landing(), slice_id="page-2")]
    world.remove(files[0].path)
    world.landing().discard(files)
    assert world.listing() == []


class Unremovable:
    """A store whose bucket policy allows no deletion."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def remove(self, key: str) -> None:
        raise ConfigError("remove", key, "AccessDenied", "")


def test_discarding_and_failing_do_not_need_the_right_to_remove(
    world: LandingWorld, caplog: pytest.LogCaptureFixture
) -> None:
    landing = Landing.over(Unremovable(world.landing()._store), file_bytes_max=1)  # type: ignore[arg-type]
    landing.discard(land(landing))
    with pytest.raises(ZeroDivisionError):
        land_and_fail(open_writer(landing))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


# --- names


def test_the_layout_is_what_the_design_says(world: LandingWorld) -> None:
    tokyo = STARTED_AT.astimezone(timezone(timedelta(hours=9)))
    with open_writer(world.landing(random=lambda size: b"\xab" * size), started_at=tokyo) as writer:
        writer.write(rows(1))
    assert writer.files[0].path == f"crm/Account/dt=2026-11-23/run={RUN_ID}/page-1-0-abababab.parquet"


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".hidden", "dt=1", "with space", "über", "a:b?c#d%e", "x\x00y", "emoji \U0001f600", "a\\b"]
)
def test_any_name_makes_a_landing_that_can_be_read_back(world: LandingWorld, tmp_path: Path, name: str) -> None:
    landing = world.landing()
    with open_writer(landing, name, pipeline=name, stream=name) as writer:
        writer.write(rows(3))
    manifest = manifest_of(writer.files, pipeline=name, stream=name)
    landing.seal(manifest)
    assert landing.find(name, name, RUN_ID) == manifest
    assert list(landing.sealed(name, name)) == [RUN_ID]
    assert read_all(landing.paths(manifest.files, tmp_path)).equals(rows(3))
    assert {key.count("/") for key in world.listing()} == {3, 4}


def test_a_slice_with_a_very_long_id_is_landed_under_a_short_name(world: LandingWorld) -> None:
    ids = ["locator/" * 200 + "a", "locator/" * 200 + "b"]
    files = [land(world.landing(), slice_id=each)[0] for each in ids]
    assert [entry.slice for entry in files] == ids
    assert max(len(entry.path.rpartition("/")[2]) for entry in files) < 200
    assert files[0].path != files[1].path


# --- check


def test_check_finds_a_good_landing_good_and_leaves_nothing(world: LandingWorld) -> None:
    beyond_the_stand_in = world.protect()
    findings = world.landing().check()
    assert [finding.text for finding in findings if finding.level != "ok"] == beyond_the_stand_in
    assert len(findings) >= 5
    assert world.listing() == []


class Overwriting(Unremovable):
    """A store that knows no conditional create, as some that call themselves compatible."""

    def remove(self, key: str) -> None:
        self._store.remove(key)

    def create(self, key: str, data: bytes) -> bool:
        self._store.create(key, data)
        return True


def test_check_warns_of_a_store_that_overwrites_manifests(world: LandingWorld) -> None:
    landing = Landing.over(Overwriting(world.landing()._store))  # type: ignore[arg-type]
    assert [finding.level for finding in landing.check() if "SEALED-MANIFEST" in finding.text] == ["warn"]


def test_check_is_content_with_a_store_that_removes_nothing(world: LandingWorld) -> None:
    landing = Landing.over(Unremovable(world.landing()._store))  # type: ignore[arg-type]
    assert {finding.level for finding in landing.check()} == {"ok"}


def test_started_at_is_an_aware_instant(world: LandingWorld) -> None:
    with pytest.raises(ValueError, match="aware"):
        open_writer(world.landing(), started_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_columns_other_than_the_streams_are_refused(world: LandingWorld) -> None:
    other = pa.table({"Id": ["x"], "Seq": pa.array([1], pa.int32())})
    with pytest.raises(DataError, match="other names or types"), open_writer(world.landing()) as writer:
        writer.write(other)


def test_a_record_batch_is_as_good_as_a_table(world: LandingWorld, tmp_path: Path) -> None:
    with open_writer(world.landing()) as writer:
        for batch in rows(10).to_batches():
            writer.write(batch)
    assert read_all(world.landing().paths(writer.files, tmp_path)).equals(rows(10))


def test_a_file_larger_than_one_put_is_whole(world: LandingWorld, tmp_path: Path) -> None:
    table = incompressible(40 * 1024 * 1024)
    with open_writer(world.landing(), columns=COLUMNS) as writer:
        writer.write(table)
    assert writer.files[0].size_bytes > 16 * 1024 * 1024
    assert read_all(world.landing().paths(writer.files, tmp_path)).equals(table)
