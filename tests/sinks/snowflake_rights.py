"""Which rights a role needs for statements, and which it was granted (Snowflake reference, access control privileges).

A role owns what it creates, and an owner may do everything with it. What a statement needs beyond that is told here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlglot import exp, parse_one

from syncline.sinks.snowflake_cost import needs_warehouse

Right = tuple[str, str]
"""A privilege and what it is on: ``("CREATE TABLE", 'SCHEMA "SALES"."CRM"')``."""

_GRANT = re.compile(r"^GRANT (?P<rights>[A-Z, ]+) ON (?P<kind>[A-Z]+) (?P<name>\S+) TO ROLE \S+;$", re.M)
_NAME = r'"(?:[^"]|"")+"'


def granted(text: str) -> set[Right]:
    """By the GRANTs of a setup."""
    return {
        (right.strip(), f"{found['kind']} {found['name']}")
        for found in _GRANT.finditer(text)
        for right in found["rights"].split(",")
    }


def needed(statements: Iterable[str], warehouse: str) -> set[Right]:
    """By the statements of a run, in their order, for a role that owns nothing at first."""
    owned: set[str] = set()
    rights: set[Right] = set()
    for statement in statements:
        if needs_warehouse(statement):
            rights.add(("USAGE", f"WAREHOUSE {warehouse}"))
        for place in places(statement):
            database, schema = place[0], ".".join(place[:2])
            rights |= {("USAGE", f"DATABASE {database}"), ("USAGE", f"SCHEMA {schema}")}
            name = ".".join(place)
            if created := re.match(r"CREATE (?:OR REPLACE )?(?:TRANSIENT )?(TABLE|STAGE)\b", statement):
                rights.add((f"CREATE {created[1]}", f"SCHEMA {schema}"))
                owned.add(name)
            elif len(place) > 2 and name not in owned:
                rights.add(("OWNERSHIP", name))
        if integration := re.search(rf"STORAGE_INTEGRATION = ({_NAME})", statement):
            rights.add(("USAGE", f"INTEGRATION {integration[1]}"))
    return rights


def places(statement: str) -> list[Sequence[str]]:
    """The tables and stages it names, in full; of the catalog only its database."""
    stages = [tuple(found) for found in re.findall(rf"@({_NAME})\.({_NAME})\.({_NAME})/", statement)]
    if re.match(r"CREATE STAGE", statement):
        stages.append(tuple(re.findall(_NAME, statement)))
    if re.match(r"(?:PUT|REMOVE|SHOW|DESC|BEGIN|COMMIT|ROLLBACK|CREATE STAGE|SELECT (?:CURRENT|SYSTEM)\b)", statement):
        return [*stages]
    tables = [
        tuple(part.sql(dialect="snowflake") for part in table.parts)
        for table in parse_one(statement, read="snowflake").find_all(exp.Table)
        if table.catalog
    ]
    return [*stages, *(table for table in tables if table[1] != "INFORMATION_SCHEMA")]
