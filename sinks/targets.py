"""Everything that is DDL: bookkeeping, targets, new and widened columns (DDL-BEFORE, TYPES-FROM-SOURCE, EXACT-NAMES).

Pure functions: what the plans want and what the catalog shows go in, repeatable statements come out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import RESERVED_PREFIX
from syncline.connectors.errors import ConfigError, NameCollision
from syncline.sinks import lattice
from syncline.sinks.dialect import Dialect, Place, Widening, column, fill, found, is_collated, text
from syncline.sinks.guards import check_key
from syncline.sinks.warehouse import (
    DELETED_AT_COLUMN,
    RUNS_TABLE,
    SYNCED_AT_COLUMN,
    WATERMARKS_TABLE,
    Capabilities,
    TablePlan,
)

WATERMARKS_COLUMNS = {
    "pipeline": pa.string(),
    "stream": pa.string(),
    "watermark": lattice.UTC_TIMESTAMP,
    "version": pa.int64(),
    "run_id": pa.string(),
    "committed_at": lattice.UTC_TIMESTAMP,
    "columns": pa.string(),
    "target": pa.string(),
    "definition": pa.string(),
}
WATERMARKS_KEY = ("pipeline", "stream")

RUNS_COLUMNS = {
    "run_id": pa.string(),
    "pipeline": pa.string(),
    "started_at": lattice.UTC_TIMESTAMP,
    "committed_at": lattice.UTC_TIMESTAMP,
    "run": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """A target as the catalog shows it: its columns' types by name, in order; and those names by folded name."""

    types: Mapping[str, str]
    names: Mapping[str, str]

    @staticmethod
    def of(types: Mapping[str, str], dialect: Dialect) -> Layout:
        return Layout(types, {dialect.fold(name): name for name in types})

    def find(self, name: str, dialect: Dialect) -> str | None:
        """The column that ``name`` is in this warehouse, as the target spells it."""
        return self.names.get(dialect.fold(name))

    @property
    def collates(self) -> bool:
        """Whether some of its texts are compared by other rules than their bytes."""
        return any(map(is_collated, self.types.values()))

    @property
    def marks(self) -> bool:
        """Whether rows can be marked as deleted."""
        return DELETED_AT_COLUMN in self.names


def select_columns(place: Place, dialect: Dialect) -> str:
    """Every table, column and type of the schema, in the columns' order."""
    query = fill(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_catalog = :catalog AND table_schema = :schema ORDER BY table_name, ordinal_position",
        catalog=text(place.catalog),
        schema=text(place.schema),
    )
    return dialect.render(query)


def layouts(rows: Sequence[tuple[str, str, str]], dialect: Dialect) -> dict[str, Layout]:
    """What ``select_columns`` returned, by folded table name."""
    tables: dict[str, dict[str, str]] = {}
    for table, name, type in rows:
        tables.setdefault(dialect.fold(table), {})[name] = type
    return {table: Layout.of(types, dialect) for table, types in tables.items()}


def bookkeeping(place: Place, dialect: Dialect) -> list[str]:
    """The schema, ``_syncline_watermarks`` and ``_syncline_runs``.

    The watermarks' primary key is what keeps two first runs from both winning (FENCED-COMMIT).
    """
    return [create_schema(place, dialect), *missing_bookkeeping(place, (), dialect)]


def create_schema(place: Place, dialect: Dialect) -> str:
    return dialect.render(exp.Create(this=place.schema_table(), kind="SCHEMA", exists=True))


def missing_bookkeeping(place: Place, shown: Collection[str], dialect: Dialect) -> list[str]:
    """What makes those bookkeeping tables that are not among the folded names shown."""
    watermarks = _create(place.table(WATERMARKS_TABLE), WATERMARKS_COLUMNS, dialect, WATERMARKS_KEY)
    runs = _create(place.table(RUNS_TABLE), RUNS_COLUMNS, dialect)
    trees = {WATERMARKS_TABLE: watermarks, RUNS_TABLE: runs}
    return [dialect.render(tree) for name, tree in trees.items() if dialect.fold(name) not in shown]


def target_columns(plan: TablePlan) -> dict[str, pa.DataType]:
    """The columns a new target has, in order, with canonical types."""
    check_key(plan)
    columns = {field.name: _canonical(plan, field) for field in plan.columns}
    columns[SYNCED_AT_COLUMN] = lattice.UTC_TIMESTAMP
    if plan.on_delete == "mark":
        columns[DELETED_AT_COLUMN] = lattice.UTC_TIMESTAMP
    return columns


def reconcile(plan: TablePlan, existing: Layout | None, place: Place, dialect: Dialect) -> list[str]:
    """The statements that make the target fit the plan: none when it does.

    Raises:
        ConfigError: somebody else's table, or a column whose type has no common one with the source's.
    """
    target = place.table(plan.target)
    wanted = target_columns(plan)
    if existing is None:
        key = plan.key if dialect.keys_targets else ()
        return [dialect.render(_create(target, wanted, dialect, key))]
    if SYNCED_AT_COLUMN not in existing.names:
        raise ConfigError(
            "prepare target",
            plan.target,
            f"the table exists and was not made by Syncline: it has no {SYNCED_AT_COLUMN} column; nothing was touched",
            f"give stream {plan.stream} another target name, or rename or drop the table",
        )
    statements: list[exp.Expr] = []
    for name, type in wanted.items():
        statements.extend(_reconcile_column(plan, name, type, existing, target, dialect))
    return [dialect.render(statement) for statement in statements]


def _reconcile_column(
    plan: TablePlan, name: str, type: pa.DataType, existing: Layout, target: exp.Table, dialect: Dialect
) -> Iterator[exp.Expr]:
    own = existing.find(name, dialect)
    if own is None:
        kind, exists = dialect.column_type(type), dialect.adds_if_absent
        added = exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=kind, exists=exists)
        yield exp.Alter(this=target.copy(), kind="TABLE", actions=[added])
        return
    shown = existing.types[own]
    held = dialect.arrow_type(shown, type)
    joined = lattice.join(held, type)
    if joined is None or (name == plan.cursor and joined != type):
        raise ConfigError(
            "prepare target",
            f"{plan.target}.{own}",
            f"the target's type {shown} and the source's type {lattice.name_of(type)} have no common type that holds"
            " both exactly",
            f"rename or drop the target's column, or leave field {name} out of stream {plan.stream}",
        )
    if joined != held:
        assert held is not None  # nothing joins a type that Syncline never makes
        value = dialect.converted(exp.column(found(own)), held, joined)
        yield from dialect.widen(Widening(target, own, dialect.column_type(joined), tuple(existing.types), value))


def check_fit(plans: Sequence[TablePlan], dialect: Dialect) -> None:
    """What a new target would be refused for, told without looking at the warehouse: names, types, the key.

    Raises:
        ConfigError: a type that no column of any target holds, or a key that cannot be one.
        NameCollision: see ``check_names``.
    """
    check_names(plans, dialect)
    for plan in plans:
        target_columns(plan)


def check_names(plans: Sequence[TablePlan], dialect: Dialect) -> None:
    """Raises NameCollision for any two names that would be one in this warehouse, naming both (EXACT-NAMES)."""
    targets: dict[str, TablePlan] = {}
    for plan in plans:
        _check_name(plan.target, f"target of stream {plan.stream}", dialect.capabilities)
        first = targets.setdefault(dialect.fold(plan.target), plan)
        if first is not plan:
            raise NameCollision(
                "prepare target",
                plan.target,
                f"streams {first.stream} and {plan.stream} would share one target"
                f" ({first.target} and {plan.target} are one name in {dialect.name})",
                "give one of the streams another target name",
            )
        _check_columns(plan, dialect)


def _check_columns(plan: TablePlan, dialect: Dialect) -> None:
    hidden = (dialect.row_address, *dialect.system_columns)
    seen: dict[str, str] = {dialect.fold(name): f"{dialect.name}'s own {name}" for name in hidden}
    for name in plan.columns.names:
        _check_name(name, f"field of stream {plan.stream}", dialect.capabilities)
        first = seen.setdefault(dialect.fold(name), name)
        if first is not name:
            raise NameCollision(
                "prepare target",
                f"{plan.target}: {first} and {name}",
                f"both would be one column in {dialect.name}",
                f"leave one of them out with exclude=[...] on stream {plan.stream}",
            )


def _check_name(name: str, what: str, capabilities: Capabilities) -> None:
    if name.lower().startswith(RESERVED_PREFIX):
        cause = f"names that start with {RESERVED_PREFIX} are Syncline's own"
        raise NameCollision("prepare target", name, f"{what}: {cause}", "choose another name or exclude the field")
    if not name or len(name.encode()) > capabilities.name_bytes_max:
        cause = f"a name has 1 to {capabilities.name_bytes_max} bytes in {capabilities.name}"
        raise ConfigError("prepare target", name or "(empty name)", f"{what}: {cause}", "choose another name")


def _canonical(plan: TablePlan, field: pa.Field) -> pa.DataType:
    type = lattice.canonical(field.type)
    if type is None:
        raise ConfigError(
            "prepare target",
            f"{plan.target}.{field.name}",
            f"no warehouse column holds values of type {field.type} exactly",
            f"leave the field out with exclude=[...] on stream {plan.stream}",
        )
    return type


def _create(
    table: exp.Table, columns: Mapping[str, pa.DataType], dialect: Dialect, key: Sequence[str] = ()
) -> exp.Expr:
    parts: list[exp.Expr] = [
        exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=dialect.column_type(type))
        for name, type in columns.items()
    ]
    if key:
        parts.append(exp.PrimaryKey(expressions=[column(name).this for name in key]))
    return exp.Create(this=exp.Schema(this=table, expressions=parts), kind="TABLE", exists=True)
