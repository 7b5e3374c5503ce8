"""The rights that docs/warehouses.md lists for Postgres are enough for a pipeline and its state, and none can go."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from syncline.connectors import Records
from syncline.connectors.errors import ConfigError
from syncline.pipelines.check import check
from syncline.pipelines.pipeline import Pipeline, Stream
from syncline.pipelines.runner import reload, run
from syncline.sinks import Landing, Postgres
from syncline.state import PostgresState
from tests.docs.pages import ROOT, blocks, read
from tests.runner.world import Collected
from tests.servers.postgres import PgAddress, PgServer

pytestmark = pytest.mark.checkout

PAGE = "docs/warehouses.md"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
COLUMNS = pa.schema([("Id", pa.string()), ("Name", pa.string()), ("At", STAMP)])


def listed() -> list[str]:
    """The statements of the section, one by one."""
    lines = read(PAGE).splitlines()
    first = lines.index("## Postgres")
    last = next((at for at, line in enumerate(lines) if at > first and line.startswith("## ")), len(lines))
    found = [block.text for block in blocks(PAGE) if block.language == "sql" and first < block.line <= last]
    return [statement for text in found for statement in statements_of(text)]


def statements_of(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


@dataclass(frozen=True)
class Setup:
    """A database of its own, set up as the page says, by names of its own."""

    admin: PgAddress
    role: str
    password: str

    def named(self, statement: str) -> str:
        names = {"syncline": self.role, "analyst": f"{self.role}_reads", "warehouse": self.admin.database}
        return re.sub(r"\b(syncline|analyst|warehouse)\b", lambda found: f'"{names[found[0]]}"', statement)

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.admin.dsn, autocommit=True) as admin:
            for statement in statements:
                admin.execute(self.named(statement).encode())

    @property
    def address(self) -> PgAddress:
        return replace(self.admin, user=self.role, password=self.password)

    def pipeline(self, folder: Path) -> Pipeline:
        source = Records(clock=lambda: NOW + timedelta(minutes=5))
        rows = [{"Id": str(number), "Name": "Acme", "At": NOW} for number in range(3)]
        source.add("Account", COLUMNS, key="Id", cursor="At", rows=rows)
        return Pipeline(
            "crm",
            source,
            [Stream("Account", on_delete="mark")],
            Landing(str(folder / "landing")),
            Postgres(self.address.dsn, "crm", sleep=lambda _: None),
            PostgresState(self.address.dsn, sleep=lambda _: None),
        )


@pytest.fixture
def setup(pg_server: PgServer) -> Iterator[Setup]:
    with pg_server.database("rights") as admin:
        setup = Setup(admin, f"syncline_{admin.database}", secrets.token_urlsafe(12))
        setup.execute("REVOKE ALL ON DATABASE warehouse FROM PUBLIC")  # stricter than a new database is
        yield setup
        setup.execute("DROP OWNED BY analyst", "DROP OWNED BY syncline", "DROP ROLE syncline, analyst")


def set_up(setup: Setup, statements: Sequence[str]) -> None:
    setup.execute(*statements, f"ALTER ROLE syncline PASSWORD '{setup.password}'")


def test_the_page_s_rights_are_enough_for_runs_and_for_readers(setup: Setup, tmp_path: Path) -> None:
    set_up(setup, listed())
    pipeline = setup.pipeline(tmp_path)
    assert not [finding for finding in check(pipeline, [], NOW) if finding.level == "error"]
    assert run(pipeline, events=Collected()).status == "done"
    assert reload(pipeline, streams=["Account"], events=Collected()).status == "done"
    with psycopg.connect(setup.address.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE SCHEMA another")
    with psycopg.connect(setup.admin.dsn) as reader:
        reader.execute(setup.named("SET ROLE analyst").encode())
        assert reader.execute("SELECT count(*) FROM crm.account").fetchone() == (3,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM crm.account")
    assert [each.status for each in pipeline.state.runs("crm", 5)] == ["done", "done"]
    close(pipeline)


NEEDED = [
    statement for statement in (listed() if (ROOT / PAGE).exists() else []) if re.search(r"\bTO syncline$", statement)
]


@pytest.mark.parametrize("without", NEEDED)
def test_none_of_the_rights_can_go(setup: Setup, tmp_path: Path, without: str) -> None:
    """And what is missing is told: by check as an error with a cure, by a run as a setting to change."""
    set_up(setup, [statement for statement in listed() if statement != without])
    pipeline = setup.pipeline(tmp_path)
    with pytest.raises(ConfigError) as caught:
        run(pipeline, events=Collected())
    assert "permission denied" in caught.value.cause
    assert "docs/warehouses.md" in caught.value.hint
    assert setup.password not in str(caught.value)
    told = [finding for finding in check(pipeline, [], NOW) if finding.level == "error"]
    assert told
    assert all("docs/warehouses.md" in finding.cure or "--show-setup" in finding.cure for finding in told)
    close(pipeline)


def test_a_role_that_may_create_schemas_needs_none_made_for_it(setup: Setup, tmp_path: Path) -> None:
    readers = [statement for statement in listed() if statement.startswith("CREATE ROLE")]
    set_up(setup, [*readers, "GRANT CONNECT, CREATE ON DATABASE warehouse TO syncline"])
    pipeline = setup.pipeline(tmp_path)
    assert not [finding for finding in check(pipeline, [], NOW) if finding.level == "error"]
    assert run(pipeline, events=Collected()).status == "done"
    close(pipeline)


def test_show_setup_prints_the_page_s_statements_for_the_names_of_the_pipeline() -> None:
    shown = statements_of(Postgres("postgresql://syncline:s3cret-word@localhost/warehouse", "crm").setup(Landing()))
    assert shown == [each for each in listed() if "analyst" not in each and "syncline_state" not in each]
    other = Postgres("postgresql://Load%20er:s3cret-word@localhost/Ware", "My CRM", names="exact").setup(Landing())
    for name in ('ROLE "Load er"', 'DATABASE "Ware"', 'SCHEMA "My CRM"', 'SCHEMA "My CRM_staging"'):
        assert name in other
    assert "s3cret" not in other


def test_a_database_that_cannot_hold_every_text_is_found(setup: Setup) -> None:
    set_up(setup, [each for each in listed() if each.startswith("CREATE ROLE")])
    setup.execute("CREATE DATABASE \"latin\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        warehouse = Postgres(replace(setup.admin, database="latin").dsn, "crm")
        [finding] = [each for each in warehouse.check() if each.level == "error"]
        assert "LATIN1" in finding.text
        warehouse.close()
    finally:
        setup.execute('DROP DATABASE "latin" WITH (FORCE)')


def close(pipeline: Pipeline) -> None:
    pipeline.warehouse.close()
    assert isinstance(pipeline.state, PostgresState)
    pipeline.state.close()
