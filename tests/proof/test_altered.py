"""What somebody did to a target's table, not to its rows: mended, or it is said what to do, and that helps."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from syncline.connectors.errors import ConfigError, MassDelete
from syncline.pipelines.pipeline import Stream
from syncline.pipelines.verify import VerifyReport, verify
from syncline.sinks.postgres import Postgres
from tests.proof.damage import counts, sql
from tests.runner.world import World
from tests.servers.postgres import PgAddress

RELOAD = "`syncline reload --stream Account`"
REPAIR = "`syncline verify --repair`"


def look(world: World, **options: Any) -> VerifyReport:
    return verify(world.pipeline(), events=world.events, seams=world.seams(), **options)


def reload(world: World) -> None:
    world.reload("Account")


def repair(world: World) -> None:
    assert look(world, repair=True).equal


UNFIT = {
    "the table dropped": (["DROP TABLE Account"], "no such table", RELOAD, [], reload),
    "a view in its place": (
        ["ALTER TABLE Account RENAME TO Other", "CREATE VIEW Account AS SELECT * FROM Other"],
        "a view has the target's name",
        RELOAD,
        ["DROP VIEW Account"],
        reload,
    ),
    "the commit time dropped": (
        ["ALTER TABLE Account DROP COLUMN _syncline_synced_at"],
        "dropped its column _syncline_synced_at",
        RELOAD,
        ["DROP TABLE Account"],
        reload,
    ),
    "the commit time retyped": (
        ["ALTER TABLE Account ALTER _syncline_synced_at TYPE VARCHAR"],
        "_syncline_synced_at: somebody changed its type: VARCHAR",
        RELOAD,
        ["ALTER TABLE Account ALTER _syncline_synced_at TYPE TIMESTAMPTZ"],
        repair,
    ),
    **{
        f"the cursor made {type}": (
            [f"ALTER TABLE Account ALTER SystemModstamp TYPE {type}"],
            f"Account.SystemModstamp: somebody changed its type: {type}",
            REPAIR,
            ["ALTER TABLE Account DROP COLUMN SystemModstamp"],
            repair,
        )
        for type in ("VARCHAR", "TIMESTAMP", "DATE")
    },
}
"""What is done, what is said of it, which cure is named, and that cure."""


@pytest.mark.parametrize("name", sorted(UNFIT))
def test_a_table_that_cannot_be_compared_is_refused_with_a_cure_that_helps(world: World, name: str) -> None:
    """LOUD: operation, object, cause and hint, and the exit code of something that the user must change."""
    done, says, cure, first, then = UNFIT[name]
    sql(*done)(world)
    for options in ({"level": "counts"}, {"level": "rows"}, {"repair": True}):
        with pytest.raises(ConfigError, match=says) as caught:
            look(world, **options)
        assert caught.value.exit_code == 2
        assert cure in caught.value.hint
    sql(*first)(world)
    then(world)
    assert look(world).equal
    assert world.equal()
    world.run()


def test_a_column_of_a_type_that_no_text_fits_is_named_by_the_repair(world: World) -> None:
    sql("UPDATE Account SET Name = '1'", "ALTER TABLE Account ALTER Name TYPE INTEGER")(world)
    assert counts(look(world).streams[0].comparison) == (0, 0, 0, 25)
    with pytest.raises(ConfigError, match=r"Account.Name.*INTEGER") as caught:
        look(world, repair=True)
    assert "rename or drop the target's column" in caught.value.hint
    sql("ALTER TABLE Account RENAME Name TO Spoilt")(world)
    assert look(world, repair=True).equal
    assert world.equal()


@pytest.mark.parametrize("change", ["ALTER Id TYPE BIGINT", "DROP COLUMN Id"])
def test_a_lost_key_is_mended_when_the_deletes_are_allowed(world: World, change: str) -> None:
    """GUARDED-DELETE: the target's rows are nobody's any more."""
    sql(f"ALTER TABLE Account {change}")(world)
    assert counts(look(world).streams[0].comparison) == (25, 25, 0, 0)
    with pytest.raises(MassDelete):
        look(world, repair=True)
    assert look(world, repair=True, allow_deletes=True).equal
    assert world.equal()


def test_on_postgres_no_stamp_and_no_view_ends_a_proof_with_a_driver_s_error(
    world: World, pg_database: PgAddress
) -> None:
    warehouse = Postgres(pg_database.dsn, sleep=lambda _: None)
    world.streams = (Stream("Account"),)
    world.settings = {"warehouse": warehouse}
    world.run()
    damages: dict[str, tuple[int, int, int, int]] = {
        "UPDATE account SET systemmodstamp = 'infinity' WHERE id = '001000003'": (0, 0, 0, 1),
        "UPDATE account SET systemmodstamp = '-infinity' WHERE id = '001000003'": (0, 0, 1, 0),
        "UPDATE account SET systemmodstamp = '10000-01-01 00:00+00' WHERE id = '001000003'": (0, 0, 0, 1),
        "UPDATE account SET _syncline_synced_at = NULL": (0, 0, 0, 0),
        "ALTER TABLE account RENAME TO other; CREATE VIEW account AS SELECT * FROM other": (0, 0, 0, 0),
    }
    for statement, differences in damages.items():
        with psycopg.connect(pg_database.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())
        assert counts(look(world).streams[0].comparison) == differences, statement
        assert look(world, repair=True).equal
        world.source.update("Account", [{"Id": "001000005", "Name": statement}])
        world.clock.advance(minutes=2)
        world.run()
        assert look(world).equal
    with psycopg.connect(pg_database.dsn, autocommit=True) as connection:
        connection.execute("DROP VIEW account; ALTER TABLE other RENAME TO account")
        for change in ("ALTER systemmodstamp TYPE text", "DROP COLUMN _syncline_synced_at"):
            connection.execute(f"ALTER TABLE account {change}".encode())
            with pytest.raises(ConfigError, match="somebody"):
                look(world)
