"""REST and Bulk give equal batches for the same records, whatever the values and however each writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast

import pyarrow as pa
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.errors import DataError, ValueOutOfType
from syncline.connectors.salesforce.body import Body, CsvBytes
from syncline.connectors.salesforce.columns import INSTANT
from syncline.connectors.salesforce.faults import Faulted
from syncline.connectors.salesforce.pages import Page, parse_page, table_of
from syncline.connectors.salesforce.shape import Shape
from syncline.connectors.salesforce.sheets import BLOCK_BYTES, RowTooLong, sheet_of
from tests.salesforce.org_world import Site, read_object
from tests.salesforce.test_sf_body import CHUNKED, Response, running

COLUMNS = pa.schema(
    [
        pa.field("Id", pa.string(), nullable=False),
        pa.field("Name", pa.string()),
        pa.field("Whole", pa.int64()),
        pa.field("Money", pa.decimal128(18, 2)),
        pa.field("Fine", pa.decimal128(38, 18)),
        pa.field("Rough", pa.float64()),
        pa.field("Flag", pa.bool_()),
        pa.field("Day", pa.date32()),
        pa.field("Moment", INSTANT),
        pa.field("Opens", pa.time64("us")),
        pa.field("Any", pa.string()),
    ]
)
SHAPE = Shape("Odd", COLUMNS, tuple(COLUMNS.names), frozenset({"Any"}))

EXACT = pa.schema([pa.field(f.name, f.type) for f in COLUMNS])
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.sampled_from(["N/A", "null", "NULL", "None", "#N/A", "true", "1", " ", " x ", "a,b", 'say "x"', '"', '""',
                     "\r\n", "\n", "\r", "\x00", "\ufeff", "=1+1", "🙂", "{", "},{\"attributes\":", "\\", "\\u0041",
                     "x" * 9000]),
)  # fmt: skip
MOMENTS = datetime(1700, 1, 1), datetime(4000, 12, 31)  # noqa: DTZ001 - hypothesis wants them so
ROWS = st.fixed_dictionaries(
    {
        "Id": st.text("0123456789ABCDEFabcdef", min_size=18, max_size=18),
        "Name": st.none() | TEXTS,
        "Whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "Money": st.none() | st.decimals(Decimal("-9999999999999999.99"), Decimal("9999999999999999.99"), places=2),
        "Fine": st.none() | st.decimals(Decimal("-1E18"), Decimal("1E18"), places=18),
        "Rough": st.none() | st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0),
        "Flag": st.none() | st.booleans(),
        "Day": st.none() | st.dates(date(1700, 1, 1), date(4000, 12, 31)),
        "Moment": st.none() | st.datetimes(*MOMENTS).map(
            lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)),
        "Opens": st.none() | st.times().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)),
        "Any": st.none() | TEXTS,
    }
)  # fmt: skip


def number_text(value: Decimal | int | float, style: int) -> str:
    """A number as either road may write it: plain, with a needless zero, with an exponent."""
    if isinstance(value, float):
        return repr(value)
    exact = Decimal(value)
    if style == 0:
        return f"{exact:f}"
    if style == 1:
        return f"{exact:f}.0" if exact == exact.to_integral_value() and "." not in f"{exact:f}" else f"{exact:f}0"
    sign, digits, exponent = exact.as_tuple()
    figures = "".join(map(str, digits)) or "0"
    assert isinstance(exponent, int)
    power = exponent + len(figures) - 1
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"


def text_of(value: object, style: int, offset: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal() | int() | float():
            return number_text(value, style)
        case datetime():
            return value.isoformat(timespec="milliseconds") + offset
        case time():
            return value.isoformat(timespec="milliseconds") + "Z"
        case date():
            return value.isoformat()
    return str(value)


def json_page(rows: list[dict[str, object]], style: int, ascii: bool, pretty: bool) -> bytes:
    records = []
    for row in rows:
        parts = ['"attributes":{"type":"Odd","url":"/services/data/v62.0/sobjects/Odd/x"}']
        for name, value in row.items():  # in whatever order the server likes
            plain = value is None or isinstance(value, bool | int | float | Decimal)
            text = "null" if value is None else text_of(value, style, "+0000")
            parts.append(f'"{name}":{text if plain else json.dumps(text, ensure_ascii=ascii)}')
        records.append("{" + ",".join(parts) + "}")
    between = ",\n  " if pretty else ","
    return f'{{"totalSize":{len(rows)},"done":true,"records":[{between.join(records)}]}}'.encode(
        "utf-8", "surrogatepass"
    )


def csv_page(rows: list[dict[str, object]], style: int, bare_nulls: bool) -> bytes:
    lines = [",".join(f'"{name}"' for name in COLUMNS.names)]
    for row in rows:
        cells = []
        for value in (row[name] for name in COLUMNS.names):
            text = "" if value is None else text_of(value, style, "Z").replace('"', '""')
            cells.append("" if bare_nulls and not text else f'"{text}"')
        lines.append(",".join(cells))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def by_rest(page: bytes) -> pa.RecordBatch:
    return table_of(parse_page(page, {}), SHAPE)


def csv_body(content: bytes) -> CsvBytes:
    return CsvBytes(Body(cast(requests.Response, Response(content, CHUNKED)), "read", "Odd", running))


def by_bulk(content: bytes, block_bytes: int = BLOCK_BYTES) -> pa.RecordBatch:
    return pa.concat_batches(list(sheet_of(csv_body(content), SHAPE, block_bytes)))


def expected(rows: list[dict[str, object]]) -> pa.RecordBatch:
    nulled = [{name: None if value == "" else value for name, value in row.items()} for row in rows]
    return pa.RecordBatch.from_pylist(nulled, schema=EXACT)


@given(st.lists(ROWS, min_size=1, max_size=8), st.integers(0, 2), st.integers(0, 2), st.booleans(), st.booleans(),
       st.booleans())  # fmt: skip
def test_both_roads_give_the_same_batch_and_the_true_values(
    rows: list[dict[str, object]], json_style: int, csv_style: int, ascii: bool, pretty: bool, bare: bool
) -> None:
    ints = [{**row, "Whole": row["Whole"]} for row in rows]
    one, other = by_rest(json_page(ints, json_style, ascii, pretty)), by_bulk(csv_page(ints, csv_style, bare))
    assert one.equals(other), [
        pair for pair in zip(one.to_pylist(), other.to_pylist(), strict=True) if pair[0] != pair[1]
    ]
    assert one.equals(expected(rows))
    one.validate(full=True)
    other.validate(full=True)


ROW: Mapping[str, object] = dict.fromkeys(COLUMNS.names)


def one_row(**values: object) -> list[dict[str, object]]:
    return [{**ROW, "Id": "001000000000000AAA", **values}]


@pytest.mark.parametrize("text", ["x" * 131_072, "日" * 131_072, '"\n' * 65_536, "\x00" * 131_072])
def test_texts_of_131072_characters_survive_both_roads(text: str) -> None:
    rows = one_row(Name=text, Any=text)
    assert by_rest(json_page(rows, 0, True, False)).equals(expected(rows))
    assert by_bulk(csv_page(rows, 0, False)).equals(expected(rows))


@pytest.mark.parametrize("block_bytes", [BLOCK_BYTES, 8 * BLOCK_BYTES])
def test_no_more_bytes_go_on_as_one_batch_where_a_row_needs_larger_blocks_bounded(block_bytes: int) -> None:
    page = csv_page(one_row(Name="x" * (BLOCK_BYTES - 1_000)) * 9, 0, False)
    assert [each.num_rows for each in sheet_of(csv_body(page), SHAPE, block_bytes)] == [8, 1]


@pytest.mark.parametrize("written", ["\ud800", "a\udfffb", "\ude42\ud83d", "\udc00\udc00", "🙂\udc00"])  # noqa: PT014
def test_halves_of_surrogate_pairs_read_alike_on_both_roads(written: str) -> None:
    rows = one_row(Name=written, Any=written)
    mended = "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in written)
    for ascii in (True, False):
        page = parse_page(json_page(rows, 0, ascii, False), {})
        assert table_of(page, SHAPE).equals(expected(one_row(Name=mended, Any=mended)))
        assert page.mended == 2 * sum("\ud800" <= each <= "\udfff" for each in written)
    assert by_bulk(csv_page(rows, 0, False)).equals(expected(one_row(Name=mended, Any=mended)))


def test_escaped_pairs_and_escaped_backslashes_are_left_alone() -> None:
    rows = one_row(Name="🙂 \\ud800 \\\\ud800", Any=None)
    page = parse_page(json_page(rows, 0, True, False), {})
    assert page.mended == 0
    assert table_of(page, SHAPE).equals(expected(rows))


@pytest.mark.parametrize(
    ("name", "value"),
    [("Whole", Decimal("5.5")), ("Money", Decimal("0.125")), ("Whole", 2**63), ("Money", Decimal("1E17"))],
)
def test_a_value_that_its_type_cannot_hold_is_an_error_never_rounded(name: str, value: Decimal | int) -> None:
    rows = one_row(**{name: value})
    with pytest.raises(ValueOutOfType, match=name):
        by_rest(json_page(rows, 0, True, False))
    with pytest.raises(ValueOutOfType, match=name):
        by_bulk(csv_page(rows, 0, False))


@pytest.mark.parametrize(
    ("name", "text"), [("Day", '"soon"'), ("Flag", '"maybe"'), ("Moment", '"2024"'), ("Whole", "true")]
)
def test_a_value_of_another_kind_is_an_error_that_names_the_column(name: str, text: str) -> None:
    page = json_page(one_row(), 0, True, False).replace(f'"{name}":null'.encode(), f'"{name}":{text}'.encode())
    with pytest.raises(ValueOutOfType, match=name):
        by_rest(page)
    plain = csv_page(one_row(**{name: text.strip('"')}), 0, False)
    with pytest.raises(ValueOutOfType, match=name):
        by_bulk(plain)


def test_values_of_any_type_become_text() -> None:
    page = json_page(one_row(Any="TEXT"), 0, True, False)
    for told, text in [
        ("5", "5"),
        ("5.0", "5.0"),
        ("true", "true"),
        ('{"a":[1]}', '{"a":[1]}'),
        ('""', None),
        ("null", None),
    ]:
        read = by_rest(page.replace(b'"Any":"TEXT"', f'"Any":{told}'.encode()))
        assert read.column("Any").to_pylist() == [text]


def test_a_record_without_a_field_that_was_asked_for_is_an_error() -> None:
    page = json_page(one_row(), 0, True, False).replace(b'"Money":null,', b"")
    with pytest.raises(DataError, match="Money"):
        by_rest(page)


def test_a_page_that_promises_a_next_one_and_names_none_is_no_page() -> None:
    with pytest.raises(ValueError, match="next"):
        parse_page(b'{"totalSize":5,"done":false,"records":[]}', {})
    assert parse_page(b'{"totalSize":5,"done":true,"records":[]}', {}) == Page([], 5, None)


@pytest.mark.parametrize("change", [(b'"Name"', b'"name"'), (b'"Id","Name"', b'"Name","Id"'), (b',"Any"\n', b"\n")])
def test_a_header_that_is_not_what_was_asked_is_an_error(change: tuple[bytes, bytes]) -> None:
    with pytest.raises((DataError, Faulted)):
        by_bulk(csv_page(one_row(), 0, False).replace(*change))


def test_a_row_longer_than_a_block_asks_for_a_larger_block() -> None:
    content = csv_page(one_row(Name="x" * 5000), 0, False)
    with pytest.raises(RowTooLong):
        by_bulk(content, 1000)


def test_bytes_that_are_no_text_are_an_error_on_both_roads() -> None:
    rows = one_row(Name="MARK")
    with pytest.raises(ValueError, match="UTF-8"):
        by_rest(json_page(rows, 0, True, False).replace(b"MARK", b"\xff\xfe"))
    with pytest.raises(Faulted):
        by_bulk(csv_page(rows, 0, False).replace(b"MARK", b"\xff\xfe"))


# ---- through the practice org ----

LATER = timedelta(minutes=2)


@pytest.mark.parametrize("bulk_ints_as_doubles", [True, False])
@pytest.mark.parametrize("version", ["57.0", "62.0"])
def test_every_odd_type_comes_alike_from_the_org(site: Site, bulk_ints_as_doubles: bool, version: str) -> None:
    site.org.settings.wire.bulk_ints_as_doubles = bulk_ints_as_doubles
    site.org.settings.wire.bulk_offset = bulk_ints_as_doubles
    site.org.insert("Oddity__c", {}, count=300)
    texts = ["", "N/A", "null", 'a,"b"\r\n', "\x00", "🙂", "x" * 131_072]
    site.org.insert("Oddity__c", {
        "Long__c": texts, "Money__c": ["9999999999999999.99", "-0.01", None, "1", "2", "3", "10000000"],
        "Day__c": [date(1700, 1, 1), date(4000, 12, 31), None, *[date(1969, 12, 31)] * 4],
        "Count__c": [5, -5, None, 0, 2**31, 2**53, 1], "Opens__c": [time(13, 45), *[None] * 6],
    }, count=7)  # fmt: skip
    site.org.delete("Oddity__c", site.org.ids("Oddity__c", limit=3))
    site.org.advance(120)
    rest = read_object(site.connect(api="rest", api_version=version), "Oddity__c")
    bulk = read_object(site.connect(api="bulk", api_version=version, page_rows=100), "Oddity__c")
    assert rest.table().num_rows == 307
    assert rest.table().equals(bulk.table())
    assert rest.deleted() == bulk.deleted()
    assert len(rest.deleted()) == 3
