"""TYPES-FROM-SOURCE: the lattice of types has its laws, and no value is lost on the way up."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.sinks import lattice
from syncline.sinks.dialect import DUCKDB

DECIMALS = st.integers(1, 38).flatmap(
    lambda precision: st.integers(0, precision).map(lambda scale: pa.decimal128(precision, scale))
)
PLAIN = st.sampled_from(
    [
        pa.bool_(),
        pa.int8(),
        pa.int32(),
        pa.int64(),
        pa.uint16(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.binary(16),
        pa.date32(),
        pa.time32("ms"),
        pa.time64("us"),
        pa.timestamp("s"),
        pa.timestamp("us"),
        pa.timestamp("ms", tz="UTC"),
        pa.timestamp("us", tz="Europe/Berlin"),
        pa.dictionary(pa.int8(), pa.string()),
    ]
)
DOCUMENTS = st.sampled_from([lattice.JSON, pa.json_(pa.large_string())])
SCALARS = st.one_of(DECIMALS, PLAIN)
TYPES = st.one_of(
    SCALARS, DOCUMENTS, SCALARS.map(pa.list_), SCALARS.map(pa.large_list), SCALARS.map(pa.list_).map(pa.list_)
)


@given(TYPES, TYPES)
def test_join_is_commutative(one: pa.DataType, other: pa.DataType) -> None:
    assert lattice.join(one, other) == lattice.join(other, one)


@given(TYPES, TYPES, TYPES)
def test_join_is_associative(one: pa.DataType, two: pa.DataType, three: pa.DataType) -> None:
    left = lattice.join(lattice.join(one, two), three)
    assert left == lattice.join(one, lattice.join(two, three))


@given(TYPES, TYPES)
def test_join_is_idempotent_and_never_narrows(one: pa.DataType, other: pa.DataType) -> None:
    assert lattice.join(one, one) == lattice.canonical(one)
    joined = lattice.join(one, other)
    if joined is not None:
        assert lattice.canonical(joined) == joined
        assert lattice.holds(joined, one)
        assert lattice.holds(joined, other)


@given(TYPES)
def test_every_type_of_the_lattice_has_a_column_type_and_comes_back_from_the_catalog(type: pa.DataType) -> None:
    own = lattice.canonical(type)
    assert own is not None
    text = DUCKDB.column_type(own).sql("duckdb")
    [(shown,)] = duckdb.execute(f"SELECT typeof(CAST(NULL AS {text}))").fetchall()
    assert DUCKDB.arrow_type(shown) == own


INTEGERS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INTEGERS, min_size=1), DECIMALS)
def test_integers_survive_next_to_decimals(values: list[int], other: pa.DataType) -> None:
    joined = lattice.join(pa.int64(), other)
    found = pa.array(values, pa.int64()).cast(joined).to_pylist()
    if joined == pa.string():
        assert [int(text) for text in found] == values
    else:
        assert found == values


@given(DECIMALS, DECIMALS, st.data())
def test_decimals_survive_next_to_each_other(one: pa.DataType, other: pa.DataType, data: st.DataObject) -> None:
    bound = 10**one.precision - 1
    value = Decimal(f"{data.draw(st.integers(-bound, bound))}e-{one.scale}")
    [found] = pa.array([value], one).cast(lattice.join(one, other)).to_pylist()
    assert Decimal(found) == value


@given(st.floats(allow_nan=False), SCALARS)
def test_floats_survive_next_to_anything(value: float, other: pa.DataType) -> None:
    joined = lattice.join(pa.float64(), other)
    if joined == pa.string():
        [(text,)] = duckdb.execute("SELECT CAST(? AS VARCHAR)", [value]).fetchall()
        assert float(text) == value
    else:
        assert joined is None or joined == pa.float64()


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (pa.int64(), pa.int32(), pa.int64()),
        (pa.int64(), pa.decimal128(5, 2), pa.decimal128(21, 2)),
        (pa.int64(), pa.decimal128(38, 37), pa.string()),
        (pa.decimal128(18, 2), pa.decimal128(10, 6), pa.decimal128(22, 6)),
        (pa.decimal128(38, 0), pa.decimal128(38, 38), pa.string()),
        (pa.int64(), pa.float64(), pa.string()),
        (pa.decimal128(5, 2), pa.float64(), pa.string()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.date32(), lattice.UTC_TIMESTAMP, pa.string()),
        (pa.timestamp("us"), lattice.UTC_TIMESTAMP, pa.string()),
        (pa.bool_(), pa.int64(), pa.string()),
        (pa.uint64(), pa.int64(), pa.decimal128(20, 0)),
        (pa.binary(), pa.string(), None),
        (lattice.JSON, pa.string(), pa.string()),
        (lattice.JSON, pa.int64(), pa.string()),
        (lattice.JSON, pa.list_(pa.string()), None),
        (pa.list_(pa.int64()), pa.string(), None),
        (pa.list_(pa.int64()), pa.list_(pa.string()), pa.list_(pa.string())),
    ],
)
def test_join_is_as_the_picture_says(one: pa.DataType, other: pa.DataType, joined: pa.DataType | None) -> None:
    assert lattice.join(one, other) == joined


@pytest.mark.parametrize(
    "type",
    [
        pa.timestamp("ns"),
        pa.time64("ns"),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.string()),
        pa.list_(pa.timestamp("ns")),
        pa.decimal256(60, 2),
        pa.list_(lattice.JSON),
        pa.duration("s"),
        pa.null(),
    ],
    ids=str,
)
def test_a_type_that_cannot_be_held_exactly_is_refused_not_cut(type: pa.DataType) -> None:
    assert lattice.canonical(type) is None
    assert lattice.join(type, pa.string()) is None


@pytest.mark.parametrize("text", ["STRUCT(a INTEGER)", "INTEGER", "HUGEINT", "ENUM('a', 'b')", "UUID", "INTEGER[3]"])
def test_a_column_type_that_syncline_never_makes_is_unknown(text: str) -> None:
    assert DUCKDB.arrow_type(text) is None
