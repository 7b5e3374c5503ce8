"""What COPY of Parquet does in Redshift, for the stand-in: manifest in, checked rows out as CSV.

Checked as Redshift checks (COPY from columnar data formats; manifests): the role, every entry's object and
``content_length``, the number of columns, and by position each column's physical and logical Parquet type and the
length of each text in bytes. One bad value fails all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from tests.servers.redshift_rules import TEXT_BYTES_MAX, Copy, Refusal

MESSAGE = "Spectrum Scan Error"


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where it is not known what Redshift does, so that both ways are tried (``(unconfirmed)`` in the guide's copies).

    ``instants``: which column types take a Parquet timestamp. ``smallint_takes_int32``: whether SMALLINT does.
    ``keeps_zero_bytes``: whether U+0000 in a text is refused; PostgreSQL cannot keep it, so there is no third way.
    """

    instants: frozenset[str] = frozenset({"timestamp"})
    smallint_takes_int32: bool = False


@dataclass(frozen=True, slots=True)
class Bucket:
    """The S3 that COPY reads, and the roles it may read as."""

    client: Any
    roles: frozenset[str]
    quirks: Quirks = field(default_factory=Quirks)

    def rows(self, copy: Copy, columns: Sequence[tuple[str, str]]) -> Iterator[tuple[bytes, int]]:
        """CSV for PostgreSQL and its rows, file by file. ``columns``: names and types of the table, in order."""
        missing = [role for role in copy.role.split(",") if role not in self.roles]
        if missing:
            raise Refusal(
                "XX000",
                "User arn:aws:redshift:us-east-1:123456789012:dbuser:c/u is not authorized to assume IAM Role"
                f" {missing[0]}",
            )
        for url in self._manifest(copy.url):
            data = self._get(url)
            assert data is not None
            yield self._file(url, data, columns, copy)

    def _manifest(self, url: str) -> Iterator[str]:
        body = self._get(url)
        if body is None:
            raise Refusal(
                "XX000", f"Problem reading manifest file - S3ServiceException:The specified key {url} missing"
            )
        for entry in json.loads(body)["entries"]:
            length = entry.get("meta", {}).get("content_length")
            if length is None:
                raise Refusal("XX000", "Missing meta content_length in manifest entry of a columnar file", str(entry))
            data = self._get(entry["url"])
            if data is None and entry.get("mandatory", False):
                raise Refusal("XX000", f"Mandatory url is not present in manifest file. {entry['url']}")
            if data is not None and len(data) != length:
                raise _scan_error(15001, f"File {entry['url']} has {len(data)} bytes, content_length is {length}")
            if data is not None:
                yield entry["url"]

    def _get(self, url: str) -> bytes | None:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return body

    def _file(self, url: str, data: bytes, columns: Sequence[tuple[str, str]], copy: Copy) -> tuple[bytes, int]:
        file = pq.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
        if len(names) != len(columns):
            sizes = f"Table columns: {len(columns)}, Data columns: {len(names)}"
            raise _scan_error(15007, f"Unmatched number of columns between table and file. {sizes}, File name: {url}")
        leaves = _leaves(file)
        table = file.read()
        shown = []
        for index, (_, type) in enumerate(columns):
            self._check_type(type, names[index], leaves[names[index]], url, copy)
            shown.append(_as_text(table.column(index), type, names[index]))
        out = io.BytesIO()
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
        pyarrow.csv.write_csv(pa.table(shown, names=[str(n) for n in range(len(shown))]), out, options)
        return out.getvalue(), table.num_rows

    def _check_type(self, type: str, name: str, leaf: Any, url: str, copy: Copy) -> None:
        base = type.partition("(")[0]
        nested = base == "jsonb" and "SERIALIZETOJSON" in copy.words
        if not (nested if leaf is None else self._fits(base, type, leaf)):
            shown = "nested" if leaf is None else f"{leaf.physical_type} {leaf.logical_type}"
            raise _scan_error(
                15001,
                f"File '{url}' has an incompatible Parquet schema for column '{url}.{name}'."
                f" Column type: {type.upper()}, Parquet schema: optional {shown} {name}",
            )

    def _fits(self, base: str, type: str, leaf: Any) -> bool:
        physical, logical = leaf.physical_type, json.loads(leaf.logical_type.to_json())
        kind = logical["Type"]
        if base in ("timestamp without time zone", "timestamp with time zone"):
            instant = kind == "Timestamp" and logical["timeUnit"] == "microseconds"
            return (
                instant
                and ("timestamp" if base.endswith("without time zone") else "timestamptz") in self.quirks.instants
            )
        if base == "numeric":
            precision, scale = (int(part) for part in type.partition("(")[2].rstrip(")").split(","))
            exact = (logical.get("precision"), logical.get("scale")) == (precision, scale)
            return kind == "Decimal" and physical == "FIXED_LEN_BYTE_ARRAY" and exact
        if kind == "Int" and not logical["isSigned"]:
            return False
        if base == "smallint":
            return physical == "INT32" and kind == "Int" and self.quirks.smallint_takes_int32
        wanted = _PHYSICAL.get(base)
        return wanted is not None and physical == wanted[0] and kind in wanted[1]


_PHYSICAL: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "boolean": ("BOOLEAN", ("None",)),
    "integer": ("INT32", ("None", "Int")),
    "bigint": ("INT64", ("None", "Int")),
    "real": ("FLOAT", ("None",)),
    "double precision": ("DOUBLE", ("None",)),
    "character varying": ("BYTE_ARRAY", ("String",)),
    "bytea": ("BYTE_ARRAY", ("None",)),
    "date": ("INT32", ("Date",)),
}


def _leaves(file: pq.ParquetFile) -> dict[str, Any]:
    """The Parquet column of each flat column; ``None`` for a nested one."""
    found: dict[str, Any] = {}
    for index in range(len(file.schema)):
        leaf = file.schema.column(index)
        root = leaf.path.split(".")[0] if leaf.max_repetition_level else leaf.path
        found[root] = None if leaf.max_repetition_level else leaf
    return found


def _as_text(column: pa.ChunkedArray, type: str, name: str) -> pa.ChunkedArray | pa.Array:
    if type.startswith("character varying"):
        _check_text(column, int(type.partition("(")[2].rstrip(")")), name)
        return column
    if type == "bytea":
        return pa.array([None if value is None else "\\x" + value.hex() for value in column.to_pylist()], pa.string())
    if type == "jsonb":
        values = column.to_pylist()
        if any(
            isinstance(item, str) and len(item.encode()) > TEXT_BYTES_MAX for value in values for item in value or ()
        ):
            raise _scan_error(15001, f"A string in column {name} exceeds the limit of SUPER")
        texts = [None if value is None else json.dumps(value, default=str) for value in values]
        return pa.array(texts, pa.string())
    if pa.types.is_timestamp(column.type) and column.type.tz:
        # The file holds the instant; the zone that Arrow notes beside it is nothing to Redshift.
        column = column.cast(pa.timestamp("us", "UTC"))
    return column.cast(pa.string())


def _check_text(column: pa.ChunkedArray, bytes_max: int, name: str) -> None:
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest > bytes_max:
        raise _scan_error(
            15001,
            f"The length of the data column {name} is longer than the length defined in the table. Table: {bytes_max},"
            f" Data: {longest}",
        )
    if pc.any(pc.match_substring(column, "\x00")).as_py():
        raise _scan_error(15001, f"Invalid character in column {name}: 00")


def _scan_error(code: int, context: str) -> Refusal:
    rule = "-" * 47
    return Refusal(
        "XX000", MESSAGE, f"\n  {rule}\n  error:  {MESSAGE}\n  code:      {code}\n  context:   {context}\n  {rule}"
    )
