"""Bulk API 2.0 query jobs: states by the clock, legality of calls, paging by opaque locators, CSV conventions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from syncline.connectors.sandbox import JobPlan, Org
from tests.sandbox.calling import Answer, Caller

SOQL = "SELECT Id, Name, Description FROM Account"


def parsed(answer: Answer, delimiter: str = ",") -> list[list[str]]:
    assert answer.status == 200, answer.body
    return list(csv.reader(io.StringIO(answer.body.decode(), newline=""), delimiter=delimiter))


def all_rows(call: Caller, job_id: str, **params: Any) -> tuple[list[list[str]], list[int]]:
    """Rows of every page and the pages' sizes, following locators to the literal null."""
    rows: list[list[str]] = []
    sizes: list[int] = []
    locator: str | None = None
    while locator != "null":
        page = call.results(job_id, **params, **({"locator": locator} if locator else {}))
        header, *found = parsed(page)
        assert header == ["Id", "Name", "Description"]
        assert len(found) == int(page.headers["Sforce-NumberOfRecords"])
        rows, sizes, locator = rows + found, [*sizes, len(found)], page.headers["Sforce-Locator"]
    return rows, sizes


def test_a_job_passes_its_states_by_the_clock(org: Org, call: Caller) -> None:
    org.settings.bulk_queued_s, org.settings.bulk_running_s = 30, 60
    created = call.create_job(SOQL).json
    assert created["state"] == "UploadComplete"
    assert created["apiVersion"] == 60.0
    assert created["createdDate"] == "2026-01-15T12:00:00.000+0000"
    job = f"/jobs/query/{created['id']}"
    org.advance(29)
    assert call.get(job).json["state"] == "UploadComplete"
    org.advance(1)
    assert call.get(job).json["state"] == "InProgress"
    org.advance(60)
    done = call.get(job).json
    assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", 300)
    assert (done["jobType"], done["totalProcessingTime"], done["retries"]) == ("V2Query", 60_000, 0)


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        (JobPlan("failed", message="Retried more than fifteen times"), "Failed"),
        (JobPlan("failed"), "Failed"),
        (JobPlan("aborted"), "Aborted"),
        (JobPlan("stuck_queued"), "UploadComplete"),
        (JobPlan("stuck_running"), "InProgress"),
        (JobPlan("complete", queued_s=86_000), "UploadComplete"),
    ],
)
def test_the_next_job_can_be_given_a_fate(org: Org, call: Caller, plan: JobPlan, state: str) -> None:
    org.plan_job(plan)
    job_id = call.job(SOQL)
    org.advance(3600)
    told = call.get(f"/jobs/query/{job_id}").json
    assert told["state"] == state
    assert told.get("errorMessage", "") == plan.message
    assert call.results(job_id).error == (400, "INVALIDJOBSTATE")
    assert call.get(f"/jobs/query/{call.job(SOQL)}").json["state"] == "JobComplete"


def test_a_window_too_large_fails_the_job_with_query_timeout(org: Org, call: Caller) -> None:
    org.settings.query_rows_max = 10
    told = call.get(f"/jobs/query/{call.job(SOQL)}").json
    assert told["state"] == "Failed"
    assert told["errorMessage"].startswith("QUERY_TIMEOUT")


def test_pages_by_opaque_locators_reach_null_and_can_be_read_again(org: Org, call: Caller) -> None:
    job_id = call.job(SOQL)
    rows, sizes = all_rows(call, job_id, maxRecords=70)
    assert sizes == [70, 70, 70, 70, 20]
    assert sorted(row[0] for row in rows) == org.ids("Account")
    first = call.results(job_id, maxRecords=70)
    locator = first.headers["Sforce-Locator"]
    assert not locator.isdigit()
    assert (
        call.results(job_id, maxRecords=70, locator=locator).body
        == call.results(job_id, maxRecords=70, locator=locator).body
    )
    assert call.results(job_id, maxRecords=70, locator="70").error == (400, "INVALID_LOCATOR")
    assert call.results(job_id, maxRecords=0).status == 400


def test_pages_may_be_smaller_than_asked(org: Org, call: Caller) -> None:
    org.settings.bulk_page_rows_max = 45
    _, sizes = all_rows(call, call.job(SOQL), maxRecords=70)
    assert sizes == [45] * 6 + [30]


@pytest.mark.parametrize("keys", [("resultPages", "nextRecordsUrl"), ("resultpages", "nextRecordUrl")])
def test_result_pages_list_five_links_at_a_time(org: Org, call: Caller, keys: tuple[str, str]) -> None:
    org.settings.bulk_page_rows_default, org.settings.result_pages_keys = 40, keys
    job_id = call.job(SOQL)
    answer = call.get(f"/jobs/query/{job_id}/resultPages").json
    assert (len(answer[keys[0]]), answer["done"]) == (5, False)
    links = answer[keys[0]]
    rest = call.send("GET", answer[keys[1]]).json
    assert (len(rest[keys[0]]), rest["done"], rest[keys[1]]) == (3, True, None)
    links += rest[keys[0]]
    whole = call.send("GET", links[0]["resultUrl"] + "&maxRecords=999")
    assert whole.headers["Sforce-NumberOfRecords"] == "40", "a link means its own page, whatever else is asked"
    found = [row[0] for link in links for row in parsed(call.send("GET", link["resultUrl"]))[1:]]
    assert sorted(found) == org.ids("Account")
    call.version = "57.0"
    assert call.get(f"/jobs/query/{call.job(SOQL)}/resultPages").error == (404, "NOT_FOUND")


def test_abort_and_delete_are_legal_only_in_their_states(org: Org, call: Caller) -> None:
    org.settings.bulk_running_s = 60
    running = f"/services/data/v60.0/jobs/query/{call.job(SOQL)}"
    abort = json.dumps({"state": "Aborted"}).encode()
    early = call.send("DELETE", running)
    assert early.error == (400, "API_ERROR")
    assert "not terminated" in early.message
    assert call.send("PATCH", running, b'{"state":"JobComplete"}').status == 400
    assert call.send("PATCH", running, abort).json["state"] == "Aborted"
    assert call.send("PATCH", running, abort).error == (400, "INVALIDJOBSTATE")
    org.advance(120)
    assert call.send("GET", running).json["state"] == "Aborted"
    assert call.send("DELETE", running).status == 204
    assert call.send("GET", running).error == (404, "NOT_FOUND")
    assert call.send("DELETE", running).error == (404, "NOT_FOUND")


def test_a_job_is_gone_after_seven_days_and_bound_to_its_version(org: Org, call: Caller) -> None:
    org.settings.session_idle_s = 10**9
    job_id = call.job(SOQL)
    other = Caller(org, version="61.0")
    assert other.get(f"/jobs/query/{job_id}").status == 409
    assert other.results(job_id).status == 409
    org.advance(7 * 86_400 - 1)
    assert call.get(f"/jobs/query/{job_id}").status == 200
    org.advance(1)
    assert call.get(f"/jobs/query/{job_id}").error == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("soql", "words"),
    [
        ("SELECT Id FROM CaseStatus", "Entity 'CaseStatus' is not supported by the Bulk API."),
        ("SELECT Id, BillingAddress FROM Account", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Id, Place__c FROM Oddity__c", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Id, File__c FROM Oddity__c", "Cannot serialize value for 'File__c' in CSV format"),
        ("SELECT COUNT() FROM Account", "not supported in Bulk Query"),
        ("SELECT Id FROM Account OFFSET 5", "OFFSET"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "Aggregate Relationships not supported in Bulk Query"),
        ("SELECT MAX(AnnualRevenue) FROM Account", "not supported"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 10", "not supported in Bulk Query"),
        ("SELECT Id FROM ContentDocumentLink", "Implementation restriction"),
        ("SELECT Nope FROM Account", "No such column"),
        ("SELECT Id FROM", "unexpected token"),
    ],
)
def test_creation_is_refused_as_bulk_refuses(call: Caller, soql: str, words: str) -> None:
    answer = call.create_job(soql)
    assert answer.status == 400
    assert words in answer.message


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "insert"},
        {"operation": "query", "contentType": "JSON"},
        {"operation": "query", "columnDelimiter": "SPACE"},
        {"operation": "query", "lineEnding": "CR"},
        {"operation": "query", "concurrencyMode": "Parallel"},
        [],
    ],
)
def test_a_wrong_job_body_is_refused(call: Caller, body: dict[str, str] | list[str]) -> None:
    asked = body | {"query": SOQL} if isinstance(body, dict) else body
    target = "/services/data/v60.0/jobs/query"
    assert call.send("POST", target, json.dumps(asked).encode(), content_type="application/json").status == 400
    assert call.send("POST", target, b'{"operation":"query"}', content_type="text/plain").status == 415


def test_daily_caps_of_jobs_and_result_size(org: Org, call: Caller) -> None:
    org.settings.bulk_jobs_max = 1
    job_id = call.job(SOQL)
    full = call.create_job(SOQL)
    assert full.error == (400, "LIMIT_EXCEEDED")
    assert "Max bulk v2 query jobs (1) per 24 hrs" in full.message
    org.settings.bulk_jobs_max, org.settings.bulk_result_kb_max = 10, 1
    assert call.results(job_id).status == 200
    assert "result size stored" in call.create_job(SOQL).message
    org.advance(3600)
    org.settings.session_idle_s = 10**9
    org.advance(86_400)
    assert call.create_job(SOQL).status == 200


@pytest.mark.parametrize(
    ("shape", "status", "body"), [("header", 200, b'"Id"\n'), ("body", 200, b""), ("204", 204, b"")]
)
def test_zero_rows_come_in_three_shapes(org: Org, call: Caller, shape: Any, status: int, body: bytes) -> None:
    org.settings.bulk_empty = shape
    job_id = call.job("SELECT Id FROM Ledger__c")
    assert call.get(f"/jobs/query/{job_id}").json["numberRecordsProcessed"] == 0
    answer = call.results(job_id)
    assert (answer.status, answer.body) == (status, body)
    assert (answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ("0", "null")
    pages = call.get(f"/jobs/query/{job_id}/resultPages").json
    assert pages["done"]


def test_results_before_completion_are_400_or_204(org: Org, call: Caller) -> None:
    org.settings.bulk_running_s = 5
    job_id = call.job(SOQL)
    assert call.results(job_id).error == (400, "INVALIDJOBSTATE")
    org.settings.bulk_early = 204
    assert call.results(job_id).status == 204


def test_jobs_are_listed_a_thousand_at_a_time(org: Org, call: Caller) -> None:
    made = [call.job("SELECT Id FROM Ledger__c") for _ in range(1_001)]
    first = call.get("/jobs/query", {"jobType": "V2Query"}).json
    assert (len(first["records"]), first["done"]) == (1_000, False)
    second = call.send("GET", first["nextRecordsUrl"]).json
    assert second["done"]
    assert {job["id"] for job in first["records"] + second["records"]} == set(made)


def row_of(org: Org, call: Caller, values: dict[str, object], soql_fields: Sequence[str], **form: str) -> bytes:
    record_id = org.insert("Oddity__c", values, fill=False)[0]
    job_id = call.job(f"SELECT {', '.join(soql_fields)} FROM Oddity__c WHERE Id = '{record_id}'", **form)
    return call.results(job_id).body


def test_csv_values_have_the_bulk_forms(org: Org, call: Caller) -> None:
    values: dict[str, object] = {
        "Count__c": 5, "Money__c": 100, "Share__c": "10.5", "Flag__c": False, "Day__c": "1969-07-20",
        "Moment__c": datetime(2024, 1, 15, 12, tzinfo=UTC), "Opens__c": "13:45:00.000Z", "Anything__c": "true",
        "Short__c": None, "Combo__c": "N/A", "Tags__c": "a;b",
    }  # fmt: skip
    body = row_of(org, call, values, list(values))
    assert body == (
        b'"Count__c","Money__c","Share__c","Flag__c","Day__c","Moment__c","Opens__c","Anything__c","Short__c",'
        b'"Combo__c","Tags__c"\n'
        b'"5","100.0","10.5","false","1969-07-20","2024-01-15T12:00:00.000Z","13:45:00.000Z","true","","N/A","a;b"\n'
    )


@pytest.mark.parametrize(
    ("given", "java", "plain"),
    [
        ("16147805824397", "1.6147805824397E13", "16147805824397.0"),
        ("10000000", "1.0E7", "10000000.0"),
        ("-9999999.99", "-9999999.99", "-9999999.99"),
        ("123456789012345678", "1.23456789012345678E17", "123456789012345678.0"),
        ("-0.05", "-0.05", "-0.05"),
    ],
)
def test_doubles_are_written_as_java_does_or_plainly(org: Org, call: Caller, given: str, java: str, plain: str) -> None:
    for exponents, text in ((True, java), (False, plain)):
        org.settings.wire.exponents = exponents
        assert row_of(org, call, {"Money__c": given}, ["Money__c"]).split(b"\n")[1] == f'"{text}"'.encode()


def test_variants_of_ints_and_datetimes(org: Org, call: Caller) -> None:
    org.settings.wire.bulk_ints_as_doubles = org.settings.wire.bulk_offset = True
    body = row_of(org, call, {"Count__c": 12345678}, ["Count__c", "SystemModstamp"])
    assert body.split(b"\n")[1] == b'"12345678.0","2026-01-15T12:00:00.000+0000"'


def test_a_null_may_be_bare_between_delimiters(org: Org, call: Caller) -> None:
    values: dict[str, object] = {"Short__c": None, "Long__c": 'a "b"', "Combo__c": None}
    assert row_of(org, call, values, list(values)).split(b"\n")[1] == b'"","a ""b""",""'
    org.settings.wire.bulk_bare_nulls = True
    assert row_of(org, call, values, list(values)).split(b"\n")[1] == b',"a ""b""",'


TEXTS = [
    'say "hi"', "a,b", "line\nfeed", "carriage\rreturn", "both\r\nends", "  blanks  ", "=SUM(A1)", "nul\x00byte",
    "emoji \U0001f680 and \u00e9", "x" * 131_072, "`^|;\t", '"', '""', "null", "\\",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "char"),
    [("COMMA", ","), ("BACKQUOTE", "`"), ("CARET", "^"), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")],
)
@pytest.mark.parametrize(("ending", "line_end"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_every_text_survives_every_delimiter(
    org: Org, call: Caller, name: str, char: str, ending: str, line_end: str
) -> None:
    org.insert("Oddity__c", {"Long__c": TEXTS}, fill=False)
    job_id = call.job("SELECT Long__c, Id FROM Oddity__c", columnDelimiter=name, lineEnding=ending)
    answer = call.results(job_id)
    limit = csv.field_size_limit(200_000)
    try:
        header, *rows = parsed(answer, char)
    finally:
        csv.field_size_limit(limit)
    assert header == ["Long__c", "Id"]
    assert sorted(row[0] for row in rows) == sorted(TEXTS)
    assert answer.body.endswith(f'"{line_end}'.encode())
    assert answer.body.startswith(f'"Long__c"{char}"Id"{line_end}'.encode())


def test_names_come_as_asked_and_parents_with_their_path(org: Org, call: Caller) -> None:
    job_id = call.job("SELECT id, account.NAME FROM Contact WHERE Account.Name != null")
    header, *rows = parsed(call.results(job_id))
    assert header == ["id", "account.NAME"]
    names = {row["Name"] for row in call.rows("SELECT Name FROM Account")}
    assert rows
    assert {row[1] for row in rows} <= names


def test_results_stay_as_they_were_when_records_change(org: Org, call: Caller) -> None:
    job_id = call.job("SELECT Id, Name, Account.Name FROM Contact")
    before = call.results(job_id).body
    org.update("Contact", org.ids("Contact"), {"Name": "Changed"})
    org.update("Account", org.ids("Account"), {"Name": "Changed"})
    org.hard_delete("Contact", org.ids("Contact", limit=10))
    assert call.results(job_id).body == before


def test_a_chunked_job_is_no_snapshot(org: Org, call: Caller) -> None:
    org.settings.bulk_running_s, org.settings.bulk_chunked = 60, True
    job_id = call.job("SELECT Id, Name FROM Account")
    call.get(f"/jobs/query/{job_id}")
    org.advance(30)
    org.update("Account", org.ids("Account"), {"Name": "Changed"})
    org.advance(30)
    _, *rows = parsed(call.results(job_id))
    assert sorted(row[0] for row in rows) == org.ids("Account")
    assert 0 < sum(row[1] == "Changed" for row in rows) < 300


def test_query_all_jobs_hold_deleted_rows(org: Org, call: Caller) -> None:
    org.delete("Account", org.ids("Account", limit=5))
    assert len(parsed(call.results(call.job(SOQL)))) == 296
    assert len(parsed(call.results(call.job(SOQL, "queryAll")))) == 301


def test_rows_come_in_order_only_when_asked(org: Org, call: Caller) -> None:
    unordered = [row[0] for row in parsed(call.results(call.job("SELECT Id FROM Account")))[1:]]
    ordered = [row[0] for row in parsed(call.results(call.job("SELECT Id FROM Account ORDER BY Id DESC LIMIT 9")))[1:]]
    assert unordered != sorted(unordered)
    assert ordered == sorted(unordered, reverse=True)[:9]
    supported = call.get(f"/jobs/query/{call.job('SELECT Id FROM Account ORDER BY Id')}").json["isPkChunkingSupported"]
    assert not supported


def test_gzip_only_when_asked(org: Org, call: Caller) -> None:
    import zlib

    job_id = call.job(SOQL)
    plain = call.results(job_id)
    assert "Content-Encoding" not in plain.headers
    target = f"/services/data/v60.0/jobs/query/{job_id}/results"
    packed = call.send("GET", target, accept_encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert zlib.decompress(packed.body, 31) == plain.body
    org.settings.gzip = "sometimes"
    manners = {call.send("GET", target, accept_encoding="gzip").headers.get("Content-Encoding") for _ in range(20)}
    assert manners == {"gzip", None}
