"""What Syncline needs to know about dlt: reading a resource's hints, and iterating it with a window of our own.

dlt's incremental reads rows from where its state says, drops rows at the boundary that it believes it has seen, and
remembers the largest cursor value. Each of the three loses records (ties, late commits), so none of them is used here:
the state is a dict that is thrown away, the bounds are the run's window, and rows pass through unfiltered, to be
filtered by the window in Arrow.

Everything that touches dlt's inner workings is in this module. It was written against dlt 1.31.
"""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from syncline.connectors.bounds import Bounds
from syncline.connectors.dlt_errors import translated
from syncline.connectors.errors import ConfigError
from syncline.connectors.values import JSON

if TYPE_CHECKING:
    from dlt.extract import DltResource
    from dlt.extract import DltSource as DltSources
    from dlt.extract.incremental import Incremental

DltObject: TypeAlias = "DltSources | DltResource | Callable[[], DltSources | DltResource]"

_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "bigint": pa.int64(),
    "binary": pa.binary(),
    "json": JSON,
    "date": pa.date32(),
    "time": pa.time64("us"),
    "wei": pa.decimal128(38, 0),
}
"""dlt's data types (dlt documentation, "Schema", data types); ``timestamp`` and ``decimal`` have parameters."""

_DECIMAL_PRECISION, _DECIMAL_SCALE = 38, 9
"""What dlt takes for a decimal declared without them."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a resource says about itself, in its own spelling.

    ``columns`` maps each hinted column to its declared type, ``None`` where the hint names no type. ``incremental`` is
    dlt's object, ``cursor`` its column where that is a plain column in ascending order.
    ``deleted_column`` marks deletions where it is true, or not null if it is not boolean. ``frozen``: the contract says
    that there are no other columns.
    """

    columns: Mapping[str, pa.DataType | None]
    key: tuple[str, ...]
    incremental: Incremental[Any] | None
    cursor: str | None
    deleted_column: str | None
    limited: bool
    frozen: bool
    warnings: tuple[str, ...]

    @property
    def initial_value(self) -> object:
        return None if self.incremental is None else self.incremental.initial_value


def resources_of(source: DltObject) -> tuple[str, Mapping[str, DltResource]]:
    """The source's name and its resources by name.

    Raises:
        ConfigError: not a dlt source or resource, nor a function without arguments that returns one.
    """
    from dlt.extract import DltResource
    from dlt.extract import DltSource as DltSources

    if callable(source) and not isinstance(source, DltResource):
        with _quiet(), translated("open dlt source", getattr(source, "__name__", "source")):
            source = source()
    if isinstance(source, DltSources):
        return source.name, dict(source.resources)
    if isinstance(source, DltResource):
        return source.section or "dlt", {source.name: source}
    cause = f"{type(source).__name__} is neither a dlt source nor a dlt resource"
    raise ConfigError("open dlt source", "DltSource", cause, "pass one, or a function without arguments that makes one")


def hints_of(resource: DltResource) -> Hints:
    """Raises ConfigError for a resource that cannot be one stream, or that can be read only once."""
    _require_one_table(resource)
    _require_reflected(resource)
    _require_repeatable(resource)
    with _quiet(), translated("describe", resource.name):
        table = resource.compute_table_schema()
    columns: Mapping[str, Mapping[str, Any]] = table.get("columns", {})
    key = tuple(name for name, column in columns.items() if column.get("primary_key"))
    if table.get("write_disposition") == "merge" and not key:
        raise ConfigError(
            "describe",
            resource.name,
            'write_disposition="merge" without a primary key would append every changed row again',
            "give the resource a primary_key",
        )
    incremental, warnings = _incremental_of(resource), list[str]()
    cursor = None
    if incremental is not None:
        cursor = incremental.get_cursor_column_name() if incremental.last_value_func is max else None
        if cursor is None:
            warnings.append(
                f"the incremental over {incremental.cursor_path} is not a plain ascending column: read whole"
            )
    deleted = next((name for name, column in columns.items() if column.get("hard_delete")), None)
    if resource.limit is not None:
        warnings.append("the resource has add_limit: only a part of it is read, and no deletion can be told")
    types = {name: _declared_type(column) for name, column in columns.items()}
    contract = resource.schema_contract
    frozen = (contract.get("columns") if isinstance(contract, Mapping) else contract) == "freeze"
    return Hints(types, key, incremental, cursor, deleted, resource.limit is not None, frozen, tuple(warnings))


@contextmanager
def opened(resource: DltResource, hints: Hints, bounds: Bounds | None) -> Iterator[Iterator[object]]:
    """The resource's items, dicts or Arrow tables, within ``bounds`` as far as the resource itself applies them.

    Without bounds the resource's own incremental starts from its initial value, whatever ran before.

    Raises:
        ConfigError, SignInError, Transient, SynclineError: whatever the resource raised, told apart by its cause.
    """
    from dlt.common.configuration.container import Container
    from dlt.common.pipeline import StateInjectableContext

    with ExitStack() as stack:
        stack.enter_context(_quiet())
        readings = stack.enter_context(_ended())
        stack.enter_context(_incrementals_lent(resource))
        stack.enter_context(Container().injectable_context(StateInjectableContext(state={})))
        with translated("read", resource.name):
            readings.append(_begun(resource, hints, bounds))
        yield readings[0]


def _begun(resource: DltResource, hints: Hints, bounds: Bounds | None) -> Generator[object, None, None]:
    reading = resource.with_name(resource.name)
    if bounds is not None and hints.incremental is not None:
        reading.apply_hints(incremental=_passing_incremental(hints.incremental, bounds))
    return _each(iter(reading), resource.name)


@contextmanager
def _ended() -> Iterator[list[Generator[object, None, None]]]:
    """Ends a reading that was not read to its end. dlt has no way to do that: an abandoned one is part of a cycle that
    holds the source's connections, and a database locked, until it is collected."""
    readings: list[Generator[object, None, None]] = []
    try:
        yield readings
    finally:
        if any(inspect.getgeneratorstate(each) != inspect.GEN_CLOSED for each in readings):
            for each in readings:
                each.close()
            gc.collect()


def _each(items: Iterator[object], name: str) -> Generator[object, None, None]:
    with translated("read", name):
        yield from items


def _declared_type(column: Mapping[str, Any]) -> pa.DataType | None:
    data_type = column.get("data_type")
    if data_type == "timestamp":
        return pa.timestamp("us", tz="UTC" if column.get("timezone", True) else None)
    if data_type == "decimal":
        precision, scale = column.get("precision"), column.get("scale")
        if precision is None:
            return pa.decimal128(_DECIMAL_PRECISION, _DECIMAL_SCALE if scale is None else scale)
        return pa.decimal128(precision, scale or 0)
    return None if data_type is None else _TYPES[data_type]


def _require_one_table(resource: DltResource) -> None:
    if callable(resource.table_name):
        cause = "its table name is computed row by row, so it is several streams"
        raise ConfigError("describe", resource.name, cause, "split it into one resource per table")


def _require_reflected(resource: DltResource) -> None:
    """A table that dlt's ``sql_database`` reflects only while reading would seem to have no key and no types."""
    if _given(resource).get("defer_table_reflect"):
        cause = "with defer_table_reflect its key and types are not known before it is read"
        hint = "leave defer_table_reflect out; to connect late, give DltSource a function that makes the resource"
        raise ConfigError("describe", resource.name, cause, hint)


def _require_repeatable(resource: DltResource) -> None:
    for pipe in _pipes(resource):
        if isinstance(pipe.gen, Iterator):
            cause = f"{pipe.name} is a generator that was started already and can be read only once"
            raise ConfigError("describe", resource.name, cause, "pass the generator function itself, not its result")


def _given(resource: DltResource) -> Mapping[str, Any]:
    """The arguments the user gave to the resource's function."""
    return (resource.explicit_args or {}) if resource.args_bound else {}


def _pipes(resource: DltResource) -> Iterator[Any]:
    """The resource's pipe and those of its parents."""
    pipe = resource._pipe
    while pipe is not None and not pipe.is_empty:
        yield pipe
        pipe = pipe.parent


def _incremental_of(resource: DltResource) -> Incremental[Any] | None:
    """The incremental as it would be bound: a hint, an argument given, or an argument's default, merged as dlt does."""
    from dlt.extract.incremental import Incremental, IncrementalResourceWrapper

    step = resource.incremental
    found = [step] if isinstance(step, Incremental) else []
    if isinstance(step, IncrementalResourceWrapper):
        given = list(_given(resource).values())
        defaults = [each.default for each in inspect.signature(resource).parameters.values()]
        found = [each for each in (step.incremental, *given, *defaults) if isinstance(each, Incremental)]
    if len(found) > 1 and found[0].is_partial():
        found = [found[1].merge(found[0])]
    return found[0] if found and not found[0].is_partial() else None


@contextmanager
def _incrementals_lent(resource: DltResource) -> Iterator[None]:
    """Puts the incrementals back as they were. A resource with bound arguments shares them with all its copies, and a
    child resource with its parents: left in place, our window would silently narrow what others read."""
    from dlt.extract.incremental import IncrementalResourceWrapper

    wrappers = [pipe.get_by_type(IncrementalResourceWrapper) for pipe in _pipes(resource)]
    kept = [(wrapper, dict(vars(wrapper))) for wrapper in wrappers if wrapper is not None]
    try:
        yield
    finally:
        for wrapper, attributes in kept:
            vars(wrapper).clear()
            vars(wrapper).update(attributes)


def _passing_incremental(declared: Incremental[Any], bounds: Bounds) -> Incremental[Any]:
    low, high = bounds.values()
    return _passing_class()(
        declared.cursor_path,
        initial_value=low,
        end_value=high if low is not None else None,
        primary_key=(),
        allow_external_schedulers=False,
        # A database must not drop rows without a cursor value behind our back: they are an error, unless excluded.
        on_cursor_value_missing="exclude" if declared.on_cursor_value_missing == "exclude" else "include",
    )


@cache
def _passing_class() -> type[Incremental[Any]]:
    import dlt

    class PassingIncremental(dlt.sources.incremental[Any]):
        """Tells the resource the window, lets every row pass, moves ``last_value``, by which some resources page."""

        largest: Any = None

        def __call__(self, rows: Any, meta: Any = None) -> Any:
            values = list(_cursor_values(rows, self.get_cursor_column_name()))
            if values:
                self.largest = max(values if self.largest is None else [self.largest, *values])
                self.advance(self.largest)
            return rows

    return PassingIncremental


def _cursor_values(rows: Any, cursor: str | None) -> Iterable[Any]:
    import pyarrow.compute as pc

    if isinstance(rows, pa.Table | pa.RecordBatch):
        if cursor in rows.schema.names and rows.num_rows:
            largest = pc.max(rows.column(cursor)).as_py()
            return [] if largest is None else [largest]
        return []
    each = rows if isinstance(rows, list) else [rows]
    return [row[cursor] for row in each if isinstance(row, Mapping) and row.get(cursor) is not None]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps dlt's advice to its own users out of our logs; its errors reach us as exceptions."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger = logging.getLogger("dlt")
    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)
