"""What tables there are in a schema of Snowflake, and how their columns' types are spelled.

INFORMATION_SCHEMA is asked, not SHOW COLUMNS, which ends after ten thousand rows: thirty wide tables are enough. Both
show only what the role may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlglot import exp, parse_one

from syncline.sinks.dialect import BYTEWISE, collated
from syncline.sinks.snowflake_settings import Name


def select_columns(catalog: str, schema: str) -> str:
    """One row a column; one row without a table's name for a schema without tables; none without the schema."""
    skeleton = """
        SELECT c.table_name, c.column_name, c.data_type, c.numeric_precision, c.numeric_scale,
            c.collation_name
        FROM schemata AS s
        LEFT JOIN columns AS c ON c.table_schema = s.schema_name
        WHERE s.schema_name = :schema
        ORDER BY c.table_name, c.ordinal_position
    """
    database = exp.to_identifier(catalog, quoted=True)
    tree = parse_one(skeleton, read="snowflake")

    def filled(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            return exp.Literal.string(schema)
        if isinstance(node, exp.Table) and not node.db:
            node.set("db", exp.to_identifier("INFORMATION_SCHEMA"))
            node.set("catalog", database.copy())
        return node

    return tree.transform(filled).sql(dialect="snowflake", pretty=True)


def tables_of(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, Mapping[str, str]] | None:
    """Each table's columns with their types; ``None`` where there is no such schema."""
    found: dict[str, dict[str, str]] = {}
    exists = False
    for table, column, type, precision, scale, collation in rows:
        exists = True
        if table is not None:
            found.setdefault(str(table), {})[str(column)] = type_text(str(type), precision, scale, collation)
    return found if exists else None


def type_text(type: str, precision: int | None, scale: int | None, collation: str | None = None) -> str:
    """``NUMBER(18, 2)``; other types by their name alone, as INFORMATION_SCHEMA has it (``TEXT`` for VARCHAR).

    A text that is compared by other rules than its bytes says so as DDL does: ``TEXT COLLATE 'en-ci'``.
    """
    if type.upper() in ("NUMBER", "DECIMAL", "NUMERIC") and precision is not None:
        return f"NUMBER({int(precision)}, {int(scale or 0)})"
    return collated(type, collation) if collation and collation.lower() != BYTEWISE else type


def create_schema(catalog: str, schema: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {Name((catalog, schema)).sql()}"
