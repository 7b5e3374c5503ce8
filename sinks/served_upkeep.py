"""Looking after the tables of a warehouse behind a network, as its dialect says: ``Maintainer``."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.sinks.dialect import Dialect, Place, text
from syncline.sinks.maintenance import Maintenance, TableUpkeep
from syncline.sinks.session import Session


def maintain(session: Session, tables: Sequence[str], place: Place, dialect: Dialect) -> Maintenance:
    """One table after another, so that each is done or not; ``tables`` exist. Outside of any transaction."""
    upkeeps = []
    for table in tables:
        before = _dead_rows(session, table, place, dialect)
        spelled = dialect.render(place.table(table))
        for statement in dialect.upkeep:
            session.run(statement.format(table=spelled))
        upkeeps.append(TableUpkeep(table, before, _dead_rows(session, table, place, dialect)))
    return Maintenance(tuple(upkeeps))


def _dead_rows(session: Session, table: str, place: Place, dialect: Dialect) -> int | None:
    if not dialect.dead_rows:
        return None
    schema, name = (text(each).sql(dialect=dialect.name) for each in (place.schema, dialect.spell(table)))
    rows = session.run(dialect.dead_rows.format(schema=schema, table=name))
    return int(rows[0][0]) if rows else None
