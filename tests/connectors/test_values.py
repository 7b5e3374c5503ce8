"""Values become Arrow columns exactly or not at all; guessed types only widen (TYPES-FROM-SOURCE)."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from syncline.connectors.infer import BIG_INTEGER, NUMBER, canonical, guess, widen
from syncline.connectors.values import INSTANT, JSON, Misfit, fits, json_text, text_of, to_array

TEXTS = some.text(some.characters(exclude_categories=["Cs"]))
MONEY = pa.decimal128(10, 2)
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("type", "value", "held"),
    [
        (pa.int64(), 2**63 - 1, 2**63 - 1),
        (pa.int64(), 3.0, 3),
        (pa.int64(), "-7", -7),
        (pa.float64(), 3, 3.0),
        (pa.float64(), Decimal("0.5"), 0.5),
        (MONEY, "19.99", Decimal("19.99")),
        (MONEY, 0.1, Decimal("0.10")),
        (MONEY, Decimal("1.500"), Decimal("1.50")),
        (INSTANT, "2031-05-01T14:00:00.000000000+02:00", NOON),
        (INSTANT, datetime(2031, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
        (INSTANT, datetime(2031, 5, 1, 12), NOON),  # noqa: DTZ001
        (pa.timestamp("us"), NOON, NOON.replace(tzinfo=None)),
        (pa.date32(), "1700-02-28", date(1700, 2, 28)),
        (pa.date32(), datetime(2031, 5, 1), date(2031, 5, 1)),  # noqa: DTZ001
        (pa.time64("us"), "23:59:59.999999", time(23, 59, 59, 999999)),
        (
            pa.string(),
            {"b": [1, None, Decimal("1.10")], "a": NOON},
            '{"b":[1,null,"1.10"],"a":"2031-05-01T12:00:00+00:00"}',
        ),
        (JSON, {"b": [1, None, Decimal("1.10")], "a": NOON}, '{"a":"2031-05-01T12:00:00+00:00","b":[1,null,"1.10"]}'),
        (
            JSON,
            ' { "b" : 1.50, "a": [ 1e400, -0 ], "é": "\\u00e9\\u0000" } ',
            '{"a":[1e400,-0],"b":1.50,"é":"é\\u0000"}',
        ),
        (JSON, '"text"', '"text"'),
        (JSON, "null", "null"),
        (JSON, True, "true"),
        (JSON, 2**70, str(2**70)),
        (JSON, "9" * 5_000, "9" * 5_000),
        (JSON, uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (pa.string(), uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pa.string(), True, "true"),
        (pa.string(), "", ""),
        (pa.binary(), bytearray(b"\x00\xff"), b"\x00\xff"),
    ],
)
def test_a_declared_type_holds(type: pa.DataType, value: object, held: object) -> None:
    assert to_array([None, value], type, parse=True).to_pylist() == [None, held]


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (pa.bool_(), 1),
        (pa.int64(), True),
        (pa.int64(), 1.5),
        (pa.int64(), 2**63),
        (pa.int64(), "1.0"),
        (pa.int64(), float("nan")),
        (pa.float64(), True),
        (pa.float64(), 2**53 + 1),
        (pa.float64(), Decimal("0.1")),
        (MONEY, "19.999"),
        (MONEY, 0.001),
        (MONEY, Decimal("NaN")),
        (MONEY, 10**9),
        (INSTANT, 5),
        (INSTANT, "2031-05-01T12:00:00.0000001Z"),
        (INSTANT, "soon"),
        (INSTANT, date(2031, 5, 1)),
        (pa.date32(), datetime(2031, 5, 1, 5)),  # noqa: DTZ001
        (pa.date32(), 5),
        (pa.time64("us"), time(5, tzinfo=UTC)),
        (JSON, "plain"),
        (JSON, ""),
        (JSON, "{'a': 1}"),
        (JSON, "NaN"),
        (JSON, float("inf")),
        (JSON, {"a": [float("nan")]}),
        (JSON, '{"a":1,"a":2}'),
        (JSON, {1: "a", "1": "b"}),
        (JSON, ["\ud800"]),
        (JSON, {"a": b"bytes"}),
        (JSON, "[" * 100_000),
        (pa.string(), b"bytes"),
        (pa.string(), "\ud800"),
        (pa.string(), ["\ud800"]),
        (pa.binary(), "text"),
    ],
)
def test_what_a_type_cannot_hold_exactly_is_a_misfit_that_names_the_value(type: pa.DataType, value: object) -> None:
    with pytest.raises(Misfit) as caught:
        to_array([None, value], type, parse=True)
    assert repr(value).strip("[]'")[:40] in str(caught.value)


def test_a_guessed_number_is_not_read_from_text() -> None:
    assert not fits(["007"], pa.int64())
    assert widen(pa.int64(), ["007"]) == pa.string()


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([None], pa.null()),
        ([True, None], pa.bool_()),
        ([1, 2], pa.int64()),
        ([1, 2**70], BIG_INTEGER),
        ([1, 1.5], pa.float64()),
        ([2**60, 1.5], NUMBER),
        ([Decimal("1.5"), 1], NUMBER),
        ([NOON], INSTANT),
        ([date(2031, 5, 1)], pa.date32()),
        ([time(5)], pa.time64("us")),
        (["2031-05-01T12:00:00Z"], pa.string()),
        ([b"x"], pa.binary()),
        ([{"a": 1}, [1], "x", 1], pa.string()),
        ([True, 1], pa.string()),
    ],
)
def test_a_type_is_guessed(values: list[object], type: pa.DataType) -> None:
    assert guess(values) == type


def test_bytes_among_texts_have_no_type() -> None:
    with pytest.raises(Misfit):
        guess([b"x", "y"])


json_values = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-(2**80), 2**80),
    some.floats(allow_nan=False),
    some.text(some.characters(exclude_categories=["Cs"]), max_size=5),
    some.lists(some.integers(), max_size=2),
)


@given(some.lists(some.lists(json_values, max_size=4), min_size=1, max_size=4))
def test_a_held_type_only_widens_until_it_holds_every_value_ever_seen_types_from_source(
    batches: list[list[object]],
) -> None:
    seen: list[object] = []
    held: pa.DataType = pa.null()
    for batch in batches:
        wider = widen(held, batch)
        seen += batch
        assert wider == widen(wider, batch), "widening comes to rest"
        held = wider
    if held != pa.null():
        array = to_array(seen, held, parse=False)
        assert array.null_count == seen.count(None)


@given(some.lists(json_values, min_size=1, max_size=6))
def test_a_guess_holds_the_values_without_changing_them(values: list[object]) -> None:
    type = guess(values)
    if type in (pa.null(), pa.string()):
        return
    for value, held in zip(values, to_array(values, type, parse=False).to_pylist(), strict=True):
        assert held == (Decimal(repr(value)) if isinstance(held, Decimal) and isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("type", "held"),
    [
        (pa.int8(), pa.int64()),
        (pa.uint64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float64()),
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.timestamp("ns", tz="Europe/Paris"), INSTANT),
        (pa.timestamp("s"), pa.timestamp("us")),
        (pa.date64(), pa.date32()),
        (pa.time32("s"), pa.time64("us")),
        (pa.struct([("a", pa.int8())]), pa.string()),
        (pa.map_(pa.string(), pa.int8()), pa.string()),
        (pa.decimal256(40, 2), None),
        (pa.duration("s"), None),
        (pa.null(), pa.null()),
    ],
)
def test_an_arrow_type_has_one_form(type: pa.DataType, held: pa.DataType | None) -> None:
    assert canonical(type) == held


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"n":"' + "x" * 90 + '","a":1,"a":2}', "one name twice"),
        ('{"n":"' + "x" * 90 + '",}', "char 98"),
        ("[" * 10_000 + "]" * 10_000, "nested too deep"),
        ('{"n":"' + "x" * 90 + '","a":NaN}', "NaN is no number"),
    ],
)
def test_what_is_wrong_with_a_document_is_said_though_it_stands_far_behind_loud(text: str, why: str) -> None:
    with pytest.raises(Misfit, match=why):
        to_array([text], JSON, parse=False)


def test_text_of_what_is_nested_keeps_its_order_and_its_letters() -> None:
    assert text_of({"z": "é", "a": {1: (2, 3)}}) == '{"z":"é","a":{"1":[2,3]}}'


DOCUMENTS = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_equal_documents_have_one_text_that_says_the_same(value: object) -> None:
    text = json_text(json.dumps(value))
    assert json.loads(text) == value
    assert json_text(json.dumps(_backwards(value), indent=1, ensure_ascii=False)) == text


def _backwards(value: object) -> object:
    """The same document, its names in another order."""
    if isinstance(value, dict):
        return {name: _backwards(value[name]) for name in reversed(value)}
    return [_backwards(each) for each in value] if isinstance(value, list) else value
