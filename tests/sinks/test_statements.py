"""Every statement that is ever generated is a reviewed file in ``snapshots/``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from syncline.sinks import bookkeeping, comparison, doubles, lattice, staging, targets, twins
from syncline.sinks.dialect import ARROW_TYPES, DUCKDB, Dialect, Place, fill, text
from syncline.sinks.match import Match
from syncline.sinks.merge import Merge
from syncline.sinks.postgres_dialect import POSTGRES
from syncline.sinks.redshift_dialect import REDSHIFT
from syncline.sinks.snowflake_dialect import SNOWFLAKE
from syncline.sinks.trial import START, Change, at
from syncline.sinks.warehouse import DELETED_AT_COLUMN, SYNCED_AT_COLUMN, CommitUnit, Mark
from tests.sinks.snapshot import FOLDER, check_snapshot

PLACE = Place("crm", "main")
NOW = datetime(2024, 2, 3, 4, 5, 6, 789, UTC)
RUN = "20240203T040506-abc"

COLUMNS = pa.schema(
    [
        ("Id", pa.string()),
        ('Na"me', pa.string()),
        ("Amount", pa.decimal128(18, 2)),
        ("SystemModstamp", lattice.UTC_TIMESTAMP),
    ]
)
DOCUMENTS = COLUMNS.append(pa.field("Doc", lattice.JSON)).append(pa.field("Old", lattice.JSON))
PLAN = replace(Change(columns=COLUMNS, cursor="SystemModstamp", high=at(60)).plan(RUN))
LAYOUT = {
    "Id": "VARCHAR",
    'Na"me': "VARCHAR",
    "Amount": "DECIMAL(18,2)",
    "SystemModstamp": "TIMESTAMP WITH TIME ZONE",
    SYNCED_AT_COLUMN: "TIMESTAMP WITH TIME ZONE",
}
MARKED = {**LAYOUT, DELETED_AT_COLUMN: "TIMESTAMP WITH TIME ZONE"}
WIDER = {**LAYOUT, "Amount": "VARCHAR", "Gone__c": "BIGINT"}

MATCHES = {
    "delete": (PLAN, LAYOUT, False),
    "mark": (replace(PLAN, on_delete="mark"), MARKED, False),
    "ignore": (replace(PLAN, on_delete="ignore"), LAYOUT, False),
    "duplicates": (PLAN, LAYOUT, True),
    "wider_target": (PLAN, WIDER, False),
    "wider_target_mark": (
        replace(PLAN, on_delete="mark"),
        {**MARKED, **WIDER},
        True,
    ),
    "unmarking": (PLAN, MARKED, False),
    "no_cursor": (replace(PLAN, cursor=None), LAYOUT, True),
    "no_key": (replace(PLAN, key=()), LAYOUT, True),
    "two_keys": (replace(PLAN, key=("Id", 'Na"me')), LAYOUT, True),
    "documents": (replace(PLAN, columns=DOCUMENTS), {**LAYOUT, "Doc": "JSON", "Old": "VARCHAR"}, False),
    "documents_no_key": (replace(PLAN, columns=DOCUMENTS, key=()), {**LAYOUT, "Doc": "JSON", "Old": "VARCHAR"}, True),
    "snapshot": (replace(PLAN, mode="snapshot"), LAYOUT, False),
    "snapshot_mark": (replace(PLAN, mode="snapshot", on_delete="mark"), MARKED, False),
    "snapshot_no_cursor": (replace(PLAN, mode="snapshot", cursor=None), LAYOUT, False),
    "snapshot_no_key": (replace(PLAN, mode="snapshot", key=(), cursor=None), LAYOUT, False),
}


def match_of(name: str) -> Match:
    plan, layout, duplicated = MATCHES[name]
    return Match(plan, targets.Layout.of(layout, DUCKDB), PLACE, DUCKDB, duplicated)


DOUBLES = ("delete", "mark", "two_keys")


@pytest.mark.parametrize("name", DOUBLES)
def test_making_one_row_of_a_doubled_key_is_as_reviewed(name: str) -> None:
    match = match_of(name)
    statements = [("count", doubles.count(match)), ("remove", doubles.remove(match))]
    check_snapshot(f"duckdb_doubles_{name}", statements)


@pytest.mark.parametrize("dialect", [DUCKDB, POSTGRES, REDSHIFT, SNOWFLAKE], ids=lambda each: each.name)
@pytest.mark.parametrize("name", DOUBLES)
def test_a_delete_gives_its_table_no_other_name(name: str, dialect: Dialect) -> None:
    """Neither Snowflake's syntax of DELETE has a place for one, nor Redshift's."""
    plan, layout, duplicated = MATCHES[name]
    if dialect is not DUCKDB:
        layout = {column: "TEXT" if type == "VARCHAR" else type for column, type in layout.items()}
    match = Match(plan, targets.Layout.of(layout, dialect), PLACE, dialect, duplicated)
    tree = parse_one(doubles.remove(match), read=dialect.name)
    assert isinstance(tree, exp.Delete)
    assert not tree.this.alias


@pytest.mark.parametrize("name", MATCHES)
def test_a_merge_is_as_reviewed(name: str) -> None:
    match = match_of(name)
    merge = Merge(match, NOW)
    statements = [("count rows", match.count_rows())]
    if match.duplicated:
        statements += [("supersede", match.supersede())]
    statements += [("fill an empty target", merge.fill()), ("count what is moot for it", merge.count_moot())]
    statements += [("classify", merge.classify())]
    if match.plan.mode == "snapshot":
        statements += [("absent", merge.absent())]
    statements += [
        ("count candidates", match.count_candidates(1_000)),
        ("compare a range", merge.compare(0, 999)),
        ("count changes", match.count_changes()),
        ("insert", merge.insert()),
    ]
    if match.plan.on_delete == "mark":
        statements += [("mark", merge.mark())]
    check_snapshot(f"duckdb_merge_{name}", [*statements, ("delete", merge.delete())])


COMPARED = ["snapshot", "snapshot_mark", "ignore", "snapshot_no_key", "no_cursor", "wider_target", "duplicates"]


@pytest.mark.parametrize("name", COMPARED)
def test_a_comparison_is_as_reviewed(name: str) -> None:
    match = match_of(name)
    statements = [
        ("pair", comparison.pair(match)),
        ("doubles", comparison.doubles(match)),
        ("compare a range", comparison.compare(match, 0, 999, comparison.columns_to_compare(match))),
        ("examples", comparison.examples(match, 20)),
        ("count at once", comparison.count_at_once(match)),
        ("examples at once", comparison.examples_at_once(match, 20)),
    ]
    if match.plan.cursor:
        statements.append(("tally", comparison.tally(match, [at(30), at(60)])))
    if match.plan.key and match.layout.marks:
        statements.append(("keys that stand twice, marked", twins.select(match, 20)))
    check_snapshot(f"duckdb_compare_{name}", statements)


def test_a_comparison_with_a_target_that_lags_behind_is_as_reviewed() -> None:
    layout = {name: type for name, type in LAYOUT.items() if name != 'Na"me'}
    match = Match(PLAN, targets.Layout.of({**layout, "Amount": "BIGINT"}, DUCKDB), PLACE, DUCKDB, False)
    columns = comparison.columns_to_compare(match)
    check_snapshot("duckdb_compare_behind", [("compare a range", comparison.compare(match, 0, 999, columns))])


def test_bookkeeping_is_as_reviewed() -> None:
    unit = CommitUnit("crm", RUN, START, [PLAN], [], {"note": "it's"})
    first = Mark("Account", 0, None, ("Id",), "Account", "0123456789abcdef")
    later = Mark("Account", 7, at(0), ("Id", 'Na"me'), "O'Account", "0123456789abcdef")
    statements = [("create", statement) for statement in targets.bookkeeping(PLACE, DUCKDB)] + [
        ("catalog", targets.select_columns(PLACE, DUCKDB)),
        ("watermarks", bookkeeping.select_watermarks("crm", PLACE, DUCKDB)),
        ("owners", bookkeeping.select_owners(PLACE, DUCKDB)),
        ("first fence", bookkeeping.move_watermark(unit, first, NOW, PLACE, DUCKDB)),
        ("later fence", bookkeeping.move_watermark(unit, later, NOW, PLACE, DUCKDB)),
        ("run", bookkeeping.insert_run(unit, NOW, PLACE, DUCKDB)),
        ("what the run told before", bookkeeping.select_run(unit, PLACE, DUCKDB)),
        ("its row, to be replaced", bookkeeping.delete_run(unit, PLACE, DUCKDB)),
    ]
    check_snapshot("duckdb_bookkeeping", statements)


def test_ddl_is_as_reviewed() -> None:
    every = pa.schema([(f"c{number}", type) for number, type in enumerate(ARROW_TYPES.values())])
    every = every.append(pa.field("d", pa.decimal128(38, 10))).append(pa.field("l", pa.list_(pa.decimal128(5, 1))))
    types = {"id": "VARCHAR", "Amount": "BIGINT", SYNCED_AT_COLUMN: LAYOUT[SYNCED_AT_COLUMN]}
    narrow = targets.Layout.of(types, DUCKDB)
    marking = replace(PLAN, on_delete="mark")
    statements = [
        *(("every type", sql) for sql in targets.reconcile(replace(PLAN, columns=every), None, PLACE, DUCKDB)),
        *(("with marks", sql) for sql in targets.reconcile(marking, None, PLACE, DUCKDB)),
        *(("widened, with new columns", sql) for sql in targets.reconcile(marking, narrow, PLACE, DUCKDB)),
    ]
    check_snapshot("duckdb_ddl", statements)
    assert targets.reconcile(PLAN, targets.Layout.of(WIDER, DUCKDB), PLACE, DUCKDB) == []


def test_staging_is_as_reviewed() -> None:
    records = [Path("/landing/a'b/dt=2024-02-03/run=x/1[0].parquet"), Path("/landing/2*?.parquet")]
    tombstones = [Path("/landing/deleted.parquet")]
    keyless = replace(PLAN, key=())
    statements = [
        ("both kinds", staging.create_view(PLAN, records, tombstones, DUCKDB)),
        ("records", staging.create_view(PLAN, records, [], DUCKDB)),
        ("nothing", staging.create_view(PLAN, [], [], DUCKDB)),
        ("changes", staging.create_changes(PLAN, DUCKDB)),
        ("count rows", staging.count_rows(PLAN, DUCKDB)),
        ("count rows without a key", staging.count_rows(keyless, DUCKDB)),
        ("count keys", staging.count_keys(PLAN, DUCKDB)),
        ("count rows that differ", staging.count_keys(keyless, DUCKDB)),
        *(("drop", statement) for statement in staging.drops(PLAN, DUCKDB)),
    ]
    check_snapshot("duckdb_staging", statements)


def test_every_snapshot_belongs_to_a_test() -> None:
    names = {path.stem for path in FOLDER.glob("duckdb_*")}
    merges = {f"duckdb_merge_{name}" for name in MATCHES}
    compares = {name for name in names if name.startswith("duckdb_compare_")}
    doubled = {f"duckdb_doubles_{name}" for name in DOUBLES}
    assert names - compares == merges | doubled | {"duckdb_bookkeeping", "duckdb_ddl", "duckdb_staging"}


def test_a_staging_name_is_bounded_and_keeps_what_tells_it_apart() -> None:
    short = staging.staging_name("Account", RUN)
    assert short == f"Account__{RUN}"
    one, other = (staging.staging_name("Ä" * 200 + tail, RUN) for tail in ("a", "b"))
    assert one != other
    assert len(one.encode()) <= staging.STAGING_NAME_BYTES_MAX
    assert one.startswith("Ä" * 40)


def test_a_hole_is_one_operand_and_an_unknown_one_is_an_error() -> None:
    either = text("a").eq(text("b")).or_(text("c"))
    assert fill("SELECT NOT :x AND y", x=either).sql() == "SELECT NOT ('a' = 'b' OR 'c') AND y"
    with pytest.raises(KeyError):
        fill("SELECT :x")
    with pytest.raises(KeyError):
        fill("SELECT 1 FROM nowhere")
