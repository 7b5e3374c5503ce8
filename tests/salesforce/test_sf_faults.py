"""The table of answers: what may be asked again, what is final, and what the reader is told (LOUD, BOUNDED)."""

from __future__ import annotations

import json

import pytest

from syncline.connectors.errors import ConfigError, QuotaReached, SignInError, SourceBusy, Transient
from syncline.connectors.salesforce.faults import MESSAGE_CHARS_MAX, Answer, answer_of, error_of, rule_for
from syncline.connectors.secret import Secret

RETRIED = [
    (500, "UNKNOWN_EXCEPTION", "ErrorId: 1"), (500, "", ""), (502, "", ""), (503, "SERVER_UNAVAILABLE", ""),
    (504, "", ""), (406, "", ""), (408, "", ""), (420, "", ""), (429, "", ""), (400, "UNABLE_TO_LOCK_ROW", ""),
    (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
]  # fmt: skip
FINAL = [
    (300, "", ""), (400, "MALFORMED_QUERY", ""), (400, "INVALID_FIELD", "No such column"), (400, "INVALID_TYPE", ""),
    (400, "INVALID_TYPE_FOR_OPERATION", ""), (400, "MALFORMED_ID", ""), (400, "NUMBER_OUTSIDE_VALID_RANGE", ""),
    (400, "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION", ""), (400, "QUERY_TOO_COMPLICATED", ""),
    (400, "INVALID_REPLICATION_DATE", ""), (400, "EXCEEDED_ID_LIMIT", ""), (400, "OPERATION_TOO_LARGE", ""),
    (403, "API_DISABLED_FOR_ORG", ""), (403, "TXN_SECURITY_NO_ACCESS", ""), (404, "NOT_FOUND", ""), (405, "", ""),
    (409, "", ""), (410, "", ""), (412, "", ""), (414, "", ""), (415, "", ""), (428, "", ""), (431, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "text"), RETRIED)
def test_what_the_guides_call_passing_is_repeated_within_bounds(status: int, code: str, text: str) -> None:
    rule = rule_for(Answer(status, code, text))
    assert rule.verdict == "retry"
    assert rule.patience is not None
    assert 1 < rule.patience.attempts_max <= 8
    assert isinstance(error_of("read", "Account", Answer(status, code, text)), Transient)


@pytest.mark.parametrize(("status", "code", "text"), FINAL)
def test_what_the_guides_call_final_is_never_repeated(status: int, code: str, text: str) -> None:
    assert rule_for(Answer(status, code, text)).patience is None
    assert isinstance(error_of("read", "Account", Answer(status, code, text)), ConfigError)


def test_each_rule_names_where_it_comes_from() -> None:
    from syncline.connectors.salesforce.faults import RULES

    assert all(rule.source for rule in RULES)


def test_an_ended_session_is_renewed_but_a_useless_one_is_not() -> None:
    assert rule_for(Answer(401, "INVALID_SESSION_ID", "Session expired or invalid")).verdict == "renew"
    assert rule_for(Answer(400, "InvalidSessionId", "Invalid session id")).verdict == "renew"
    useless = Answer(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
    assert rule_for(useless).verdict == "sign-in"
    assert isinstance(error_of("read", "Account", useless), SignInError)


def test_a_daily_limit_ends_the_run_and_a_crowd_does_not() -> None:
    """QuotaReached keeps the job, so that a run that read 1 TB of results goes on the next day."""
    for limit in ("REQUEST_LIMIT_EXCEEDED", "ExceededQuota"):
        total = Answer(403, limit, "TotalRequests Limit exceeded.")
        assert isinstance(error_of("read", "Account", total), QuotaReached)
    crowd = Answer(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
    error = error_of("read", "Account", crowd, 12.0)
    assert isinstance(error, SourceBusy)
    assert error.retry_after_s == 12.0


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b'[{"message":"m","errorCode":"INVALID_FIELD","fields":["X"]}]', "INVALID_FIELD", "m"),
        (b'{"error":"invalid_grant","error_description":"no"}', "invalid_grant", "no"),
        (b'{"exceptionCode":"InvalidSessionId","exceptionMessage":"m"}', "InvalidSessionId", "m"),
        (b"<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>m</sf:exceptionMessage>",
         "INVALID_LOGIN", "m"),
        (b"<html><head><title>Bad Message 431</title></head></html>", "", "Bad Message 431"),
        (b"<p>setting <b>things</b> up</p>", "", "setting things up"),
        (b"", "", "no body"), (b"[", "", "["), (b"[]", "", "[]"), (b"7", "", "7"), (b"\xff\xfe", "", "\ufffd\ufffd"),
    ],
)  # fmt: skip
def test_an_error_of_any_shape_is_understood(body: bytes, code: str, text: str) -> None:
    answer = answer_of(400, body)
    assert (answer.code, answer.message) == (code, text)


def test_an_error_repeats_little_of_the_answer_and_no_secret_no_secrets() -> None:
    token = Secret("00Dxx!a-token-to-hide")
    body = json.dumps([{"errorCode": "X", "message": f"{token.reveal()} " + "long " * 1000}]).encode()
    told = str(error_of("read", "Account", answer_of(400, body)))
    assert token.reveal() not in told
    assert len(told) < MESSAGE_CHARS_MAX + 200
