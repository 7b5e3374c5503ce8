"""The SOQL that is sent, and the limits it must keep. Pure functions; nothing here talks to anybody.

A window is drawn on the cursor as ``[low, high)``. Salesforce keeps instants at whole milliseconds, so a bound between
two of them is rounded up on both sides: the rows are the same, and neighbouring windows share one literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote_plus

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import ConfigError

SOQL_CHARS_MAX: Final = 100_000
"""SOQL and SOSL limits: a statement's length."""
URL_BYTES_MAX: Final = 16_384
"""REST API guide: the address and the headers together."""
HEADERS_BYTES_RESERVED: Final = 4_096
ORIGIN_BYTES_RESERVED: Final = 512
QUERY_BYTES_MAX: Final = URL_BYTES_MAX - HEADERS_BYTES_RESERVED - ORIGIN_BYTES_RESERVED

DELETED_FIELD: Final = "IsDeleted"


def select(stream: StreamSchema, fields: Sequence[str], window: Window, *more: str, tail: str = "") -> str:
    """Every row of ``window`` that the user's filter lets through; ``more`` conditions, then ``tail``."""
    text = f"SELECT {', '.join(fields)} FROM {stream.name}{_where(stream, window, more)}{tail and ' ' + tail}"
    if len(text) > SOQL_CHARS_MAX:
        raise ConfigError(
            "build query",
            stream.name,
            f"the query has {len(text)} characters, and Salesforce takes {SOQL_CHARS_MAX}",
            "leave fields out with `exclude`, or shorten `where`",
        )
    return text


def count(stream: StreamSchema, window: Window) -> str:
    return f"SELECT COUNT() FROM {stream.name}{_where(stream, window, ())}"


def by_ids(stream: StreamSchema, fields: Sequence[str], ids: Sequence[str]) -> str:
    """The rows of these ids, whatever their cursor and whatever the user's filter says of them now."""
    return f"SELECT {', '.join(fields)} FROM {stream.name} WHERE Id IN ({', '.join(quoted(each) for each in ids)})"


def _where(stream: StreamSchema, window: Window, more: Iterable[str]) -> str:
    conditions = []
    if stream.cursor is not None:
        if window.low is not None:
            conditions.append(f"{stream.cursor} >= {literal(window.low)}")
        conditions.append(f"{stream.cursor} < {literal(window.high)}")
    if stream.where:
        require_balanced(stream.name, stream.where)
        conditions.append(f"({stream.where})")
    conditions.extend(more)
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def literal(instant: datetime) -> str:
    """A datetime literal, UTC, never with less precision than the platform keeps (SOQL guide, date formats)."""
    instant = instant.astimezone(UTC)
    surplus_us = instant.microsecond % 1000
    if surplus_us:
        instant += timedelta(microseconds=1000 - surplus_us)
    whole = instant.replace(microsecond=0, tzinfo=None).isoformat()
    return f"{whole}.{instant.microsecond // 1000:03d}Z" if instant.microsecond else f"{whole}Z"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def require_balanced(stream: str, where: str) -> None:
    """Raises ConfigError for a filter that would reach out of the brackets it is put in."""
    depth, in_text, skip = 0, False, False
    for each in where:
        if skip:
            skip = False
        elif in_text:
            skip, in_text = each == "\\", each != "'"
        elif each == "'":
            in_text = True
        else:
            depth += (each == "(") - (each == ")")
        if depth < 0:
            break
    if depth != 0 or in_text:
        hint = "close every bracket and every text of the filter"
        raise ConfigError("build query", f"stream {stream}, where={where!r}", "brackets or quotes do not match", hint)


def fits_url(query: str) -> bool:
    return encoded_bytes(query) <= QUERY_BYTES_MAX


def encoded_bytes(text: str) -> int:
    return len(quote_plus(text))


def split_ids(ids: Sequence[str], fixed_bytes: int) -> Iterator[Sequence[str]]:
    """The ids in groups whose ``IN`` list keeps a query within the address limit; ``fixed_bytes`` is the rest of it."""
    each_bytes = max((encoded_bytes(f"{quoted(one)}, ") for one in ids), default=1)
    size = max(1, (QUERY_BYTES_MAX - fixed_bytes) // each_bytes)
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
