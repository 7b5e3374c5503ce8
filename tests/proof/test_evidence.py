"""``syncline runs crm --show RUN``: what a run sealed, counted at each hop, with checksums that hold."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from syncline.connectors.errors import ConfigError
from syncline.pipelines.cli import main
from syncline.pipelines.compacting import compact
from syncline.pipelines.evidence import evidence_of
from tests.proof.test_verify_command import home
from tests.runner.world import World, accounts

__all__ = ["home"]


def test_it_answers_who_when_what_and_how_many_at_each_hop(world: World) -> None:
    world.source.insert("Account", accounts(60, 3))
    world.source.delete("Account", ["001000004"])
    run = world.run()
    shown = evidence_of(world.pipeline(), run.run_id)
    assert (shown["run"]["status"], shown["run"]["kind"]) == ("done", "run")
    account = shown["streams"]["Account"]
    (manifest,) = account["manifests"]
    assert manifest["rows"]["records"] + manifest["rows"]["tombstones"] == 4
    assert manifest["rows"]["read"] == manifest["rows"]["known"] + 4
    assert (account["counts"]["staged"], account["counts"]["inserted"], account["counts"]["deleted"]) == (4, 3, 1)
    assert manifest["query"]
    assert {"syncline", "python"} <= set(manifest["versions"])
    for entry in manifest["files"]:
        landed = world.folder / "landing" / entry["path"]
        assert hashlib.sha256(landed.read_bytes()).hexdigest() == entry["sha256"]


def test_a_compacted_run_is_shown_by_what_holds_its_rows_now(world: World) -> None:
    runs = []
    for first in (60, 70, 80):
        world.source.insert("Account", accounts(first, 2))
        runs.append(world.run().run_id)
    world.clock.advance(days=2)
    world.source.insert("Account", accounts(90, 1))
    world.run()
    compact(world.pipeline(), now=world.clock())
    compact(world.pipeline(), now=datetime.now(UTC) + timedelta(days=3))  # by the files' own age: their manifests go
    assert world.pipeline().landing.find("crm", "Account", runs[1]) is None
    (manifest,) = evidence_of(world.pipeline(), runs[1])["streams"]["Account"]["manifests"]
    assert {"run_id": runs[1], "rows": 2} in manifest["merged"]


def test_a_run_that_left_the_history_is_shown_from_its_manifests(world: World) -> None:
    run = world.watermarks()["Contact"][2]
    (world.folder / "state.db").unlink()
    shown = evidence_of(world.pipeline(), run)
    assert shown["run"] is None
    assert [each["run_id"] for each in shown["streams"]["Contact"]["manifests"]] == [run]


def test_an_unknown_run_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="neither history nor landing knows it"):
        evidence_of(world.pipeline(), "20200101T000000000000Z-000000")


def test_the_command_prints_checksums_and_the_query(home: Path) -> None:
    listed = json.loads(CliRunner().invoke(main, ["runs", "crm", "--json"]).stdout)["runs"]
    run = listed[0]["run_id"]
    shown = json.loads(CliRunner().invoke(main, ["runs", "crm", "--show", run, "--json"]).stdout)
    (entry,) = shown["streams"]["Account"]["manifests"][0]["files"]
    printed = CliRunner().invoke(main, ["runs", "crm", "--show", run], env={"COLUMNS": "200"})
    assert printed.exit_code == 0
    assert entry["sha256"] in printed.stdout
    assert "100 records" in printed.stdout
    assert CliRunner().invoke(main, ["runs", "crm", "--show", "nope"]).exit_code == 2
