"""A stream's landed files as a table of the Glue Data Catalog: pure functions from manifests to what Glue is to hold.

One table a stream, one partition a run. A run's folder holds two kinds of Parquet: its records, and its tombstones,
which have but the key, the cursor, ``_syncline_deleted`` and ``_syncline_seq``. Athena finds Parquet columns by name
(Athena user guide, schema updates), and so does Redshift Spectrum (unconfirmed), whatever the case (unconfirmed); so
one table serves both kinds: what a tombstone does not have is NULL, and ``_syncline_deleted`` tells them apart.

The table is the log of all that was landed, not the copy. A key stands there once for every run that brought it.

Names are lower case in Glue. The partition's columns carry the reserved prefix, so that no column of a source is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN
from syncline.connectors.errors import ConfigError, NameCollision
from syncline.sinks import lattice
from syncline.sinks.manifest import Manifest

Column: TypeAlias = dict[str, Any]

DAY_KEY = "_syncline_dt"
RUN_KEY = "_syncline_run"
PARTITION_KEYS = [{"Name": DAY_KEY, "Type": "string"}, {"Name": RUN_KEY, "Type": "string"}]

OWNER = "syncline_pipeline"
STREAM = "syncline_stream"
"""Parameters of the table: who keeps it."""

NAME_CHARS_MAX = 255

_SCALARS = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
    # Hive has no time of day; the file holds microseconds since midnight.
    pa.time64("us"): "bigint",
}
_WIDER = {("tinyint", "smallint"), ("smallint", "int"), ("int", "bigint"), ("tinyint", "int"), ("tinyint", "bigint")}
_WIDER |= {("smallint", "bigint"), ("float", "double")}
"""What readers of Parquet take for each other; a text never becomes a number (Athena user guide, schema updates)."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where something lies and which columns it has."""

    location: str
    columns: tuple[tuple[str, str], ...]

    def descriptor(self) -> dict[str, Any]:
        hive = "org.apache.hadoop.hive.ql.io.parquet"
        return {
            "Location": self.location,
            "Columns": [{"Name": name, "Type": type} for name, type in self.columns],
            "InputFormat": f"{hive}.MapredParquetInputFormat",
            "OutputFormat": f"{hive}.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        }


def table_name(prefix: str, target: str) -> str:
    """Lower case letters, digits and ``_``: what every reader takes without quotes (Athena user guide, names)."""
    return re.sub(r"[^a-z0-9_]", "_", f"{prefix}{target}".lower())


def check_tables(names: Mapping[str, str]) -> None:
    """``names`` are the tables by stream.

    Raises:
        NameCollision: two streams would share a table; both are named (EXACT-NAMES).
        ConfigError: a name that Glue does not take.
    """
    taken: dict[str, str] = {}
    for stream, name in names.items():
        if name in taken:
            cause = f"EXACT-NAMES: both would be the table {name} in Glue, whose names are lower case"
            raise NameCollision("register landing", f"streams {taken[name]} and {stream}", cause, "set another target")
        if not 0 < len(name) <= NAME_CHARS_MAX:
            cause = f"Glue takes names of 1 to {NAME_CHARS_MAX} characters"
            raise ConfigError("register landing", f"stream {stream}, table {name!r}", cause, "set a shorter target")
        taken[name] = stream


def columns_of(stream: str, manifests: Sequence[Manifest]) -> tuple[tuple[str, str], ...]:
    """Names and types of the columns of all these runs, oldest run first: the newest's own order, then those it lost.

    Raises:
        NameCollision: two columns that are one in lower case (EXACT-NAMES).
        ConfigError: a column changed in a way that no reader of older files follows, or its type has no name in Glue.
    """
    found: dict[str, str] = {}
    for manifest in manifests:
        newer = _columns_of_run(stream, manifest)
        for name, type in newer.items():
            if name in found:
                newer[name] = _widened(stream, name, found[name], type, manifest.run_id)
        found = {**newer, **{name: type for name, type in found.items() if name not in newer}}
    return (*found.items(), (DELETED_COLUMN, "boolean"), (SEQUENCE_COLUMN, "bigint"))


def _columns_of_run(stream: str, manifest: Manifest) -> dict[str, str]:
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for column in manifest.columns:
        name = column.name.lower()
        if name in spelled:
            cause = f"EXACT-NAMES: both are {name} in Glue, whose names are lower case"
            object = f"{stream}, columns {spelled[name]} and {column.name}"
            raise NameCollision("register landing", object, cause, "leave one of them out, with exclude")
        if len(name) > NAME_CHARS_MAX or not name.isprintable():
            cause = f"Glue takes printable names of at most {NAME_CHARS_MAX} characters"
            raise ConfigError(
                "register landing", f"{stream}, column {column.name!r}", cause, "leave it out, with exclude"
            )
        spelled[name] = column.name
        found[name] = glue_type(column.type, f"{stream}, column {column.name}")
    return found


def _widened(stream: str, name: str, older: str, newer: str, run_id: str) -> str:
    if older == newer or (older, newer) in _WIDER:
        return newer
    if (newer, older) in _WIDER:
        return older
    cause = f"it was {older} and is {newer} since run {run_id}; no reader takes the older files for that"
    hint = "reload the stream and let the runs before it expire, or register it under another --prefix"
    raise ConfigError("register landing", f"{stream}, column {name}", cause, hint)


def glue_type(type: pa.DataType, object: str) -> str:
    """The Hive name of an Arrow type as the landing writes it (Glue Data Catalog, column types)."""
    if lattice.is_json(type):
        return "string"  # as which it lies there: ``lattice.landed``
    if type in _SCALARS:
        return _SCALARS[type]
    if pa.types.is_timestamp(type):
        return "timestamp"
    if pa.types.is_decimal(type):
        return f"decimal({type.precision},{type.scale})"
    if pa.types.is_list(type) or pa.types.is_large_list(type):
        return f"array<{glue_type(type.value_type, object)}>"
    if pa.types.is_map(type):
        return f"map<{glue_type(type.key_type, object)},{glue_type(type.item_type, object)}>"
    if pa.types.is_struct(type):
        inner = (f"{field.name.lower()}:{glue_type(field.type, object)}" for field in type)
        return f"struct<{','.join(inner)}>"
    raise ConfigError("register landing", object, f"{type} has no name in Glue", "leave the column out, with exclude")


def table_input(
    name: str, pipeline: str, stream: str, storage: Storage, existing: Mapping[str, Any] | None, known: Iterable[str]
) -> dict[str, Any]:
    """What the table is to be: as it is where it exists, but for what Syncline keeps: location, columns, format.

    ``known`` are the fields that Glue takes; a table that was read has more of them, which it refuses.
    """
    there = {field: value for field, value in (existing or {}).items() if field in set(known)}
    said = {each["Name"]: each for each in there.get("StorageDescriptor", {}).get("Columns", ())}
    descriptor = {**there.get("StorageDescriptor", {}), **storage.descriptor()}
    descriptor["Columns"] = [{**said.get(each["Name"], {}), **each} for each in descriptor["Columns"]]
    own = {"classification": "parquet", "EXTERNAL": "TRUE", OWNER: pipeline, STREAM: stream}
    return {
        **there,
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": there.get("PartitionKeys", PARTITION_KEYS),
        "Parameters": {**there.get("Parameters", {}), **own},
        "StorageDescriptor": descriptor,
    }


def check_existing(name: str, pipeline: str, stream: str, existing: Mapping[str, Any]) -> None:
    """Refuses a table that is not this stream's own, or that is cut into other partitions."""
    said = existing.get("Parameters", {})
    if (said.get(OWNER), said.get(STREAM)) != (pipeline, stream):
        cause = "the table exists and is not kept by this stream"
        raise ConfigError("register landing", f"Glue table {name}", cause, "give a --prefix, or drop the table")
    keys = [(each["Name"], each["Type"]) for each in existing.get("PartitionKeys", ())]
    if keys != [(each["Name"], each["Type"]) for each in PARTITION_KEYS]:
        cause = "its partitions are cut in another way, which Glue does not change"
        raise ConfigError("register landing", f"Glue table {name}", cause, "drop the table; its files stay")
