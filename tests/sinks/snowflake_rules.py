"""A connection that enforces Snowflake's rules between the real engine and whatever answers it.

fakesnow cannot be trusted with what DuckDB below it does otherwise, so these rules are held here, where the statements
pass. The answers come from what is wrapped: the real driver, or a script. Held, with the page of Snowflake's reference:

* DDL commits the open transaction and runs alone; so do ALTER SESSION and what else is no DML (transactions);
* outside a transaction every DML statement commits by itself: allowed for staging rows and for seeds, which mean
  nothing until a transaction moves them (transactions, autocommit);
* READ COMMITTED is all there is, with a snapshot for each statement: another session may commit between two reads, so
  the first statement on data must be the write that takes the lock (isolation level); no savepoints, a second BEGIN and
  a COMMIT of nothing are ignored without a word;
* a target's row that a MERGE matches twice is error 100090; so are, stricter than Snowflake, two source rows of one key
  that no row matches, for it inserts both without a word (MERGE);
* UPDATE and DELETE give their table no other name: the syntax has no place for one (UPDATE, DELETE);
* at most a thousand names in FILES (COPY INTO table);
* a plain identifier means upper case, a quoted one itself: another spelling is another name (identifiers).

Some broken rules Snowflake reports (they are raised as its driver does), others it does not: those are ``breaches``,
and are carried out the way Snowflake would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp, parse_one

FILES_MAX = 1_000
WATERMARKS = "_SYNCLINE_WATERMARKS"
SEED = re.compile(rf'^\s*MERGE\s+INTO\s+[^(]*"{WATERMARKS}"(?!.*WHEN\s+MATCHED)', re.I | re.S)

_KINDS: Sequence[tuple[str, str]] = (
    ("begin", r"BEGIN|START\s+TRANSACTION"),
    ("end", r"COMMIT|ROLLBACK"),
    ("dml", r"INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY\s+INTO"),
    ("ddl", r"CREATE|ALTER(?!\s+SESSION)|DROP|UNDROP|RENAME|GRANT|REVOKE|COMMENT"),
    ("setting", r"ALTER\s+SESSION|USE"),
    ("files", r"PUT|GET|REMOVE"),
    ("savepoint", r"SAVEPOINT|RELEASE"),
    ("isolation", r"SET\s+TRANSACTION"),
    ("question", r"SELECT|WITH|SHOW|DESC|DESCRIBE|LIST|EXPLAIN"),
)


def kind_of(statement: str) -> str:
    for kind, words in _KINDS:
        if re.match(rf"\s*(?:{words})\b", statement, re.I):
            return kind
    raise AssertionError(f"what kind of statement is this? {statement}")


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and how it took effect: in a transaction, or by itself."""

    statement: str
    inside: bool

    @property
    def kind(self) -> str:
        return kind_of(self.statement)


@dataclass
class Names:
    """Tables that were made, with their columns, spelled as Snowflake keeps them."""

    tables: dict[str, set[str]] = field(default_factory=dict)

    def check(self, statement: str) -> None:
        """Raises what Snowflake says of a table or column that is there in another spelling only, or not at all."""
        tree = parse_one(statement, read="snowflake")
        made = tree.find(exp.Table) if isinstance(tree, exp.Create | exp.Drop) else None
        named = [table for table in tree.find_all(exp.Table) if table is not made and table.db]
        for table in named:
            place = place_of(table)
            if spelled(table.args["db"]) != "INFORMATION_SCHEMA" and place not in self.tables:
                raise ProgrammingError(msg=f"Object {place} does not exist", errno=2003, sqlstate="42S02")
        aliases = {spelled(each.args["alias"]) for each in tree.find_all(exp.Alias)}
        known = aliases.union(*self.tables.values())
        folded = {name.upper() for name in known}
        for column in tree.find_all(exp.Column):
            name = spelled(column.this)
            if name not in known and name.upper() in folded:
                raise ProgrammingError(msg=f"invalid identifier {name}", errno=904, sqlstate="42000")

    def learn(self, statement: str) -> None:
        """What the statement, which succeeded, made or dropped."""
        tree = parse_one(statement, read="snowflake")
        table = tree.find(exp.Table)
        if table is None or str(tree.args.get("kind", "TABLE")).upper() != "TABLE":
            return
        place = place_of(table)
        if isinstance(tree, exp.Drop):
            self.tables.pop(place, None)
        elif isinstance(tree, exp.Create) and isinstance(tree.expression, exp.Select):
            self.tables[place] = {each.alias_or_name for each in tree.expression.selects}
        elif isinstance(tree, exp.Create):
            self.tables.setdefault(place, set())
            self.tables[place] |= {spelled(each.this) for each in tree.find_all(exp.ColumnDef)}
        elif isinstance(tree, exp.Alter):
            self.tables[place] |= {spelled(each.this) for each in tree.find_all(exp.ColumnDef)}


def spelled(identifier: exp.Expr) -> str:
    assert isinstance(identifier, exp.Identifier), identifier
    return identifier.name if identifier.quoted else identifier.name.upper()


def place_of(table: exp.Table) -> str:
    return ".".join(spelled(part) for part in table.parts)


@dataclass
class Rules:
    """One test's: what was sent by all sessions, and what they broke that Snowflake would not have told them."""

    staging: str = "STAGING"
    sent: list[Sent] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    slip: Callable[[str], Sequence[str]] = lambda statement: ()
    """Statements to send before this one: how a test breaks a law by hand."""

    def connect(self, driver: Callable[..., Any]) -> Callable[..., Any]:
        """For ``Snowflake(..., connect=...)``."""
        return lambda **arguments: Watched(self, driver(**arguments))

    def breach(self, statement: str, why: str) -> None:
        self.breaches.append(f"{why}: {' '.join(statement.split())[:120]}")


class Watched:
    """A session of the driver's, whose statements pass the rules first."""

    def __init__(self, rules: Rules, connection: Any) -> None:
        self._rules, self._connection = rules, connection
        self._open = self._locked = False

    def cursor(self) -> WatchedCursor:
        return WatchedCursor(self, self._connection.cursor())

    def close(self, **arguments: Any) -> None:
        self._connection.close(**arguments)

    def execute(self, cursor: Any, statement: str, **arguments: Any) -> None:
        for slipped in self._rules.slip(statement):
            self._execute(cursor, slipped, **arguments)
        self._execute(cursor, statement, **arguments)

    def _execute(self, cursor: Any, statement: str, **arguments: Any) -> None:
        kind = kind_of(statement)
        if re.match(r"\s*(?:UPDATE|DELETE)\b", statement, re.I):
            refuse_an_alias(statement)
        getattr(self, f"_{kind}")(statement)
        if kind in ("dml", "ddl", "question") and not re.match(
            r"\s*(?:SHOW|DESC|LIST|CREATE\s+STAGE)", statement, re.I
        ):
            self._rules.names.check(statement)
        if re.match(r"\s*MERGE\b", statement, re.I):
            self._refuse_a_key_that_comes_twice(statement)
        self._rules.sent.append(Sent(statement, self._open and kind != "begin"))
        cursor.execute(statement, **arguments)
        if kind == "ddl" and not re.match(r"\s*\w+\s+(?:\w+\s+)*(?:STAGE|SCHEMA)\b", statement, re.I):
            self._rules.names.learn(statement)
        if kind == "end":
            self._open = False

    # ---- what each kind of statement does to the transaction ----

    def _begin(self, statement: str) -> None:
        if re.search(r"\bISOLATION\b", statement, re.I):
            self._isolation(statement)
        if self._open:
            self._rules.breach(statement, "a second BEGIN is ignored")
        self._open, self._locked = True, False

    def _end(self, statement: str) -> None:
        if not self._open:
            self._rules.breach(statement, "no transaction is open, what was to be one is in pieces")

    def _ddl(self, statement: str) -> None:
        if self._open:
            self._rules.breach(statement, "DDL-BEFORE: it commits the open transaction")
            self._open = False

    def _setting(self, statement: str) -> None:
        if self._open:
            self._rules.breach(statement, "a setting of the session may commit the open transaction")

    def _files(self, statement: str) -> None:
        if self._open:
            self._rules.breach(statement, "files are changed at once and stay so after a ROLLBACK")

    def _dml(self, statement: str) -> None:
        listed = re.search(r"\bFILES\s*=\s*\((.*?)\)\s*FILE_FORMAT", statement, re.I | re.S)
        if listed and len(re.findall(r"'(?:[^']|'')*'", listed[1])) > FILES_MAX:
            raise ProgrammingError(msg="the number of files exceeds 1000", errno=1_003, sqlstate="42000")
        if self._open:
            self._locked = True
        elif not SEED.match(statement) and f'"{self._rules.staging}"' not in statement.split("(")[0]:
            self._rules.breach(statement, "ONE-TRANSACTION: by itself it is visible at once")

    def _question(self, statement: str) -> None:
        if self._open and not self._locked and re.search(r"\bFROM\b", statement, re.I):
            self._rules.breach(statement, "READ COMMITTED: what is read before the lock is taken may change")

    def _savepoint(self, statement: str) -> None:
        raise ProgrammingError(msg="unexpected SAVEPOINT", errno=1_003, sqlstate="42000")

    def _isolation(self, statement: str) -> None:
        raise ProgrammingError(msg="READ COMMITTED is the only isolation level", errno=1_003, sqlstate="42000")

    def _refuse_a_key_that_comes_twice(self, statement: str) -> None:
        tree = parse_one(statement, read="snowflake")
        assert isinstance(tree, exp.Merge)
        cursor = self._connection.cursor()
        cursor.execute(rows_of_one_key(tree))
        [(twice,)] = cursor.fetchall()
        if twice:
            raise ProgrammingError(msg="Duplicate row detected during DML action", errno=100_090, sqlstate="42P18")


def refuse_an_alias(statement: str) -> None:
    tree = parse_one(statement, read="snowflake")
    assert isinstance(tree, exp.Update | exp.Delete), statement
    if tree.this.alias:
        raise ProgrammingError(msg=f"unexpected {tree.this.alias}", errno=1_003, sqlstate="42000")


def rows_of_one_key(merge: exp.Merge) -> str:
    """Counts the keys that more than one row of the MERGE's source has."""
    source = merge.args["using"]
    sides = [each for pair in merge.args["on"].find_all(exp.EQ) for each in (pair.this, pair.expression)]
    keys = [side for side in sides if {column.table for column in side.find_all(exp.Column)} == {source.alias}]
    assert keys, "the join has no equality"
    twice = exp.select("1").from_(source.copy()).group_by(*(key.copy() for key in keys)).having("COUNT(*) > 1")
    return exp.select("COUNT(*)").from_(twice.subquery("twice")).sql(dialect="snowflake")


class WatchedCursor:
    """The part of the driver's cursor that the session uses."""

    def __init__(self, session: Watched, cursor: Any) -> None:
        self._session, self._cursor = session, cursor

    def execute(self, statement: str, **arguments: Any) -> WatchedCursor:
        self._session.execute(self._cursor, statement, **arguments)
        return self

    def fetchall(self) -> Any:
        return self._cursor.fetchall()

    @property
    def description(self) -> Any:
        return self._cursor.description


class Script:
    """Stands in for the driver's ``connect`` where no server need answer: ``answer`` gives columns' names and rows."""

    def __init__(self, answer: Callable[[str], tuple[Sequence[str], Sequence[tuple[Any, ...]]]]) -> None:
        self._answer = answer
        self.description: list[Any] = []
        self._rows: Sequence[tuple[Any, ...]] = ()

    def __call__(self, **arguments: Any) -> Script:
        return self

    def cursor(self) -> Script:
        return self

    def execute(self, statement: str, **arguments: Any) -> None:
        names, self._rows = self._answer(statement)
        self.description = [Column(name) for name in names]

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        return self._rows

    def close(self, **arguments: Any) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Column:
    name: str
