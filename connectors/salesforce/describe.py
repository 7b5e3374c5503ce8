"""What the org says its objects are, as streams (TYPES-FROM-SOURCE); nothing is inferred from values.

``describe`` lists only what the integration user may see (REST API guide, sObject Describe), so a field that is missing
here is hidden or gone; both are the user's to know and neither is guessed at.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from syncline.connectors.connector import Json, StreamSchema
from syncline.connectors.errors import ConfigError
from syncline.connectors.salesforce.columns import FIXED, INSTANT, LOOSE, NUMBERS, TEXTS, NumberRules, type_of
from syncline.connectors.salesforce.composite import TOGETHER_MAX, ask_together
from syncline.connectors.salesforce.faults import Refused
from syncline.connectors.salesforce.soql import DELETED_FIELD
from syncline.connectors.salesforce.transport import Call, Transport

TOGETHER_MIN: Final = 3

CURSORS: Final = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")
"""Best first: only the first moves with every change the platform makes; the last two never move again."""
BLIND_CURSORS: Final = frozenset({"CreatedDate", "LoginTime"})

LEFT_OUT: Final[Mapping[str, str]] = {
    "base64": "base64: the contents of a file are one request a record, which a sync does not make",
    "byte": "byte: the guides give it no text form",
    "junctionIdList": "a list of ids that Salesforce gives for at most 500 records; its junction object is a stream",
}
COMPOUND: Final = frozenset({"address", "location"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading an object needs beyond its columns. ``stamp`` moves with each edit and may be selected."""

    flagged: bool
    replicateable: bool
    stamp: str | None
    loose: frozenset[str]
    rest_only: bool


@dataclass(frozen=True, slots=True)
class Described:
    schema: StreamSchema
    facts: Facts


def describe_objects(transport: Transport, names: Sequence[str], rules: NumberRules) -> list[Described]:
    """Each named object, in order; three and more cost one request for 25 of them.

    Raises:
        ConfigError: the object is unknown or hidden, spelt otherwise, or cannot be queried.
    """
    documents = _ask_all(transport, names)
    return [stream_of(name, document, rules) for name, document in zip(names, documents, strict=True)]


def _ask_all(transport: Transport, names: Sequence[str]) -> list[Json]:
    if len(names) < TOGETHER_MIN:
        return [_ask(transport, name) for name in names]
    documents: list[Json] = []
    for start in range(0, len(names), TOGETHER_MAX):
        documents.extend(_ask_together(transport, names[start : start + TOGETHER_MAX]))
    return documents


def _ask(transport: Transport, name: str) -> Json:
    path = transport.data_path("sobjects", name, "describe")
    try:
        return transport.fetch_json(Call("describe object", name, path))
    except Refused as refused:
        if refused.answer.status == 404 or refused.answer.code in ("NOT_FOUND", "INVALID_TYPE"):
            raise _unknown(transport, name) from None
        raise


def _ask_together(transport: Transport, names: Sequence[str]) -> list[Json]:
    """In one request; whatever is not a plain success in it is asked for alone, and then explained."""
    addresses = [transport.data_path("sobjects", name, "describe") for name in names]
    documents = ask_together(transport, "describe objects", ", ".join(names), addresses) or [None] * len(names)
    return [_ask(transport, name) if told is None else told for name, told in zip(names, documents, strict=True)]


def _unknown(transport: Transport, name: str) -> ConfigError:
    known = [each["name"] for each in transport.fetch_json(_list_call(transport))["sobjects"]]
    folded = {each.lower(): each for each in known}
    near = [folded[each] for each in difflib.get_close_matches(name.lower(), folded, 3, 0.6)]
    hint = f"did you mean {', '.join(near)}?" if near else "look the API name up in Setup, Object Manager"
    return ConfigError("describe object", name, "the org has no such object, or hides it from the user", hint)


def _list_call(transport: Transport) -> Call:
    return Call("list objects", "the org", transport.data_path("sobjects"))


def stream_of(name: str, document: Json, rules: NumberRules) -> Described:
    """The stream and the facts in one object's describe answer."""
    if document["name"] != name:
        hint = f"write {document['name']}: names keep the source's spelling"
        raise ConfigError("describe object", name, f"the org spells it {document['name']}", hint)
    if not document.get("queryable", True):
        hint = "leave the stream out; a related object or its history may hold the same facts"
        raise ConfigError("describe object", name, "Salesforce does not let this object be queried", hint)
    fields: list[Mapping[str, Any]] = document["fields"]
    left_out = {field["name"]: _reason(field, fields) for field in fields if _is_left_out(field)}
    read = [field for field in fields if field["name"] not in left_out]
    cursors = _cursors(read)
    by_name = {field["name"]: field for field in read}
    facts = Facts(
        flagged=DELETED_FIELD in by_name,
        replicateable=bool(document.get("replicateable")),
        stamp=next((each for each in CURSORS[:2] if each in by_name), None),
        loose=frozenset(field["name"] for field in read if _is_loose(field)),
        rest_only=any(field["type"] in ("complexvalue", "json") for field in read),
    )
    schema = StreamSchema(
        name=name,
        columns=pa.schema([pa.field(each["name"], type_of(each, rules), each["name"] != "Id") for each in read]),
        key=("Id",) if "Id" in by_name else (),
        cursor=cursors[0] if cursors else None,
        cursors=cursors,
        deletes="flagged" if facts.flagged or facts.replicateable else "absent",
        left_out=left_out,
        volatile=tuple(field["name"] for field in read if field.get("calculated")),
        warnings=tuple(_warnings(cursors, read)),
    )
    return Described(schema, facts)


def _cursors(fields: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Columns a window can be drawn on: filterable instants that are never null, the platform's own stamps first."""
    usable = [field for field in fields if field["type"] == "datetime" and field.get("filterable")]
    names = {field["name"] for field in usable}
    own = [field["name"] for field in usable if not field.get("nillable", True) and field["name"] not in CURSORS]
    return (*(each for each in CURSORS if each in names), *own)


def _is_left_out(field: Mapping[str, Any]) -> bool:
    return field["type"] in LEFT_OUT or field["type"] in COMPOUND


def _is_loose(field: Mapping[str, Any]) -> bool:
    return field["type"] in LOOSE or _is_unknown(field)


def _is_unknown(field: Mapping[str, Any]) -> bool:
    return field["type"] not in TEXTS | LOOSE | NUMBERS | FIXED.keys()


def _reason(field: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> str:
    if field["type"] in LEFT_OUT:
        return LEFT_OUT[field["type"]]
    parts = [each["name"] for each in fields if each.get("compoundFieldName") == field["name"]]
    return f"compound: its parts are read ({', '.join(parts) or 'none is visible'})"


def _warnings(cursors: Sequence[str], fields: Sequence[Mapping[str, Any]]) -> list[str]:
    warnings = []
    edited = any(field.get("updateable") for field in fields)
    if not cursors:
        warnings.append("no column can select by time: the whole object is read each run")
    elif cursors[0] in BLIND_CURSORS and edited:
        warnings.append(f"the only cursor is {cursors[0]}, which later edits do not move: set full_every")
    if masked := [field["name"] for field in fields if field["type"] == "encryptedstring"]:
        warnings.append(f"{', '.join(masked)}: masked unless the user may View Encrypted Data")
    warnings.extend(
        f"{field['name']}: its type {field['type']!r} is unknown, so its value is kept as text"
        for field in fields
        if _is_unknown(field)
    )
    return warnings


def is_instant(stream: StreamSchema, name: str) -> bool:
    return name in stream.columns.names and stream.columns.field(name).type == INSTANT
