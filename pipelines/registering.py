"""``syncline landing register``: the landing's Parquet as tables of the Glue Data Catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError
from syncline.sinks.glue import Glue, Values
from syncline.sinks.glue_table import Storage, check_tables, columns_of, table_name
from syncline.sinks.keys import run_folder, stream_folder
from syncline.sinks.upkeep import Holding, survey

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.landing_url import Bucket


def register(
    pipeline: Pipeline, *, database: str, prefix: str = "", sleep: Callable[[float], None] = time.sleep
) -> dict[str, Json]:
    """Brings each stream's table in step with its sealed runs, and returns what was changed.

    A query reads whole folders. So a run whose folder holds files that its manifest does not name (what a killed writer
    left) has no partition, which is a warning: SEALED-MANIFEST goes before completeness.

    Raises:
        ConfigError: the landing is no bucket, the database is missing, or a table is somebody else's.
        NameCollision: two streams, or two columns, that are one in lower case; nothing was changed.
    """
    bucket = pipeline.landing.bucket
    if bucket is None:
        cause = "Glue reads S3 only"
        raise ConfigError("register landing", f"landing {pipeline.landing.url}", cause, "use an s3:// landing")
    names = {stream.name: table_name(prefix, stream.target) for stream in pipeline.streams}
    check_tables(names)
    holdings = [each for each in survey(pipeline.landing, pipeline.name) if each.stream in names and each.sealed]
    columns = {each.stream: columns_of(each.stream, each.sealed) for each in holdings}
    glue = Glue(bucket.settings, database, sleep)
    streams: dict[str, Json] = {}
    warnings: list[str] = []
    for each in holdings:
        partitions, dirty = _partitions(each, pipeline.name, bucket, columns[each.stream])
        storage = Storage(_url(bucket, stream_folder(pipeline.name, each.stream)), columns[each.stream])
        changes = glue.keep(names[each.stream], pipeline.name, each.stream, storage, partitions)
        streams[each.stream] = {
            "table": f"{database}.{names[each.stream]}",
            "change": changes.table,
            "partitions": len(partitions),
            "created": changes.created,
            "updated": changes.updated,
            "deleted": changes.deleted,
        }
        warnings += [f"{each.stream}: run {run_id} is left out: {reason}" for run_id, reason in dirty.items()]
    return {"pipeline": pipeline.name, "database": database, "streams": streams, "warnings": list(warnings)}


def _partitions(
    holding: Holding, pipeline: str, bucket: Bucket, columns: tuple[tuple[str, str], ...]
) -> tuple[Mapping[Values, Storage], Mapping[str, str]]:
    """A partition for each run that has rows, and why runs are left out."""
    strays = {each.key.rpartition("/")[0] for each in holding.unnamed}
    partitions: dict[Values, Storage] = {}
    left_out: dict[str, str] = {}
    for manifest in holding.sealed:
        folder = run_folder(pipeline, holding.stream, manifest.started_at, manifest.run_id)
        day = manifest.started_at.astimezone(UTC).strftime("%Y-%m-%d")
        if not manifest.files:
            continue
        if folder in strays:
            left_out[manifest.run_id] = "files of a killed writer lie beside its own; run syncline landing expire"
        elif any(entry.path.rpartition("/")[0] != folder for entry in manifest.files):
            left_out[manifest.run_id] = "its files lie in another folder"
        else:
            partitions[day, manifest.run_id] = Storage(_url(bucket, folder), columns)
    return partitions, left_out


def _url(bucket: Bucket, folder: str) -> str:
    return f"s3://{bucket.name}/{bucket.key(folder)}/"
