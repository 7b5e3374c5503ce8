"""Looking at all that lies in a landing, and removing from it: what ``syncline landing`` stands on.

Nothing here decides what may go. A sealed run goes manifest first, then its files: no manifest, no data
(SEALED-MANIFEST), so a kill in between leaves files that nobody reads and the next upkeep clears up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from syncline.connectors.errors import DataError, SynclineError
from syncline.sinks.keys import MANIFESTS, escaped, manifest_key, stream_folder
from syncline.sinks.manifest import Manifest
from syncline.sinks.object_store import Inventory, Stored

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing
    from syncline.sinks.landing_url import Bucket

AT_ONCE = 8
"""Manifests read, and objects removed, at the same time."""

BATCH_OBJECTS = 100
"""Objects removed before ``removing`` is called again: seconds of work, far below a lease's time to live."""

_RUN = re.compile(r"dt=[^/]+/run=([^/]+)/[^/]+")


NOT_SEEN = datetime.max.replace(tzinfo=UTC)
"""When a manifest was sealed that appeared while the landing was being looked at: not before anything."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """A manifest that counts no more since the instant when the compacted one ``by`` was sealed, which has its rows."""

    manifest: Manifest
    by: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """What a landing holds of one stream: its sealed runs, oldest first, and the files that no manifest names.

    ``sealed`` has every row once: a run that was compacted is in ``superseded`` until its files are removed.
    """

    stream: str
    sealed: tuple[Manifest, ...]
    unnamed: tuple[Stored, ...]
    superseded: tuple[Superseded, ...] = ()


def survey(landing: Landing, pipeline: str) -> Iterator[Holding]:
    """Every stream's holding, of streams the pipeline no longer has as well.

    Files are listed before manifests are read: one sealed in between names its files, so none of them seems unnamed.

    Raises:
        DataError: a manifest cannot be read, or contradicts another, so that nobody knows which files count.
    """
    inventory = cast("Inventory", landing.store)
    for name in inventory.folders(escaped(pipeline)):
        stream = unquote(name)
        folder = stream_folder(pipeline, stream)
        there = list(inventory.objects(folder))
        every = manifests(landing, pipeline, stream)
        named = {entry.path for manifest in every for entry in manifest.files}
        unnamed = [each for each in there if run_of(each.key, folder) is not None and each.key not in named]
        gone = _superseded(every, {each.key: each.modified_at for each in there})
        past = {each.manifest.run_id for each in gone}
        sealed = [each for each in every if each.run_id not in past]
        yield Holding(stream, tuple(sealed), tuple(unnamed), gone)


def _superseded(every: Sequence[Manifest], modified_at: Mapping[str, datetime]) -> tuple[Superseded, ...]:
    """Which manifests count no more. Of two compacted ones the larger counts, if it has all the runs of the other."""
    by: dict[str, Manifest] = {}
    smaller: dict[str, Manifest] = {}
    for each in sorted((each for each in every if each.merged), key=lambda each: -len(each.merged)):
        runs = {run.run_id for run in each.merged}
        taken = [by[run_id] for run_id in runs if run_id in by]
        if not taken:
            by.update(dict.fromkeys(runs, each))
        elif runs <= {run.run_id for run in taken[0].merged}:
            smaller[each.run_id] = taken[0]
        else:
            cause = (
                f"SEALED-MANIFEST: {taken[0].run_id} and {each.run_id} both hold rows of some runs and not of others"
            )
            hint = "two programs compacted at once; report it, and remove neither"
            raise DataError("look through landing", f"{each.pipeline}, {each.stream}", cause, hint)
    found = []
    for each in every:
        newer = smaller.get(each.run_id) if each.merged else by.get(each.run_id)
        if newer is not None:
            since = modified_at.get(manifest_key(newer.pipeline, newer.stream, newer.run_id), NOT_SEEN)
            found.append(Superseded(each, newer.run_id, since))
    return tuple(found)


def manifests(landing: Landing, pipeline: str, stream: str) -> tuple[Manifest, ...]:
    """All of the stream's manifests, oldest first, of compacted runs as well."""
    with ThreadPoolExecutor(AT_ONCE, "landing-manifest") as pool:
        found = pool.map(lambda run_id: landing.find(pipeline, stream, run_id), landing.sealed(pipeline, stream))
        return tuple(manifest for manifest in found if manifest is not None)


def run_of(key: str, folder: str) -> str | None:
    """The run that a data file was written by; ``None`` for anything else that lies in the stream's folder."""
    found = _RUN.fullmatch(key.removeprefix(f"{folder}/"))
    return None if found is None else unquote(found[1])


def remove_runs(landing: Landing, sealed: Sequence[Manifest], removing: Callable[[], None]) -> None:
    """Removes sealed runs whole; ``removing`` is called before each step, and stops it by raising."""
    keys = [manifest_key(each.pipeline, each.stream, each.run_id) for each in sealed]
    remove_objects(landing, keys, removing)
    remove_objects(landing, [entry.path for each in sealed for entry in each.files], removing)


def remove_objects(landing: Landing, keys: Sequence[str], removing: Callable[[], None]) -> None:
    """Removes objects and the folders that they leave empty; those that are gone already are fine."""
    inventory = cast("Inventory", landing.store)
    with ThreadPoolExecutor(AT_ONCE, "landing-remove") as pool:
        for first in range(0, len(keys), BATCH_OBJECTS):
            removing()
            some = keys[first : first + BATCH_OBJECTS]
            list(pool.map(landing.store.remove, some))
            for folder in {key.rpartition("/")[0] for key in some}:
                if not folder.endswith(f"/{MANIFESTS}"):
                    inventory.prune(folder)
                    inventory.prune(folder.rpartition("/")[0])


def abort_uploads(bucket: Bucket, pipeline: str, before: datetime, dry_run: bool) -> Sequence[str]:
    """Aborts the pipeline's multipart uploads that were begun before ``before``, and returns their keys.

    They are what a killed process leaves: billed, and seen by no listing (S3 user guide, multipart upload).

    Raises:
        ConfigError: boto3 is missing, or s3:ListBucketMultipartUploads is not granted.
    """
    from syncline.connectors.aws import aws_errors, client_of

    client, aborted = client_of(bucket.settings, "s3"), []
    hint = "grant s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, or leave them to the lifecycle rule"
    with aws_errors("list unfinished uploads", bucket.name, hint):
        pages = client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket.name, Prefix=bucket.key(f"{escaped(pipeline)}/")
        )
        dead = [each for page in pages for each in page.get("Uploads", ()) if each["Initiated"] < before]
    for each in dead:
        if not dry_run:
            _abort(client, bucket, each, hint)
        aborted.append(str(each["Key"]))
    return aborted


def _abort(client: Any, bucket: Bucket, upload: Mapping[str, Any], hint: str) -> None:
    from syncline.connectors.aws import aws_errors, code_of

    try:
        with aws_errors("abort unfinished upload", f"{bucket.name}/{upload['Key']}", hint):
            client.abort_multipart_upload(Bucket=bucket.name, Key=upload["Key"], UploadId=upload["UploadId"])
    except SynclineError as error:
        if code_of(error.__cause__) != "NoSuchUpload":  # somebody else was first
            raise
