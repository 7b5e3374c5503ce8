"""Makes fakesnow quick enough for a suite of hundreds of statements, without changing what it answers.

Each statement is parsed twice and walked six dozen times, once for each thing that fakesnow rewrites. Here it is parsed
once, walked only for what occurs in it, and its result is described by DuckDB without being parsed again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from tests.servers.fakesnow_patches import Cursor, fake_cursor, fake_server

UNUSED = (
    *("alias_in_join", "alias_in_where", "alter_session", "alter_table_strip_cluster_by", "array_agg", "array_size"),
    *("array_agg_within_group", "array_construct_etc", "create_clone", "create_user", "current_version", "random"),
    *("dateadd_date_cast", "dateadd_string_literal_timestamp_cast", "datediff_string_literal_timestamp_cast"),
    *("extract_comment_on_columns", "extract_comment_on_table", "flatten", "flatten_value_cast_as_varchar", "tag"),
    *("haversine", "hex_string", "indices_to_json_extract", "json_extract_cased_as_varchar", "object_agg", "sample"),
    *("numeric_agg_implicit_cast", "object_construct", "regex_replace", "regex_substr", "result_scan", "split"),
    *("sequence_nextval", "show_databases", "show_functions", "show_parameters", "show_procedures", "show_users"),
    *("show_warehouses", "to_date", "to_decimal", "to_timestamp", "to_variant", "update_variables"),
    "extract_text_length",
)

WHOLE: dict[str, type[exp.Expr]] = {
    **dict.fromkeys(("create_database", "create_stage", "create_file_format"), exp.Create),
    **dict.fromkeys(("show_schemas", "show_tables_etc", "show_columns", "show_stages", "show_sequences"), exp.Show),
    "create_table_as": exp.Create,
    "show_keys": exp.Show,
    "set_schema": exp.Use,
    "drop_schema_cascade": exp.Drop,
    "list_stage": exp.ListStage,
    "put_stage": exp.Put,
}
"""Rewritings of whole statements of one kind."""

PARTS: dict[str, tuple[type[exp.Expr], ...]] = {
    **dict.fromkeys(
        ("semi_structured_types", "timestamp_ntz", "float_to_double", "integer_precision"), (exp.DataType,)
    ),
    **dict.fromkeys(("information_schema_fs", "information_schema_databases"), (exp.Table,)),
    "identifier": (exp.Table,),
    "upper_case_unquoted_identifiers": (exp.Identifier,),
    "timestamp_offsets": (exp.Cast,),
    "json_extract_cast_as_varchar": (exp.Cast,),
    "json_extract_precedence": (exp.JSONExtract, exp.JSONExtractScalar),
    "trim_cast_varchar": (exp.Trim,),
    "values_columns": (exp.Values,),
    "try_parse_json": (exp.ParseJSON, exp.Anonymous),
    "sha256": (exp.SHA2, exp.SHA2Digest, exp.Anonymous),
}
"""Rewritings of parts of statements, by the parts they look at."""


def apply() -> None:
    """Before ``fakesnow_transactions``, and after all that replaces a rewriting."""
    what_does_not_occur_is_not_looked_for()
    a_statement_is_parsed_once()
    a_result_is_described_by_duckdb()
    columns_are_looked_up_in_one_place()
    fake_server.shared_fs.duck_conn.execute("SET GLOBAL threads = 1")  # of a few rows there is nothing to share out


def what_does_not_occur_is_not_looked_for() -> None:
    transforms = fake_cursor.transforms
    names = {id(getattr(transforms, name)): name for name in (*UNUSED, *WHOLE, *PARTS) if hasattr(transforms, name)}
    plain, index = exp.Expression.transform, Index()

    def transform(self: Any, fun: Any, *args: Any, **kwargs: Any) -> Any:
        name = names.get(id(fun)) or _called_by(fun)
        given = {key: value for key, value in kwargs.items() if key != "copy"}
        if name in UNUSED:
            return self
        if name in WHOLE:
            return fun(self, *args, **given) if isinstance(self, WHOLE[name]) else self
        if name not in PARTS:
            index.forget()
            return plain(self, fun, *args, **kwargs)
        for node in index.parts(self, PARTS[name]):
            new = fun(node, *args, **given)
            if new is not node:
                index.forget()
                node.replace(new)
        return self

    exp.Expression.transform = transform  # type: ignore[method-assign]


class Index(threading.local):
    """The parts of the statement at hand, by their class, found in one walk; forgotten when one of them changes."""

    def __init__(self) -> None:
        self._tree: exp.Expr | None = None
        self._parts: dict[type[exp.Expr], list[exp.Expr]] = {}

    def parts(self, tree: exp.Expr, kinds: tuple[type[exp.Expr], ...]) -> list[exp.Expr]:
        if self._tree is not tree:
            self._tree, self._parts = tree, {}
            for node in tree.walk():
                self._parts.setdefault(type(node), []).append(node)
        return [node for kind in kinds for node in self._parts.get(kind, [])]

    def forget(self) -> None:
        self._tree = None


def _called_by(fun: Callable[..., Any]) -> str:
    """The rewriting that a lambda of fakesnow's is for; empty for other functions."""
    code = getattr(fun, "__code__", None)
    return next((name for name in code.co_names if name in WHOLE or name in PARTS), "") if code else ""


def a_statement_is_parsed_once() -> None:
    """The server parses to know the kind, and the cursor parses again to run: the same tree."""
    plain = fake_cursor.parse_one
    lock = threading.Lock()
    last: dict[str, exp.Expr] = {}

    def parse(command: str) -> exp.Expr:
        with lock:
            known = last.pop(command, None)
        if known is not None:
            return known
        tree: exp.Expr = plain(command)
        with lock:
            last.clear()
            last[command] = tree
        return tree

    fake_cursor.parse_one = fake_server.parse_one = parse


def a_result_is_described_by_duckdb() -> None:
    def describe(self: Any) -> list[tuple[Any, ...]]:
        # On the session's own connection, whose transaction it may read; its rows were taken already.
        rows: list[tuple[Any, ...]] = self._duck_conn.execute(
            f"DESCRIBE {self._last_sql}", self._last_params
        ).fetchall()
        return rows

    Cursor._describe_last_sql = describe


def columns_are_looked_up_in_one_place() -> None:
    """INFORMATION_SCHEMA.COLUMNS, as far as it is asked for, without joining three lists of all columns there are."""
    fake_server.shared_fs.duck_conn.execute("""
        CREATE OR REPLACE VIEW _fs_global._fs_information_schema._fs_columns AS SELECT
            database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, table_name AS TABLE_NAME,
            column_name AS COLUMN_NAME, column_index AS ORDINAL_POSITION, is_nullable AS IS_NULLABLE,
            CASE WHEN starts_with(data_type, 'DECIMAL') OR data_type = 'BIGINT' THEN 'NUMBER'
                 WHEN data_type = 'VARCHAR' THEN 'TEXT' WHEN data_type = 'DOUBLE' THEN 'FLOAT'
                 WHEN data_type = 'BLOB' THEN 'BINARY' WHEN data_type = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ'
                 WHEN data_type = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ'
                 WHEN data_type = 'JSON' THEN COALESCE(comment, 'ARRAY') ELSE data_type END AS DATA_TYPE,
            CASE WHEN data_type = 'BIGINT' THEN 38 WHEN data_type <> 'DOUBLE' THEN numeric_precision END
                AS NUMERIC_PRECISION,
            CASE WHEN data_type <> 'DOUBLE' THEN numeric_scale END AS NUMERIC_SCALE,
            NULL::VARCHAR AS COLLATION_NAME
        FROM duckdb_columns() WHERE schema_name <> '_fs_information_schema'
    """)
