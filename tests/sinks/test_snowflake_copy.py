"""From a landing into a staging table, by the real driver, with real files in S3 (moto) or on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from syncline.connectors.errors import ConfigError, CountMismatch, Transient
from syncline.sinks.landing import Landing
from syncline.sinks.manifest import FileEntry
from syncline.sinks.snowflake_copy import FILES_MAX, Copier, Source, copy_statements, put_statement, text
from tests.servers.snowflake_fixtures import S3_KEY, S3_SECRET, FakeSnowflake
from tests.sinks.snapshot import check_snapshot
from tests.sinks.snowflake_world import COLUMNS, World, land


@pytest.fixture
def world(fake_snowflake: FakeSnowflake) -> Iterator[World]:
    world = World(fake_snowflake, fake_snowflake.database())
    yield world
    world.close()


@pytest.fixture
def bucket(world: World) -> str:
    import boto3

    name = world.database.lower().replace("_", "-")
    client = boto3.client(
        "s3",
        endpoint_url=world.server.s3_endpoint,
        aws_access_key_id=S3_KEY,
        aws_secret_access_key=S3_SECRET,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


def s3_landing(world: World, bucket: str, prefix: str = "landing/crm") -> Landing:
    return Landing(
        f"s3://{bucket}/{prefix}",
        endpoint=world.server.s3_endpoint,
        access_key_id=S3_KEY,
        secret_access_key=S3_SECRET,
        region="us-east-1",
    )


def copied(world: World, landing: Landing, files: list[FileEntry], exact: bool = False) -> tuple[int, exp.Table]:
    session = world.open()
    table = world.table(session, exact=exact)
    rows = Copier(world.settings, world.meter).copy(session, table, COLUMNS, files, landing, "records")
    return rows, table


def staged(world: World, url: str) -> str:
    """Makes an external stage and says its name."""
    with world.server.reader(database=world.database) as reader:
        reader.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS "{world.database}"."CRM"')
        reader.cursor().execute(f'CREATE STAGE "{world.database}"."CRM"."LANDED" URL = \'{url}\'')
    return "CRM.LANDED"


# ---- roads ----


def test_a_local_landing_is_uploaded_loaded_and_cleared_away(world: World, tmp_path: Path) -> None:
    landing = Landing(str(tmp_path / "odd [name]* 100%"))
    files = land(landing, 3, 2)
    rows, table = copied(world, landing, files)
    assert rows == 5
    found = world.rows(table)
    assert [row[0] for row in found] == ["0-0", "0-1", "0-2", "1-0", "1-1"]
    assert found[0][1] is None
    assert found[1][1] == Decimal("1.00")
    assert found[1][2] == datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=123_457)
    sent = [each.split()[0] for each in world.server.seen()["statements"] if each.startswith(("PUT", "COPY", "REMOVE"))]
    # The driver repeats PUT for each file where the stage lies in Google's cloud, as the stand-in's does.
    assert list(dict.fromkeys(sent)) == ["PUT", "COPY", "REMOVE"]
    with world.server.reader() as reader:
        left = reader.cursor().execute(f'LIST @"{world.database}"."CRM"."_SYNCLINE_FILES"').fetchall()
    assert left == []
    assert world.meter.bytes_loaded == sum(entry.size_bytes for entry in files)


def test_a_landing_in_memory_is_uploaded_too(world: World) -> None:
    landing = Landing("memory://")
    assert copied(world, landing, land(landing, 2))[0] == 2


@pytest.mark.parametrize("above", ["", "landing/", "landing", "landing/crm/"])
def test_a_stage_at_or_above_the_landing_is_read(world: World, bucket: str, above: str) -> None:
    world.given["stage"] = staged(world, f"s3://{bucket}/{above}")
    landing = s3_landing(world, bucket)
    rows, table = copied(world, landing, land(landing, 3, 1))
    assert rows == 4
    assert len(world.rows(table)) == 4


def test_a_storage_integration_reads_the_bucket_without_a_stage(world: World, bucket: str) -> None:
    world.given["storage_integration"] = "S3_INT"
    landing = s3_landing(world, bucket)
    assert copied(world, landing, land(landing, 2))[0] == 2
    [copy] = [each for each in world.server.seen()["statements"] if each.startswith("COPY")]
    assert f"FROM 's3://{bucket}/landing/crm/" in copy
    assert 'STORAGE_INTEGRATION = "S3_INT"' in copy


def test_exact_names_are_matched_with_their_case(world: World, tmp_path: Path) -> None:
    world.given["names"] = "exact"
    landing = Landing(str(tmp_path))
    rows, table = copied(world, landing, land(landing, 2), exact=True)
    assert (rows, world.rows(table)[1][1]) == (2, Decimal("1.00"))


def test_two_files_of_no_rows_and_none_at_all(world: World, tmp_path: Path) -> None:
    landing = Landing(str(tmp_path))
    assert copied(world, landing, [])[0] == 0
    assert not [each for each in world.server.seen()["statements"] if each.startswith(("PUT", "COPY"))]


def test_a_named_internal_stage_takes_what_is_uploaded(world: World, tmp_path: Path) -> None:
    with world.server.reader(database=world.database) as reader:
        reader.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS "{world.database}"."CRM"')
        reader.cursor().execute(f'CREATE STAGE "{world.database}"."CRM"."UPLOADS"')
    world.given["stage"] = "UPLOADS"
    landing = Landing(str(tmp_path))
    assert copied(world, landing, land(landing, 2))[0] == 2
    [copy] = [each for each in world.server.seen()["statements"] if each.startswith("COPY")]
    assert f'FROM \'@"{world.database}"."CRM"."UPLOADS"/crm/Account/' in copy


def test_a_local_landing_and_a_stage_of_a_bucket_do_not_meet(world: World, bucket: str, tmp_path: Path) -> None:
    world.given["stage"] = staged(world, f"s3://{bucket}/")
    landing = Landing(str(tmp_path))
    with pytest.raises(ConfigError, match="name an internal stage"):
        copied(world, landing, land(landing, 1))


# ---- counts ----


class Silent:
    """A session that answers COPY the way older servers do when nothing was loaded."""

    def named_rows(self, statement: str) -> list[dict[str, Any]]:
        if statement.startswith("SHOW STAGES"):
            return [{"name": "LANDED", "url": "s3://b/"}]
        return [{"status": "Copy executed with 0 files processed."}]


class Halved(Silent):
    """A session whose PUT reports one of two files, and that one short."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    def named_rows(self, statement: str) -> list[dict[str, Any]]:
        return list(self.rows)

    def run(self, statement: str) -> list[Any]:
        return []


@pytest.mark.parametrize(
    ("status", "size", "told"),
    [("UPLOADED", 3, "3 bytes of it were uploaded"), ("SKIPPED", 1, "it was not uploaded")],
)
def test_an_upload_that_is_not_whole_is_not_loaded(
    world: World, tmp_path: Path, status: str, size: int, told: str
) -> None:
    """COUNTED-HOPS: a file on the stage that is not the landed one would be loaded in its place."""
    landing = Landing(str(tmp_path))
    [entry] = land(landing, 1)
    session: Any = Halved({"source": "part-000000.parquet", "source_size": size, "status": status})
    with pytest.raises(Transient, match=told):
        Copier(world.settings, world.meter).copy(session, exp.to_table("d.s.t"), COLUMNS, [entry], landing, "records")


@pytest.mark.parametrize("wrong", [1, -1])
def test_a_file_whose_rows_differ_from_its_entry_is_refused_counted_hops(world: World, bucket: str, wrong: int) -> None:
    world.given["stage"] = staged(world, f"s3://{bucket}/")
    landing = s3_landing(world, bucket)
    one, other = land(landing, 3, 3)
    with pytest.raises(CountMismatch, match="its manifest says"):
        copied(world, landing, [replace(one, rows=3 + wrong), replace(other, rows=3 - wrong)])


def test_files_that_snowflake_does_not_load_are_refused_counted_hops(world: World, bucket: str) -> None:
    """A table that loaded them before: Snowflake's history skips them, and so few rows would be staged."""
    world.given["stage"] = staged(world, f"s3://{bucket}/")
    landing = s3_landing(world, bucket)
    files = land(landing, 2)
    _, table = copied(world, landing, files)
    session = world.open()
    with pytest.raises(CountMismatch, match="load_skipped"):
        Copier(world.settings, world.meter).copy(session, table, COLUMNS, files, landing, "records")


def test_zero_files_processed_is_no_success_counted_hops(world: World) -> None:
    world.given["stage"] = "CRM.LANDED"
    session: Any = Silent()
    entry = FileEntry("crm/Account/x.parquet", "s", "records", 1, 1, "")
    with pytest.raises(CountMismatch, match="0 files processed"):
        Copier(world.settings, world.meter).copy(
            session, exp.to_table("t"), COLUMNS, [entry], Landing("s3://b/x"), "records"
        )


def test_a_landed_file_that_is_gone_is_loud(world: World, bucket: str) -> None:
    world.given["stage"] = staged(world, f"s3://{bucket}/")
    landing = s3_landing(world, bucket)
    [entry] = land(landing, 2)
    landing.discard([entry])
    with pytest.raises(ConfigError, match="091016"):
        copied(world, landing, [entry])


# ---- settings that cannot work ----


def test_a_bucket_without_a_road_into_it_says_how_to_make_one(world: World, bucket: str) -> None:
    with pytest.raises(ConfigError, match="show-setup"):
        copied(world, s3_landing(world, bucket), [FileEntry("a/b.parquet", "s", "records", 1, 1, "")])


def test_a_stage_that_leads_elsewhere_or_nowhere_names_both(world: World, bucket: str) -> None:
    landing = s3_landing(world, bucket)
    world.given["stage"] = staged(world, "s3://another-bucket/landing/")
    with pytest.raises(ConfigError, match=rf"another-bucket.*{bucket}"):
        copied(world, landing, land(landing, 1))
    world.given["stage"] = "CRM.NOPE"
    with pytest.raises(ConfigError, match="does not exist or is not granted"):
        copied(world, landing, land(landing, 1, run_id="run-2"))


# ---- text ----


def test_files_are_listed_a_thousand_at_a_time() -> None:
    source = Source('@"D"."S"."ST"/f/', "", tuple(f"{number}.parquet" for number in range(2 * FILES_MAX + 1)))
    statements = copy_statements(exp.to_table('"D"."S"."T"', dialect="snowflake"), source, exact=False)
    assert [each.count(".parquet") for each in statements] == [1000, 1000, 1]


def test_names_cannot_leave_their_quotes() -> None:
    assert text("it's \\ odd") == "'it''s \\\\ odd'"
    assert text("\\'; DROP TABLE x; --") == "'\\\\''; DROP TABLE x; --'"


def test_statements_are_as_reviewed() -> None:
    table = exp.table_("ACCOUNT__20260102T030405", db="CRM_STAGING", catalog="SALES", quoted=True)
    names = ("page-1-0-ab.parquet", "it's-2.parquet")
    check_snapshot(
        "snowflake_copy",
        [
            ("from a stage", copy_statements(table, Source('@"SALES"."CRM"."LANDED"/crm/', "", names), exact=False)[0]),
            ("exact names", copy_statements(table, Source('@"SALES"."CRM"."LANDED"/crm/', "", names), exact=True)[0]),
            (
                "from a bucket by an integration",
                copy_statements(table, Source("s3://acme-landing/crm/", '"S3_INT"', names), exact=False)[0],
            ),
            ("upload", put_statement("/tmp/syncline-put-x/part-*.parquet", '@"SALES"."CRM"."_SYNCLINE_FILES"/crm/')),
        ],
    )
