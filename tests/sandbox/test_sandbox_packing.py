"""Packed columns: an org that keeps its records in few bytes answers byte by byte as one that keeps texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.sandbox import Field, Org, packing
from syncline.connectors.sandbox.packing import KNOWN_MAX, Known, Packed, joined, packed
from tests.sandbox.calling import START, Caller

ROWS = 3_000
BYTES_A_ROW_MAX = 190
"""Of an Account's columns; as texts they take 500."""
PARTS = ("Account", "Contact", "Opportunity", "Oddity__c")
CONDITIONS = (
    "SystemModstamp >= 2020-01-01T00:00:00Z AND SystemModstamp < 2021-01-01T00:00:00.500Z", "IsDeleted = true",
    "CreatedDate > 2019-01-01T00:00:00+02:00", "CreatedDate <= 2018-03-01T00:00:00.250Z", "SystemModstamp != null",
    "SystemModstamp = 2026-01-15T13:00:00Z", "SystemModstamp > 1700-01-01T00:00:00Z", "CreatedDate = LAST_N_DAYS:900",
    "SystemModstamp < 3999-12-31T23:59:59Z", "Industry = 'banking'", "Industry != null", "Rating IN ('Hot', null)",
    "Owner.Name LIKE 'A%'", "Score__c > 3.5 AND AnnualRevenue != null",
)  # fmt: skip

moments = st.datetimes().map(lambda at: f"{at.year:04d}-{at:%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z")
seconds = moments.map(lambda text: f"{text[:20]}000Z")


@given(st.lists(st.one_of(seconds, moments, st.none(), st.just("not an instant"), st.text(max_size=3))))
def test_any_column_comes_back_as_it_was(values: list[str | None]) -> None:
    comes_back(values)


@given(st.lists(seconds))
def test_instants_come_back_as_they_were(values: list[str]) -> None:
    comes_back(values)


def comes_back(values: Sequence[str | None]) -> None:
    texts, known = pa.array(values, pa.string()), Known()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "PACKED_ROWS_MIN", 0)
        for field in (None, Field("At__c", "datetime")):
            kept = packed(field, texts, known)
            assert kept.values().equals(texts), values
            part = Packed(kept.array.slice(1), kept.unpack, kept.known)
            assert joined([part, kept, Packed(texts)]).values().to_pylist() == [*values[1:], *values, *values]


def test_a_value_keeps_its_number_while_more_come() -> None:
    known, kept = Known(), []
    columns = [pa.array([f"{(row * step) % 300} long enough" for row in range(9_000)]) for step in (1, 7, 11)]
    columns += [pa.array(["quite another one", None, "0 long enough"] * 3_000)]
    for texts in columns:
        kept.append(packed(None, texts, known))
        assert kept[-1].known is known
        doubled = [each.changed(twice).values() for each in kept]
    for texts, found, changed in zip(columns, kept, doubled, strict=True):
        assert found.values().equals(texts)
        assert changed.equals(twice(texts))


def twice(texts: pa.Array) -> pa.Array:
    return pa.array([None if text is None else text * 2 for text in texts.to_pylist()], pa.string())


def test_too_many_values_to_number_stay_texts() -> None:
    known, rows = Known(), 65_536
    numbered = []
    for start in range(0, KNOWN_MAX + rows, rows // 8):
        texts = pa.array([f"{start + row // 8} which is rather long" for row in range(rows)])
        kept = packed(None, texts, known)
        assert kept.values().equals(texts)
        numbered.append(kept.known is known)
    assert numbered == [True] * (KNOWN_MAX * 8 // rows) + [False] * 8


def test_an_org_with_packed_columns_answers_as_one_with_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACKED_ROWS_MIN", 1)
    found = told()
    monkeypatch.setattr(packing, "PACKED_ROWS_MIN", 10**9)
    for (name, answer), (_, wanted) in zip(found, told(), strict=True):
        assert answer == wanted, name


def told() -> list[tuple[str, Any]]:
    """What an org says before and after changes of all kinds."""
    org = Org(seed=5, start=START, seed_rows=dict.fromkeys(PARTS, ROWS))
    call = Caller(org)
    found = answers(org, call)
    ids = org.ids("Account", "AccountNumber LIKE '%7'")
    org.update("Account", ids[:200], {"Name": 'Re"named', "Industry": [None, "Banking"] * 100})
    org.delete("Account", ids[50:150])
    org.undelete("Account", ids[60:80])
    org.hard_delete("Account", ids[200:220])
    org.advance(3_600)
    org.restamp("Contact")
    org.rename_field("Account", "Type", "Kind__c")
    org.drop_field("Account", "Website")
    org.retype_field("Account", "LastModifiedDate", type="string", length=100)
    org.add_field("Account", Field("New__c", length=20), 'a "new" one')
    return found + answers(org, call)


def answers(org: Org, call: Caller) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in PARTS:
        fields = [each.name for each in org.object_type(name).visible() if each.type != "base64"]
        flat = ", ".join(each for each in fields if not org.object_type(name).fields[each].parts)
        job = call.job(f"SELECT {flat} FROM {name}", "queryAll")
        org.advance(600)
        found.append((f"Bulk, {name}", call.results(job).body))
        found.append((f"REST, {name}", call.rows(f"SELECT {', '.join(fields)} FROM {name}", "queryAll")))
        found.append((f"truth, {name}", org.snapshot(name, include_deleted=True).to_pylist()))
    found.append(
        ("parents", call.rows("SELECT Name, Account.Name, Account.SystemModstamp, Account.Rating FROM Contact"))
    )
    found.append(("ordered", call.rows("SELECT Id FROM Account ORDER BY SystemModstamp DESC, Rating NULLS LAST, Id")))
    for where in CONDITIONS:
        found.append((where, call.count(f"SELECT COUNT() FROM Account WHERE {where}", "queryAll")))
    return found


def test_a_generated_account_takes_few_bytes() -> None:
    org = Org(seed=1)
    org.seed({"Account": 65_536})
    [segment] = org._core.records.table("Account").segments
    columns = list(segment.columns.values())
    assert sum(each.array.nbytes for each in columns) / segment.rows < BYTES_A_ROW_MAX
    # What is known is shared by all segments.
    assert sum(each.known.size_bytes() for each in columns if each.known is not None) < 10_000_000


def test_blocks_hold_every_row_once_in_order_and_within_their_bound() -> None:
    org = Org(seed=1)
    org.seed({"Account": 200_000})
    table = org._core.records.table("Account")
    everything = table.everything()
    random = np.random.default_rng(3)
    for positions in (
        everything.positions, random.permutation(everything.positions)[:20_000],
        random.permutation(everything.positions[: 64 * 3_000].reshape(64, -1)).ravel(), everything.positions[:1],
        everything.positions[:0],
    ):  # fmt: skip
        blocks = list(table.select(positions).blocks(2_048))
        assert all(0 < each.rows <= 3_072 for each in blocks)
        assert [row for each in blocks for row in each.positions.tolist()] == positions.tolist()
