"""Syncline as ``syncline init`` sets it up: nothing chosen but where things lie."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.tool import FIELDS, Killer, serve


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--url", "--client-id", "--client-secret", "--variant", "--extra"):
        parser.add_argument(name, default="")
    parser.add_argument("--folder", type=Path, required=True)
    told = parser.parse_args()
    killer = Killer()
    serve(lambda: sync(told, killer), killer)


def sync(told: Any, killer: Killer) -> None:
    from syncline.connectors.salesforce import ClientCredentials, Salesforce
    from syncline.connectors.secret import Secret
    from syncline.pipelines.events import Quiet
    from syncline.pipelines.pipeline import Pipeline
    from syncline.pipelines.runner import run
    from syncline.sinks.duckdb import DuckDB
    from syncline.sinks.landing import Landing
    from syncline.state.sqlite import SqliteState

    watched: Any = partial(Watched, killer)
    pipeline = Pipeline(
        "peers",
        source=Salesforce(ClientCredentials(told.url, told.client_id, Secret(told.client_secret))),
        streams=list(FIELDS),
        landing=Landing(str(told.folder / "landing")),
        warehouse=DuckDB(told.folder / "target.duckdb", "crm", connect=watched),
        state=SqliteState(told.folder / "state.db"),
    )
    run(pipeline, events=Quiet())


class Watched:
    """A DuckDB connection whose statements the killer sees."""

    def __init__(self, killer: Killer, *args: Any, **how: Any) -> None:
        import duckdb

        self._killer, self._inner = killer, duckdb.connect(*args, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, statement: str, *args: Any) -> Any:
        self._killer.look(statement)
        return self._inner.execute(statement, *args)


if __name__ == "__main__":
    main()
