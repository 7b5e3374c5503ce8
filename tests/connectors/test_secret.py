"""NO-SECRETS: what scrubbing hides, and what it must not touch."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from syncline.connectors.secret import Secret, forgetting, scrub, scrubbed
from syncline.pipelines.events import Event, JsonLines
from syncline.pipelines.report import RunReport

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_secret_is_found_however_it_was_escaped() -> None:
    Secret('p@ss/w\u00f6rd "x"\nsecond-line')
    for spelled in ('p@ss/w\u00f6rd "x"', "p%40ss%2Fw%C3%B6rd%20%22x%22", 'p@ss/w\\u00f6rd \\"x\\"', "second-line"):
        assert scrub(f"body: {spelled}!") == "body: ***!"


def test_what_one_of_many_lives_wrapped_is_forgotten_after_it_and_nothing_else() -> None:
    Secret("before-it")
    with forgetting():
        Secret("within-it")
        assert scrub("before-it within-it") == "*** ***"
    assert scrub("before-it within-it") == "*** within-it"


def test_a_password_that_is_an_ordinary_word_renames_nothing() -> None:
    """A program that reads the report finds its fields, its pipeline and its streams under their names."""
    for word in ("practice", "Account", "warnings", "started_at"):
        Secret(word)
    report = RunReport("run-1", "practice", NOW)
    report.stream("Account").warnings.append("the org said: bad password practice")
    document = json.loads(json.dumps(report.to_json()))
    assert (document["pipeline"], document["started_at"]) == ("practice", "2026-03-01T00:00:00.000000Z")
    assert document["streams"]["Account"]["warnings"] == ["the org said: bad password ***"]
    log = io.StringIO()
    JsonLines(log).emit(Event("warning", NOW, {"pipeline": "practice", "stream": "Account", "text": "practice"}))
    assert json.loads(log.getvalue()) == {
        "event": "warning",
        "at": "2026-03-01T00:00:00.000000Z",
        "pipeline": "practice",
        "stream": "Account",
        "text": "***",
    }


def test_what_json_cannot_hold_is_scrubbed_as_the_text_it_becomes() -> None:
    Secret("sentinel-text")
    shown = scrubbed({"error": ValueError("sentinel-text"), "at": NOW, "keys": (NOW, 1, None, True)})
    assert shown == {"error": "***", "at": str(NOW), "keys": [str(NOW), 1, None, True]}
    assert json.loads(json.dumps(shown)) == shown
