"""Queries: conditions mean what SOQL says, order is what was asked, paging ends where ``done`` says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncline.connectors.sandbox import Org
from tests.sandbox.calling import START, Caller

NAMES = ["alpha", "Beta", "gamma", None, "100%", "a_b", "O'Hara"]


@pytest.fixture
def small(org: Org) -> Caller:
    """Ledger entries with values that tell conditions apart."""
    org.insert(
        "Ledger__c",
        {"Name": NAMES, "Amount__c": [1, -2.5, None, 10, 100, 1000000000, 0]},
        fill=False,
    )
    return Caller(org)


@pytest.mark.parametrize(
    ("condition", "hits"),
    [
        ("Name = 'BETA'", ["Beta"]),
        ("Name != 'beta'", ["alpha", "gamma", None, "100%", "a_b", "O'Hara"]),
        ("Name = null", [None]),
        ("Name != null", ["alpha", "Beta", "gamma", "100%", "a_b", "O'Hara"]),
        ("Name LIKE '%A'", ["alpha", "Beta", "gamma", "O'Hara"]),
        ("Name LIKE 'a_b'", ["a_b"]),
        ("Name LIKE 'A%' AND NOT Name LIKE '%\\_%'", ["alpha"]),
        ("Name LIKE '%\\%'", ["100%"]),
        ("Name IN ('ALPHA', 'o\\'hara')", ["alpha", "O'Hara"]),
        ("Name NOT IN ('alpha', 'beta')", ["gamma", None, "100%", "a_b", "O'Hara"]),
        ("Name > 'beta'", ["gamma", "O'Hara"]),
        ("Amount__c > 0", ["alpha", None, "100%", "a_b"]),
        ("Amount__c <= 0", ["Beta", "O'Hara"]),
        ("Amount__c = null", ["gamma"]),
        ("Amount__c = 1e9", ["a_b"]),
        ("Amount__c IN (1, -2.50)", ["alpha", "Beta"]),
        ("Name IN ('alpha', null)", ["alpha", None]),
        ("Name NOT IN ('alpha', null)", ["Beta", "gamma", "100%", "a_b", "O'Hara"]),
        ("Amount__c IN (1, null)", ["alpha", "gamma"]),
        ("NOT (Amount__c > 0)", ["Beta", "gamma", "O'Hara"]),
        ("(Name = 'alpha' OR Name = 'beta') AND Amount__c < 0", ["Beta"]),
        ("IsDeleted = null AND Name = 'alpha'", ["alpha"]),
    ],
)
def test_conditions(small: Caller, condition: str, hits: list[str | None]) -> None:
    found = small.rows(f"SELECT Name FROM Ledger__c WHERE {condition}")
    assert sorted(str(row["Name"]) for row in found) == sorted(str(name) for name in hits)


def test_order_by_several_keys_and_nulls(small: Caller) -> None:
    def names(order: str) -> list[str | None]:
        return [row["Name"] for row in small.rows(f"SELECT Name FROM Ledger__c ORDER BY {order}")]

    assert names("Name")[0] is None
    assert names("Name ASC NULLS LAST")[-1] is None
    assert names("Name DESC NULLS LAST")[:2] == ["O'Hara", "gamma"]
    assert names("Amount__c") == ["gamma", "Beta", "O'Hara", "alpha", None, "100%", "a_b"]
    assert names("IsDeleted, Amount__c DESC NULLS LAST LIMIT 2 OFFSET 1") == ["100%", None]


def test_datetime_offsets_and_milliseconds_compare_as_instants(org: Org, call: Caller) -> None:
    org.insert("Ledger__c", {"Name": "x"})
    for literal, hits in (
        ("= 2026-01-15T12:00:00Z", 1),
        ("= 2026-01-15T14:00:00+02:00", 1),
        ("= 2026-01-15T01:30:00.000-10:30", 1),
        ("> 2026-01-15T11:59:59.999Z", 1),
        (">= 2026-01-15T12:00:00.001Z", 0),
        ("< 2026-01-15T12:00:00Z", 0),
        ("= TODAY", 1),
        ("< TODAY", 0),
        (">= LAST_N_DAYS:2", 1),
        ("= YESTERDAY", 0),
        ("= THIS_MONTH", 1),
        ("> LAST_YEAR", 1),
    ):
        assert call.count(f"SELECT COUNT() FROM Ledger__c WHERE SystemModstamp {literal}") == hits, literal


def test_keyset_paging_over_ties_finds_every_row_once(org: Org, call: Caller) -> None:
    org.insert("Ledger__c", count=50)
    org.advance(1)
    org.insert("Ledger__c", count=30)
    last: dict[str, Any] | None = None
    seen: list[str] = []
    while True:
        where = ""
        if last:
            at = last["SystemModstamp"].replace("+0000", "Z")
            where = f"WHERE SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > '{last['Id']}') "
        page = call.rows(f"SELECT Id, SystemModstamp FROM Ledger__c {where}ORDER BY SystemModstamp, Id LIMIT 7")
        if not page:
            break
        seen += [row["Id"] for row in page]
        last = page[-1]
    assert len(seen) == len(set(seen)) == 80


def test_ids_compare_with_case_and_in_both_lengths(org: Org, call: Caller) -> None:
    first = org.ids("Account", limit=1)[0]
    assert call.count(f"SELECT COUNT() FROM Account WHERE Id = '{first[:15]}'") == 1
    assert call.count(f"SELECT COUNT() FROM Account WHERE Id IN ('{first}', '{first[:15]}')") == 1
    assert call.count(f"SELECT COUNT() FROM Account WHERE Id > '{first}'") == 299
    assert call.query("SELECT Id FROM Account WHERE Id = 'nonsense'").error == (400, "INVALID_QUERY_FILTER_OPERATOR")


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Id FROM Account WHERE Nope = 1", "INVALID_FIELD", "No such column"),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD", "No such column"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Nope'"),
        ("SELECT Id, id FROM Account", "INVALID_FIELD", "duplicate field selected"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ("SELECT Id FROM ActivityHistory", "INVALID_TYPE_FOR_OPERATION", "does not support query"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account WHERE BillingAddress = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM ActivityFieldHistory WHERE SystemModstamp > TODAY", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Account WHERE AnnualRevenue > '5'", "INVALID_FIELD", "must be of type double"),
        ("SELECT Id FROM Account WHERE IsDeleted = 'true'", "INVALID_FIELD", "must be of type boolean"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2026-01-01T00:00:00Z'", "INVALID_FIELD", "of type dateTime"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "of type dateTime"),
        ("SELECT Id FROM Account WHERE Founded__c > 2026-01-01T00:00:00Z", "INVALID_FIELD", "of type date"),
        ("SELECT Id FROM Account WHERE IsDeleted > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Account WHERE Id LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Account WHERE Name INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "multipicklist"),
        ("SELECT Id FROM Account WHERE Name > null", "MALFORMED_QUERY", "null is only valid"),
        ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY", "requires a filter"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"),
    ],
)
def test_what_salesforce_refuses_is_refused_in_its_words(call: Caller, soql: str, code: str, words: str) -> None:
    answer = call.query(soql)
    assert answer.error == (400, code)
    assert words in answer.message


def test_an_unknown_field_is_pointed_at(call: Caller) -> None:
    message = call.query("SELECT Id, Nope FROM Account").message
    assert "ERROR at Row:1:Column:12" in message


def test_multipicklists(org: Org, call: Caller) -> None:
    org.insert("Oddity__c", {"Tags__c": ["red", "red;blue", "green", None]}, fill=False)

    def hits(condition: str) -> int:
        return call.count(f"SELECT COUNT() FROM Oddity__c WHERE Tags__c {condition}")

    assert hits("INCLUDES ('red')") == 2
    assert hits("INCLUDES ('red;blue', 'green')") == 2
    assert hits("EXCLUDES ('red')") == 2


def test_parent_paths_are_followed(org: Org, call: Caller) -> None:
    rows = call.rows("SELECT Name, Account.Name, Account.Owner.Username FROM Contact WHERE Account.Name != null")
    assert rows
    names = {row["Id"]: row["Name"] for row in call.rows("SELECT Id, Name FROM Account")}
    links = {row["Name"]: row["AccountId"] for row in call.rows("SELECT Name, AccountId FROM Contact")}
    for row in rows:
        parent = row["Account"]
        assert parent["attributes"]["type"] == "Account"
        assert parent["Owner"]["attributes"]["type"] == "User"
        assert parent["Name"] in names.values()
    unique = [row for row in rows if list(links).count(row["Name"]) == 1 and names.get(links[row["Name"]])]
    assert any(row["Account"]["Name"] == names[links[row["Name"]]] for row in unique)
    orphans = call.rows("SELECT Account.Name FROM Contact WHERE AccountId = null")
    assert orphans
    assert all(row["Account"] is None for row in orphans)


def test_without_order_by_no_order_can_be_relied_on(call: Caller) -> None:
    orders = [tuple(row["Id"] for row in call.rows("SELECT Id FROM Account")) for _ in range(3)]
    assert len(set(orders)) == 3
    assert len({frozenset(order) for order in orders}) == 1
    assert all(list(order) != sorted(order) for order in orders)


def test_pages_follow_the_hint_and_end_with_done(call: Caller) -> None:
    first = call.query("SELECT Id FROM Account", sforce_query_options="batchSize=200")
    page = first.json
    assert (page["totalSize"], page["done"], len(page["records"])) == (300, False, 200)
    assert page["nextRecordsUrl"].startswith("/services/data/v60.0/query/0r8")
    again = [call.send("GET", page["nextRecordsUrl"]).json for _ in range(2)]
    assert again[0] == again[1]
    assert (again[0]["done"], len(again[0]["records"])) == (True, 100)
    assert len(call.query("SELECT Id FROM Account", sforce_query_options="batchSize=1").json["records"]) == 200
    assert call.query("SELECT Id FROM Account", sforce_query_options="size=200").status == 400


def test_two_long_texts_lower_the_page_to_200(org: Org, call: Caller) -> None:
    org.insert("Oddity__c", count=250)
    assert len(call.query("SELECT Id, Long__c FROM Oddity__c").json["records"]) == 250
    assert len(call.query("SELECT Id, Long__c, Rich__c FROM Oddity__c").json["records"]) == 200


@pytest.mark.parametrize("verb", ["query", "queryAll"])
def test_the_next_url_of_query_all_has_either_verb(org: Org, call: Caller, verb: Any) -> None:
    org.settings.page_rows_max, org.settings.query_all_next = 200, verb
    org.delete("Account", org.ids("Account", limit=250))
    assert call.query("SELECT Id FROM Account", "queryAll").json["nextRecordsUrl"].split("/")[4] == verb
    assert len(call.rows("SELECT Id FROM Account", "queryAll")) == 300


@pytest.mark.parametrize("setting", ["uneven_pages", "empty_pages"])
def test_odd_pages_still_add_up(org: Org, call: Caller, setting: str) -> None:
    setattr(org.settings, setting, True)
    org.settings.page_rows_max = 40
    rows = call.rows("SELECT Id FROM Account")
    assert sorted(row["Id"] for row in rows) == org.ids("Account")
    sizes = [entry.rows for entry in org.log.entries]
    assert (0 in sizes[1:-1]) == (setting == "empty_pages")
    assert len(set(sizes)) > 1


def test_locators_end_after_two_days_or_when_unknown(org: Org, call: Caller) -> None:
    org.settings.page_rows_max = 200
    following = call.query("SELECT Id FROM Account").json["nextRecordsUrl"]
    org.settings.session_idle_s = 10**9
    org.advance(2 * 86_400 - 1)
    assert call.send("GET", following).status == 200
    org.advance(1)
    assert call.send("GET", following).error == (400, "INVALID_QUERY_LOCATOR")
    org.settings.locator_status = 404
    assert call.send("GET", following[:-4] + "9999").error == (404, "INVALID_QUERY_LOCATOR")


def test_single_use_locators_refuse_the_second_use(org: Org, call: Caller) -> None:
    org.settings.page_rows_max, org.settings.single_use_locators = 200, True
    following = call.query("SELECT Id FROM Account").json["nextRecordsUrl"]
    assert call.send("GET", following).status == 200
    assert call.send("GET", following).error == (400, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize("live", [False, True])
def test_pages_are_a_snapshot_or_live(org: Org, call: Caller, live: bool) -> None:
    org.settings.page_rows_max, org.settings.live_pages = 200, live
    first = call.query("SELECT Id, Name FROM Account").json
    read = {row["Id"] for row in first["records"]}
    later = [record_id for record_id in org.ids("Account") if record_id not in read]
    org.update("Account", later[:50], {"Name": "Changed"})
    org.delete("Account", later[50:60])
    second = call.send("GET", first["nextRecordsUrl"]).json
    changed = sum(row["Name"] == "Changed" for row in second["records"])
    assert (len(second["records"]), changed) == ((90, 50) if live else (100, 0))


def test_long_running_windows_time_out(org: Org, call: Caller) -> None:
    org.settings.query_rows_max = 299
    assert call.query("SELECT Id FROM Account").error == (400, "QUERY_TIMEOUT")
    assert call.query(f"SELECT Id FROM Account WHERE Id > '{org.ids('Account', limit=1)[0]}'").status == 200


def test_rest_values_have_the_rest_forms(org: Org, call: Caller) -> None:
    values = {
        "Tags__c": "red;blue", "Opens__c": "13:45:00.000Z", "Place__Latitude__s": 51.5, "Place__Longitude__s": "-0.125",
        "Anything__c": "12", "Count__c": 5, "Fine__c": "0.00000001", "Money__c": "12345678.5", "Share__c": 10,
        "Day__c": "1700-01-01", "Moment__c": datetime(4000, 12, 31, tzinfo=UTC), "Flag__c": True,
        "Long__c": 'quote " back\\slash \n\r\t \x00 \x1f 𝄞 =1', "Short__c": "longer than ten characters",
    }  # fmt: skip
    record_id = org.insert("Oddity__c", values, fill=False)[0]
    names = ", ".join([*values, "Place__c", "File__c", "Rich__c", "SystemModstamp"])
    raw = call.query(f"SELECT {names} FROM Oddity__c")
    row = json.loads(raw.body, parse_float=str)["records"][0]
    assert row["Long__c"] == values["Long__c"]
    assert (row["Opens__c"], row["Day__c"], row["Tags__c"]) == ("13:45:00.000Z", "1700-01-01", "red;blue")
    assert row["Moment__c"] == "4000-12-31T00:00:00.000+0000"
    assert row["SystemModstamp"] == "2026-01-15T12:00:00.000+0000"
    assert (row["Money__c"], row["Share__c"], row["Fine__c"]) == ("1.23456785E7", "10.0", "1.0E-8")
    assert row["Place__c"] == {"latitude": "51.5", "longitude": "-0.125"}
    assert (row["Count__c"], row["Flag__c"], row["Anything__c"], row["Rich__c"]) == (5, True, 12, None)
    assert row["File__c"] == f"/services/data/v60.0/sobjects/{record_id}/File__c"
    assert b"\\u0000" in raw.body


def test_an_address_is_null_when_all_its_parts_are(org: Org, call: Caller) -> None:
    parts = dict.fromkeys(("BillingStreet", "BillingCity", "BillingState", "BillingPostalCode"))
    org.insert("Account", {"Name": ["None", "Some"], "BillingCountry": [None, "Peru"], **parts}, fill=False)
    rows = {row["Name"]: row["BillingAddress"] for row in call.rows("SELECT Name, BillingAddress FROM Account")}
    assert rows["None"] is None
    assert rows["Some"]["country"] == "Peru"
    assert rows["Some"]["city"] is None


def test_deleted_rows_show_in_query_all_only(org: Org, call: Caller) -> None:
    gone = org.ids("Account", limit=3)
    org.delete("Account", gone)
    assert call.count("SELECT COUNT() FROM Account") == 297
    assert call.count("SELECT COUNT() FROM Account", "queryAll") == 300
    deleted = call.rows("SELECT Id, SystemModstamp FROM Account WHERE IsDeleted = true", "queryAll")
    assert sorted(row["Id"] for row in deleted) == gone
    assert {row["SystemModstamp"] for row in deleted} == {"2026-01-15T12:00:00.000+0000"}
    assert START + timedelta(0) == org.now()
