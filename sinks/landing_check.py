"""What ``syncline check`` finds out about a landing by trying it."""

from __future__ import annotations

import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError, SynclineError
from syncline.connectors.finding import Finding

if TYPE_CHECKING:
    from syncline.sinks.object_store import BucketStore, ObjectStore

FREE_BYTES_MIN = 1024**3


def check_store(store: ObjectStore, nonce: str) -> list[Finding]:
    """Creates a probe, tries each promise on it, and removes it.

    Raises:
        SynclineError: the landing cannot even be written to.
    """
    from syncline.sinks.folder_store import FolderStore
    from syncline.sinks.object_store import BucketStore as Bucket

    subject = f"landing {store.url}"
    key = f"_check/{nonce}.json"
    store.create(key, b"{}")
    findings = [Finding("ok", subject, "can be written to")]
    try:
        findings += [_conditional_create(store, subject, key), _reading(store, subject, key)]
        if isinstance(store, Bucket):
            findings.append(_bucket_privacy(store, subject, key))
        if isinstance(store, FolderStore):
            findings += [_folder_privacy(store.root, subject), _free_space(store.root, subject)]
    finally:
        removal = _removal(store, subject, key)
    return [*findings, removal]


def _conditional_create(store: ObjectStore, subject: str, key: str) -> Finding:
    if store.create(key, b"{}"):
        cure = "use a store that honours If-None-Match, or make sure that no two runs of a pipeline share a run id"
        return Finding("warn", subject, "SEALED-MANIFEST: the store overwrites where it was told to create", cure)
    return Finding("ok", subject, "creates a manifest only where there is none")


def _reading(store: ObjectStore, subject: str, key: str) -> Finding:
    folder, _, name = key.rpartition("/")
    try:
        with tempfile.TemporaryDirectory(prefix="syncline-") as place:
            same = store.fetch(key, Path(place)).read_bytes() == b"{}"
        listed = name in store.sizes(folder)
    except (SynclineError, FileNotFoundError) as error:
        hint = error.hint if isinstance(error, SynclineError) else ""
        return Finding("error", subject, f"cannot be read: {error}", hint or "grant reading and listing")
    if same and listed:
        return Finding("ok", subject, "can be read and listed")
    return Finding("error", subject, "what was written is not what is read or listed", "use another store")


def _bucket_privacy(store: BucketStore, subject: str, key: str) -> Finding:
    public = store.anyone_can_read(key)
    if public is None:
        return Finding("ok", subject, "is on this machine; whether strangers can read it was not tried")
    if public:
        return Finding("error", subject, "anyone can read it without signing in", "block public access to the bucket")
    return Finding("ok", subject, "strangers cannot read it")


def _folder_privacy(root: Path, subject: str) -> Finding:
    if root.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH):
        return Finding("warn", subject, "other users of this machine may enter it", f"run: chmod o= {root}")
    return Finding("ok", subject, "other users of this machine cannot enter it")


def _free_space(root: Path, subject: str) -> Finding:
    free = shutil.disk_usage(root).free
    text = f"{free / 1024**3:.1f} GiB are free"
    if free < FREE_BYTES_MIN:
        return Finding("warn", subject, text, "free some space: a run fails when the disk is full")
    return Finding("ok", subject, text)


def _removal(store: ObjectStore, subject: str, key: str) -> Finding:
    from syncline.sinks.folder_store import FolderStore as Folder

    try:
        store.remove(key)
        if isinstance(store, Folder):
            with suppress(OSError):  # another check may be under way in it
                (store.root / key).parent.rmdir()
    except ConfigError:
        return Finding("ok", subject, "may not remove files; leave clearing up to the bucket's lifecycle rules")
    except SynclineError as error:
        return Finding("warn", subject, f"the probe {key} could not be removed: {error.cause}", "remove it")
    return Finding("ok", subject, "can remove files of failed runs")
