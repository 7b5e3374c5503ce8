"""What Salesforce's answers mean: one table from status and error code to what a client may do about it.

The table is data. Each rule names the section of the project's notes on the vendor's guides that it rests on. Errors
come as JSON arrays, JSON objects, XML or HTML, depending on the layer that made them.

::

    Refused (ConfigError)     final: asking again gives the same answer
    Faulted (Transient)       a later or a smaller request may succeed
    Throttled (SourceBusy)    the same, and the source said that it is busy
    SignInError, QuotaReached as in the project's tree of errors
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from syncline.connectors.errors import ConfigError, QuotaReached, SignInError, SourceBusy, SynclineError, Transient
from syncline.connectors.secret import scrub

MESSAGE_CHARS_MAX: Final = 500
"""How much of an answer's text an error repeats."""

Verdict: TypeAlias = Literal["retry", "renew", "sign-in", "quota", "smaller", "restart", "final"]
"""``renew`` the session once; ``smaller`` window; ``restart`` the query; the rest as they read."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and how long, to wait for one kind of fault (BOUNDED)."""

    attempts_max: int
    first_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not the one hoped for, whatever its shape was."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        return " ".join(part for part in (f"HTTP {self.status}", self.code, self.message) if part)


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches an answer by status, code and a part of its message; an empty set or text matches every one."""

    verdict: Verdict
    source: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    text: str = ""
    patience: Patience | None = None
    busy: bool = False

    def matches(self, answer: Answer) -> bool:
        return (
            (not self.statuses or answer.status in self.statuses)
            and (not self.codes or answer.code in self.codes)
            and self.text in answer.message
        )


BRIEF: Final = Patience(attempts_max=3, first_s=2.0, most_s=10.0)
USUAL: Final = Patience(attempts_max=5, first_s=0.5, most_s=15.0)
LONG: Final = Patience(attempts_max=8, first_s=1.0, most_s=60.0)
CROWDED: Final = Patience(attempts_max=8, first_s=10.0, most_s=60.0)

NETWORK: Final = Rule("retry", "REST API guide, 2.6: timeouts, resets, cut bodies, broken JSON", patience=USUAL)

SESSION_CODES: Final = frozenset({"INVALID_SESSION_ID", "InvalidSessionId"})

RULES: Final = (
    Rule("sign-in", "1.7: not cured by a new token", codes=SESSION_CODES, text="not valid for use with"),
    Rule("renew", "1.7: session expired or revoked", codes=SESSION_CODES),
    Rule("sign-in", "1.7: a 401 that is not about the session", statuses=frozenset({401})),
    Rule("quota", "2.6: daily limit", codes=frozenset({"REQUEST_LIMIT_EXCEEDED"}), text="TotalRequests"),
    Rule(
        "retry",
        "2.6: too many long requests at once; back off 10 to 60 s",
        codes=frozenset({"REQUEST_LIMIT_EXCEEDED"}),
        text="Concurrent",
        patience=CROWDED,
        busy=True,
    ),
    Rule("quota", "2.6: a limit that says no more", codes=frozenset({"REQUEST_LIMIT_EXCEEDED"})),
    Rule(
        "quota", "4.4: jobs or bytes of results of the last 24 h", codes=frozenset({"ExceededQuota", "EXCEEDED_QUOTA"})
    ),
    Rule("smaller", "2.6: needs a smaller window, not another try", codes=frozenset({"QUERY_TIMEOUT"})),
    Rule(
        "restart",
        "2.4: locators live two days",
        codes=frozenset({"INVALID_QUERY_LOCATOR", "InvalidQueryLocator"}),
    ),
    Rule("retry", "2.6: a lock held by someone else", codes=frozenset({"UNABLE_TO_LOCK_ROW"}), patience=USUAL),
    Rule("retry", "2.6: transient, with an empty body", statuses=frozenset({406}), patience=USUAL),
    Rule("retry", "2.6: the edge cannot route yet", statuses=frozenset({420}), patience=BRIEF, busy=True),
    Rule("retry", "2.6: throttled", statuses=frozenset({429}), patience=LONG, busy=True),
    Rule("retry", "2.6: overload or maintenance", statuses=frozenset({502, 503, 504}), patience=LONG, busy=True),
    Rule("retry", "2.6: unexpected error at the platform", statuses=frozenset(range(500, 600)), patience=USUAL),
    Rule("retry", "RFC 9110: the server gave up waiting for the request", statuses=frozenset({408}), patience=USUAL),
)
FINAL: Final = Rule("final", "2.6: everything else with a 3xx or 4xx status")

RETRY_HINT: Final = "run again later; the run goes on where this one ended"

REFUSED_HINT: Final = "look its code up in the REST API guide, status codes and error responses; then run again"

HINTS: Final[Mapping[str, str]] = {
    "INVALID_FIELD": "the field is gone, hidden from the user, or cannot be filtered: compare the plan, or run again",
    "INVALID_TYPE": "the object does not exist, or the integration user may not see it",
    "MALFORMED_QUERY": "look at the stream's `where`: it must be a SOQL condition",
    "API_DISABLED_FOR_ORG": "the org's edition or the user's profile lacks API access: ask its administrator",
    "API_CURRENTLY_DISABLED": "the user's profile lacks the API Enabled permission",
    "OPERATION_TOO_LARGE": "give the integration user View All Data, or narrow the stream with `where`",
    "TXN_SECURITY_METERING_ERROR": "a transaction security policy of the org blocks the read; exempt the user",
    "TXN_SECURITY_NO_ACCESS": "a transaction security policy of the org blocks the read; exempt the user",
    "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION": "external objects do not support this query; leave the stream out",
    "QUERY_TOO_COMPLICATED": "leave out formula fields with `exclude`",
    "UNSUPPORTED_API_VERSION": "set SALESFORCE_API_VERSION to a version that the org still supports",
}
STATUS_HINTS: Final[Mapping[int, str]] = {
    410: "the org no longer supports this API version: set SALESFORCE_API_VERSION",
    414: "the request is too long: exclude some fields or shorten `where`",
    431: "the request is too long: exclude some fields or shorten `where`",
}


class Refused(ConfigError):
    """A final answer; ``answer`` holds what was said."""

    answer: Answer = Answer(0, "", "")


class Faulted(Transient):
    """An answer that another request may better; ``rule`` says which other request."""

    answer: Answer = Answer(0, "", "")
    rule: Rule = NETWORK
    retry_after_s: float | None = None
    spent: bool = False
    """Whether its attempts were made already: a request inside a repeated one is not repeated anew."""


class Throttled(SourceBusy):
    """The same, said by a busy source; ``retry_after_s`` is its own wish."""

    answer: Answer = Answer(0, "", "")
    rule: Rule = NETWORK
    spent: bool = False


def rule_for(answer: Answer) -> Rule:
    """The first rule that matches; everything unknown is final."""
    return next((rule for rule in RULES if rule.matches(answer)), FINAL)


def error_of(operation: str, object: str, answer: Answer, retry_after_s: float | None = None) -> SynclineError:
    """The error to raise for ``answer``, by the table."""
    rule = rule_for(answer)
    said = f"{answer} ({rule.source})" if rule.verdict != "final" else str(answer)
    if rule.verdict in ("sign-in", "renew"):
        hint = "the new session was refused too: check the connected app's scopes and the user's API permission"
        return SignInError(operation, object, said, hint)
    if rule.verdict == "quota":
        return QuotaReached(
            operation, object, said, "what the org allows in 24 h is used; run again later, it goes on here"
        )
    if rule.verdict == "final":
        hint = HINTS.get(answer.code) or STATUS_HINTS.get(answer.status, REFUSED_HINT)
        refused = Refused(operation, object, said, hint)
        refused.answer = answer
        return refused
    kind = Throttled if rule.busy else Faulted
    faulted = kind(operation, object, said, RETRY_HINT)
    faulted.answer, faulted.rule, faulted.retry_after_s = answer, rule, retry_after_s
    return faulted


def broken(operation: str, object: str, cause: str) -> Faulted:
    """A request that got no whole answer: network trouble, a cut body, a body that is not what it claims to be."""
    fault = Faulted(operation, object, scrub(cause)[:MESSAGE_CHARS_MAX], RETRY_HINT)
    fault.answer = Answer(0, "", fault.cause)
    return fault


def answer_of(status: int, body: bytes) -> Answer:
    """Reads an error body of any shape the layers of the platform produce; never fails."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return Answer(status, "", "no body")
    if text[0] in "[{":
        try:
            return _of_json(status, json.loads(text))
        except ValueError:
            pass
    if text[0] == "<":
        return _of_markup(status, text)
    return Answer(status, "", _short(text))


def _of_json(status: int, document: object) -> Answer:
    entry = document[0] if isinstance(document, list) and document else document
    if not isinstance(entry, dict):
        return Answer(status, "", _short(str(document)))
    code = entry.get("errorCode") or entry.get("exceptionCode") or entry.get("error") or ""
    message = entry.get("message") or entry.get("exceptionMessage") or entry.get("error_description") or ""
    return Answer(status, str(code), _short(str(message)))


def _of_markup(status: int, text: str) -> Answer:
    code = re.search(r"<(?:\w+:)?exceptionCode>([^<]*)<", text)
    message = re.search(r"<(?:\w+:)?(?:exceptionMessage|faultstring|title|h1)>([^<]*)<", text)
    said = message.group(1) if message else re.sub(r"<[^>]*>", " ", text)
    return Answer(status, code.group(1) if code else "", _short(" ".join(said.split())))


def _short(text: str) -> str:
    """Limited in length, and without any secret that a server might echo (NO-SECRETS)."""
    text = scrub(text)
    return text if len(text) <= MESSAGE_CHARS_MAX else f"{text[:MESSAGE_CHARS_MAX]}..."
