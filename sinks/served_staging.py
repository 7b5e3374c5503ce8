"""Staging tables of a warehouse behind a network: one a kind of landed file, each with exactly its file's columns.

::

    records     the stream's columns, _syncline_deleted, _syncline_seq        ─┐
    tombstones  key and cursor,       _syncline_deleted, _syncline_seq        ─┴▶ source: one query over both

A table that has its file's columns in its file's order is right for a COPY by name and for one by position. The names
begin with a digest of the pipeline's name and of where its targets are: what a dead run left is recognised by it, and
dropped by the next run. Copies of one pipeline in other schemas (a trial's, production's) may share a staging schema.

Pure functions: plan in, SQL out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import DELETED_COLUMN, SEQUENCE_COLUMN, SliceKind
from syncline.connectors.errors import CountMismatch, DataError
from syncline.sinks import lattice
from syncline.sinks.dialect import BYTEWISE, Dialect, Place, column, fill, number, text
from syncline.sinks.manifest import Manifest
from syncline.sinks.match import Bounds
from syncline.sinks.staging import TOMBSTONE_COLUMN, digest_of_digests
from syncline.sinks.warehouse import TablePlan

PREFIX_CHARS = 18
DIGEST_CHARS = 12
"""Of what is cut off a name; the names that Postgres has room for (63 bytes) still hold the run's id whole."""


@dataclass(frozen=True, slots=True)
class Staging:
    """One stream's staging tables in one run; ``columns`` are those of the landed ``records`` files.

    ``home`` is where the target is, ``place`` where the staging tables are. ``collates`` says that the target compares
    texts by a collation; the staged ones must not take another by default.
    """

    plan: TablePlan
    columns: pa.Schema
    kinds: tuple[SliceKind, ...]
    home: Place
    place: Place
    dialect: Dialect
    collates: bool = False

    @staticmethod
    def of(
        plan: TablePlan, manifest: Manifest, home: Place, place: Place, dialect: Dialect, collates: bool = False
    ) -> Staging:
        landed = {entry.kind for entry in manifest.files}
        kinds: tuple[SliceKind, ...] = tuple(kind for kind in ("records", "tombstones") if kind in landed)
        landed_columns = lattice.landed(manifest.columns)
        return Staging(plan, landed_columns, kinds or ("records",), home, place, dialect, collates)

    # --- tables ---------------------------------------------------------------------------------------------------

    def table(self, kind: SliceKind) -> exp.Table:
        plan = self.plan
        own, bytes_max = prefix(plan.pipeline, self.home), self.dialect.capabilities.name_bytes_max
        return self.place.table(table_name(own, plan.stream, plan.run_id, kind, bytes_max))

    def layout(self, kind: SliceKind) -> pa.Schema:
        """The columns of the landed files, in their order."""
        kept = {*self.plan.key, self.plan.cursor}
        fields = [field for field in self.columns if kind == "records" or field.name in kept]
        flags = [pa.field(DELETED_COLUMN, pa.bool_(), False), pa.field(SEQUENCE_COLUMN, pa.int64(), False)]
        return pa.schema([*fields, *flags])

    def create(self, kind: SliceKind) -> list[str]:
        """Makes the table anew and empty; repeatable."""
        columns: list[exp.Expr] = []
        for field in self.layout(kind):
            canonical = lattice.canonical(field.type)
            assert canonical is not None  # prepare refused it
            type = self.dialect.staging_type(field.type, canonical)
            rules = [exp.ColumnConstraint(kind=exp.CollateColumnConstraint(this=text(BYTEWISE)))]
            by_bytes = rules if self.collates and pa.types.is_string(canonical) else []
            name = exp.to_identifier(field.name, quoted=True)
            columns.append(exp.ColumnDef(this=name, kind=type, constraints=by_bytes))
        made = {"transient": exp.TransientProperty, "unlogged": exp.UnloggedProperty}.get(self.dialect.staging_kind)
        create = exp.Create(
            this=exp.Schema(this=self.table(kind), expressions=columns),
            kind="TABLE",
            replace=self.dialect.replaces_tables,
            properties=None if made is None else exp.Properties(expressions=[made()]),
        )
        statements = [self.dialect.render(create)]
        return statements if self.dialect.replaces_tables else [self.drop(kind), *statements]

    def drop(self, kind: SliceKind) -> str:
        return self.dialect.render(fill("DROP TABLE IF EXISTS staged", {"staged": self.table(kind)}))

    # --- what is in them ------------------------------------------------------------------------------------------

    def source(self) -> exp.Subquery:
        """The staged rows of both kinds: the plan's columns in its types, and the three flags.

        It has a name wherever it is put: Redshift, and Postgres before 16, take no nameless query in FROM.
        """
        parts = [self._part(kind) for kind in self.kinds]
        query: exp.Query = parts[0] if len(parts) == 1 else exp.union(*parts, distinct=False)
        return query.subquery("landed")

    def _part(self, kind: SliceKind) -> exp.Select:
        present = {field.name: field.type for field in self.layout(kind)}
        selected: list[exp.Expr] = []
        for field in self.plan.columns:
            type = lattice.canonical(field.type)
            assert type is not None
            value = self._in_type(present.get(field.name), field.name, type)
            selected.append(exp.alias_(value, field.name, quoted=True))
        tombstone = exp.true() if kind == "tombstones" else exp.false()
        flags = [column(DELETED_COLUMN), column(SEQUENCE_COLUMN), exp.alias_(tombstone, TOMBSTONE_COLUMN, quoted=True)]
        return exp.select(*selected, *flags).from_(self.table(kind))

    def _in_type(self, landed: pa.DataType | None, name: str, type: pa.DataType) -> exp.Expr:
        """The staged column's value in the plan's canonical type, JSON as its text; null if the files lack it."""
        if lattice.is_json(type):
            type = pa.string()
        wanted = self.dialect.column_type(type)
        if landed is None:
            return exp.cast(exp.null(), wanted)
        own = lattice.canonical(landed)
        assert own is not None  # prepare refused it
        if own != type:
            return self.dialect.converted(column(name), own, type)
        return column(name) if self.dialect.staging_type(landed, own) == wanted else exp.cast(column(name), wanted)

    def measure(self) -> str:
        """One row: rows, rows without a whole key, deletions, different keys, the least and the largest first key."""
        keys = exp.select(*(exp.alias_(each, f"key_{n}", quoted=True) for n, each in enumerate(self._identity())))
        first: exp.Expr = column(self.plan.key[0]) if self.plan.key else exp.cast(exp.null(), "BIGINT")
        if self._bounds_are_hex():
            first = exp.Hex(this=first)
        incomplete = exp.or_(*(column(name).is_(exp.null()) for name in self.plan.key)) if self.plan.key else None
        query = fill(
            "SELECT COUNT(*), SUM(CASE WHEN :incomplete THEN 1 ELSE 0 END),"
            " SUM(CASE WHEN _syncline_deleted THEN 1 ELSE 0 END), (SELECT COUNT(*) FROM distinct_keys), MIN(:first),"
            " MAX(:first) FROM staged AS s",
            {
                "staged": self.source(),
                "distinct_keys": keys.from_(exp.alias_(self.source(), "k", table=True, quoted=True))
                .distinct()
                .subquery("keys"),
            },
            incomplete=exp.false() if incomplete is None else incomplete,
            first=first,
        )
        return self.dialect.render(query)

    def bounds(self, *measured: object) -> Bounds:
        """The bounds as ``measure`` found them, as values of the key."""
        if not self._bounds_are_hex():
            return Bounds(*measured)
        return Bounds(*(bytes.fromhex(each).decode() if isinstance(each, str) else each for each in measured))

    def _bounds_are_hex(self) -> bool:
        """Digits and capitals stand in one order under every collation: that of the text's bytes."""
        if not self.dialect.prunes_by_bounds or not self.plan.key:
            return False
        return bool(pa.types.is_string(_canonical(self.plan.columns.field(self.plan.key[0]))))

    def supersede(self, kind: SliceKind) -> str:
        """NEWEST-WINS among a key's staged rows: the largest cursor, then the later row; the others go."""
        order = [exp.Ordered(this=column(SEQUENCE_COLUMN), desc=True, nulls_first=False)]
        if self.plan.cursor:
            order.insert(0, exp.Ordered(this=column(self.plan.cursor), desc=True, nulls_first=False))
        rank = exp.Window(this=exp.RowNumber(), partition_by=self._identity(), order=exp.Order(expressions=order))
        ranked = exp.select(column(SEQUENCE_COLUMN), exp.alias_(rank, "rank", quoted=True))
        ranked = ranked.from_(exp.alias_(self.source(), "s", table=True, quoted=True))
        statement = fill(
            "DELETE FROM staged WHERE _syncline_seq IN (SELECT r._syncline_seq FROM ranked AS r WHERE r.rank > :one)",
            {"staged": self.table(kind), "ranked": ranked.subquery()},
            one=number(1),
        )
        return self.dialect.render(statement)

    def _identity(self) -> list[exp.Expr]:
        if self.plan.key:
            keys = [self.plan.columns.field(name) for name in self.plan.key]
            return [each for key in keys for each in self.dialect.identity(column(key.name), _canonical(key))]
        types = {field.name: _canonical(field) for field in self.plan.columns}
        values = [(self.dialect.staged(column(name), type, type), type) for name, type in types.items()]
        return [digest_of_digests(values, self.dialect)]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known of a stream's staged rows; those of a key staged twice are gone already, but counted."""

    staging: Staging
    rows: int
    superseded: int
    deletions: int
    bounds: Bounds


def _canonical(field: pa.Field) -> pa.DataType:
    type = lattice.canonical(field.type)
    assert type is not None  # prepare refused it
    return type


def prefix(pipeline: str, home: Place) -> str:
    """What the names of a pipeline's staging tables begin with."""
    whose = json.dumps([pipeline, home.catalog, home.schema])
    return f"s{hashlib.sha256(whose.encode()).hexdigest()[: PREFIX_CHARS - 2]}_"


def table_name(own: str, stream: str, run_id: str, kind: SliceKind, bytes_max: int) -> str:
    """``<prefix><run>_<stream>``, cut to the warehouse's bound with a digest in place of what is cut."""
    tail = "_t" if kind == "tombstones" else ""
    plain = f"{run_id}_{stream}"
    room = bytes_max - len(own) - len(tail)
    if len(plain.encode()) > room or not plain.isascii():
        digest = hashlib.sha256(plain.encode()).hexdigest()[:DIGEST_CHARS]
        kept = "".join(sign for sign in plain if sign.isascii())[: room - len(digest) - 1]
        plain = f"{kept}_{digest}"
    return f"{own}{plain}{tail}"


def drop_dead(
    tables: Iterable[str], pipeline: str, run_ids: Sequence[str], home: Place, place: Place, dialect: Dialect
) -> list[str]:
    """Drops of what earlier runs of the pipeline into ``home`` left; ``tables`` as the catalog spells them.

    The lease lets one run of a pipeline load at a time, so another run's table is a dead run's.
    """
    own = dialect.fold(prefix(pipeline, home))
    living = tuple(own + dialect.fold(run_id) for run_id in run_ids)
    dead = [name for name in tables if dialect.fold(name).startswith(own) and not dialect.fold(name).startswith(living)]
    drops = []
    for name in dead:
        table = place.table(name)
        table.this.meta["final"] = True
        drops.append(dialect.render(fill("DROP TABLE IF EXISTS staged", {"staged": table})))
    return drops


def check_staged(table: TablePlan, manifest: Manifest, loaded: int, rows: int, incomplete: int) -> None:
    """Raises CountMismatch unless COPY's count, the table's and the manifest's agree, DataError for a missing key."""
    object = f"{table.stream}, run {manifest.run_id}"
    if not loaded == rows == manifest.rows:
        cause = f"{loaded} rows were copied and {rows} are staged, the manifest says {manifest.rows}"
        raise CountMismatch("load manifest", object, cause, "reload the stream")
    if incomplete:
        raise DataError(
            "load manifest",
            object,
            f"{incomplete} rows have no value in the key ({', '.join(table.key)})",
            "choose a key whose columns always have a value",
        )


def check_superseded(table: TablePlan, expected: int, changed: int) -> None:
    if expected != changed:
        cause = f"{expected} older versions of keys were to go, {changed} did"
        raise CountMismatch("de-duplicate staged rows", table.stream, cause, "run again; nothing was written")
