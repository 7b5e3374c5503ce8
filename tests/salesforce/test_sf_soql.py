"""Windows and queries: no instant cut, no gap, no overlap (COMPLETE-WINDOW), no limit passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.connector import StreamSchema, Window
from syncline.connectors.errors import ConfigError
from syncline.connectors.salesforce import soql
from syncline.connectors.salesforce.connector import EARLIEST
from syncline.connectors.salesforce.deletes import id18, minutes_of
from syncline.connectors.salesforce.spans import bounds, halves, label, tiles, window_from
from syncline.connectors.salesforce.wide import groups_of

INSTANTS = st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
HIGH = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)


def stream(where: str | None = None, cursor: str | None = "SystemModstamp", fields: int = 0) -> StreamSchema:
    names = ["Id", "SystemModstamp", *(f"Measure_Number_{number:04d}__c" for number in range(fields))]
    columns = pa.schema([(name, pa.string()) for name in names])
    return StreamSchema("Account", columns, ("Id",), cursor, where=where)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2031, 5, 1, 12, 0, tzinfo=UTC), "2031-05-01T12:00:00Z"),
        (datetime(2031, 5, 1, 12, 0, 0, 123000, tzinfo=UTC), "2031-05-01T12:00:00.123Z"),
        (datetime(2031, 5, 1, 12, 0, 0, 122001, tzinfo=UTC), "2031-05-01T12:00:00.123Z"),
        (datetime(2031, 5, 1, 12, 0, 59, 999001, tzinfo=UTC), "2031-05-01T12:01:00Z"),
        (datetime(2031, 5, 1, 14, 0, tzinfo=timezone(timedelta(hours=2))), "2031-05-01T12:00:00Z"),
        (datetime(1700, 1, 1, tzinfo=UTC), "1700-01-01T00:00:00Z"),
    ],
)
def test_literals_are_utc_and_as_precise_as_the_platform(instant: datetime, text: str) -> None:
    assert soql.literal(instant) == text


@given(INSTANTS, st.integers(-3, 3))
def test_a_bound_between_two_milliseconds_keeps_the_same_rows_complete_window(bound: datetime, ticks: int) -> None:
    stamp = bound.replace(microsecond=bound.microsecond // 1000 * 1000) + timedelta(milliseconds=ticks)
    sent = datetime.fromisoformat(soql.literal(bound))
    assert (stamp >= bound) == (stamp >= sent)
    assert (stamp < bound) == (stamp < sent)


def test_a_query_names_fields_window_and_filter() -> None:
    text = soql.select(stream("Amount > 0 OR Name = ')('"), ["Id", "Name"], Window(HIGH - timedelta(hours=1), HIGH))
    assert text == (
        "SELECT Id, Name FROM Account WHERE SystemModstamp >= 2031-05-01T11:00:00Z "
        "AND SystemModstamp < 2031-05-01T12:00:00Z AND (Amount > 0 OR Name = ')(')"
    )
    assert soql.count(stream(cursor=None), Window(None, HIGH)) == "SELECT COUNT() FROM Account"
    assert soql.select(stream(), ["Id"], Window(None, HIGH)).endswith("WHERE SystemModstamp < 2031-05-01T12:00:00Z")


@pytest.mark.parametrize("where", ["a = 1) OR (b = 2", "(a = 1", "a = 'x", "a = 'x\\'", "a)"])
def test_a_filter_that_reaches_out_of_its_brackets_is_refused(where: str) -> None:
    with pytest.raises(ConfigError, match="where"):
        soql.count(stream(where), Window(None, HIGH))


def test_a_statement_too_long_for_soql_is_refused_bounded() -> None:
    with pytest.raises(ConfigError, match="100000"):
        soql.select(stream(), ["Field__c"] * 12_000, Window(None, HIGH))


@given(st.text())
def test_quoted_texts_cannot_end_early(text: str) -> None:
    soql.require_balanced("Account", f"Name = {soql.quoted(text)}")


@given(INSTANTS, INSTANTS, st.booleans())
def test_halves_are_exactly_the_window_complete_window(one: datetime, other: datetime, open_low: bool) -> None:
    window = Window(None if open_low else min(one, other), max(one, other))
    parts = halves(window, EARLIEST)
    if parts is not None:
        assert tiles(window, reversed(parts))
        assert not tiles(window, parts[:1])
        assert not tiles(window, parts[1:])
    else:
        assert window.high - (window.low or EARLIEST) <= timedelta(seconds=2)


def test_halving_ends() -> None:
    part, steps = Window(None, HIGH), 0
    while (split := halves(part, EARLIEST)) is not None:
        part, steps = split[0], steps + 1
        assert steps < 40


def test_parts_with_a_gap_or_an_overlap_do_not_tile() -> None:
    def at(hour: int) -> datetime:
        return HIGH + timedelta(hours=hour)

    whole = Window(at(0), at(4))
    assert tiles(whole, [Window(at(2), at(4)), Window(at(0), at(2))])
    assert not tiles(whole, [Window(at(0), at(1)), Window(at(2), at(4))])
    assert not tiles(whole, [Window(at(0), at(3)), Window(at(2), at(4))])
    assert not tiles(whole, [Window(at(0), at(3))])
    assert not tiles(whole, [])


@given(INSTANTS, INSTANTS)
def test_windows_survive_being_written_down(one: datetime, other: datetime) -> None:
    window = Window(min(one, other), max(one, other))
    assert window_from(bounds(window)) == window
    assert label(window).replace("-", "").replace(".", "").isalnum()


def test_fields_are_split_so_that_each_query_fits_an_address() -> None:
    wide, window = stream(fields=900), Window(HIGH - timedelta(hours=1), HIGH)
    assert not soql.fits_url(soql.select(wide, wide.columns.names, window))
    groups = groups_of(wide, wide.columns.names, "SystemModstamp", window)
    assert all(group[:2] == ("Id", "SystemModstamp") for group in groups)
    assert [name for group in groups for name in group[2:]] == wide.columns.names[2:]
    assert all(soql.fits_url(soql.select(wide, group, window)) for group in groups)


def test_a_filter_that_fills_the_address_alone_is_refused() -> None:
    wide = stream(where=f"Name = '{'x' * 9000}'", fields=900)
    with pytest.raises(ConfigError, match="leaves no room"):
        groups_of(wide, wide.columns.names, "SystemModstamp", Window(None, HIGH))


@given(st.integers(1, 3000), st.integers(0, 11_000))
def test_lists_of_ids_are_chunked_by_length(count: int, fixed: int) -> None:
    ids = [f"001{number:015d}" for number in range(count)]
    chunks = list(soql.split_ids(ids, fixed))
    assert [each for chunk in chunks for each in chunk] == ids
    for chunk in chunks:
        text = ", ".join(soql.quoted(each) for each in chunk)
        assert len(chunk) == 1 or fixed + soql.encoded_bytes(text) <= soql.QUERY_BYTES_MAX


@given(INSTANTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=20)))
def test_the_delete_log_is_asked_for_whole_minutes_never_fewer(low: datetime, span: timedelta) -> None:
    start, end = minutes_of(Window(low, low + span))
    assert start <= low
    assert end >= low + span
    assert start.second == end.second == start.microsecond == end.microsecond == 0
    assert end - start >= timedelta(minutes=2)


def test_ids_of_fifteen_characters_get_their_three_more() -> None:
    assert id18("001D000000IRFma") == "001D000000IRFmaIAH"
    assert id18("001D000000IRFmaIAH") == "001D000000IRFmaIAH"
