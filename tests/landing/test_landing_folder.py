"""A local folder: kills, full disks, power losses, privacy."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError, SynclineError
from syncline.sinks.landing import Landing
from syncline.sinks.spool import Spool, sweep
from tests.landing.worlds import FolderWorld, land, land_and_fail, manifest_of, open_writer, rows


@pytest.fixture
def folder(tmp_path: Path) -> FolderWorld:
    return FolderWorld(tmp_path / "landing")


CHILD = """
import resource, signal, sys
from tests.landing.worlds import FolderWorld, COLUMNS, incompressible, open_writer, manifest_of, rows
from pathlib import Path

landing = FolderWorld(Path(sys.argv[1])).landing(file_bytes_max=1)
"""
WRITES_FOR_EVER = """
writer = open_writer(landing)
writer.__enter__()
print("started", flush=True)
while True:
    writer.write(rows(100_000))
"""
STOPS_IN_A_WRITE = """
writer = open_writer(landing)
writer.__enter__()
landing.file_bytes_max = writer._file_bytes_max = 2**40
writer.write(rows(100_000))
print("started", flush=True)
signal.pause()
"""


def start_child(folder: FolderWorld, script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD + script, str(folder.root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


@pytest.mark.parametrize("script", [WRITES_FOR_EVER, STOPS_IN_A_WRITE], ids=["any moment", "half a file"])
def test_a_kill_leaves_nothing_that_could_be_taken_for_landed(folder: FolderWorld, script: str) -> None:
    """SEALED-MANIFEST: what the name of a landed file shows is whole, and no manifest names it."""
    import pyarrow.parquet as pq

    child = start_child(folder, script)
    kill(child)
    assert [key for key in folder.listing() if "_manifests" in key] == []
    for path in folder.root.glob("**/run=*/*.parquet"):
        assert pq.read_metadata(path).num_rows == 100_000
    if script is STOPS_IN_A_WRITE:
        assert list(folder.root.glob("**/*.parquet")) == []
        assert [key.partition("/")[0] for key in folder.listing()] == [".writing"]


def test_the_leavings_of_a_killed_process_are_swept_and_those_of_a_live_one_are_not(folder: FolderWorld) -> None:
    """BOUNDED: a run killed every five minutes must not fill the disk."""
    killed, alive = start_child(folder, STOPS_IN_A_WRITE), start_child(folder, STOPS_IN_A_WRITE)
    assert len(folder.listing()) == 2
    kill(killed)
    (entry,) = land(folder.landing())
    assert len(folder.listing()) == 2
    assert entry.path in folder.listing()
    kill(alive)
    assert sweep(folder.root / ".writing") == 1
    assert folder.listing() == [entry.path]


def test_a_sweep_between_a_files_creation_and_its_lock_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = tempfile.mkstemp
    swept: list[int] = []

    def mkstemp(**given: object) -> tuple[int, str]:
        found: tuple[int, str] = made(**given)
        if not swept:
            swept.append(sweep(tmp_path))
        return found

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    file = Spool(tmp_path)
    assert swept == [1]
    assert file.path.exists()
    file.drop()
    assert list(tmp_path.glob("*.part")) == []


# --- a full disk


FILE_TOO_LARGE = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    with open_writer(landing) as writer:
        print("started", flush=True)
        writer.write(incompressible(8_000_000))
except Exception as error:
    print(type(error).__name__)
    print(error)
"""


def test_a_file_size_limit_is_an_error_with_a_hint_and_leaves_nothing(folder: FolderWorld) -> None:
    child = start_child(folder, FILE_TOO_LARGE)
    said, _ = child.communicate()
    assert said.startswith("SynclineError\n")
    assert "the disk is full" in said
    assert "hint: free space" in said
    assert folder.listing() == []


def full(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_disk_that_fills_up_is_an_error_with_a_hint_and_leaves_nothing(
    folder: FolderWorld, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """LOUD: disk full while landing, at the first byte or later, in a group or in the footer."""
    written: list[int] = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        written.append(len(data))
        if len(written) >= nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SynclineError, match="disk is full") as caught:
        land(folder.landing(), rows(10))
    assert "slice page-1" in caught.value.object
    assert caught.value.hint
    assert len(written) >= nth
    monkeypatch.undo()
    assert folder.listing() == []


def test_a_disk_that_fills_up_in_a_later_file_takes_the_earlier_ones_along(
    folder: FolderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        with open_writer(folder.landing(file_bytes_max=1)) as writer:
            writer.write(rows(100_000))
            assert len(folder.listing()) == 1
            monkeypatch.setattr(os, "write", full)
            writer.write(rows(100_000))

    with pytest.raises(SynclineError, match="disk is full"):
        write()
    monkeypatch.undo()
    assert folder.listing() == []


def test_a_disk_that_is_full_when_sealing_seals_nothing(folder: FolderWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    files = land(folder.landing())
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SynclineError, match="disk is full"):
        folder.landing().seal(manifest_of(files))
    assert folder.listing() == [files[0].path]


def test_a_root_that_is_no_folder_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="File exists"):
        land(Landing(str(tmp_path / "file" / "landing")))


# --- a power loss


def test_files_are_synced_before_they_get_their_name_and_the_manifest_last(
    folder: FolderWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEALED-MANIFEST: a sealed manifest and what it names survive a power loss."""
    events: list[tuple[str, str]] = []
    real_fsync, real_link, real_mkdir = os.fsync, os.link, Path.mkdir

    def name(path: str | Path) -> str:
        return str(Path(path).relative_to(folder.root.parent))

    def fsync(fd: int) -> None:
        events.append(("sync", name(os.readlink(f"/proc/self/fd/{fd}"))))
        real_fsync(fd)

    def link(source: Path, target: Path) -> None:
        events.append(("link", name(source)))
        events.append(("named", name(target)))
        real_link(source, target)

    def mkdir(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if path.is_relative_to(folder.root):
            events.append(("mkdir", name(path)))
        real_mkdir(path, mode, parents, exist_ok)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    landing = folder.landing()
    files = land(landing)
    landing.seal(manifest_of(files))

    named = [path for event, path in events if event == "named"]
    assert named == [f"landing/{files[0].path}", next(path for path in named if "_manifests" in path)]
    for number, (event, path) in enumerate(events):
        parent = path.rpartition("/")[0]
        if event == "link":
            assert ("sync", path) in events[:number], "the file's bytes come before its name"
        if event == "named":
            assert events[number + 1] == ("sync", parent), "the name is synced at once"
        if event == "mkdir":
            assert events[number + 1] == ("sync", parent or "."), "a new folder's name is synced at once"


# --- the rest


def test_the_root_is_closed_to_other_users(folder: FolderWorld) -> None:
    land(folder.landing())
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


def test_check_warns_of_a_root_that_others_may_enter(folder: FolderWorld) -> None:
    land(folder.landing())
    folder.root.chmod(0o755)
    findings = [finding for finding in folder.landing().check() if finding.level != "ok"]
    assert [finding.cure for finding in findings] == [f"run: chmod o= {folder.root}"]


def test_check_reports_a_root_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = Landing(str(tmp_path / "file" / "landing")).check()
    assert finding.level == "error"
    assert "File exists" in finding.text


def test_local_files_are_not_copied(folder: FolderWorld, tmp_path: Path) -> None:
    (entry,) = land(folder.landing())
    assert folder.landing().paths([entry], tmp_path / "copies") == [folder.root / entry.path]
    assert not (tmp_path / "copies").exists()


def test_looking_into_a_landing_that_does_not_exist_creates_nothing(folder: FolderWorld) -> None:
    landing = folder.landing()
    assert landing.find("crm", "Account", "run") is None
    assert list(landing.sealed("crm", "Account")) == []
    assert not folder.root.exists()


def test_nothing_is_left_open_or_spooled_after_many_slices(folder: FolderWorld) -> None:
    landing = folder.landing()
    land(landing)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        land(landing, slice_id=f"page-{number}")
        with pytest.raises(ZeroDivisionError):
            land_and_fail(open_writer(landing))
    assert len(os.listdir("/proc/self/fd")) == before
    assert list((folder.root / ".writing").iterdir()) == []


def test_the_landing_opens_once_however_many_threads_ask(folder: FolderWorld) -> None:
    landing = folder.landing()
    start = threading.Barrier(8)
    stores: list[object] = []

    def ask() -> None:
        start.wait()
        stores.append(landing._store)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(store) for store in stores}) == 1
