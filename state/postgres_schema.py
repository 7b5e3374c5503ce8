"""The tables of the state in Postgres, and every statement that is ever sent to them.

JSON is kept as ``json``: ``jsonb`` refuses U+0000 and forgets how a number was written (PostgreSQL manual, JSON types).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

TABLES: Final[tuple[LiteralString, ...]] = (
    (
        "CREATE TABLE {schema}.leases (pipeline text PRIMARY KEY, token text, host text, pid bigint, space text,"
        " born text, since timestamptz, until timestamptz)"
    ),
    (
        "CREATE TABLE {schema}.marks (pipeline text, stream text, watermark timestamptz, version bigint NOT NULL,"
        " run_id text NOT NULL, columns text[] NOT NULL, known bytea, checkpoint json, full_at timestamptz,"
        " definition text NOT NULL, place text NOT NULL DEFAULT '', PRIMARY KEY (pipeline, stream))"
    ),
    "ALTER TABLE {schema}.marks ALTER COLUMN known SET STORAGE EXTERNAL",  # digests do not compress
    (
        "CREATE TABLE {schema}.runs (pipeline text, run_id text, status text NOT NULL, started_at timestamptz NOT NULL,"
        " finished_at timestamptz, report json NOT NULL, PRIMARY KEY (pipeline, run_id))"
    ),
    "CREATE INDEX runs_by_time ON {schema}.runs (pipeline, started_at DESC, run_id DESC)",
    "CREATE TABLE {schema}.state_format (version integer NOT NULL)",
)

UPGRADES: Final[Mapping[int, LiteralString]] = {
    1: "ALTER TABLE {schema}.marks ADD COLUMN place text NOT NULL DEFAULT ''",
}
"""By the format they begin with."""

# A checkpoint is written after every slice, digests after every commit: unchanged ones are not written again.
_REMEMBER: Final[LiteralString] = """
INSERT INTO {schema}.marks AS kept VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pipeline, stream) DO UPDATE SET
    watermark = excluded.watermark, version = excluded.version, run_id = excluded.run_id, columns = excluded.columns,
    known = CASE WHEN kept.known IS NOT DISTINCT FROM excluded.known THEN kept.known ELSE excluded.known END,
    checkpoint = excluded.checkpoint, full_at = excluded.full_at, definition = excluded.definition,
    place = excluded.place
"""
_RECORD: Final[LiteralString] = """
INSERT INTO {schema}.runs VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (pipeline, run_id) DO UPDATE SET
    status = excluded.status, started_at = excluded.started_at, finished_at = excluded.finished_at,
    report = excluded.report
"""
_RUNS: Final[LiteralString] = """
SELECT run_id, pipeline, status, started_at, finished_at, report FROM {schema}.runs
WHERE pipeline = %s ORDER BY started_at DESC, run_id DESC LIMIT %s
"""
_PRUNE: Final[LiteralString] = """
DELETE FROM {schema}.runs WHERE pipeline = %s AND (started_at, run_id) <= (
    SELECT started_at, run_id FROM {schema}.runs
    WHERE pipeline = %s ORDER BY started_at DESC, run_id DESC OFFSET %s LIMIT 1
)
"""
_WRITE_CLAIM: Final[LiteralString] = """
UPDATE {schema}.leases SET token = %s, host = %s, pid = %s, space = %s, born = %s, since = %s, until = %s
WHERE pipeline = %s
"""
_PROBES: Final[tuple[tuple[LiteralString, int], ...]] = (
    ("INSERT INTO {schema}.leases (pipeline) VALUES (%s) ON CONFLICT DO NOTHING", 1),
    ("SELECT * FROM {schema}.leases WHERE pipeline = %s FOR UPDATE", 1),
    ("UPDATE {schema}.marks SET version = version WHERE pipeline = %s", 1),
    ("INSERT INTO {schema}.marks VALUES (%s, '', NULL, 0, '', '{{}}', NULL, NULL, NULL, '', '')", 1),
    ("INSERT INTO {schema}.runs VALUES (%s, '', '', now(), NULL, '{{}}')", 1),
    ("UPDATE {schema}.runs SET status = '' WHERE pipeline = %s", 1),
    ("DELETE FROM {schema}.runs WHERE pipeline = %s", 1),
)
_PROBE_PIPELINE = "\u0001check"
"""No pipeline is named so; and nothing of it is ever committed."""


# Scans, not to_regclass(): what a session once found missing it remembers, and would not see what another has made
# while it waited for the lock.
FIND_SCHEMA: Final = b"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
FIND_TABLES: Final = (
    b"SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    b" WHERE n.nspname = %s AND c.relname = 'state_format'"
)


class Statements:
    """The statements for one schema, its name quoted."""

    def __init__(self, schema: str) -> None:
        self._schema = _quoted(schema)
        self.create_schema = self._filled("CREATE SCHEMA {schema}")
        self.format = self._filled("SELECT max(version) AS version FROM {schema}.state_format")
        self.recall = self._filled("SELECT * FROM {schema}.marks WHERE pipeline = %s")
        self.remember = self._filled(_REMEMBER)
        self.record = self._filled(_RECORD)
        self.prune = self._filled(_PRUNE)
        self.runs = self._filled(_RUNS)
        self.open_claim = self._filled("INSERT INTO {schema}.leases (pipeline) VALUES (%s) ON CONFLICT DO NOTHING")
        self.lock_claim = self._filled("SELECT * FROM {schema}.leases WHERE pipeline = %s FOR UPDATE")
        self.write_claim = self._filled(_WRITE_CLAIM)

    def create_tables(self, format: int) -> Sequence[bytes]:
        return [*map(self._filled, TABLES), self._note_format(format)]

    def upgrade_tables(self, written: int, format: int) -> Sequence[bytes]:
        return [*(self._filled(UPGRADES[at]) for at in range(written, format)), self._note_format(format)]

    def _note_format(self, format: int) -> bytes:
        return self._filled(f"INSERT INTO {{schema}}.state_format VALUES ({format:d})")

    def probes(self) -> Sequence[tuple[bytes, tuple[str, ...]]]:
        """Everything the state ever does, for ``check``, which takes it back."""
        return [(self._filled(text), (_PROBE_PIPELINE,) * count) for text, count in _PROBES]

    def _filled(self, text: str) -> bytes:
        return text.format(schema=self._schema.replace("%", "%%")).encode()


def create_lock(schema: str) -> int:
    """The number of the lock that those who make the tables of a schema take."""
    return zlib.crc32(f"syncline state {schema}".encode())


def _quoted(name: str) -> str:
    """PostgreSQL manual, lexical structure, quoted identifiers."""
    return '"' + name.replace('"', '""') + '"'
