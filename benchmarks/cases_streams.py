"""Many streams in one run, large and small, and none of them with anything new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.many_objects import many_objects

if TYPE_CHECKING:
    from benchmarks.cases import Bench

SMALL_OBJECTS: Final = 200
SMALL_ROWS: Final = 100
IDLE_OBJECTS: Final = 50
IDLE_MANY: Final = f"{IDLE_OBJECTS} streams, idle"
EXECUTORS: Final = ("threads", "processes")
DAY_S: Final = 86_400


def two_streams_case(executor: str) -> str:
    return f"rest, two streams, {executor}"


def small(bench: Bench) -> None:
    """A full load of many small objects."""
    with many_objects(SMALL_OBJECTS, SMALL_ROWS) as org:
        bench.run("small", "syncline", org, "small", "--objects", str(SMALL_OBJECTS))


def idle_many(bench: Bench) -> None:
    """A run of many streams a day after they were loaded, when nothing has changed."""
    with many_objects(IDLE_OBJECTS, SMALL_ROWS) as org:
        objects = ("--objects", str(IDLE_OBJECTS))
        bench.run(f"{IDLE_OBJECTS} streams, full load", "syncline", org, "idle-many", *objects)
        org.advance(DAY_S)
        bench.run(f"{IDLE_OBJECTS} streams, first idle run", "syncline", org, "idle-many", *objects)
        org.advance(DAY_S)
        bench.run(IDLE_MANY, "syncline", org, "idle-many", *objects)


def two_streams(bench: Bench) -> None:
    """The full load by REST of two objects of half the rows each: do both cores work?"""
    with many_objects(2, bench.rows // 2) as org:
        for executor in EXECUTORS:
            flags = ("--api", "rest", "--objects", "2", "--executor", executor)
            bench.run(two_streams_case(executor), "syncline", org, f"two-{executor}", *flags)
