"""The generated records: seeded, realistic in their odd corners, valid in their Ids, fast to make."""

from __future__ import annotations

import time
from datetime import date

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.sandbox import Org
from syncline.connectors.sandbox.identifiers import id_text, id_texts, normalise, serial_of, serials_of, suffix_of
from tests.sandbox.calling import START, Caller


@given(st.integers(0, 62**9 - 1))
def test_ids_carry_their_serial_and_a_right_suffix(serial: int) -> None:
    text = id_text("a0W", serial)
    assert (len(text), serial_of(text), normalise(text[:15])) == (18, serial, text)
    texts = id_texts("a0W", np.array([serial]))
    assert texts.to_pylist() == [text]
    assert serials_of("a0W", texts).tolist() == [serial]


def test_the_suffix_is_salesforce_s_own() -> None:
    assert suffix_of("0015g00000ABCde") == "AA" + "H"
    assert suffix_of("AAAAAaaaaaAAAAA") == "5A5"
    assert normalise("0015g00000ABCdeAAX") is None
    assert normalise("0015g00000ABCd") is None


def test_id_order_is_serial_order() -> None:
    texts = id_texts("001", np.array([9, 10, 35, 36, 61, 62, 3843, 3844])).to_pylist()
    assert [text[:15] for text in texts] == sorted(text[:15] for text in texts)


def test_the_same_seed_gives_the_same_org() -> None:
    def made(seed: int) -> Org:
        return Org(seed=seed, start=START, seed_rows={"Account": 500, "Contact": 100})

    assert made(1).snapshot("Account").equals(made(1).snapshot("Account"))
    assert made(1).snapshot("Contact").equals(made(1).snapshot("Contact"))
    assert not made(1).snapshot("Account").equals(made(2).snapshot("Account"))


def test_accounts_have_25_columns_and_the_corners_that_break_readers(org: Org) -> None:
    org.seed({"Account": 5_000})
    accounts = org.snapshot("Account")
    assert accounts.num_columns == 25
    texts = " ".join(text for text in accounts["Description"].to_pylist() if text)
    for corner in (",", '"', "\n", "\r\n", "\t", "\\", "\U0001f680", "N/A", "大"):
        assert corner in texts, corner
    assert any("\n" in street for street in accounts["BillingStreet"].to_pylist() if street)
    founded = [day for day in accounts["Founded__c"].to_pylist() if day]
    assert min(founded) < date(1900, 1, 1)
    assert max(founded) > date(2000, 1, 1)
    for name in ("Industry", "AnnualRevenue", "BillingCity", "Description", "Rating"):
        assert 0 < accounts[name].null_count < accounts.num_rows / 2, name
    assert min(score for score in accounts["Score__c"].to_pylist() if score is not None) < 0
    ties = accounts["SystemModstamp"].value_counts().field("counts")
    assert pc.max(ties).as_py() > 1


def test_stamps_are_ordered_and_in_the_past(org: Org) -> None:
    accounts = org.snapshot("Account")
    created, modified, stamp = (accounts[n] for n in ("CreatedDate", "LastModifiedDate", "SystemModstamp"))
    assert pc.all(pc.less_equal(created, modified)).as_py()
    assert pc.all(pc.less_equal(modified, stamp)).as_py()
    assert pc.max(stamp).as_py() < START


def test_references_point_at_records(org: Org) -> None:
    accounts, users = set(org.ids("Account")), set(org.ids("User"))
    contacts = org.snapshot("Contact")
    parents = set(contacts["AccountId"].to_pylist()) - {None}
    assert parents
    assert parents <= accounts
    assert set(contacts["OwnerId"].to_pylist()) <= users


@pytest.mark.parametrize(
    "name",
    ["Oddity__c", "Wide__c", "AccountHistory", "AccountShare", "LoginHistory", "CaseStatus", "Setting__mdt",
     "ActivityFieldHistory", "ContentDocumentLink", "Ledger__c"],
)  # fmt: skip
def test_every_odd_object_can_be_filled_and_read(org: Org, name: str) -> None:
    org.seed({name: 20})
    inserted = org.insert(name, count=2)
    table = org.snapshot(name)
    assert table.num_rows == 22
    assert set(inserted) <= set(table["Id"].to_pylist())
    plain = [field.name for field in org.object_type(name).visible() if field.stored and field.type != "base64"]
    call = Caller(org)
    where = f" WHERE Id IN ('{table['Id'][0].as_py()}')"
    answer = call.query(f"SELECT {', '.join(plain[:100])} FROM {name}{where}")
    assert len(answer.json["records"]) == 1


def test_a_large_seed_is_vectorised() -> None:
    started = time.process_time()
    org = Org(seed=1, start=START, seed_rows={"Account": 100_000})
    assert org.count("Account") == 100_000
    assert time.process_time() - started < 5, "a row at a time would take longer"
