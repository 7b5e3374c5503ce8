"""What the warehouse would refuse in any case is said before the source is read, which can take hours.

Two names that are one there, a name too long, a type that no column holds, a key that cannot be one: all of it is known
from the description (LOUD). What depends on the tables there are is found by ``Warehouse.prepare``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from syncline.pipelines.pipeline import Pipeline
from syncline.pipelines.task import Task
from syncline.sinks.warehouse import TablePlan


@runtime_checkable
class RequiresFit(Protocol):
    """A warehouse that knows its own rules without asking itself."""

    def require_fit(self, tables: Sequence[TablePlan]) -> None:
        """Connects to nothing (IDLE-IS-FREE).

        Raises:
            ConfigError: a name, a type or a key that no table may have there.
            NameCollision: two of the names would be one.
        """
        ...


def require_fit(pipeline: Pipeline, tasks: Sequence[Task]) -> None:
    """Nothing is asked while each stream has the columns, key and target it was committed with: idle runs stay quick.

    A column that came to another type since is known only to the table there is.
    """
    known = all(
        set(task.schema.columns.names) <= set(task.base.columns) and task.definition == task.base.definition
        for task in tasks
    )
    # The class is asked, not the object: an idle run must not touch the warehouse at all (IDLE-IS-FREE).
    if not known and issubclass(type(pipeline.warehouse), RequiresFit):
        assert isinstance(pipeline.warehouse, RequiresFit)
        pipeline.warehouse.require_fit([_table(pipeline, task) for task in tasks])


def _table(pipeline: Pipeline, task: Task) -> TablePlan:
    return TablePlan(
        pipeline=pipeline.name,
        stream=task.schema.name,
        run_id="",
        target=task.stream.target,
        columns=task.schema.columns,
        key=task.schema.key,
        cursor=task.schema.cursor,
        on_delete=task.stream.on_delete,
        mode=task.mode,
        high=task.horizon,
    )
