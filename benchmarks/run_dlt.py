"""The same work by dlt, tuned as its own "Optimizing dlt" page advises.

``--api bulk``: the CSV limit script's reader (hand-written; dlt has none for Bulk API 2.0) yields Arrow tables, the
cheapest food dlt takes. ``--api rest``: dlt's RESTClient yields pages of dictionaries, columns declared. With
``--since`` the changes are merged into the target that the same road left in the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from benchmarks import account, plain_duckdb
from benchmarks.meter import Meter, Reading, tell
from benchmarks.plain_http import API, Access, PlainOrg
from benchmarks.settings import Settings, read_settings

TUNING: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "SCHEMA__NAMING": "direct",  # keep the source's names, as the others do; also spares their normalising
    "DATA_WRITER__BUFFER_MAX_ITEMS": "5000",
    "DATA_WRITER__FILE_MAX_ITEMS": "50000",  # several files, so that two workers have something to do
    "DATA_WRITER__DISABLE_COMPRESSION": "true",  # of the intermediate files
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "false",  # Arrow goes through as it is
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__START_METHOD": "spawn",
    "LOAD__WORKERS": "2",
}
PAGE_ROWS: Final = 20_000
"""Rows yielded at once: ten pages of a REST query."""


def arrow_tables(settings: Settings) -> Iterator[Any]:
    from benchmarks.run_plain_csv import read_pages

    org = PlainOrg(settings.access)
    job, _ = org.bulk_query_all(account.soql(settings.since))
    yield from read_pages(org, job)
    org.delete(job)


def dictionaries(settings: Settings) -> Iterator[list[dict[str, Any]]]:
    """Pages of dlt's REST client, without Salesforce's ``attributes``, which nobody wants as columns."""
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.client import RESTClient
    from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

    client = RESTClient(
        settings.access.url,
        auth=BearerTokenAuth(token=access_token(settings.access)),
        paginator=JSONLinkPaginator(next_url_path="nextRecordsUrl"),
        data_selector="records",
    )
    rows: list[dict[str, Any]] = []
    for page in client.paginate(f"{API}/queryAll", params={"q": account.soql(settings.since)}):
        for row in page:
            del row["attributes"]
        rows.extend(page)
        if len(rows) >= PAGE_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def access_token(access: Access) -> str:
    import requests

    form = {
        "grant_type": "client_credentials", "client_id": access.client_id, "client_secret": access.client_secret,
    }  # fmt: skip
    answer = requests.post(f"{access.url}/services/oauth2/token", data=form, timeout=60)
    return str(answer.json()["access_token"])


def load(settings: Settings) -> int:
    import dlt

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(settings.folder / "dlt.duckdb")),
        dataset_name="crm",
        pipelines_dir=str(settings.folder / "dlt"),
    )
    rows = arrow_tables if settings.api == "bulk" else dictionaries
    columns: Any = account.dlt_columns()
    merge: Any = {"disposition": "merge", "strategy": "delete-insert"}
    disposition: Any = merge if settings.since else "append"
    resource: Any = dlt.resource(
        rows(settings),
        name="Account",
        columns=columns,
        primary_key="Id",
        write_disposition=disposition,
        max_table_nesting=0,
    )
    pipeline.run(resource, loader_file_format="parquet")
    trace: Any = pipeline.last_trace
    return int(trace.last_normalize_info.row_counts["Account"])


def measured(settings: Settings) -> Reading:
    import dlt
    import dlt.sources.helpers.rest_client.client

    meter = Meter()
    rows = load(settings)
    return meter.read(rows, dlt=dlt.__version__, settings=TUNING, page_rows=PAGE_ROWS)


def main() -> None:
    settings = read_settings(("bulk", "rest"))
    os.environ.update(TUNING)
    plain_duckdb.warm_up()
    tell(measured(settings))


if __name__ == "__main__":
    main()
