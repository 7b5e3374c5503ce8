"""Discovery, describe, replication calls, limits, and the errors of the layers around them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncline.connectors.sandbox import Org, Request, rest
from syncline.connectors.sandbox.clock import from_ms
from tests.sandbox.calling import START, Answer, Caller


def test_versions_need_no_session_and_cost_no_call(org: Org) -> None:
    answer = org.handle(Request("GET", "/services/data"))
    told = json.loads(answer.content())
    assert {"label": "Spring '24", "url": "/services/data/v60.0", "version": "60.0"} in told
    assert {"label": "Winter '25", "url": "/services/data/v62.0", "version": "62.0"} in told
    assert "Sforce-Limit-Info" not in answer.headers
    assert org.api_calls_used() == 0


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/services/data/v29.0/limits", 410),
        ("/services/data/v20.0/limits", 404),
        ("/services/data/v99.0/limits", 404),
        ("/services/data/v60.5/limits", 404),
        ("/services/data/60.0/limits", 404),
        ("/services/data//v60.0/limits", 404),
        ("/services/data/v60.0//limits", 404),
        ("//services/data/v60.0/limits", 404),
        ("/services/data/v60.0/nothing", 404),
        ("/services/oauth2//userinfo", 404),
        ("/elsewhere", 404),
        ("/services/data/v60.0/limits", 200),
        ("/services/data/v60.0/limits/", 200),
    ],
)
def test_paths_are_exact(call: Caller, target: str, status: int) -> None:
    answer = call.send("GET", target)
    assert answer.status == status
    if status >= 400:
        assert isinstance(answer.json, list)


def test_a_wrong_method_is_405(call: Caller) -> None:
    assert call.send("POST", "/services/data/v60.0/limits").error == (405, "METHOD_NOT_ALLOWED")


def test_describe_global_lists_visible_objects(org: Org, call: Caller) -> None:
    told = call.get("/sobjects").json
    found = {entry["name"]: entry for entry in told["sobjects"]}
    assert told["maxBatchSize"] == 200
    assert found["Account"]["keyPrefix"] == "001"
    assert not found["Ledger__c"]["replicateable"]
    assert not found["ActivityHistory"]["queryable"]
    assert found["ActivityHistory"]["keyPrefix"] is None
    org.hide_object("Account")
    assert "Account" not in {entry["name"] for entry in call.get("/sobjects").json["sobjects"]}
    assert call.get("/sobjects/Account/describe").error == (404, "NOT_FOUND")
    assert call.query("SELECT Id FROM Account").error == (400, "INVALID_TYPE")


def test_describe_tells_every_attribute(call: Caller) -> None:
    told = call.get("/sobjects/Account/describe").json
    fields = {field["name"]: field for field in told["fields"]}
    assert len(fields) == 26
    revenue, formula, address = fields["AnnualRevenue"], fields["RevenuePerEmployee__c"], fields["BillingAddress"]
    assert (revenue["type"], revenue["soapType"]) == ("currency", "xsd:double")
    assert (revenue["precision"], revenue["scale"]) == (18, 0)
    assert (formula["calculated"], formula["custom"], formula["createable"]) == (True, True, False)
    assert formula["calculatedFormula"]
    assert (address["type"], address["soapType"]) == ("address", "urn:address")
    assert fields["BillingCity"]["compoundFieldName"] == "BillingAddress"
    assert (fields["OwnerId"]["referenceTo"], fields["OwnerId"]["relationshipName"]) == (["User"], "Owner")
    assert not fields["Description"]["filterable"]
    assert fields["Industry"]["picklistValues"][0]["value"] == "Agriculture"
    assert "encrypted" not in fields["Name"]
    assert told["childRelationships"][0]["cascadeDelete"]
    assert {"queryable", "retrieveable", "replicateable", "urls", "recordTypeInfos"} <= set(told)


def test_a_conditional_describe_is_304_until_the_schema_changes(org: Org, call: Caller) -> None:
    path = "/sobjects/Account/describe"
    since = call.get(path).headers["Last-Modified"]
    unchanged = call.get(path, if_modified_since=since)
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert call.get("/sobjects", if_modified_since=since).status == 304
    org.advance(5)
    org.drop_field("Account", "Rating")
    assert call.get(path, if_modified_since=since).status == 200
    assert call.get("/sobjects", if_modified_since=since).status == 200
    assert call.get("/sobjects/Contact/describe", if_modified_since=since).status == 304
    assert call.get(path, if_unmodified_since=since).status == 412
    assert call.get(path, if_modified_since="yesterday").status == 400


def test_a_record_is_read_by_either_form_of_its_id(org: Org, call: Caller) -> None:
    record_id = org.ids("Account", limit=1)[0]
    whole = call.get(f"/sobjects/Account/{record_id}")
    row = json.loads(whole.body)
    assert row["Id"] == record_id
    assert row["attributes"]["type"] == "Account"
    assert call.get(f"/sobjects/Account/{record_id[:15]}", {"fields": "Name"}).status == 200
    assert call.get("/sobjects/Account/0035g000000000AAAA").error == (400, "MALFORMED_ID")
    org.delete("Account", [record_id])
    assert call.get(f"/sobjects/Account/{record_id}").error == (404, "NOT_FOUND")


def test_a_batch_is_one_call(org: Org, call: Caller) -> None:
    before = org.api_calls_used()
    inner = [{"method": "GET", "url": f"v60.0/sobjects/{name}/describe"} for name in ("Account", "Nope")]
    answer = call.send(
        "POST", "/services/data/v60.0/composite/batch", json.dumps({"batchRequests": inner}).encode()
    ).json
    assert [one["statusCode"] for one in answer["results"]] == [200, 404]
    assert answer["results"][0]["result"]["name"] == "Account"
    assert answer["hasErrors"]
    assert org.api_calls_used() == before + 1
    many = json.dumps({"batchRequests": inner * 13}).encode()
    assert call.send("POST", "/services/data/v60.0/composite/batch", many).status == 400


def test_a_composite_request_is_one_call(org: Org, call: Caller) -> None:
    before = org.api_calls_used()
    paths = ["queryAll?q=SELECT+COUNT()+FROM+Account", "sobjects/Nope/describe"]
    inner = [{"method": "GET", "url": f"/services/data/v60.0/{each}", "referenceId": each[:4]} for each in paths]

    def ask(asked: list[dict[str, str]]) -> Answer:
        return call.send("POST", "/services/data/v60.0/composite", json.dumps({"compositeRequest": asked}).encode())

    told = ask(inner).json["compositeResponse"]
    assert [(one["referenceId"], one["httpStatusCode"]) for one in told] == [("quer", 200), ("sobj", 404)]
    assert told[0]["body"]["totalSize"] == org.count("Account")
    assert told[1]["body"][0]["errorCode"] == "NOT_FOUND"
    assert org.api_calls_used() == before + 1
    assert ask(inner * 13).status == 400, "25 at most"
    assert ask(inner[:1] * 6).status == 400, "five queries at most"


# Replication


def span(call: Caller, verb: str, start: datetime, end: datetime, name: str = "Account") -> Answer:
    return call.get(f"/sobjects/{name}/{verb}/", {"start": start.isoformat(), "end": end.isoformat()})


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_get_deleted_tells_soft_and_hard_deletes_by_the_minute(org: Org, call: Caller) -> None:
    org.advance(30)
    soft, hard, back = org.ids("Account", limit=3)
    org.delete("Account", [soft, back])
    org.hard_delete("Account", [hard])
    org.undelete("Account", [back])
    org.advance(600)
    told = span(call, "deleted", START, START + minutes(5)).json
    assert {entry["id"] for entry in told["deletedRecords"]} == {soft, hard}
    assert {entry["deletedDate"] for entry in told["deletedRecords"]} == {"2026-01-15T12:00:30.000+0000"}
    assert told["latestDateCovered"] == "2026-01-15T12:05:00.000+0000"
    assert told["earliestDateAvailable"] < "2025-12-31"
    # Seconds are ignored: a start within the minute of the deletion still finds it.
    assert len(span(call, "deleted", START + minutes(0.9), START + minutes(5)).json["deletedRecords"]) == 2
    assert not span(call, "deleted", START + minutes(1), START + minutes(5)).json["deletedRecords"]


def test_get_updated_goes_by_system_modstamp(org: Org, call: Caller) -> None:
    changed, system, gone = org.ids("Account", limit=3)
    org.update("Account", [changed], {"Name": "x"})
    org.update("Account", [system], {}, touch="system")
    org.update("Account", [gone], {"Name": "y"})
    org.delete("Account", [gone])
    org.advance(600)
    assert set(span(call, "updated", START, START + minutes(5)).json["ids"]) == {changed, system}
    assert span(call, "updated", START, START + minutes(5), "AccountShare").json["ids"] == []


def test_latest_date_covered_is_held_by_an_open_transaction(org: Org, call: Caller) -> None:
    org.advance(120)
    transaction = org.begin()
    org.update("Account", org.ids("Account", limit=1), {"Name": "late"}, transaction=transaction)
    org.advance(600)
    held = span(call, "updated", START, org.now()).json
    assert (held["ids"], held["latestDateCovered"]) == ([], "2026-01-15T12:02:00.000+0000")
    org.commit(transaction)
    free = span(call, "updated", START, org.now()).json
    assert (len(free["ids"]), free["latestDateCovered"]) == (1, "2026-01-15T12:12:00.000+0000")


@pytest.mark.parametrize(
    ("verb", "start", "end"),
    [
        ("updated", -1, 0),
        ("updated", -1.5, -0.2),
        ("updated", -2, -10),
        ("updated", -31 * 1440, 0),
        ("deleted", -15 * 1440 - 1, 0),
        ("deleted", 10, 20),
    ],
)
def test_spans_outside_the_rules_are_refused(call: Caller, verb: str, start: float, end: float) -> None:
    answer = span(call, verb, START + minutes(start), START + minutes(end))
    assert answer.error == (400, "INVALID_REPLICATION_DATE")


def test_replication_needs_instants_with_an_offset_and_a_replicateable_object(call: Caller) -> None:
    bad = call.get("/sobjects/Account/deleted/", {"start": "2026-01-15T10:00:00", "end": "2026-01-15T11:00:00"})
    assert bad.error == (400, "INVALID_REPLICATION_DATE")
    unescaped = call.send(
        "GET",
        "/services/data/v60.0/sobjects/Account/deleted/?start=2026-01-15T10:00:00+00:00&end=2026-01-15T11:00:00+00:00",
    )
    assert unescaped.error == (400, "INVALID_REPLICATION_DATE")
    assert span(call, "deleted", START - minutes(9), START, "Ledger__c").error[0] == 400
    assert span(call, "updated", START - minutes(9), START, "AccountHistory").error[0] == 400


def test_more_ids_than_the_cap_are_refused(org: Org, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rest.REPLICATION_IDS_MAX == 600_000
    monkeypatch.setattr(rest, "REPLICATION_IDS_MAX", 3)
    ids = org.ids("Account", limit=4)
    org.delete("Account", ids[:3])
    assert len(span(call, "deleted", START, START + minutes(5)).json["deletedRecords"]) == 3
    org.delete("Account", ids[3:])
    assert span(call, "deleted", START, START + minutes(5)).error == (400, "EXCEEDED_ID_LIMIT")


def test_a_trimmed_delete_log_says_since_when_it_is_whole(org: Org, call: Caller) -> None:
    early, late = org.ids("Account", limit=2)
    org.delete("Account", [early])
    org.advance(3600)
    org.delete("Account", [late])
    org.trim_delete_log("Account", org.now())
    org.advance(60)
    told = span(call, "deleted", START, org.now() + minutes(2)).json
    assert [entry["id"] for entry in told["deletedRecords"]] == [late]
    assert told["earliestDateAvailable"] == "2026-01-15T13:00:00.000+0000"


# Limits and layers


def test_every_data_answer_counts_and_tells_the_usage(org: Org, call: Caller) -> None:
    org.set_quota(used=10, limit=100)
    usages = [
        call.get("/limits").headers["Sforce-Limit-Info"],
        call.query("SELECT Nope FROM Account").headers["Sforce-Limit-Info"],
        call.get("/sobjects/Nope/describe").headers["Sforce-Limit-Info"],
    ]
    assert usages == [f"api-usage={used}/100" for used in (11, 12, 13)]
    daily = call.get("/limits").json["DailyApiRequests"]
    assert daily == {"Max": 100, "Remaining": 86}


def test_a_used_up_quota_refuses_until_a_day_has_passed(org: Org, call: Caller) -> None:
    org.settings.session_idle_s = 10**9
    org.set_quota(used=99, limit=100)
    assert call.get("/limits").status == 200
    refused = call.get("/limits")
    assert refused.error == (403, "REQUEST_LIMIT_EXCEEDED")
    assert refused.message == "TotalRequests Limit exceeded."
    assert refused.headers["Sforce-Limit-Info"] == "api-usage=100/100"
    org.advance(86_400)
    assert call.get("/limits").headers["Sforce-Limit-Info"] == "api-usage=1/100"


def test_record_counts_are_approximate_on_purpose(org: Org, call: Caller) -> None:
    org.insert("Account", count=25)
    told = call.get("/limits/recordCount", {"sObjects": "Account,Nope"}).json
    assert told == {"sObjects": [{"count": 300, "name": "Account"}]}


@pytest.mark.parametrize("status", [414, 431])
def test_requests_over_16384_bytes_are_refused_in_html(org: Org, call: Caller, status: Any) -> None:
    org.settings.long_url_status = status
    names = ", ".join(field["name"] for field in call.get("/sobjects/Wide__c/describe").json["fields"])
    answer = call.query(f"SELECT {names} FROM Wide__c")
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert call.get("/limits", x_padding="x" * 17_000).status == status
    assert call.create_job(f"SELECT {names} FROM Wide__c").status == 200


def test_dates_follow_the_virtual_clock(org: Org, call: Caller) -> None:
    assert call.get("/limits").headers["Date"] == "Thu, 15 Jan 2026 12:00:00 GMT"
    org.advance(90)
    assert call.get("/limits").headers["Date"] == "Thu, 15 Jan 2026 12:01:30 GMT"


def test_the_log_counts_by_kind(org: Org, call: Caller) -> None:
    call.get("/limits")
    call.query("SELECT Id FROM Account")
    call.query("SELECT Id FROM Account", "queryAll")
    job_id = call.job("SELECT Id FROM Account")
    call.results(job_id)
    totals = org.log.totals()
    assert totals == {"all": 5, "bulk_create": 1, "bulk_results": 1, "limits": 1, "query": 2}
    left = call.get("/limits").json["DailyBulkV2QueryJobs"]
    assert left == {"Max": 10_000, "Remaining": 9_999}
    assert [entry.rows for entry in org.log.entries] == [0, 300, 300, 0, 300, 0]
    assert from_ms(org.log.entries[0].at_ms) == START
