"""Keeping one table of the Glue Data Catalog, and its partitions, as they should be (Glue API reference).

Everything is compared first and only differences are sent. A batch answers with HTTP 200 even where single items
failed: every item's error is looked at, and one is an error of the whole (LOUD). Glue offers no transaction: a reader
may see the table between two batches, with some new partitions and without others; never with one twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from syncline.connectors.errors import ConfigError, SynclineError, Transient
from syncline.connectors.s3_errors import refusal
from syncline.sinks.glue_table import Storage, check_existing, table_input

if TYPE_CHECKING:
    from syncline.connectors.s3_settings import S3Settings

Values: TypeAlias = tuple[str, str]
"""Day and run id of a partition."""

BATCH_ITEMS_MAX = 100
"""BatchCreatePartition and BatchUpdatePartition."""

BATCH_DELETES_MAX = 25
"""BatchDeletePartition."""

TRIES = 4
PAUSE_S = 1.0
"""How often, and how long after the first time, a table is compared anew after others changed it at the same moment."""

_HINT = (
    "grant glue:GetDatabase, glue:GetTable, glue:CreateTable, glue:UpdateTable, glue:GetPartitions, "
    "glue:BatchCreatePartition, glue:BatchUpdatePartition and glue:BatchDeletePartition; with Lake Formation its own "
    "grants, too"
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed of one table; ``table`` is ``created``, ``updated`` or ``unchanged``."""

    table: str
    created: int = 0
    updated: int = 0
    deleted: int = 0


class Glue:
    """A database of the catalog.

    Raises, from any method: ``ConfigError`` when the database, a right or boto3 is missing, ``Transient`` after Glue's
    own attempts.
    """

    def __init__(self, settings: S3Settings, database: str, sleep: Callable[[float], None] = time.sleep) -> None:
        from syncline.connectors.aws import client_of

        self._client = client_of(settings, "glue")
        self.database = database
        self._sleep = sleep

    def keep(
        self, name: str, pipeline: str, stream: str, storage: Storage, partitions: Mapping[Values, Storage]
    ) -> Changes:
        """Makes the table and its partitions what they should be; those of the table that are not named go.

        Raises:
            ConfigError: the table is not this stream's.
        """
        for attempt in range(TRIES):
            try:
                return self._keep(name, pipeline, stream, storage, partitions)
            except Transient:
                if attempt + 1 == TRIES:
                    raise
                self._sleep(PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def _keep(
        self, name: str, pipeline: str, stream: str, storage: Storage, partitions: Mapping[Values, Storage]
    ) -> Changes:
        done = self._keep_table(name, pipeline, stream, storage)
        there = {} if done == "created" else self._partitions(name)
        missing = [values for values in partitions if values not in there]
        changed = [values for values in partitions if values in there and not _is(there[values], partitions[values])]
        stale = [values for values in there if values not in partitions]
        for some in _batches(missing, BATCH_ITEMS_MAX):
            items = [_partition(values, partitions[values]) for values in some]
            self._batch(name, "batch_create_partition", "AlreadyExistsException", PartitionInputList=items)
        for some in _batches(changed, BATCH_ITEMS_MAX):
            entries = [
                {"PartitionValueList": list(values), "PartitionInput": _partition(values, partitions[values])}
                for values in some
            ]
            self._batch(name, "batch_update_partition", "", Entries=entries)
        for some in _batches(stale, BATCH_DELETES_MAX):
            gone = [{"Values": list(values)} for values in some]
            self._batch(name, "batch_delete_partition", "EntityNotFoundException", PartitionsToDelete=gone)
        return Changes(done, len(missing), len(changed), len(stale))

    def _keep_table(self, name: str, pipeline: str, stream: str, storage: Storage) -> str:
        existing = self._table(name)
        if existing is not None:
            check_existing(name, pipeline, stream, existing)
        model = self._client.meta.service_model.operation_model("UpdateTable").input_shape.members["TableInput"]
        wanted = table_input(name, pipeline, stream, storage, existing, model.members)
        if existing is None:
            with self._errors("create table", name):
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            return "created"
        if all(existing.get(field) == value for field, value in wanted.items()):
            return "unchanged"
        # Whether Glue refuses to update another version than this one is not documented; where it does, others'
        # changes of this moment are not lost.
        version = {"VersionId": existing["VersionId"]} if existing.get("VersionId") else {}
        with self._errors("update table", name):
            self._client.update_table(DatabaseName=self.database, TableInput=wanted, **version)
        return "updated"

    def _table(self, name: str) -> Mapping[str, Any] | None:
        with self._errors("read database", self.database, "create it: aws glue create-database, or name another"):
            self._client.get_database(Name=self.database)
        try:
            with self._errors("read table", name):
                found: Mapping[str, Any] = self._client.get_table(DatabaseName=self.database, Name=name)["Table"]
        except SynclineError as error:
            if "EntityNotFoundException" in error.cause:
                return None
            raise
        return found

    def _partitions(self, name: str) -> dict[Values, Mapping[str, Any]]:
        found: dict[Values, Mapping[str, Any]] = {}
        with self._errors("read partitions", name):
            for page in self._client.get_paginator("get_partitions").paginate(
                DatabaseName=self.database, TableName=name
            ):
                for each in page["Partitions"]:
                    day, run_id = each["Values"]
                    found[day, run_id] = each["StorageDescriptor"]
        return found

    def _batch(self, name: str, operation: str, fine: str, **items: Any) -> None:
        with self._errors(operation, name):
            answer = getattr(self._client, operation)(DatabaseName=self.database, TableName=name, **items)
        for error in answer.get("Errors", ()):
            detail = error.get("ErrorDetail", {})
            code = detail.get("ErrorCode", "")
            if code != fine:
                values = "/".join(error.get("PartitionValues") or error.get("PartitionValueList") or ())
                object, cause = f"Glue table {self.database}.{name}", f"{values}: {code}: {detail.get('ErrorMessage')}"
                found = refusal(operation, object, code, cause, 400)
                raise type(found)(operation, object, cause, _HINT if isinstance(found, ConfigError) else found.hint)

    @contextmanager
    def _errors(self, operation: str, name: str, hint: str = _HINT) -> Iterator[None]:
        from syncline.connectors.aws import aws_errors

        object = f"Glue table {self.database}.{name}" if name != self.database else f"Glue database {name}"
        with aws_errors(operation, object, hint):
            yield


def _partition(values: Values, storage: Storage) -> dict[str, Any]:
    return {"Values": list(values), "StorageDescriptor": storage.descriptor()}


def _is(there: Mapping[str, Any], wanted: Storage) -> bool:
    return all(there.get(field) == value for field, value in wanted.descriptor().items())


def _batches(values: Sequence[Values], size: int) -> Iterator[Sequence[Values]]:
    for first in range(0, len(values), size):
        yield values[first : first + size]
