"""One slice on its way from the source into the landing, in whichever process that happens (COUNTED-HOPS)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from syncline.connectors.connector import Batch, Slice
from syncline.connectors.errors import CountMismatch
from syncline.pipelines.checkpoint import LandedSlice
from syncline.pipelines.sieve import Sieve
from syncline.pipelines.task import Task
from syncline.sinks.landing import Landing


@dataclass(frozen=True, slots=True)
class SliceWork:
    """What there is to know for landing one slice. Values only, so that it can be handed to another process.

    ``mark`` becomes a part of the landed files' names (``Landing.writer``).
    """

    pipeline: str
    run_id: str
    started_at: datetime
    task: Task
    slice: Slice
    ordinal: int
    digest_rows_max: int
    mark: str = ""


def land(
    work: SliceWork,
    landing: Landing,
    batches: Iterator[Batch],
    before: Callable[[], None] = lambda: None,
    after: Callable[[int], None] = lambda rows: None,
) -> LandedSlice:
    """Lands the slice's batches; nothing of it stays if one fails. ``before`` each batch may raise, to break off;
    ``after`` is told the rows of each.

    Raises:
        CountMismatch: fewer or more rows came than the source announced.
    """
    slice, name = work.slice, work.task.schema.name
    sieve = Sieve(work.task, slice.kind, work.ordinal, work.digest_rows_max)
    with landing.writer(
        pipeline=work.pipeline,
        stream=name,
        run_id=work.run_id,
        started_at=work.started_at,
        slice_id=slice.id,
        kind=slice.kind,
        columns=sieve.landed_schema,
        mark=work.mark,
    ) as writer:
        for batch in batches:
            before()
            rows = sieve.sift(batch)
            if rows.num_rows:
                writer.write(rows)
            after(batch.records.num_rows)
    if slice.rows_expected is not None and slice.rows_expected != sieve.rows_read:
        raise CountMismatch(
            "read slice",
            f"{name}, {slice.id}",
            f"COUNTED-HOPS: the source announced {slice.rows_expected} rows, {sieve.rows_read} came",
            "run again; if it stays, report it with the run id",
        )
    return sieve.landed(work.ordinal, slice, writer.files)


def check_results(stream: str, asked: Collection[Slice], landed: Mapping[str, LandedSlice]) -> None:
    """COUNTED-HOPS: what the source itself counted of a result, slices that an earlier run landed among it.

    Raises:
        CountMismatch: the result's slices hold fewer or more rows.
    """
    announced = {each.result: each.result_rows for each in asked if each.result_rows is not None}
    read = Counter[str | None]()
    for slice in asked:
        read[slice.result] += landed[slice.id].rows_read
    for result, rows in announced.items():
        if read[result] != rows:
            raise CountMismatch(
                "read stream",
                f"{stream}, result {result}",
                f"COUNTED-HOPS: the source announced {rows} rows, its slices hold {read[result]}",
                "run again: the source is asked anew; if it stays, report it with the run id",
            )


def least(instants: Iterable[datetime | None]) -> datetime | None:
    return min((each for each in instants if each is not None), default=None)


def largest(instants: Iterable[datetime | None]) -> datetime | None:
    return max((each for each in instants if each is not None), default=None)
