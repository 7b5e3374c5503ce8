"""The connector as a whole: the source's clock, roads, late commits, warnings, stops, and TLS."""

from __future__ import annotations

import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from syncline.connectors.connector import Window
from syncline.connectors.errors import ConfigError, DataError, Stopped
from syncline.connectors.salesforce import ReadyToken, Salesforce
from syncline.connectors.salesforce.transport import Seams
from syncline.connectors.sandbox import Org, SandboxServer
from syncline.connectors.secret import Secret
from tests.salesforce.org_world import START, Site, fill, forget, planned, read, read_object
from tests.salesforce.scripted import Asked, Scripted, answer

# ---- the source's clock ----


def source_at(url: str) -> Salesforce:
    return Salesforce(ReadyToken(url, Secret("a-token")), seams=Seams(sleep=lambda seconds: None))


def test_the_horizon_is_the_servers_date_less_the_lag_complete_window() -> None:
    date = "Thu, 01 May 2031 12:00:30 GMT"
    with Scripted(lambda asked: answer(200, b"{}", Date=date)) as server:
        assert source_at(server.url).horizon() == datetime(2031, 5, 1, 11, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_without_the_servers_date_there_is_no_window_complete_window(headers: dict[str, str]) -> None:
    """The local clock is never a substitute."""
    with Scripted(lambda asked: answer(200, b"{}", **headers)) as server, pytest.raises(DataError, match="Date"):
        source_at(server.url).horizon()


def test_a_row_committed_late_is_read_by_the_next_overlap(site: Site) -> None:
    """Stamped before the horizon, visible after it was read: peers lose it."""
    source = site.connect()
    [schema] = source.describe(["Account"])
    late = site.org.insert("Account", {}, count=1, visible_after_s=300)
    site.org.advance(120)
    first = source.horizon()
    assert read(source, schema, Window(None, first)).ids() == []
    site.org.advance(300)
    assert read(source, schema, Window(first, source.horizon())).ids() == [], "the stamp lies below"
    assert read(source, schema, Window(first - timedelta(minutes=10), source.horizon())).ids() == late


def test_a_check_tells_sign_in_and_quota_with_a_cure(site: Site) -> None:
    [signed_in, quota] = site.connect().check()
    assert (signed_in.level, quota.level) == ("ok", "ok")
    assert "ClientCredentials" in signed_in.text
    site.org.set_quota(used=90_000, limit=100_000)
    [_, quota] = site.connect().check()
    assert quota.level == "warn"
    assert "quota_share" in quota.cure


# ---- warnings ----


def odd_org(record: str, csv: bytes) -> Scripted:
    """An org of one record, told by REST as ``record`` and by Bulk as ``csv``."""

    def script(asked: Asked) -> bytes:
        if asked.target.endswith("/describe"):
            fields = [{"name": "Id", "type": "id"}, {"name": "Name", "type": "string"}]
            return answer(200, json.dumps({"name": "Odd", "queryable": True, "fields": fields}).encode())
        if "COUNT" in asked.target:
            return answer(200, b'{"totalSize":1,"done":true,"records":[]}')
        if "/queryAll" in asked.target:
            return answer(200, f'{{"totalSize":1,"done":true,"records":[{record}]}}'.encode())
        if "/results" in asked.target:
            return answer(200, csv, Sforce_NumberOfRecords="1", Sforce_Locator="null")
        return answer(200, b'{"id":"750","state":"JobComplete","numberRecordsProcessed":1}')

    return Scripted(script)


@pytest.mark.parametrize("api", ["rest", "bulk"])
def test_half_a_surrogate_pair_becomes_u_fffd_with_a_warning_on_both_roads(api: str) -> None:
    csv = b'"Id","Name"\n"001","a\xed\xa0\x80"\n'
    with odd_org('{"attributes":{},"Id":"001","Name":"a\\ud800"}', csv) as server:
        source = Salesforce(ReadyToken(server.url, Secret("a-token")), api=api)  # type: ignore[arg-type]
        [schema] = source.describe(["Odd"])
        found = read(source, schema, Window(None, START))
        assert found.table().column("Name").to_pylist() == ["a\ufffd"]
        assert found.extraction.warnings == ["1 texts of Odd held half a surrogate pair, which reads as U+FFFD"]
        source.close()


# ---- stopping ----


def test_a_stop_ends_readers_that_hang_within_a_moment(site: Site) -> None:
    """Ctrl-C must end a run within 10 s, whatever the org is doing."""
    fill(site)
    source = Salesforce.from_env(site.environ(), api="bulk", page_rows=100)
    extraction, _ = planned(source)
    slices = list(extraction.slices(None, forget))
    site.org.inject("stall", path="*/results", delay_s=1.5, times=99)
    with ThreadPoolExecutor(2) as pool:
        hanging = [pool.submit(list, extraction.read(slice)) for slice in slices[:2]]
        give_up = time.monotonic() + 10
        while site.calls("GET */results") < 2 and time.monotonic() < give_up:
            time.sleep(0.01)
        before = time.monotonic()
        source.close()
        for each in hanging:
            with pytest.raises(Stopped):
                each.result(5)
        extraction.close("abandoned")
        assert time.monotonic() - before < 1.4
    assert site.org.jobs() == []


def test_closing_is_idempotent_and_a_later_use_connects_again(site: Site) -> None:
    ids = fill(site, 20)
    source = site.connect()
    for _ in range(2):
        assert read_object(source).ids() == ids
        source.close()
        source.close()


# ---- TLS ----


def test_an_org_is_read_over_tls_and_an_unknown_authority_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with SandboxServer(org := Org(seed=7, start=START), tls=context) as server:
        site = Site(org, server)
        ids = fill(site, 20)
        with pytest.raises(ConfigError, match="certificate is not trusted") as caught:
            site.connect().horizon()
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        source = site.connect(api="bulk")
        assert read_object(source).ids() == ids
        source.close()


@pytest.mark.parametrize("api", ["auto", "rest", "bulk"])
def test_an_increment_that_counts_no_rows_asks_for_none(site: Site, api: Any) -> None:
    """A count and the delete log: nothing is queried, and no job made."""
    fill(site, 10)
    site.org.advance(3_600)
    source = site.connect(api=api)
    [schema] = source.describe(["Account"])
    before = source.api_calls
    found = read(source, schema, Window(site.org.now() - timedelta(seconds=10), site.org.now()))
    assert [slice.kind for slice in found.slices] == ["tombstones"]
    assert found.extraction.forecast.rows == 0
    assert source.api_calls - before == found.extraction.forecast.calls + 1 == 2
    assert site.org.jobs() == []


def test_a_whole_read_is_made_whatever_the_count_says(site: Site) -> None:
    """What it does not show is deleted, so that its rows are asked for."""
    found = read_object(site.connect(api="rest"), "Contact")
    assert found.extraction.forecast.rows == 0
    assert [slice.kind for slice in found.slices] == ["records"]
