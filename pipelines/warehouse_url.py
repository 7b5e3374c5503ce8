"""The warehouse that ``syncline replay --into`` names: a URL, or the warehouse of another pipeline file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    from syncline.sinks.warehouse import Warehouse

HINT = "write duckdb:///file.duckdb, postgresql://user@host/database?schema=audit, or the file of a pipeline"


def warehouse_of(place: str, folder: Path) -> Warehouse:
    """``duckdb:///audit.duckdb`` (in ``folder``; four slashes begin an absolute path), ``postgresql://user@host/db``,
    either with ``?schema=``, or a pipeline as every command takes it, whose warehouse is meant.

    Raises:
        ConfigError: it is none of these; or a password stands in it, which any user of this machine could then read in
            the list of processes (NO-SECRETS).
    """
    parts = urlsplit(place)
    settings = dict(parse_qsl(parts.query))
    if parts.scheme == "duckdb":
        return _duckdb(place, unquote(parts.path), settings, folder)
    if parts.scheme in ("postgresql", "postgres"):
        return _postgres(place)
    if "://" in place:
        raise ConfigError("choose warehouse", place, f"nothing is known of {parts.scheme}://", HINT)
    from syncline.pipelines.find import find_pipeline

    return find_pipeline(place, folder).warehouse


def _duckdb(place: str, path: str, settings: dict[str, str], folder: Path) -> Warehouse:
    from syncline.sinks.duckdb import DuckDB

    if len(path) < 2 or set(settings) - {"schema"} or urlsplit(place).netloc:
        raise ConfigError("choose warehouse", place, "it names no file of DuckDB's", HINT)
    return DuckDB(folder / path.removeprefix("/"), settings.get("schema", "main"))


def _postgres(place: str) -> Warehouse:
    from syncline.sinks.postgres import Postgres

    parts = urlsplit(place)
    if parts.password is not None:
        Secret(unquote(parts.password))
        hint = "leave it out, and set PGPASSWORD or write it into ~/.pgpass"
        raise ConfigError("choose warehouse", f"postgresql://{parts.hostname}{parts.path}", "it holds a password", hint)
    settings = parse_qsl(parts.query)
    query = "&".join(f"{name}={value}" for name, value in settings if name != "schema")
    return Postgres(urlunsplit(parts._replace(query=query)), dict(settings).get("schema", "public"))
