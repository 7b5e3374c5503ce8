"""What the account's own history says a pipeline cost, by the tag that every statement carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from syncline.connectors.errors import ConfigError
from syncline.sinks.snowflake_errors import ObjectMissing

if TYPE_CHECKING:
    from syncline.sinks.snowflake_session import SnowflakeSession


@dataclass(frozen=True, slots=True)
class Cost:
    """One pipeline's day, or one run's, as ACCOUNT_USAGE has it; credits are ``None`` where nothing is attributed."""

    day: str
    pipeline: str
    runs: int
    queries: int
    credits: float | None
    bytes_scanned: int


def history_query(pipeline: str, days: int) -> str:
    """Credits and queries by day, of statements whose tag names the pipeline.

    QUERY_ATTRIBUTION_HISTORY is up to eight hours behind and has no row for queries of less than about 100 ms and no
    share of idle time (Snowflake reference, ACCOUNT_USAGE).
    """
    from sqlglot import exp, parse_one

    skeleton = """
        SELECT
            TO_CHAR(DATE_TRUNC('DAY', q.start_time), 'YYYY-MM-DD') AS day,
            COUNT(DISTINCT TRY_PARSE_JSON(q.query_tag):run::VARCHAR) AS runs,
            COUNT(*) AS queries,
            SUM(a.credits_attributed_compute) AS credits,
            SUM(q.bytes_scanned) AS bytes_scanned
        FROM snowflake.account_usage.query_history AS q
        LEFT JOIN snowflake.account_usage.query_attribution_history AS a ON a.query_id = q.query_id
        WHERE q.start_time >= DATEADD(DAY, :days, CURRENT_TIMESTAMP())
            AND TRY_PARSE_JSON(q.query_tag):app::VARCHAR = 'syncline'
            AND TRY_PARSE_JSON(q.query_tag):pipeline::VARCHAR = :pipeline
        GROUP BY 1
        ORDER BY 1
    """
    holes: Mapping[str, exp.Expr] = {
        "days": exp.Literal.number(-days),
        "pipeline": exp.Literal.string(pipeline),
    }
    tree = parse_one(skeleton, read="snowflake")
    filled = tree.transform(lambda node: holes[node.name].copy() if isinstance(node, exp.Placeholder) else node)
    return filled.sql(dialect="snowflake", pretty=True)


def history(session: SnowflakeSession, pipeline: str, days: int) -> list[dict[str, Any]]:
    """The pipeline's :class:`Cost` by day, as documents.

    Raises:
        ConfigError: the role may not read the account's history.
    """
    try:
        rows = session.named_rows(history_query(pipeline, days))
    except ObjectMissing as error:
        hint = "GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER, and GOVERNANCE_VIEWER, TO ROLE <the role>, by ACCOUNTADMIN"
        raise ConfigError("read the account's history", error.object, error.cause, hint) from error
    return [asdict(cost) for cost in costs_of(rows, pipeline)]


def costs_of(rows: list[dict[str, Any]], pipeline: str) -> list[Cost]:
    """The answer to :func:`history_query`."""
    found = []
    for row in rows:
        by_name = {name.lower(): value for name, value in row.items()}
        spent = by_name["credits"]
        found.append(
            Cost(
                day=str(by_name["day"]),
                pipeline=pipeline,
                runs=int(by_name["runs"] or 0),
                queries=int(by_name["queries"] or 0),
                credits=None if spent is None else float(spent),
                bytes_scanned=int(by_name["bytes_scanned"] or 0),
            )
        )
    return found
