"""The checks every warehouse makes before its COMMIT, whatever its SQL (COUNTED-HOPS, GUARDED-DELETE)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from syncline.connectors.errors import ConfigError, CountMismatch, DataError, MassDelete, TargetMissing
from syncline.sinks import lattice
from syncline.sinks.manifest import Manifest
from syncline.sinks.warehouse import DELETE_GUARD_ROWS_MIN, WATERMARKS_TABLE, RowCounts, TablePlan


def check_columns(plan: TablePlan, manifest: Manifest) -> None:
    """Raises DataError unless the manifest holds each of the plan's columns, in a type that the plan's holds exactly.

    A column that is missing would otherwise become null in every row it touches.
    """
    for field in plan.columns:
        index = manifest.columns.get_field_index(field.name)
        if index < 0 or not lattice.holds(field.type, manifest.columns.field(index).type):
            raise DataError(
                "load manifest",
                f"{plan.stream}.{field.name}, run {manifest.run_id}",
                "the landed files do not have this column in a type that fits the plan",
                "read the stream again instead of loading this manifest",
            )


def check_key(plan: TablePlan) -> None:
    """Raises ConfigError for a JSON document as a part of the key, or as the cursor."""
    for field in plan.columns:
        if lattice.is_json(field.type) and field.name in (*plan.key, plan.cursor):
            cause = "a JSON document has no order and no one text, so it is no key and no cursor"
            hint = f"give stream {plan.stream} another key, or let the source declare the field as text"
            raise ConfigError("prepare target", f"{plan.target}.{field.name}", cause, hint)


def check_explained(plan: TablePlan, counts: RowCounts) -> None:
    """Raises CountMismatch unless each staged row became exactly one thing."""
    if counts.explained() != counts.staged:
        raise CountMismatch(
            "merge staged rows",
            plan.target,
            f"{counts.staged} rows were staged but {counts.explained()} are explained ({counts})",
            f"look for a key that {plan.target} holds more than once; nothing was written",
        )


def check_changed(plan: TablePlan, what: str, expected: int, changed: int) -> None:
    """Raises CountMismatch unless a statement changed as many rows as were counted before it."""
    if changed != expected:
        raise CountMismatch(
            f"merge staged rows ({what})",
            plan.target,
            f"{expected} rows were to change, {changed} did",
            f"look for a key that {plan.target} holds more than once; nothing was written",
        )


def check_deletes(plan: TablePlan, counts: RowCounts, rows: int) -> None:
    """Raises MassDelete when more than the allowed share of the target's ``rows`` would go."""
    doomed = counts.deleted + counts.absent + counts.doubled
    if plan.delete_share_max is None or doomed <= max(DELETE_GUARD_ROWS_MIN, plan.delete_share_max * rows):
        return
    doubled = f", {counts.doubled} of keys that stand there more than once" if counts.doubled else ""
    raise MassDelete(
        "merge staged rows",
        plan.target,
        f"{doomed} of {rows} rows would be deleted ({doomed / rows:.1%}; {counts.deleted} deleted at the source,"
        f" {counts.absent} absent from it{doubled}), more than the allowed {plan.delete_share_max:.1%};"
        " nothing was written",
        f"look at the source; if the deletes are right, run again with --stream {plan.stream} --allow-deletes",
    )


def check_present(plans: Sequence[TablePlan], is_present: Callable[[TablePlan], bool]) -> None:
    """An increment into a table that is gone would pass for a whole copy (LOUD)."""
    gone = [plan for plan in plans if plan.must_exist and not is_present(plan)]
    if gone:
        missing = TargetMissing(
            "prepare targets",
            ", ".join(plan.target for plan in gone),
            "synced before, and gone from the warehouse",
            "the streams are read whole",
        )
        missing.streams = tuple(plan.stream for plan in gone)
        raise missing


def check_owners(
    pipeline: str,
    targets: Mapping[str, str],
    owners: Iterable[tuple[str, str, str]],
    fold: Callable[[str], str],
) -> None:
    """Raises ConfigError when a target is another stream's, which would take these rows for its own and delete them.

    ``targets`` are the tables about to be written, by stream; ``owners`` the rows of ``bookkeeping.select_owners``.
    Streams that are written together may swap their targets.
    """
    wanted = {fold(target): (stream, target) for stream, target in targets.items() if target}
    for owner, owning, target in owners:
        if not target or fold(target) not in wanted or (owner == pipeline and owning in targets):
            continue
        stream, spelled = wanted[fold(target)]
        quoted = owning.replace("'", "''")
        raise ConfigError(
            "prepare target",
            f"{spelled}, stream {stream} of pipeline {pipeline}",
            f"the table is written by stream {owning} of pipeline {owner}, and two would delete each other's rows;"
            " nothing was written",
            "give one of them another target or a warehouse schema of its own; if"
            f" {owner}'s {owning} was renamed or removed:"
            f" DELETE FROM {WATERMARKS_TABLE} WHERE pipeline = '{owner}' AND stream = '{quoted}'",
        )
