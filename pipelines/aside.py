"""Where a proof lands what it reads: where the warehouse can load it from, and gone when the proof ends.

A warehouse that this process hands the rows to is given a temporary folder. One that reads the bucket itself is given a
folder of the pipeline's own landing: what it may read there it may read here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from syncline.connectors.errors import SynclineError
from syncline.pipelines.check import LandingReader
from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.scratch import remove_left, scratch
from syncline.sinks.keys import escaped
from syncline.sinks.landing import Landing

if TYPE_CHECKING:
    from syncline.sinks.folder_store import FolderStore
    from syncline.sinks.object_store import Inventory

ASIDE = "for=verify"
"""No pipeline's folder: an equals sign is escaped in those. Spectrum and COPY pass over names that begin with an
underscore, so this one does not."""

PURPOSE = "verify"

_log = logging.getLogger(__name__)


@contextmanager
def landing_aside(pipeline: Pipeline) -> Iterator[Landing]:
    if _reads_bucket(pipeline):
        yield pipeline.landing.below(_folder(pipeline))
        return
    with scratch(PURPOSE, pipeline) as folder:
        yield Landing(str(folder))


@contextmanager
def cleared(pipeline: Pipeline, landing: Landing) -> Iterator[None]:
    """Removes what was set aside, by killed proofs as well: the caller holds the lease of the pipeline's proofs."""
    if not _reads_bucket(pipeline):
        remove_left(PURPOSE, pipeline, but=cast("FolderStore", landing.store).root)
        yield
        return
    try:
        yield
    finally:
        _clear(pipeline)


def _clear(pipeline: Pipeline) -> None:
    from syncline.sinks.upkeep import remove_objects

    try:
        left = list(cast("Inventory", pipeline.landing.store).objects(_folder(pipeline)))
        remove_objects(pipeline.landing, [each.key for each in left], lambda: None)
    except SynclineError as error:
        _log.warning("%s", error)  # the proof stands; the next one clears what stays


def _reads_bucket(pipeline: Pipeline) -> bool:
    return isinstance(pipeline.warehouse, LandingReader) and pipeline.landing.bucket is not None


def _folder(pipeline: Pipeline) -> str:
    return f"{ASIDE}/{escaped(pipeline.name)}"
