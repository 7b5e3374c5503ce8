"""What fakesnow 0.12.1 must be taught before it can stand in for Snowflake; applied in its own process only.

Each function mends one thing, named by what Snowflake does. Not mended, so never proved here:

* types: VARCHAR has no bound, TIMESTAMP_TZ keeps no offset, ARRAY and VARIANT are one type below, and a JSON text
  copied into it is a document (on Snowflake it is a string until PARSE_JSON); a VARIANT is the text it was made of:
  documents that differ by the order of names, by blanks or by how a number is written differ, as they do not there;
* names: DuckDB below compares names without regard to case, so two tables or columns that differ by it are one;
* locks: a conflicting writer is refused at once (625) instead of waiting, and readers see a snapshot of the whole
  transaction instead of one for each statement;
* a failed statement spoils the transaction, which Snowflake keeps open;
* stages: credentials and integrations are parsed and not used, so an IAM mistake cannot be seen; external stages cannot
  be listed; files are not encrypted;
* COPY: USE_LOGICAL_TYPE, BINARY_AS_TEXT and the scanner are accepted and mean nothing; no list of files is too long;
* warehouses do not exist, so nothing is suspended, queued or billed, and the account's history views are not there;
* rights do not exist: every role may do everything.

``snowflake_rules`` enforces some of these; the rest is left to ``tests/live``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from snowflake.connector.errors import IntegrityError, ProgrammingError
from sqlglot import exp

fake_arrow: Any = import_module("fakesnow.arrow")
fake_copy: Any = import_module("fakesnow.copy_into")
fake_cursor: Any = import_module("fakesnow.cursor")
fake_server: Any = import_module("fakesnow.server")
fake_stage: Any = import_module("fakesnow.transforms.stage")

Cursor = fake_cursor.FakeSnowflakeCursor

MERGE_WORDS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def apply() -> None:
    """All of them. ``names_in_copy`` and ``options_of_copy`` before any session is opened."""
    merge_is_one_statement()
    overwriting_reads_before_it_empties()
    numbers_of_38_digits_are_exact()
    nulls_stay_null_in_timestamps()
    variants_are_told_from_arrays()
    documents_are_as_they_were_written()
    refusals_have_numbers()
    internal_stages()
    options_of_copy()
    names_in_copy()
    a_closed_session_rolls_back()
    fake_server.shared_fs.create_database_on_connect = False
    fake_server.shared_fs.create_schema_on_connect = False


def merge_is_one_statement() -> None:
    """MERGE runs as DuckDB's own, so that it is atomic, allowed in a transaction, and refuses a row matched twice."""
    fake_cursor.transforms.merge = lambda tree: [tree]
    plain = Cursor._execute

    def execute(self: Any, tree: exp.Expr, params: Any = None) -> None:
        if isinstance(tree, exp.Merge):
            operations = fake_cursor.merge_operations(tree)
            counts = _merge(self, tree, params)
            shown = [
                exp.alias_(exp.Literal.number(counts[word]), f"number of rows {word}", quoted=True)
                for word, used in operations.items()
                if used
            ]
            tree, params = exp.select(*shown), None
            tree.set("merge_counts", True)
        plain(self, tree, params)

    Cursor._execute = execute


def _merge(cursor: Any, tree: exp.Merge, params: Any) -> dict[str, int]:
    for when in tree.args["whens"].expressions:
        _unqualify(when.args.get("then"))
    tree.set("returning", exp.Returning(expressions=[exp.column("merge_action")]))
    try:
        rows = cursor._duck_conn.execute(tree.sql(dialect="duckdb"), params).fetchall()
    except duckdb.BinderException as error:
        raise ProgrammingError(msg=str(error), errno=2043, sqlstate="02000") from error
    except duckdb.CatalogException as error:
        raise ProgrammingError(msg=str(error), errno=2003, sqlstate="42S02") from error
    counts = dict.fromkeys(MERGE_WORDS.values(), 0)
    for (action,) in rows:
        counts[MERGE_WORDS[action]] += 1
    return counts


def overwriting_reads_before_it_empties() -> None:
    """INSERT OVERWRITE may select from the table it replaces; fakesnow empties it first."""
    fake_cursor.transforms.insert_overwrite = lambda tree: [tree]
    plain = Cursor._execute

    def execute(self: Any, tree: exp.Expr, params: Any = None) -> None:
        if isinstance(tree, exp.Insert) and tree.args.get("overwrite"):
            target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
            rows = exp.to_table("temp.main._overwriting")
            query = tree.expression.sql(dialect="duckdb")
            self._duck_conn.execute(f"CREATE OR REPLACE TEMP TABLE _overwriting AS {query}", params)
            self._duck_conn.execute(exp.Delete(this=target.copy()).sql(dialect="duckdb"))
            tree.set("overwrite", None)
            tree.set("expression", exp.select("*").from_(rows))
            params = None
        plain(self, tree, params)

    Cursor._execute = execute


def numbers_of_38_digits_are_exact() -> None:
    """NUMBER(38, 0) keeps all its digits; fakesnow makes it a 64-bit integer, as it does NUMBER, which stays so."""
    plain = fake_cursor.transforms.integer_precision

    def integers(tree: exp.Expr) -> exp.Expr:
        exact = isinstance(tree, exp.DataType) and tree.this == exp.DataType.Type.DECIMAL and tree.expressions
        return tree if exact else plain(tree)

    fake_cursor.transforms.integer_precision = integers


def _unqualify(then: exp.Expr | None) -> None:
    """DuckDB wants no table's name on the left side of SET and in the list of INSERT."""
    named: Sequence[exp.Expr] = []
    if isinstance(then, exp.Update):
        named = [each.this for each in then.expressions if isinstance(each, exp.EQ)]
    elif isinstance(then, exp.Insert) and then.this is not None:
        named = then.this.expressions
    for each in named:
        if isinstance(each, exp.Column):
            each.set("table", None)


def nulls_stay_null_in_timestamps() -> None:
    plain = fake_arrow.timestamp_to_sf_struct

    def converted(stamps: Any) -> Any:
        if isinstance(stamps, pa.ChunkedArray):
            stamps = stamps.combine_chunks()
        parts = plain(stamps)
        if stamps.null_count == 0:
            return parts
        children = [pc.fill_null(parts.field(index), 0) for index in range(parts.type.num_fields)]
        fields = [parts.type.field(index) for index in range(parts.type.num_fields)]
        return pa.StructArray.from_arrays(children, fields=fields, mask=pc.is_null(stamps))

    fake_arrow.timestamp_to_sf_struct = converted


def documents_are_as_they_were_written() -> None:
    """PARSE_JSON keeps 38 digits of a number; DuckDB's function of that name makes a float of it, its cast does not."""
    plain = fake_cursor.transforms.try_parse_json

    def parsed(tree: exp.Expr) -> exp.Expr:
        if isinstance(tree, exp.ParseJSON):
            tree = exp.Cast(this=tree.this, to=exp.DataType(this=exp.DataType.Type.JSON, nested=False))
        known: exp.Expr = plain(tree)
        return known

    fake_cursor.transforms.try_parse_json = parsed


def variants_are_told_from_arrays() -> None:
    """Both are JSON below. A VARIANT column has a comment that says so, from which the catalog is shown."""
    plain_types, plain = fake_cursor.transforms.semi_structured_types, Cursor._execute

    def types(tree: exp.Expr) -> exp.Expr:
        is_variant = isinstance(tree, exp.DataType) and tree.this == exp.DataType.Type.VARIANT
        known: exp.Expr = plain_types(tree)
        known.meta.update({"variant": True} if is_variant else {})
        return known

    def execute(self: Any, tree: exp.Expr, params: Any = None) -> None:
        table, names = _variants(self, tree)
        plain(self, tree, params)
        for name in names:
            column = f"{table.sql('duckdb')}.{exp.to_identifier(name, quoted=True).sql('duckdb')}"
            self._duck_conn.execute(f"COMMENT ON COLUMN {column} IS 'VARIANT'")

    fake_cursor.transforms.semi_structured_types, Cursor._execute = types, execute


def _variants(cursor: Any, tree: exp.Expr) -> tuple[exp.Table, list[str]]:
    """The table a statement makes or alters, and its columns that are VARIANT from then on."""
    if not isinstance(tree, exp.Create | exp.Alter) or tree.args.get("kind") != "TABLE":
        return exp.Table(), []
    table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    names = [each.name for each in tree.find_all(exp.ColumnDef) if each.kind and each.kind.meta.get("variant")]
    if isinstance(tree, exp.Create) and tree.expression is not None:  # the table anew, out of itself
        place = [table.catalog, table.db, table.name]
        names = [
            name
            for (name,) in cursor._duck_conn.execute(
                "SELECT column_name FROM duckdb_columns() WHERE comment = 'VARIANT'"
                " AND database_name = ? AND schema_name = ? AND table_name = ?",
                place,
            ).fetchall()
            if not any(isinstance(each, exp.Alias) and each.alias == name and not isinstance(each.this, exp.Column)
                       for each in tree.expression.expressions)
        ]  # fmt: skip
    return table, names


def refusals_have_numbers() -> None:
    """DuckDB's refusals get Snowflake's numbers; without one the server answers 500 and the driver tries for ever."""
    plain = Cursor._execute

    def execute(self: Any, tree: exp.Expr, params: Any = None) -> None:
        try:
            plain(self, tree, params)
        except duckdb.ConstraintException as error:
            raise IntegrityError(msg=str(error), errno=100072, sqlstate="22000") from error
        except (duckdb.TransactionException, duckdb.InvalidInputException) as error:
            errno = 100090 if "more than once" in str(error) else 625
            raise ProgrammingError(msg=str(error), errno=errno, sqlstate="40001") from error
        except duckdb.IOException as error:
            raise ProgrammingError(msg=f"Remote file was not found: {error}", errno=91016, sqlstate="22000") from error
        except duckdb.OutOfRangeException as error:
            raise ProgrammingError(msg=str(error), errno=100039, sqlstate="22003") from error
        except duckdb.Error as error:
            raise ProgrammingError(msg=f"Processing aborted: {error}", errno=603, sqlstate="XX000") from error

    Cursor._execute = execute


def internal_stages() -> None:
    """PUT names a place in quotes where it has special signs; COPY lists files of an internal stage (reference)."""
    plain_put, plain_urls = fake_cursor.transforms.put_stage, fake_copy._source_urls

    def put(tree: exp.Expr, *args: Any, **kwargs: Any) -> Any:
        if isinstance(tree, exp.Put):
            place = tree.args["target"]
            place.set("this", place.name.strip("'"))
        return plain_put(tree, *args, **kwargs)

    def urls(source: str, files: list[str]) -> Any:
        return [source + file for file in files] if fake_stage.is_internal(source) else plain_urls(source, files)

    fake_cursor.transforms.put_stage = put
    fake_copy._source_urls = urls


def options_of_copy() -> None:
    """FORCE = FALSE and PURGE = FALSE mean false; folders named ``dt=...`` are no columns."""
    plain = fake_copy._params

    def parameters(tree: exp.Copy, *args: Any, **kwargs: Any) -> Any:
        kept = [each for each in tree.args.get("params", []) if not _is_off(each)]
        tree.set("params", kept)
        return plain(tree, *args, **kwargs)

    def read(self: Any, url: str) -> exp.Expr:
        option = exp.EQ(this=exp.column("hive_partitioning"), expression=exp.false())
        return exp.func("read_parquet", self.file_literal(url), option)

    fake_copy._params = parameters
    fake_copy.ReadParquet.read_expression = read


def _is_off(parameter: Any) -> bool:
    return parameter.this.name.upper() in ("FORCE", "PURGE") and parameter.expression == exp.false()


def names_in_copy() -> None:
    """Tables and columns keep their spelling in COPY, and their names need not be plain words."""

    def describe(table: exp.Table, duck: Any, database: str | None, schema: str | None) -> list[tuple[str, str]]:
        whole = exp.table_(table.name, db=table.db or schema, catalog=table.catalog or database, quoted=True)
        rows = duck.execute(f"DESCRIBE {whole.sql(dialect='duckdb')}").fetchall()
        return [(row[0], row[1]) for row in rows]

    def matched(file_columns: list[str], table_columns: list[str], mode: Any) -> dict[str, str]:
        if mode == fake_copy.MatchByColumnName.CASE_SENSITIVE:
            return {name: name for name in table_columns if name in file_columns}
        by_upper = {name.upper(): name for name in file_columns}
        return {name: by_upper[name.upper()] for name in table_columns if name.upper() in by_upper}

    fake_copy._describe_table = describe
    fake_copy._get_table_columns = lambda *args: [name for name, _ in describe(*args)]
    fake_copy._match_parquet_columns = matched


def a_closed_session_rolls_back() -> None:
    class Sessions(dict[str, Any]):
        def __delitem__(self, token: str) -> None:
            end_session(self[token])
            super().__delitem__(token)

    fake_server.sessions = Sessions(fake_server.sessions)


def end_session(connection: Any) -> None:
    roll_back(connection)
    connection._duck_conn.close()


def roll_back(connection: Any) -> None:
    """Ends what the session has open; there need not be anything."""
    try:
        connection._duck_conn.rollback()
    except duckdb.Error as error:
        if not re.search("no transaction|closed", str(error)):
            raise
