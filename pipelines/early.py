"""Tables staged while other streams are still being read, where loading is another machine's work.

::

    read Account ──▶ sealed ─┐            ┌─▶ load Account
    read Contact ────────────┼──▶ sealed ─┼───────────────▶ load Contact ─▶ one transaction
                             └─ versions as expected?

Only staging is filled early; nothing shows before the round's one COMMIT (ONE-TRANSACTION).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from syncline.connectors.errors import SignInError, SynclineError
from syncline.pipelines.context import Context
from syncline.pipelines.loading import load, table_plan
from syncline.pipelines.reading import Landed
from syncline.pipelines.task import Task
from syncline.sinks.warehouse import Watermark


class EarlyLoads:
    """The tables of one round. ``agrees`` holds the warehouse's watermarks against those the round was planned from.

    What fails here is done again, and raised, when every stream has landed: what is read stays for the next run.
    """

    def __init__(
        self, context: Context, tasks: Sequence[Task], run_id: str, agrees: Callable[[Mapping[str, Watermark]], bool]
    ) -> None:
        self._context = context
        self._agrees = agrees
        self._plans = {task.schema.name: table_plan(context, task, run_id) for task in tasks}
        # A run that goes on with another's rows loads late: one that fails each time must not load each time.
        fresh = all(task.base.checkpoint is None for task in tasks)
        self._goes_on = context.warehouse.capabilities.loads_early and len(tasks) > 1 and fresh
        self.truth: Mapping[str, Watermark] | None = None
        """What stands in the warehouse, once it was asked."""
        self.staged: set[str] = set()

    def take(self, landed: Landed) -> None:
        """Stages what a stream has landed, if the warehouse stands where it should."""
        name = landed.task.schema.name
        if landed.same:
            del self._plans[name]
        elif self._goes_on:
            try:
                self._goes_on = self._stage(name, landed)
            except SignInError:
                raise  # never tried again: repeated attempts lock accounts
            except SynclineError:
                self._goes_on = False

    def _stage(self, name: str, landed: Landed) -> bool:
        context = self._context
        context.stop.check()
        if self.truth is None:
            self.truth = context.warehouse.watermarks(context.pipeline.name)
        if not self._agrees(self.truth):
            return False
        if not self.staged:
            # Also of streams still being read: DDL comes before all else, and an unfit target leaves all as they are.
            context.warehouse.prepare([self._plans[each] for each in sorted(self._plans)])
        load(context, self._plans[name], landed.manifest)
        self.staged.add(name)
        return True
