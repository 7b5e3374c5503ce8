"""COPY of landed Parquet into Redshift: by manifest, as a role, by position, and nothing that does not fit exactly.

The driver is the real one, S3 answers over HTTP. Where Redshift's ways are not known, both are tried (``Quirks``). What
the stand-in cannot tell: how long a VARBYTE is (PostgreSQL's bytea has no length), the bucket's region, KMS, what S3
says to presigned requests, and the real words of errors, which are taken from documentation and issue reports.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError, CountMismatch, SynclineError, ValueOutOfType
from syncline.sinks.landing import Landing
from syncline.sinks.redshift_copy import SCRATCH
from syncline.sinks.trial import COLUMNS, Change, Trial, at, record
from tests.servers.redshift_fixtures import ROLE, FakeRedshift
from tests.sinks.redshift_house import RedshiftHouse


@pytest.fixture
def house(fake_redshift: FakeRedshift) -> RedshiftHouse:
    return RedshiftHouse(fake_redshift)


@pytest.fixture
def trial(house: RedshiftHouse, fake_redshift: FakeRedshift) -> Trial:
    return Trial(house, Landing(**fake_redshift.landing))


def keys(fake: FakeRedshift) -> list[str]:
    found = fake.server.bucket.client.list_objects_v2(Bucket=fake.bucket).get("Contents", [])
    return [entry["Key"] for entry in found]


def copies(fake: FakeRedshift) -> list[str]:
    return [each for each in fake.server.log if each.startswith("COPY")]


# ---- the manifest, and who reads it ----


def test_a_manifest_names_exactly_the_runs_files_and_is_gone_afterwards(
    trial: Trial, fake_redshift: FakeRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents: list[Any] = []
    client = fake_redshift.server.bucket.client
    get = client.get_object

    def noting(**given: Any) -> Any:
        answer = get(**given)
        if given["Key"].endswith(".manifest"):
            documents.append((given["Key"], json.loads(get(**given)["Body"].read())))
        return answer

    monkeypatch.setattr(client, "get_object", noting)
    trial.run(Change([record("1")]))
    [(key, document)] = documents
    [entry] = document["entries"]
    [landed] = [each for each in keys(fake_redshift) if each.endswith(".parquet")]
    size = client.head_object(Bucket=fake_redshift.bucket, Key=landed)["ContentLength"]
    url = f"s3://{fake_redshift.bucket}/{landed}"
    assert entry == {"url": url, "mandatory": True, "meta": {"content_length": size}}
    assert f"/{SCRATCH}/" in key
    assert not [each for each in keys(fake_redshift) if SCRATCH in each]
    [copy] = copies(fake_redshift)
    assert f"IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST" in copy


def test_the_clusters_own_role_is_named_without_quotes(trial: Trial, fake_redshift: FakeRedshift) -> None:
    assert isinstance(trial.house, RedshiftHouse)
    trial.house.settings["iam_role"] = "default"
    trial.run(Change([record("1")]))
    assert "IAM_ROLE default FORMAT" in copies(fake_redshift)[0]


def test_a_role_that_may_not_be_assumed_is_named_with_its_cure_and_asked_once(
    trial: Trial, fake_redshift: FakeRedshift
) -> None:
    """LOUD, and nothing is left in the landing."""
    assert isinstance(trial.house, RedshiftHouse)
    trial.house.settings["iam_role"] = "arn:aws:iam::123456789012:role/stranger"
    with pytest.raises(ConfigError, match="role/stranger") as caught:
        trial.run(Change([record("1")]))
    assert "s3:GetObject" in caught.value.hint
    assert len(copies(fake_redshift)) == 1
    assert not [each for each in keys(fake_redshift) if SCRATCH in each]


def test_a_landing_outside_of_s3_is_refused_with_the_cure(house: RedshiftHouse, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="S3 only") as caught:
        Trial(house, Landing(str(tmp_path))).run(Change([record("1")]))
    assert "s3://" in caught.value.hint


def test_a_file_with_other_rows_than_its_manifest_says_stops_the_run_counted_hops(trial: Trial) -> None:
    warehouse = trial.house.open()
    change = Change([record("1"), record("2")])
    plan = change.plan("run-x")
    manifest = trial.land(change, "run-x")
    [entry] = manifest.files
    wrong = replace(manifest, files=(replace(entry, rows=3),), rows_announced=3, rows_read=3)
    warehouse.prepare([plan])
    with pytest.raises(CountMismatch, match="COPY loaded 2 rows, the manifest says 3"):
        warehouse.load(plan, wrong, trial.landing)
    warehouse.close()


def test_what_a_killed_load_left_goes_with_the_next_load_of_the_stream(
    trial: Trial, fake_redshift: FakeRedshift
) -> None:
    client, root = fake_redshift.server.bucket.client, f"landing/{SCRATCH}/trial"
    for stream in ("Account", "Contact"):
        key = f"{root}/{stream}/dt=2024-01-01/run=killed/0.manifest"
        client.put_object(Bucket=fake_redshift.bucket, Key=key, Body=b"{}")
    trial.run(Change([record("1")]))
    [left] = [each for each in keys(fake_redshift) if SCRATCH in each]
    assert left.startswith(f"{root}/Contact/")


# ---- by position, exactly ----


def test_columns_are_right_in_whatever_order_source_and_target_have_them(trial: Trial) -> None:
    """COPY goes by position: two columns of one type that change places must not change values."""
    first = COLUMNS.append(pa.field("City", pa.string())).append(pa.field("Amount", pa.int64()))
    trial.run(Change([{**record("1", "name-1"), "City": "city-1", "Amount": 1}], columns=first))
    swapped = pa.schema([first.field(name) for name in ("City", "Id", "Amount", "Name", "Stamp")])
    trial.run(Change([{**record("2", "name-2", 1), "City": "city-2", "Amount": 2}], columns=swapped))
    # The wider column stands at the end of the target from now on.
    wider = swapped.set(2, pa.field("Amount", pa.decimal128(10, 2)))
    wider = wider.append(pa.field("Zip", pa.string()))
    row = {**record("1", "name-3", 2), "City": "city-3", "Amount": Decimal("3.50"), "Zip": "zip-3"}
    trial.run(Change([row], columns=wider))
    table = trial.house.read("Account")
    assert table is not None
    assert table.column_names[-2:] == ["Amount", "Zip"]
    shown = [(r["Id"], r["Name"], r["City"], r["Amount"], r["Zip"]) for r in table.sort_by("Id").to_pylist()]
    assert shown == [
        ("1", "name-3", "city-3", Decimal("3.50"), "zip-3"),
        ("2", "name-2", "city-2", Decimal("2.00"), None),
    ]


WIDE = pa.schema(
    [
        ("Id", pa.string()),
        ("Stamp", pa.timestamp("us", "UTC")),
        ("Berlin", pa.timestamp("us", "Europe/Berlin")),
        ("Local", pa.timestamp("us")),
        ("Day", pa.date32()),
        ("Noon", pa.time64("us")),
        ("Flag", pa.bool_()),
        ("Tiny", pa.int8()),
        ("Small", pa.int16()),
        ("Int", pa.int32()),
        ("Unsigned", pa.uint32()),
        ("Most", pa.uint64()),
        ("Half", pa.float16()),
        ("Single", pa.float32()),
        ("Money", pa.decimal128(18, 2)),
        ("Exact", pa.decimal128(38, 10)),
        ("Fixed", pa.binary(2)),
        ("Words", pa.list_(pa.string())),
    ]
)
ROW: dict[str, Any] = {
    "Id": "1",
    "Stamp": at(1),
    "Berlin": datetime(2024, 7, 1, 10, 0, 0, 123_000, UTC),
    "Local": datetime(2024, 7, 1, 12, 0, 0, 123_456),  # noqa: DTZ001
    "Day": date(1969, 12, 31),
    "Noon": time(12, 0, 0, 1),
    "Flag": False,
    "Tiny": -128,
    "Small": -32_768,
    "Int": 2**31 - 1,
    "Unsigned": 2**32 - 1,
    "Most": 2**64 - 1,
    "Half": 0.5,
    "Single": 0.25,
    "Money": Decimal("-123456789012345.67"),
    "Exact": Decimal("1234567890123456789012345678.0123456789"),
    "Fixed": b"\x00\xff",
    "Words": ['a"b', None, "", "\\é"],
}


@pytest.mark.parametrize(
    "quirks",
    [
        pytest.param({}, id="timestamp takes instants"),
        pytest.param({"instants": frozenset({"timestamptz"})}, id="only timestamptz does"),
        pytest.param({"smallint_takes_int32": True}, id="smallint takes int32"),
    ],
)
def test_every_type_arrives_exactly_whichever_way_redshift_reads_it(
    trial: Trial, fake_redshift: FakeRedshift, quirks: dict[str, Any]
) -> None:
    """TYPES-FROM-SOURCE. What COPY cannot read is read from a copy of the file that it can."""
    fake_redshift.quirks(**quirks)
    nothing = {**dict.fromkeys(ROW), "Id": "2"}
    trial.run(Change([ROW, nothing], columns=WIDE))
    full, empty = trial.rows()
    assert {name: full[name] for name in ROW} == ROW
    assert {name: empty[name] for name in nothing} == nothing
    again = trial.counts(Change([ROW, nothing], columns=WIDE))
    assert again.unchanged == 2, "what was read back equals what is staged anew"
    assert not [each for each in keys(fake_redshift) if SCRATCH in each]


# ---- bytes ----

BYTES_MAX = 65_535


@pytest.mark.parametrize("sign", ["x", "é", "🚀"])
def test_a_text_is_measured_in_bytes_and_never_cut(trial: Trial, sign: str) -> None:
    longest = sign * (BYTES_MAX // len(sign.encode()))
    trial.run(Change([record("1", longest)]))
    assert trial.names() == {"1": longest}
    with pytest.raises(ValueOutOfType, match=r"column Name in .*parquet.* at most 65535") as caught:
        trial.run(Change([record("1", "fits", 1), record("2", longest + sign, 1)]))
    assert "exclude=['Name']" in caught.value.hint
    assert trial.names() == {"1": longest}, "one bad value fails the whole run"


@pytest.mark.parametrize(
    ("type", "value", "says"),
    [
        (pa.string(), "a\x00b", "U\\+0000"),
        (pa.list_(pa.string()), ["x" * (BYTES_MAX + 1)], "at most 65535"),
        (pa.list_(pa.decimal128(9, 2)), [Decimal("1.50")], "SUPER column holds no decimal"),
        (pa.list_(pa.timestamp("us", "UTC")), [at(1)], "SUPER column holds no timestamp"),
    ],
)
def test_what_no_column_can_hold_is_refused_by_name(trial: Trial, type: pa.DataType, value: Any, says: str) -> None:
    """LOUD: the field, the cause and what to do about it."""
    columns = COLUMNS.append(pa.field("Odd", type))
    with pytest.raises(SynclineError, match=says) as caught:
        trial.run(Change([{**record("1"), "Odd": value}], columns=columns))
    assert "Odd" in caught.value.object
    assert "exclude=['Odd']" in caught.value.hint


def test_texts_that_differ_by_trailing_blanks_are_different(trial: Trial) -> None:
    """Redshift finds them equal; as keys they are two records, as values a change."""
    trial.run(Change([record("a", "x"), record("a ", "y")]))
    assert trial.names() == {"a": "x", "a ": "y"}
    assert trial.counts(Change([record("a", "x  ", 1)])).updated == 1
    assert trial.names() == {"a": "x  ", "a ": "y"}
