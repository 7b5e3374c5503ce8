"""``syncline landing register`` against moto's Glue over HTTP.

moto keeps what it is told: it reads no Parquet and runs no query. That tombstones read as NULL by name is shown
below with Arrow's reader; that Athena does the same is for a real account to show.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from syncline.connectors import aws
from syncline.connectors.errors import ConfigError, NameCollision, Transient
from syncline.connectors.s3_settings import S3Settings
from syncline.pipelines.compacting import compact
from syncline.pipelines.expiry import expire
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.registering import register
from syncline.sinks import glue, lattice
from syncline.sinks.glue_table import check_tables, columns_of, glue_type, table_name
from tests.landing.worlds import BucketWorld, manifest_of
from tests.runner.world import Clock, World, make_world


@pytest.fixture
def crm(tmp_path: Path, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", bucket_world.endpoint)
    world = make_world(tmp_path / "crm", Clock())
    world.streams = (Stream("Account"),)
    world.settings["landing"] = bucket_world.landing()
    return world


@pytest.fixture
def catalog(bucket_world: BucketWorld, crm: World) -> Any:
    settings = S3Settings(access_key_id="AKIATEST", secret_access_key=_secret(), region="us-east-1")
    client = aws.client_of(settings, "glue")
    client.create_database(DatabaseInput={"Name": bucket_world.bucket})
    return client


def _secret() -> Any:
    from syncline.connectors.secret import secret

    return secret("sentinel-secret")


def registered(world: World, database: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = register(world.pipeline(), database=database, sleep=_never, **options)
    return found


def _never(seconds: float) -> None:
    raise AssertionError("nothing is to be waited for")


def table(catalog: Any, database: str, name: str = "account") -> dict[str, Any]:
    found: dict[str, Any] = catalog.get_table(DatabaseName=database, Name=name)["Table"]
    return found


def partitions(catalog: Any, database: str, name: str = "account") -> dict[tuple[str, ...], dict[str, Any]]:
    found = catalog.get_partitions(DatabaseName=database, TableName=name)["Partitions"]
    return {tuple(each["Values"]): each["StorageDescriptor"] for each in found}


def change(world: World, number: int = 1) -> str:
    world.source.update("Account", [{"Id": f"001{number:06}", "Name": f"changed at {world.clock.now}"}])
    return world.run().run_id


def test_each_sealed_run_is_a_partition_over_its_own_folder(
    crm: World, catalog: Any, bucket_world: BucketWorld, tmp_path: Path
) -> None:
    runs = [crm.run().run_id, change(crm)]
    database = bucket_world.bucket
    said = registered(crm, database)["streams"]["Account"]
    assert (said["change"], said["created"]) == ("created", 2)
    root = f"s3://{database}/{bucket_world.prefix}/crm/Account/"
    assert table(catalog, database)["StorageDescriptor"]["Location"] == root
    found = partitions(catalog, database)
    assert {values: each["Location"] for values, each in found.items()} == {
        ("2026-03-01", run_id): f"{root}dt=2026-03-01/run={run_id}/" for run_id in runs
    }
    columns = [(each["Name"], each["Type"]) for each in table(catalog, database)["StorageDescriptor"]["Columns"]]
    assert columns == [
        ("id", "string"),
        ("name", "string"),
        ("amount", "decimal(18,2)"),
        ("systemmodstamp", "timestamp"),
        ("_syncline_deleted", "boolean"),
        ("_syncline_seq", "bigint"),
    ]
    assert all(each["Columns"] == table(catalog, database)["StorageDescriptor"]["Columns"] for each in found.values())


def test_the_second_time_nothing_is_written(
    crm: World, catalog: Any, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.run()
    registered(crm, bucket_world.bucket)
    calls = watched(monkeypatch)
    said = registered(crm, bucket_world.bucket)["streams"]["Account"]
    assert (said["change"], said["created"], said["updated"], said["deleted"]) == ("unchanged", 0, 0, 0)
    assert calls == ["GetDatabase", "GetTable", "GetPartitions"]


def watched(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> list[str]:
    """Notes the calls to Glue; ``answers`` may change what a call returned, or raise."""
    calls: list[str] = []
    client_of = aws.client_of

    def watching(settings: S3Settings, service: str) -> Any:
        client = client_of(settings, service)
        if service == "glue":
            client.meta.events.register("before-call.glue", lambda model, **_: calls.append(model.name))
            for operation, answer in answers.items():
                client.meta.events.register(f"after-call.glue.{operation}", answer)
        return client

    monkeypatch.setattr(aws, "client_of", watching)
    return calls


def test_new_runs_join_and_expired_ones_leave(crm: World, catalog: Any, bucket_world: BucketWorld) -> None:
    crm.run()
    registered(crm, bucket_world.bucket)
    newest = change(crm)
    later = datetime.now(UTC) + timedelta(days=400)
    expire(crm.pipeline(), older_than=timedelta(days=30), now=later, beyond_replay=True)
    said = registered(crm, bucket_world.bucket)["streams"]["Account"]
    assert (said["created"], said["deleted"]) == (1, 1)
    assert [values[1] for values in partitions(catalog, bucket_world.bucket)] == [newest]


def test_a_compacted_day_is_one_partition_instead_of_its_runs(
    crm: World, catalog: Any, bucket_world: BucketWorld
) -> None:
    runs = [crm.run().run_id, change(crm), change(crm)]
    registered(crm, bucket_world.bucket)
    compact(crm.pipeline(), now=crm.clock.now + timedelta(days=1))
    said = registered(crm, bucket_world.bucket)["streams"]["Account"]
    assert (said["partitions"], said["created"], said["deleted"]) == (2, 1, 2)
    newest, merged = sorted(partitions(catalog, bucket_world.bucket), key=lambda values: "-c" in values[1])
    assert newest[1] == runs[2]
    assert merged[1].startswith(f"{runs[1]}-c")


def test_a_new_column_reaches_the_table_and_every_partition(
    crm: World, catalog: Any, bucket_world: BucketWorld
) -> None:
    crm.streams = (Stream("Account", fields=["Id", "Name"]),)
    crm.run()
    registered(crm, bucket_world.bucket)
    crm.streams = (Stream("Account"),)
    change(crm)
    said = registered(crm, bucket_world.bucket)["streams"]["Account"]
    assert (said["change"], said["created"], said["updated"]) == ("updated", 1, 1)
    wanted = table(catalog, bucket_world.bucket)["StorageDescriptor"]["Columns"]
    assert "amount" in [each["Name"] for each in wanted]
    assert all(each["Columns"] == wanted for each in partitions(catalog, bucket_world.bucket).values())


def test_what_others_wrote_on_the_table_stays(crm: World, catalog: Any, bucket_world: BucketWorld) -> None:
    database = bucket_world.bucket
    crm.streams = (Stream("Account", fields=["Id", "Name"]),)
    crm.run()
    registered(crm, database)
    there = table(catalog, database)
    given = {field: there[field] for field in ("Name", "TableType", "PartitionKeys", "Parameters", "StorageDescriptor")}
    given["Description"] = "customers"
    given["Parameters"]["team"] = "sales"
    given["StorageDescriptor"]["Columns"][0]["Comment"] = "the key"
    catalog.update_table(DatabaseName=database, TableInput=given)
    assert registered(crm, database)["streams"]["Account"]["change"] == "unchanged"
    crm.streams = (Stream("Account"),)
    change(crm)
    registered(crm, database)
    after = table(catalog, database)
    assert (after["Description"], after["Parameters"]["team"]) == ("customers", "sales")
    assert after["StorageDescriptor"]["Columns"][0] == {"Name": "id", "Type": "string", "Comment": "the key"}
    assert len(after["StorageDescriptor"]["Columns"]) == 6


def test_somebody_else_s_table_is_left_alone(crm: World, catalog: Any, bucket_world: BucketWorld) -> None:
    crm.run()
    catalog.create_table(DatabaseName=bucket_world.bucket, TableInput={"Name": "account", "Parameters": {"a": "b"}})
    with pytest.raises(ConfigError, match="not kept by this stream"):
        registered(crm, bucket_world.bucket)
    assert "StorageDescriptor" not in table(catalog, bucket_world.bucket)
    assert registered(crm, bucket_world.bucket, prefix="CRM_")["streams"]["Account"]["table"].endswith(".crm_account")


def test_a_run_with_a_dead_writer_s_file_beside_it_is_left_out_sealed_manifest(
    crm: World, catalog: Any, bucket_world: BucketWorld
) -> None:
    runs = [crm.run().run_id, change(crm)]
    registered(crm, bucket_world.bucket)
    bucket_world.overwrite(f"crm/Account/dt=2026-03-01/run={runs[0]}/page-9-0-dead.parquet", b"PAR1")
    report = registered(crm, bucket_world.bucket)
    assert [values[1] for values in partitions(catalog, bucket_world.bucket)] == [runs[1]]
    assert [runs[0] in text for text in report["warnings"]] == [True]


def test_a_missing_database_is_named_with_the_cure(crm: World, catalog: Any) -> None:
    crm.run()
    with pytest.raises(ConfigError, match="create-database"):
        registered(crm, "nowhere")


def test_more_partitions_than_one_call_takes_go_in_several(
    crm: World, catalog: Any, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue, "BATCH_ITEMS_MAX", 2)
    monkeypatch.setattr(glue, "BATCH_DELETES_MAX", 2)
    runs = [crm.run().run_id, *(change(crm) for _ in range(4))]
    calls = watched(monkeypatch)
    assert registered(crm, bucket_world.bucket)["streams"]["Account"]["created"] == 5
    assert calls.count("BatchCreatePartition") == 3
    assert {values[1] for values in partitions(catalog, bucket_world.bucket)} == set(runs)
    for run_id in runs[:4]:
        bucket_world.remove(f"crm/Account/_manifests/{run_id}.json")
    assert registered(crm, bucket_world.bucket)["streams"]["Account"]["deleted"] == 4
    assert calls.count("BatchDeletePartition") == 2


def failing(code: str) -> Any:
    def answer(parsed: dict[str, Any], **_: object) -> None:
        parsed["Errors"] = [{"PartitionValues": ["d", "r"], "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "no"}}]

    return answer


def test_one_item_s_error_within_a_batch_is_an_error_loud(
    crm: World, catalog: Any, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch itself answers 200."""
    crm.run()
    watched(monkeypatch, BatchCreatePartition=failing("InvalidInputException"))
    with pytest.raises(ConfigError, match="d/r: InvalidInputException"):
        registered(crm, bucket_world.bucket)


def test_an_item_that_exists_already_is_fine(
    crm: World, catalog: Any, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.run()
    watched(monkeypatch, BatchCreatePartition=failing("AlreadyExistsException"))
    assert registered(crm, bucket_world.bucket)["streams"]["Account"]["created"] == 1


def test_a_table_that_others_change_at_this_moment_is_compared_anew(
    crm: World, catalog: Any, bucket_world: BucketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.run()
    answers = [failing("ConcurrentModificationException")] * 2
    slept: list[float] = []
    watched(
        monkeypatch,
        BatchCreatePartition=lambda parsed, **_: answers.pop()(parsed) if answers else None,
        GetPartitions=lambda parsed, **_: parsed.update(Partitions=[]),
    )
    register(crm.pipeline(), database=bucket_world.bucket, sleep=slept.append)
    assert slept == [1.0, 2.0]
    answers += [failing("ConcurrentModificationException")] * 9
    change(crm)
    with pytest.raises(Transient):
        register(crm.pipeline(), database=bucket_world.bucket, sleep=slept.append)
    assert len(answers) == 5, "four tries, no more"


def test_a_folder_cannot_be_registered(tmp_path: Path) -> None:
    world = make_world(tmp_path / "crm", Clock())
    with pytest.raises(ConfigError, match="Glue reads S3 only"):
        registered(world, "lake")


def test_by_name_one_schema_reads_records_and_tombstones(crm: World, bucket_world: BucketWorld, tmp_path: Path) -> None:
    crm.run()
    crm.source.delete("Account", ["001000003"], purge=True)
    run_id = crm.run().run_id
    landing = bucket_world.landing()
    manifest = landing.find("crm", "Account", run_id)
    assert manifest is not None
    assert {entry.kind for entry in manifest.files} == {"tombstones"}
    paths = [str(path) for path in landing.paths(manifest.files, tmp_path)]
    schema = pa.schema([*manifest.columns, ("_syncline_deleted", pa.bool_()), ("_syncline_seq", pa.int64())])
    (row,) = ds.dataset(paths, schema=schema).to_table().to_pylist()
    assert (row["Id"], row["Name"], row["_syncline_deleted"]) == ("001000003", None, True)


# --- pure


def run_with(run_id: str, **columns: pa.DataType) -> Any:
    return manifest_of((), run_id=run_id, columns=pa.schema(list(columns.items())))


def test_columns_of_all_runs_are_there_the_newest_first() -> None:
    found = columns_of(
        "Account", [run_with("a", Id=pa.string(), Old=pa.int32()), run_with("b", New=pa.bool_(), Id=pa.string())]
    )
    assert [name for name, _ in found] == ["new", "id", "old", "_syncline_deleted", "_syncline_seq"]


@pytest.mark.parametrize(
    ("older", "newer", "told"),
    [
        (pa.int32(), pa.int64(), "bigint"),
        (pa.int64(), pa.int32(), "bigint"),
        (pa.float32(), pa.float64(), "double"),
        (pa.decimal128(10, 2), pa.decimal128(10, 2), "decimal(10,2)"),
    ],
)
def test_a_type_that_readers_widen_is_the_wider_one(older: pa.DataType, newer: pa.DataType, told: str) -> None:
    assert columns_of("Account", [run_with("a", N=older), run_with("b", N=newer)])[0] == ("n", told)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (pa.string(), pa.int64()),
        (pa.int64(), pa.string()),
        (pa.int64(), pa.float64()),
        (pa.decimal128(10, 2), pa.decimal128(10, 4)),
        (pa.date32(), pa.timestamp("us", "UTC")),
    ],
)
def test_a_type_that_older_files_cannot_be_read_as_is_refused(older: pa.DataType, newer: pa.DataType) -> None:
    with pytest.raises(ConfigError, match=r"column n: it was .* since run b"):
        columns_of("Account", [run_with("a", N=older), run_with("b", N=newer)])


def test_columns_that_are_one_in_lower_case_are_refused_by_name_exact_names() -> None:
    with pytest.raises(NameCollision, match="Name and NAME"):
        columns_of("Account", [run_with("a", Name=pa.string(), NAME=pa.string())])


def test_tables_that_are_one_in_lower_case_are_refused_by_name_exact_names() -> None:
    with pytest.raises(NameCollision, match="streams A-b and A_B"):
        check_tables({"A-b": table_name("", "A-b"), "A_B": table_name("", "A_B")})


@pytest.mark.parametrize(
    ("type", "name"),
    [
        (pa.time64("us"), "bigint"),
        (pa.timestamp("us"), "timestamp"),
        (pa.list_(pa.string()), "array<string>"),
        (lattice.JSON, "string"),
        (pa.json_(pa.large_string()), "string"),
        (pa.map_(pa.string(), pa.int64()), "map<string,bigint>"),
        (pa.struct([("A", pa.int32())]), "struct<a:int>"),
    ],
)
def test_types_by_their_hive_names(type: pa.DataType, name: str) -> None:
    assert glue_type(type, "Account") == name


def test_a_type_without_a_hive_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="no name in Glue"):
        glue_type(pa.duration("us"), "Account, column a")
