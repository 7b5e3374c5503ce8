"""dlt, set up as its documentation advises for a REST source with a cursor that is copied into DuckDB.

``defaults``: ``dlt.sources.incremental`` on the cursor, ``primary_key`` and ``write_disposition="merge"`` (dlt docs,
"Cursor-based incremental loading"); deleted records by the ``hard_delete`` hint ("Merge loading"). ``tuned``: besides,
``lag`` for late rows ("Lag / Attribution window"), and the naming convention ``direct``, which keeps names apart.
``replace``: everything anew each time ("Full loading"), the names kept as well.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.tool import FIELDS, Killer, serve
from benchmarks.plain_http import API, Access
from benchmarks.run_dlt import access_token

LAG_S = 600
"""The same ten minutes that Syncline reads again."""

BEGINNING = "1970-01-01T00:00:00.000+0000"


def environment(variant: str) -> dict[str, str]:
    """Not ours to judge: telemetry and log level. ``direct`` is the one setting that changes an outcome."""
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL", "LOAD__WORKERS": "1"}
    return quiet if variant == "defaults" else {**quiet, "SCHEMA__NAMING": "direct"}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--url", "--client-id", "--client-secret", "--variant", "--extra"):
        parser.add_argument(name, default="")
    parser.add_argument("--folder", type=Path, required=True)
    told = parser.parse_args()
    os.environ.update(environment(told.variant))
    killer = Killer()
    watch(killer)
    access = Access(told.url, told.client_id, told.client_secret)
    extra = tuple(name for name in told.extra.split(",") if name)
    serve(lambda: sync(access, told.folder, told.variant, extra), killer)


def sync(access: Access, folder: Path, variant: str, extra: tuple[str, ...]) -> None:
    import dlt

    pipeline = dlt.pipeline(
        "peers",
        destination=dlt.destinations.duckdb(str(folder / "target.duckdb")),
        dataset_name="crm",
        pipelines_dir=str(folder / "dlt"),
    )
    pipeline.run([resource(access, name, variant, extra if name == "Account" else ()) for name in FIELDS])


def resource(access: Access, name: str, variant: str, extra: tuple[str, ...]) -> Any:
    import dlt

    fields = [*FIELDS[name], *(["IsDeleted"] if "IsDeleted" not in FIELDS[name] else []), *extra]
    if variant == "replace":

        @dlt.resource(name=name, write_disposition="replace")
        def whole() -> Iterator[Any]:
            yield from pages(access, f"SELECT {', '.join(fields)} FROM {name}", "query")

        return whole
    lag: dict[str, Any] = {"lag": LAG_S} if variant == "tuned" else {}
    cursor: Any = dlt.sources.incremental("SystemModstamp", initial_value=BEGINNING, **lag)

    @dlt.resource(
        name=name,
        primary_key="Id",
        write_disposition="merge",
        columns={"IsDeleted": {"data_type": "bool", "hard_delete": True}},
    )
    def changed(since: Any = cursor) -> Iterator[Any]:
        low = literal(since.last_value)
        soql = f"SELECT {', '.join(fields)} FROM {name} WHERE SystemModstamp >= {low} ORDER BY SystemModstamp"
        yield from pages(access, soql, "queryAll")

    return changed


def literal(instant: str) -> str:
    """A SOQL datetime; dlt spells an instant its own way once it has taken the lag off."""
    from datetime import datetime

    return datetime.fromisoformat(instant).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def pages(access: Access, soql: str, path: str) -> Iterator[Any]:
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.client import RESTClient
    from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

    client = RESTClient(
        access.url,
        auth=BearerTokenAuth(token=access_token(access)),
        paginator=JSONLinkPaginator(next_url_path="nextRecordsUrl"),
        data_selector="records",
    )
    for page in client.paginate(f"{API}/{path}", params={"q": soql}):
        yield [{key: value for key, value in row.items() if key != "attributes"} for row in page]


def watch(killer: Killer) -> None:
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    plain = DuckDbSqlClient.execute_query

    def looking(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        killer.look(query)
        return plain(self, query, *args, **options)

    DuckDbSqlClient.execute_query = looking  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
