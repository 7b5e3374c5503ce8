"""Everything a table's rows can suffer behind Syncline's back, and what a source does that no increment can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import duckdb

from syncline.sinks.warehouse import Comparison
from tests.runner.world import World, accounts


@dataclass(frozen=True)
class Damage:
    """What is done, and how many rows of Account are missing, extra, stale and different by it."""

    do: Callable[[World], None]
    missing: int = 0
    extra: int = 0
    stale: int = 0
    different: int = 0

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.missing, self.extra, self.stale, self.different


def counts(comparison: Comparison) -> tuple[int, int, int, int]:
    return comparison.missing, comparison.extra, comparison.stale, comparison.different


def sql(*statements: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        with duckdb.connect(str(world.database)) as connection:
            for statement in statements:
                connection.execute(statement)

    return run


def hard_delete(world: World) -> None:
    """Rows vanish from the source without a trace in any feed."""
    collection = world.source._collections["Account"]
    gone = {"001000004", "001000005"}
    kept = [row["Id"] not in gone for row in collection.versions.to_pylist()]
    collection.versions = collection.versions.filter(kept)


def late_commit(world: World) -> None:
    """Visible long after its stamp: beyond lag and overlap no increment reads it."""
    stamped = world.clock() - timedelta(hours=2)
    world.source.insert("Account", accounts(70, 1, SystemModstamp=stamped), visible_at=world.clock())
    world.clock.advance(minutes=30)
    world.run()


DAMAGES = {
    "a row lost": Damage(sql("DELETE FROM Account WHERE Id = '001000003'"), missing=1),
    "half of the rows lost": Damage(sql("DELETE FROM Account WHERE Id < '001000012'"), missing=12),
    "every row lost": Damage(sql("DELETE FROM Account"), missing=25),
    "a row too many": Damage(
        sql("INSERT INTO Account SELECT * REPLACE ('00199' AS Id) FROM Account WHERE Id = '001000003'"), extra=1
    ),
    "a row twice": Damage(sql("INSERT INTO Account SELECT * FROM Account WHERE Id = '001000003'"), extra=1),
    "rows without a key": Damage(
        sql("INSERT INTO Account SELECT * REPLACE (NULL AS Id) FROM Account WHERE Id < '001000002'"), extra=2
    ),
    "a key lost": Damage(sql("UPDATE Account SET Id = NULL WHERE Id = '001000003'"), missing=1, extra=1),
    "a row under another key": Damage(
        sql("UPDATE Account SET Id = '00199' WHERE Id = '001000003'"), missing=1, extra=1
    ),
    "a value changed": Damage(sql("UPDATE Account SET Name = 'forged' WHERE Id = '001000003'"), different=1),
    "a value lost": Damage(sql("UPDATE Account SET Name = NULL WHERE Id = '001000003'"), different=1),
    "a value where none was": Damage(sql("UPDATE Account SET Amount = 1 WHERE Id = '001000003'"), different=1),
    "values exchanged": Damage(
        sql(
            "UPDATE Account SET Name = CASE Id WHEN '001000003' THEN 'Account 4' ELSE 'Account 3' END"
            " WHERE Id IN ('001000003', '001000004')"
        ),
        different=2,
    ),
    "an older version": Damage(
        sql("UPDATE Account SET Name = 'old', SystemModstamp = SystemModstamp - INTERVAL 1 DAY WHERE Id = '001000003'"),
        stale=1,
    ),
    "a stamp lost": Damage(sql("UPDATE Account SET SystemModstamp = NULL WHERE Id = '001000003'"), stale=1),
    "a stamp from the future": Damage(
        sql("UPDATE Account SET Name = 'stuck', SystemModstamp = '2199-01-01 00:00:00+00' WHERE Id = '001000003'"),
        different=1,
    ),
    "a stamp at infinity": Damage(
        sql("UPDATE Account SET SystemModstamp = 'infinity' WHERE Id = '001000003'"), different=1
    ),
    "a stamp before all time": Damage(
        sql("UPDATE Account SET SystemModstamp = '-infinity' WHERE Id = '001000003'"), stale=1
    ),
    "a row too many, at infinity": Damage(
        sql(
            "INSERT INTO Account SELECT * REPLACE ('00199' AS Id, 'infinity'::TIMESTAMPTZ AS SystemModstamp)"
            " FROM Account WHERE Id = '001000003'"
        ),
        extra=1,
    ),
    "a column dropped": Damage(sql("ALTER TABLE Account DROP COLUMN Name"), different=25),
    "a column renamed": Damage(sql("ALTER TABLE Account RENAME Name TO Label"), different=25),
    "the cursor's column dropped": Damage(sql("ALTER TABLE Account DROP COLUMN SystemModstamp"), stale=25),
    "a column retyped": Damage(
        sql("UPDATE Account SET Amount = 0.1", "ALTER TABLE Account ALTER Amount TYPE VARCHAR"), different=25
    ),
    "every value changed": Damage(sql("UPDATE Account SET Name = 'forged'"), different=25),
    "a hard delete at the source": Damage(hard_delete, extra=2),
    "a late commit": Damage(late_commit, missing=1),
    "all at once": Damage(
        sql(
            "DELETE FROM Account WHERE Id = '001000001'",
            "UPDATE Account SET Name = 'forged' WHERE Id = '001000002'",
            "UPDATE Account SET SystemModstamp = SystemModstamp - INTERVAL 1 DAY WHERE Id = '001000003'",
            "INSERT INTO Account SELECT * REPLACE ('00199' AS Id) FROM Account WHERE Id = '001000004'",
        ),
        missing=1,
        extra=1,
        stale=1,
        different=1,
    ),
}
