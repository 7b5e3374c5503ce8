"""From landed Parquet into a staging table: COPY from a stage, counted file by file (COUNTED-HOPS).

::

    landing in S3     ── existing stage, or storage integration ──▶ COPY INTO staging
    landing elsewhere ── PUT ──▶ internal stage ──────────────────▶ COPY INTO staging ──▶ REMOVE

Files are always listed by name: a listing of the stage could pick up what no manifest names (SEALED-MANIFEST), and is
slower. A session that is lost during COPY leaves it open whether it loaded, so the engine makes the table anew, which
has no load history, and copies all of it again; what a COPY that still ran would load goes with the old table.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, commonpath, dirname, relpath
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from sqlglot import exp

from syncline.connectors.connector import SliceKind
from syncline.connectors.errors import ConfigError, CountMismatch, SynclineError, Transient
from syncline.sinks.manifest import FileEntry
from syncline.sinks.snowflake_cost import Meter
from syncline.sinks.snowflake_session import SnowflakeSession
from syncline.sinks.snowflake_settings import Name, Settings, is_bucket, require_route

if TYPE_CHECKING:
    from syncline.sinks.landing import Landing

FILES_MAX: Final = 1_000
"""In one list of a COPY (Snowflake reference, COPY INTO table, FILES)."""

INTERNAL_STAGE: Final = "_SYNCLINE_FILES"

PUT_THREADS: Final = 4

# Everything is said here: options of the stage or of a file format would change what is loaded, unseen. The scanner
# and its meaning of logical types are pinned, because Snowflake has announced to change the default.
FILE_FORMAT: Final = (
    "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE USE_VECTORIZED_SCANNER = TRUE)"
)
OPTIONS: Final = "ON_ERROR = ABORT_STATEMENT PURGE = FALSE FORCE = FALSE"


@dataclass(frozen=True, slots=True)
class Source:
    """Where COPY reads: ``place`` as it stands after FROM, and the names of files below it, in the entries' order."""

    place: str
    integration: str
    names: tuple[str, ...]


def copy_statements(table: exp.Table, source: Source, *, exact: bool) -> list[str]:
    """COPY statements of at most ``FILES_MAX`` files each. ``exact``: column names are compared with their case."""
    match = "CASE_SENSITIVE" if exact else "CASE_INSENSITIVE"
    integration = f" STORAGE_INTEGRATION = {source.integration}" if source.integration else ""
    statements = []
    for first in range(0, len(source.names), FILES_MAX):
        listed = ", ".join(text(name) for name in source.names[first : first + FILES_MAX])
        statements.append(
            f"COPY INTO {table.sql(dialect='snowflake', identify=True)} FROM {text(source.place)}{integration}"
            f" FILES = ({listed}) {FILE_FORMAT} MATCH_BY_COLUMN_NAME = {match} {OPTIONS}"
        )
    return statements


def put_statement(pattern: str, place: str) -> str:
    return (
        f"PUT {text(f'file://{pattern}')} {text(place)} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE"
        f" OVERWRITE = TRUE PARALLEL = {PUT_THREADS}"
    )


def remove_statement(place: str) -> str:
    return f"REMOVE {text(place)}"


def create_stage(stage: Name) -> str:
    return f"CREATE STAGE IF NOT EXISTS {stage.sql()}"


def show_stages(stage: Name) -> str:
    """Those whose name is like the stage's; the caller compares names, for ``_`` stands for any sign here."""
    schema = Name(stage.parts[:-1]).sql()
    return f"SHOW STAGES LIKE {text(stage.last)} IN SCHEMA {schema}"


def text(value: str) -> str:
    """A string constant; a backslash escapes what follows it in Snowflake's (reference, string constants)."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


class Copier:
    """Loads files for one warehouse object; remembers what it found out about the stage."""

    def __init__(self, settings: Settings, meter: Meter) -> None:
        self._settings, self._meter = settings, meter
        self._stage_url: str | None = None

    def copy(
        self,
        session: SnowflakeSession,
        table: exp.Table,
        columns: pa.Schema,
        files: Sequence[FileEntry],
        landing: Landing,
        kind: SliceKind,
    ) -> int:
        """Fills an empty staging table that has the files' columns; the rows loaded.

        Raises:
            CountMismatch: a file's rows differ from its entry's, or Snowflake did not load it.
            ConfigError: the stage is not there or does not lead to the landing.
        """
        if not files:
            return 0
        require_route(self._settings, landing)
        if is_bucket(landing):
            source = self._external(session, files, landing)
            rows = self._load(session, table, source, files)
        else:
            rows = self._upload_and_load(session, table, files, landing)
        self._meter.bytes_loaded += sum(entry.size_bytes for entry in files)
        return rows

    # ---- where the files are ----

    def _external(self, session: SnowflakeSession, files: Sequence[FileEntry], landing: Landing) -> Source:
        folder, names = _below_one_folder([entry.path for entry in files])
        integration = self._settings.name("storage_integration")
        if integration is not None:
            return Source(_joined(landing.url, folder), integration.sql(), names)
        return Source(_joined(self.place_of(session, landing), folder), "", names)

    def place_of(self, session: SnowflakeSession, landing: Landing) -> str:
        """The landing as the stage of the settings shows it, ending in a slash; looked up once.

        Raises:
            ConfigError: the stage is not there, or leads elsewhere.
        """
        stage = self._stage()
        url = self._url_of(session, stage)
        if not is_bucket(landing) and url:
            cause = f"the stage leads to {url}, and the landing is not there"
            raise ConfigError("load from the landing", stage.sql(), cause, "name an internal stage, or none")
        path = _below(url, landing.url, stage) if is_bucket(landing) else ""
        return _joined(f"@{stage.sql()}", path) if path else f"@{stage.sql()}/"

    def _stage(self) -> Name:
        """The stage with its database and schema: unqualified, it is in the target's schema."""
        named = self._settings.name("stage")
        assert named is not None
        missing = 3 - len(named.parts)
        return Name((self._settings.catalog, self._settings.target_schema)[:missing] + named.parts)

    def _url_of(self, session: SnowflakeSession, stage: Name) -> str:
        """Looked up once. Empty for an internal stage.

        Raises:
            ConfigError: there is no such stage, or the role may not see it.
        """
        if self._stage_url is None:
            found = [row for row in session.named_rows(show_stages(stage)) if row.get("name") == stage.last]
            if not found:
                hint = "create it, or grant the role USAGE on it; syncline check --show-setup shows how"
                raise ConfigError("look for the stage", stage.sql(), "it does not exist or is not granted", hint)
            self._stage_url = str(found[0].get("url") or "")
        return self._stage_url

    # ---- uploading ----

    def _upload_and_load(
        self, session: SnowflakeSession, table: exp.Table, files: Sequence[FileEntry], landing: Landing
    ) -> int:
        root = self._internal_stage(session, table, landing)
        place = _joined(root, _joined(dirname(files[0].path), files[0].kind))
        with tempfile.TemporaryDirectory(prefix="syncline-put-") as folder:
            names = _plain_links(landing.paths(files, Path(folder)), Path(folder))
            uploaded = session.named_rows(put_statement(f"{folder}/part-*.parquet", place))
            _check_uploaded(uploaded, dict(zip(names, files, strict=True)), place)
        try:
            return self._load(session, table, Source(place, "", names), files)
        finally:
            # What stays is never read again: its name has the run's id in it.
            with suppress(SynclineError):
                session.run(remove_statement(place))

    def _internal_stage(self, session: SnowflakeSession, table: exp.Table, landing: Landing) -> str:
        """The place of the stage given, or of one beside the staging tables, which is made."""
        if self._settings.stage:
            return self.place_of(session, landing)
        stage = Name((table.catalog, table.db, INTERNAL_STAGE))
        if self._stage_url is None:
            session.run(create_stage(stage))
            self._stage_url = ""
        return f"@{stage.sql()}/"

    # ---- loading ----

    def _load(self, session: SnowflakeSession, table: exp.Table, source: Source, files: Sequence[FileEntry]) -> int:
        statements = copy_statements(table, source, exact=self._settings.names == "exact")
        loaded = [row for statement in statements for row in session.named_rows(statement)]
        return _counted(loaded, source, files)


def _below_one_folder(paths: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    folder = commonpath([dirname(path) for path in paths])
    return folder, tuple(relpath(path, folder or ".") for path in paths)


def _joined(root: str, folder: str) -> str:
    """A place that ends in a slash, as names are appended to it as they are."""
    return "/".join(part.strip("/") if index else part.rstrip("/") for index, part in enumerate((root, folder))) + "/"


def _below(stage_url: str, landing_url: str, stage: Name) -> str:
    """The landing's path within the stage, empty where they are one."""
    root = re.sub(r"^s3(?:gov|china)?://", "s3://", stage_url).rstrip("/")
    if landing_url == root or landing_url.startswith(f"{root}/"):
        return landing_url[len(root) :].strip("/")
    cause = f"it leads to {stage_url or 'files inside Snowflake'}, and the landing is {landing_url}"
    raise ConfigError("load from the landing", f"stage {stage.sql()}", cause, "name a stage at or above the landing")


def _plain_links(paths: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """Links with plain names: PUT reads ``*``, ``?``, ``[`` and perhaps ``%`` of a name as more than text."""
    names = tuple(f"part-{number:06d}.parquet" for number in range(len(paths)))
    for name, path in zip(names, paths, strict=True):
        (folder / name).symlink_to(path.absolute())
    return names


def _check_uploaded(rows: Sequence[Mapping[str, Any]], entries: Mapping[str, FileEntry], place: str) -> None:
    uploaded = {row["source"]: row for row in rows if str(row["status"]).upper() == "UPLOADED"}
    for name, entry in entries.items():
        row = uploaded.get(name)
        if row is None or int(row["source_size"]) != entry.size_bytes:
            cause = "it was not uploaded" if row is None else f"{row['source_size']} bytes of it were uploaded"
            raise Transient("upload landed file", f"{entry.path} to {place}", cause, "run again")


def _counted(rows: Sequence[Mapping[str, Any]], source: Source, files: Sequence[FileEntry]) -> int:
    """Holds COPY's report against the manifest, file by file; the rows loaded."""
    reported: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("file") is not None:
            reported.setdefault(basename(str(row["file"])), []).append(row)
    total = 0
    for name, entry in zip(source.names, files, strict=True):
        # The report may spell a file with its bucket, with its stage, or as it was listed.
        found = (row for row in reported.get(basename(name), ()) if f"/{row['file']}".endswith(f"/{name}"))
        told = next(found, None)
        if told is None:
            said = "; ".join(str(value) for row in rows[:1] for value in row.values() if value is not None)
            raise _mismatch(entry, f"Snowflake did not report it ({said or 'nothing was said'})")
        status, loaded = str(told["status"]).upper(), int(told["rows_loaded"] or 0)
        if status != "LOADED" or loaded != entry.rows:
            first = f", {told['first_error']}" if told.get("first_error") else ""
            raise _mismatch(entry, f"{loaded} rows are {status.lower()}{first}, its manifest says {entry.rows}")
        total += loaded
    return total


def _mismatch(entry: FileEntry, cause: str) -> CountMismatch:
    return CountMismatch("load landed file", entry.path, cause, "the landing was changed by someone; reload the stream")
