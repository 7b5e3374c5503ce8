"""The stand-in takes real clients and refuses what Redshift refuses, each with Redshift's own SQLSTATE."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redshift_connector
from redshift_connector import error

from tests.servers.redshift import Fault
from tests.servers.redshift_fixtures import ROLE, FakeRedshift


@pytest.fixture
def client(fake_redshift: FakeRedshift) -> Iterator[Any]:
    """redshift_connector over TLS, autocommit."""
    connection = redshift_connector.connect(
        host="localhost",
        port=fake_redshift.server.port,
        user=fake_redshift.user,
        password=fake_redshift.password,
        database=fake_redshift.database,
        sslmode="verify-full",
    )
    connection.autocommit = True
    schema = fake_redshift.schema
    run(connection, f"CREATE SCHEMA {schema}", f"SET search_path TO {schema}, redshift")
    yield connection
    connection.close()


@pytest.fixture
def reader(fake_redshift: FakeRedshift) -> Iterator[Any]:
    with fake_redshift.reader() as connection:
        connection.execute(f"SET search_path TO {fake_redshift.schema}, redshift")
        yield connection


def rows(client: Any, sql: str) -> list[Any]:
    return [list(row) for row in client.cursor().execute(sql).fetchall()]


def run(client: Any, *statements: str) -> None:
    for sql in statements:
        client.cursor().execute(sql)


def land(fake: FakeRedshift, key: str, table: pa.Table, **entry: Any) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, store_decimal_as_integer=False, coerce_timestamps="us")
    body = sink.getvalue().to_pybytes()
    fake.server.bucket.client.put_object(Bucket=fake.bucket, Key=key, Body=body)
    meta = {"content_length": len(body)}
    return {"url": f"s3://{fake.bucket}/{key}", "mandatory": True, "meta": meta, **entry}


def copy(fake: FakeRedshift, table: str, *entries: dict[str, Any], role: str = f"'{ROLE}'", options: str = "") -> str:
    manifest = json.dumps({"entries": entries}).encode()
    fake.server.bucket.client.put_object(Bucket=fake.bucket, Key="m", Body=manifest)
    return f"COPY {table} FROM 's3://{fake.bucket}/m' IAM_ROLE {role} FORMAT AS PARQUET MANIFEST {options}"


# ---- clients ----


def test_redshift_connector_signs_in_over_tls(client: Any, fake_redshift: FakeRedshift) -> None:
    assert rows(client, "SELECT 1, 'a', CAST('1.50' AS DECIMAL(10, 2)), TRUE, NULL") == [
        [1, "a", Decimal("1.50"), True, None]
    ]
    assert "driver_version" in fake_redshift.server.started[0]
    client.cursor().execute("CREATE TABLE t (n INTEGER)")
    assert client.cursor().execute("INSERT INTO t VALUES (%s), (%s)", (1, 2)).rowcount == 2


LEAKS = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""redshift_connector leaves its socket to the garbage collector when it cannot connect."""


@LEAKS
def test_a_certificate_nobody_vouches_for_is_refused(
    fake_redshift: FakeRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(error.InterfaceError, match="communication error"):
        redshift_connector.connect(
            host="localhost", port=fake_redshift.server.port, user="u", password="p", database="d"
        )
    gc.collect()


@LEAKS
def test_a_wrong_password_is_refused_by_the_server(fake_redshift: FakeRedshift) -> None:
    with pytest.raises(error.Error, match="28P01"):
        redshift_connector.connect(
            host="localhost",
            port=fake_redshift.server.port,
            user=fake_redshift.user,
            password="wrong",
            database=fake_redshift.database,
        )
    gc.collect()


def test_psycopg_works_with_and_without_parameters(reader: Any) -> None:
    assert reader.execute("SELECT %s::int", (3,)).fetchone() == (3,)
    with pytest.raises(psycopg.errors.UndefinedTable):
        reader.execute("SELECT 1 FROM nowhere")
    assert reader.execute("SELECT 2").fetchone() == (2,)


# ---- refusals ----

REFUSED = {
    "SELECT 1 WHERE 1 IS DISTINCT FROM 2": "42601",
    "SELECT 1 WHERE 1 IS NOT DISTINCT FROM 2": "42601",
    "SELECT COUNT(*) FILTER (WHERE TRUE)": "42601",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS b INTEGER": "42601",
    "ALTER TABLE t ADD COLUMN b INTEGER, ADD COLUMN c INTEGER": "42601",
    "ALTER TABLE t DROP COLUMN IF EXISTS b": "42601",
    "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL": "0A000",
    "ALTER TABLE t ALTER COLUMN a TYPE BIGINT": "0A000",
    "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING": "42601",
    "INSERT INTO t VALUES (1) RETURNING a": "42601",
    "SELECT ARRAY[1, 2]": "42601",
    "SELECT CAST(NULL AS VARCHAR[])": "0A000",
    "CREATE UNLOGGED TABLE u (a INTEGER)": "42601",
    "CREATE INDEX i ON t (a)": "0A000",
    "CREATE OR REPLACE TABLE t (a INTEGER)": "42601",
    "SELECT ctid FROM t": "42703",
    "CREATE TABLE u (a VARCHAR(65536))": "22023",
    "SELECT CONCAT('a', 'b', 'c')": "42883",
    "SELECT 1 IS TRUE": "XX000",
    "SELECT 1 FROM (SELECT 1 AS a)": "42601",
    "SELECT 1 FROM (SELECT 1 AS a) AS x JOIN (SELECT a FROM t WHERE (a > 1)) WHERE 1 = 1": "42601",
    "SELECT DISTINCT ON (a) a FROM t": "0A000",
    "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1": "42601",
    "UPDATE t SET a = 1 FROM t AS x LEFT JOIN t AS y ON x.a = y.a": "0A000",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.a > 1 THEN UPDATE SET a = 1": "42601",
    "MERGE INTO t USING (SELECT 1 AS a) AS s ON t.a = s.a WHEN MATCHED THEN DELETE": "0A000",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN MATCHED THEN UPDATE SET a = 1": "0A000",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_what_redshift_refuses_is_refused_and_ends_the_transaction(client: Any, sql: str) -> None:
    run(client, "CREATE TABLE t (a INTEGER)", "CREATE TABLE s (a INTEGER)", "BEGIN")
    with pytest.raises(error.ProgrammingError) as caught:
        client.cursor().execute(sql)
    assert caught.value.args[0]["C"] == REFUSED[sql]
    with pytest.raises(error.ProgrammingError, match="25P02"):
        client.cursor().execute("SELECT 1")
    run(client, "ROLLBACK", "SELECT 1")


@pytest.mark.parametrize(
    "sql", ["VACUUM t", "ALTER TABLE t APPEND FROM s", "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(99)"]
)
def test_what_cannot_run_in_a_transaction_is_refused_there(client: Any, sql: str) -> None:
    run(client, "CREATE TABLE t (a INTEGER, b VARCHAR(9))", "BEGIN")
    with pytest.raises(error.ProgrammingError, match="25001"):
        client.cursor().execute(sql)
    run(client, "ROLLBACK")


def test_a_merge_within_redshifts_grammar_works(client: Any) -> None:
    run(client, "CREATE TABLE t (k INTEGER, v INTEGER)", "CREATE TABLE s (k INTEGER, v INTEGER)")
    run(client, "INSERT INTO t VALUES (1, 1)", "INSERT INTO s VALUES (1, 2), (2, 2)")
    run(
        client,
        "MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v"
        " WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)",
    )
    assert rows(client, "SELECT * FROM t ORDER BY k") == [[1, 2], [2, 2]]


def test_truncate_commits_the_open_transaction(client: Any) -> None:
    run(client, "CREATE TABLE t (a INTEGER)", "CREATE TABLE u (a INTEGER)", "INSERT INTO u VALUES (1)")
    run(client, "BEGIN", "INSERT INTO t VALUES (1)", "TRUNCATE u", "ROLLBACK")
    assert rows(client, "SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM u)") == [[1, 0]]


def test_a_query_in_from_has_a_name_with_or_without_as(client: Any) -> None:
    assert rows(client, "SELECT x.a, y.a FROM (SELECT 1 AS a) AS x JOIN (SELECT (1) AS a) y ON x.a = y.a") == [[1, 1]]
    assert rows(client, 'SELECT 1 WHERE 1 IN (SELECT a FROM (SELECT 1 AS a) AS "z")') == [[1]]


# ---- types and names ----


def test_text_is_measured_in_bytes(client: Any) -> None:
    run(client, "CREATE TABLE t (a VARCHAR(4), b VARCHAR(MAX), c TEXT)", "INSERT INTO t (a) VALUES ('éé')")
    for sql in (
        "INSERT INTO t (a) VALUES ('ééé')",
        "UPDATE t SET a = 'abcde'",
        f"INSERT INTO t (c) VALUES ('{'x' * 257}')",
    ):
        with pytest.raises(error.ProgrammingError, match="22001"):
            client.cursor().execute(sql)
    run(client, f"INSERT INTO t (b) VALUES ('{'x' * 65535}')")
    with pytest.raises(error.ProgrammingError, match="22001"):
        client.cursor().execute(f"INSERT INTO t (b) VALUES ('{'x' * 65536}')")


def test_trailing_blanks_do_not_count(client: Any) -> None:
    run(client, "CREATE TABLE t (a VARCHAR(9))", "INSERT INTO t VALUES ('a'), ('a ')")
    assert rows(client, "SELECT COUNT(DISTINCT a), MAX(OCTET_LENGTH(a)) FROM t") == [[1, 2]]
    assert rows(client, "SELECT COUNT(*) FROM t AS x JOIN t AS y ON x.a = y.a") == [[4]]
    assert rows(client, "SELECT COUNT(*) FROM t WHERE a <> 'a   '") == [[0]]
    assert len(rows(client, "SELECT a, COUNT(*) FROM t GROUP BY a")) == 1


def test_names_are_folded_even_when_quoted_and_cut_without_a_word(client: Any, fake_redshift: FakeRedshift) -> None:
    long, longer = "n" * 127, "n" * 200
    run(client, f'CREATE TABLE "My_T" ("Id__c" INTEGER, "sonde Élan" INTEGER, "{longer}" INTEGER)')
    where = f"table_schema = '{fake_redshift.schema}' ORDER BY ordinal_position"
    found = rows(client, f"SELECT table_name, column_name FROM svv_columns WHERE {where}")
    assert found == [["my_t", "id__c"], ["my_t", "sonde Élan"], ["my_t", long]]
    run(client, f'INSERT INTO MY_T (id__C, "{longer}") VALUES (1, 2)')
    assert rows(client, f'SELECT "ID__c", {long} FROM my_t') == [[1, 2]]


def test_keys_are_not_enforced_and_table_attributes_are_known(client: Any) -> None:
    run(
        client,
        "CREATE TABLE t (a INTEGER PRIMARY KEY ENCODE zstd, b VARCHAR(9) UNIQUE, c SUPER, PRIMARY KEY (a, b))"
        " DISTSTYLE KEY DISTKEY (a) COMPOUND SORTKEY (a, b)",
        "INSERT INTO t (a, b) VALUES (1, 'x')",
        "INSERT INTO t (a, b) VALUES (1, 'x')",
    )
    assert rows(client, "SELECT COUNT(*) FROM t") == [[2]]


def test_the_catalog_speaks_of_redshifts_types(client: Any, fake_redshift: FakeRedshift) -> None:
    run(client, "CREATE TABLE t (a SUPER, b VARBYTE(99), c VARCHAR(7), d DECIMAL(9, 2), e TIMESTAMPTZ)")
    for view in ("svv_columns", "information_schema.columns"):
        where = f"table_schema = '{fake_redshift.schema}' ORDER BY ordinal_position"
        found = rows(client, f"SELECT data_type, character_maximum_length, numeric_scale FROM {view} WHERE {where}")
        assert found == [
            ["super", None, None],
            ["binary varying", None, None],
            ["character varying", 7, None],
            ["numeric", None, 2],
            ["timestamp with time zone", None, None],
        ]


def test_redshifts_functions_are_there(client: Any) -> None:
    run(client, "SET query_group TO 'x'", "SET statement_timeout TO 60000", "SET timezone TO 'UTC'")
    assert rows(client, "SELECT SHA2('a', 256), LEN('ab '), JSON_SERIALIZE(JSON_PARSE('[1]')), NVL(NULL, 1)") == [
        ["ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", 3, "[1]", 1]
    ]
    assert rows(client, "SELECT GETDATE() IS NULL") == [[False]]


# ---- COPY ----

TABLE = (
    "CREATE TABLE t (b BOOLEAN, i INTEGER, l BIGINT, r REAL, d DOUBLE PRECISION, m DECIMAL(18, 2), s VARCHAR(20),"
    " v VARBYTE(99), y DATE, w TIMESTAMP, j SUPER)"
)
ROW: dict[str, Any] = {
    "b": True,
    "i": 7,
    "l": 2**60,
    "r": 0.5,
    "d": 0.1,
    "m": Decimal("-1.50"),
    "s": 'a,"\n',
    "v": b"\x00\xff",
    "y": date(2024, 2, 29),
    "w": datetime(2024, 2, 29, 1, 2, 3, 4, UTC),
    "j": ["a", None],
}
COLUMNS = pa.schema(
    [
        ("b", pa.bool_()),
        ("i", pa.int32()),
        ("l", pa.int64()),
        ("r", pa.float32()),
        ("d", pa.float64()),
        ("m", pa.decimal128(18, 2)),
        ("s", pa.string()),
        ("v", pa.binary()),
        ("y", pa.date32()),
        ("w", pa.timestamp("us", "UTC")),
        ("j", pa.list_(pa.string())),
    ]
)


def test_parquet_is_copied_by_position_within_the_transaction(client: Any, fake_redshift: FakeRedshift) -> None:
    empty = {**dict.fromkeys(ROW), "s": ""}
    entry = land(fake_redshift, "p.parquet", pa.Table.from_pylist([ROW, empty], COLUMNS))
    sql = copy(fake_redshift, "t", entry, options="SERIALIZETOJSON")
    run(client, TABLE, "BEGIN", sql)
    assert rows(client, "SELECT pg_last_copy_count()") == [[2]]
    [first, second] = rows(client, "SELECT b, i, l, r, d, m, s, v, y, w, JSON_SERIALIZE(j) FROM t ORDER BY i")
    expected = {**ROW, "w": datetime(2024, 2, 29, 1, 2, 3, 4), "j": '["a", null]'}  # noqa: DTZ001
    assert first[:7] + first[8:] == [value for name, value in expected.items() if name != "v"]
    assert second == [None] * 6 + [""] + [None] * 4
    run(client, "ROLLBACK")
    assert rows(client, "SELECT COUNT(*) FROM t") == [[0]]
    run(client, sql, sql)
    assert rows(client, "SELECT COUNT(*) FROM t") == [[4]], "COPY remembers nothing"


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("a INTEGER", pa.array([1], pa.int64()), "incompatible Parquet schema"),
        ("a BIGINT", pa.array([1], pa.int32()), "incompatible Parquet schema"),
        ("a BIGINT", pa.array([1], pa.uint64()), "incompatible Parquet schema"),
        ("a SMALLINT", pa.array([1], pa.int16()), "incompatible Parquet schema"),
        ("a REAL", pa.array([1], pa.float64()), "incompatible Parquet schema"),
        ("a DECIMAL(18, 3)", pa.array([Decimal("1.00")], pa.decimal128(18, 2)), "incompatible Parquet schema"),
        ("a TIME", pa.array([time(1)], pa.time64("us")), "incompatible Parquet schema"),
        ("a TIMESTAMPTZ", pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), "incompatible Parquet schema"),
        ("a SUPER", pa.array([["x"]]), "incompatible Parquet schema"),
        ("a VARCHAR(9)", pa.array([b"x"], pa.binary()), "incompatible Parquet schema"),
        ("a VARCHAR(2)", pa.array(["éé"]), "longer than the length defined"),
        ("a VARCHAR(9)", pa.array(["a\x00b"]), "Invalid character"),
        ("a INTEGER, b INTEGER", pa.array([1], pa.int32()), "Unmatched number of columns"),
    ],
)
def test_a_file_that_does_not_fit_by_position_fails_whole(
    client: Any, fake_redshift: FakeRedshift, column: str, value: pa.Array, says: str
) -> None:
    entry = land(fake_redshift, "p.parquet", pa.table({"a": value}))
    run(client, f"CREATE TABLE t ({column})")
    with pytest.raises(error.ProgrammingError, match=says):
        client.cursor().execute(copy(fake_redshift, "t", entry))
    assert rows(client, "SELECT COUNT(*) FROM t") == [[0]]


def test_a_manifest_is_held_against_its_objects(client: Any, fake_redshift: FakeRedshift) -> None:
    run(client, "CREATE TABLE t (a INTEGER)")
    entry = land(fake_redshift, "p.parquet", pa.table({"a": pa.array([1], pa.int32())}))
    gone = {**entry, "url": f"s3://{fake_redshift.bucket}/gone"}
    for wrong, says in (
        ({**entry, "meta": {}}, "content_length"),
        ({**entry, "meta": {"content_length": 1}}, "content_length is 1"),
        (gone, "Mandatory url"),
    ):
        with pytest.raises(error.ProgrammingError, match=says):
            client.cursor().execute(copy(fake_redshift, "t", wrong))
    for role in ("'arn:aws:iam::123456789012:role/stranger'", "''"):
        with pytest.raises(error.ProgrammingError, match="not authorized to assume IAM Role"):
            client.cursor().execute(copy(fake_redshift, "t", entry, role=role))
    with pytest.raises(error.ProgrammingError, match="not supported for PARQUET"):
        client.cursor().execute(copy(fake_redshift, "t", entry, options="MAXERROR 1"))
    run(client, copy(fake_redshift, "t", entry, {**gone, "mandatory": False}, entry, role="default"))
    assert rows(client, "SELECT COUNT(*), pg_last_copy_count() FROM t") == [[2, 2]], "a file named twice loads twice"


# ---- faults ----


def test_error_1023_ends_the_transaction(client: Any, fake_redshift: FakeRedshift) -> None:
    run(client, "CREATE TABLE t (a INTEGER)")
    fake_redshift.server.violate_serializability("INSERT")
    run(client, "BEGIN")
    with pytest.raises(error.ProgrammingError, match="1023"):
        client.cursor().execute("INSERT INTO t VALUES (1)")
    run(client, "ROLLBACK", "INSERT INTO t VALUES (1)")


@pytest.mark.parametrize(("strike", "left"), [("before", 0), ("after", 1)])
def test_a_connection_is_cut_before_or_after_a_statement(
    client: Any, reader: Any, fake_redshift: FakeRedshift, strike: str, left: int
) -> None:
    run(client, "CREATE TABLE t (a INTEGER)", "BEGIN", "INSERT INTO t VALUES (1)")
    fake_redshift.server.faults.append(Fault("^commit", strike))
    with pytest.raises((error.Error, OSError)):
        client.cursor().execute("COMMIT")
    assert reader.execute("SELECT COUNT(*) FROM t").fetchone() == (left,)
