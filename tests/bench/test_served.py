"""What the bench says of a served warehouse is what passed on the wire, here to a real Postgres."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.counting_proxy import Traffic, counting
from benchmarks.practice_org import practice_org
from benchmarks.served import HEADS, RunTraffic, Target, measure, table_of
from syncline.sinks import Landing, Postgres
from tests.servers.postgres import PgAddress

pytestmark = pytest.mark.checkout

ROWS = 300


def test_a_load_an_increment_and_nothing_new_as_they_pass_on_the_wire(pg_database: PgAddress, tmp_path: Path) -> None:
    """IDLE-IS-FREE, seen from outside: not a connection. Otherwise no statement takes more than its own round trip."""
    address = pg_database
    with practice_org(ROWS) as org, counting(address.host, address.port) as proxy:
        url = replace(address, port=proxy.port).dsn
        target = Target("Postgres", lambda: Postgres(url), lambda: Landing(str(tmp_path / "landing")), proxy)
        [first] = measure(target, "first load", org, tmp_path)
        org.change(10, "Renamed")
        [increment] = measure(target, "increment", org, tmp_path)
        org.advance(120)
        [idle] = measure(target, "nothing new", org, tmp_path)
    for found, rows in ((first, ROWS), (increment, 10)):
        signing, copying = 4 * found.traffic.connections, found.files
        assert found.traffic.round_trips == (found.statements or 0) + signing + copying
        assert (found.rows, found.files) == (rows, 1)
        assert found.traffic.bytes_sent > found.landing_bytes == found.largest_file_bytes > 0
    assert (first.traffic.connections, increment.traffic.connections) == (2, 1)
    assert (increment.statements or 0) < (first.statements or 0)
    assert idle == RunTraffic("Postgres", "nothing new", 0, 0, Traffic(), 0, 0, 0)


def test_the_table_and_the_report_have_every_figure() -> None:
    run = RunTraffic("Snowflake's bucket", "increment", 1, None, Traffic(2, 3, 4, 5), 6, 7, 8)
    told = run.to_json()
    assert [told[figure] for figure in HEADS.values()] == [1, None, 2, 3, 4, 5, 6, 7, 8]
    cells = [next(iter(column.cells)) for column in table_of([told]).columns]
    assert cells == ["Snowflake's bucket", "increment", "1", "", "2", "3", "4", "5", "6", "7", "8"]
