"""Faults at the seams: the n-th operation fails before it happens, after it happened, or kills the process.

A kill is a ``BaseException`` that no code catches on its way out, followed by throwing every object of the run away:
what the next run finds is only what was durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from syncline.connectors.errors import Transient
from syncline.pipelines.pipeline import Pipeline

Kind = Literal["before", "after", "kill-before", "kill-after"]


class Killed(BaseException):
    """The process died here."""


@dataclass
class Plan:
    """Counts operations over all seams; strikes at one of them, or never."""

    strike_at: int | None = None
    kind: Kind = "before"
    count: int = 0
    struck: str | None = None
    log: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def around(self, name: str, operation: Callable[[], Any]) -> Any:
        with self.lock:
            mine = self.count
            self.count += 1
            self.log.append(name)
            if self.struck is not None and self.kind.startswith("kill"):
                raise Killed(name)
            strikes = mine == self.strike_at
            if strikes:
                self.struck = name
        if strikes and self.kind.endswith("before"):
            raise self.fault(name)
        result = operation()
        if strikes:
            raise self.fault(name)
        return result

    def fault(self, name: str) -> BaseException:
        if self.kind.startswith("kill"):
            return Killed(name)
        return Transient(name, "a seam", f"injected, {self.kind} it happened")


class Faulty:
    """Any port behind a fault plan: every call of a named method is an operation, and so is every item it yields."""

    def __init__(self, inner: Any, plan: Plan, methods: set[str], label: str) -> None:
        self.__dict__.update(_inner=inner, _plan=plan, _methods=methods, _label=label)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name not in self._methods:
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            result = self._plan.around(f"{self._label}.{name}", lambda: attribute(*args, **kwargs))
            if name == "plan":
                # close() may not raise by contract, so it is only ever killed.
                methods = {"slices", "read", *(["close"] if self._plan.kind.startswith("kill") else [])}
                return Faulty(result, self._plan, methods, "extraction")
            if name in ("slices", "read"):
                return self._items(result, name)
            return result

        return call

    def _items(self, items: Iterator[Any], name: str) -> Iterator[Any]:
        for item in items:
            yield self._plan.around(f"{self._label}.{name} item", lambda item=item: item)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)


CONNECTOR = {"describe", "horizon", "plan"}
LANDING = {"seal", "find", "discard"}
STATE = {"recall", "remember", "record"}
WAREHOUSE = {"watermarks", "prepare", "load", "commit"}


def faulty(pipeline: Pipeline, plan: Plan) -> Pipeline:
    """The same pipeline with every seam behind the plan."""
    parts: dict[str, Any] = {
        "source": Faulty(pipeline.source, plan, CONNECTOR, "source"),
        "landing": Faulty(pipeline.landing, plan, LANDING, "landing"),
        "warehouse": Faulty(pipeline.warehouse, plan, WAREHOUSE, "warehouse"),
        "state": Faulty(pipeline.state, plan, STATE, "state"),
    }
    return Pipeline(
        pipeline.name,
        streams=pipeline.streams,
        commit=pipeline.commit,
        workers=pipeline.workers,
        digest_rows_max=pipeline.digest_rows_max,
        **parts,
    )
