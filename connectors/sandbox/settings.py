"""The switches of an org's behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class WireStyle:
    """Which of the forms seen in the wild the org uses.

    ``bulk_ints_as_doubles`` writes ``5.0`` for an int in CSV. ``exponents`` writes large doubles as ``1.0E10`` in
    both forms, else as plain digits. ``bulk_offset`` writes CSV datetimes with ``+0000`` where ``Z`` is usual.
    ``bulk_bare_nulls`` writes nothing for a null where ``""`` is usual.
    """

    bulk_ints_as_doubles: bool = False
    exponents: bool = True
    bulk_offset: bool = False
    bulk_bare_nulls: bool = False


@dataclass(slots=True)
class Settings:
    """How this org behaves where real ones differ, or where the guides leave it open. Change any of them at any time.

    REST pages: ``page_rows_max``; ``uneven_pages`` ignores the batchSize hint at random; ``empty_pages`` puts pages
    without records in the middle; ``live_pages`` shows each page's rows as they are when it is read, else the query is
    a snapshot; ``single_use_locators`` refuses a locator's second use; ``locator_status`` is what a dead one gets;
    ``query_all_next`` is the verb in the nextRecordsUrl of queryAll. ``query_rows_max`` makes queries over more rows
    fail with QUERY_TIMEOUT, in Bulk too. ``long_url_status`` is 414 or 431 (with HTML).

    Bulk: a job waits ``bulk_queued_s``, runs ``bulk_running_s``; pages hold ``bulk_page_rows_default`` rows unless
    asked, never more than ``bulk_page_rows_max``; ``bulk_empty`` is the shape of a result without rows; ``bulk_early``
    the status of results asked before the job is complete; ``bulk_chunked`` reads half the rows when the job starts
    and half when it ends, as a chunked job may; ``result_pages_keys`` are the two spellings of the guide.

    Writes: ``whole_seconds`` cuts stamps to seconds; ``cascade_stamps`` says whether records deleted with their
    parent get a new SystemModstamp. Sessions end after ``session_idle_s`` unused; ``rotate_refresh_tokens`` hands out
    a new refresh token with each use. ``gzip``: ``asked`` (when the client accepts it), ``never``, ``sometimes``.
    """

    page_rows_max: int = 2_000
    uneven_pages: bool = False
    empty_pages: bool = False
    live_pages: bool = False
    single_use_locators: bool = False
    locator_status: Literal[400, 404] = 400
    locator_life_s: float = 2 * 86_400
    query_all_next: Literal["query", "queryAll"] = "queryAll"
    query_rows_max: int | None = None
    long_url_status: Literal[414, 431] = 431
    bulk_queued_s: float = 0.0
    bulk_running_s: float = 0.0
    bulk_page_rows_default: int = 100_000
    bulk_page_rows_max: int = 250_000
    bulk_empty: Literal["header", "body", "204"] = "header"
    bulk_early: Literal[400, 204] = 400
    bulk_chunked: bool = False
    bulk_jobs_max: int = 10_000
    bulk_result_kb_max: int = 1_000_000_000
    result_pages_keys: tuple[str, str] = ("resultPages", "nextRecordsUrl")
    whole_seconds: bool = True
    cascade_stamps: bool = True
    session_idle_s: float = 7_200
    rotate_refresh_tokens: bool = False
    api_calls_max: int = 100_000
    gzip: Literal["asked", "never", "sometimes"] = "asked"
    wire: WireStyle = field(default_factory=WireStyle)
