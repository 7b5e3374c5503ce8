"""What Redshift makes of SQL, as far as PostgreSQL would make something else of it: refusals and rewritings.

Text in, text out; only the lexer of sqlglot is used, never its parser, so that what the parser under test gets wrong is
not got wrong here as well. The rules are those of the Redshift database developer guide (SQL reference; unsupported
PostgreSQL features; ALTER TABLE; MERGE; COPY from columnar data formats), with PostgreSQL's SQLSTATEs.

Weaker than Redshift, because text cannot show it: a comparison of a value that a function made with trailing blanks
passes. Stricter: IS TRUE is refused in WHERE as well, QUALIFY always.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlglot.dialects.redshift import Redshift
from sqlglot.tokenizer_core import Token, TokenType

NAME_BYTES_MAX = 127
POSTGRES_NAME_BYTES_MAX = 63
TEXT_BYTES_MAX = 65_535
STATEMENT_BYTES_MAX = 16 * 1024 * 1024
COPY_WORDS = {"MANIFEST", "SERIALIZETOJSON", "FILLRECORD", "ACCEPTINVCHARS", "EXPLICIT_IDS"}


class Refusal(Exception):
    """Redshift's own error, to be sent to the client."""

    def __init__(self, sqlstate: str, message: str, detail: str = "") -> None:
        super().__init__(sqlstate, message, detail)
        self.sqlstate, self.message, self.detail = sqlstate, message, detail


@dataclass(frozen=True, slots=True)
class Copy:
    """``table`` as PostgreSQL reads it; ``role`` is ``default`` for the cluster's own."""

    table: str
    url: str
    role: str
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Statement:
    """What PostgreSQL is to run, unless the stand-in does it itself: then ``kind`` says what."""

    kind: Literal["sql", "copy", "truncate", "set"]
    sql: str
    copy: Copy | None = None
    long_names: tuple[tuple[str, str], ...] = ()


def translate(sql: str, *, in_transaction: bool) -> Statement:
    """The statement for PostgreSQL.

    Raises:
        Refusal: Redshift refuses it.
    """
    if len(sql.encode()) > STATEMENT_BYTES_MAX:
        raise Refusal("54000", f"Statement is too large. Statement Size: {len(sql.encode())} bytes")
    tokens = list(Redshift.Tokenizer().tokenize(sql))
    shape = " ".join(_shown(token) for token in tokens)
    for pattern, sqlstate, message in REFUSED:
        if re.search(pattern, shape):
            raise Refusal(sqlstate, message)
    if in_transaction:
        _check_transaction(shape)
    for check in CHECKS:
        check(shape, tokens)
    if shape.startswith("COPY "):
        return Statement("copy", sql, copy=_copy_of(tokens))
    if re.match(r"(SET|RESET) (SESSION )?QUERY_GROUP\b", shape):
        return Statement("set", sql)
    names: dict[str, str] = {}
    text = _rewritten(sql, tokens, shape, names)
    return Statement("truncate" if shape.startswith("TRUNCATE") else "sql", text, long_names=tuple(names.items()))


def _shown(token: Token) -> str:
    """The token as a pattern sees it: words in upper case, values and quoted names without their content."""
    if token.token_type == TokenType.STRING:
        return "''"
    if token.token_type == TokenType.IDENTIFIER:
        return '"q"'
    return re.sub(r"\s+", " ", token.text.upper())


_SYNTAX = "42601"

REFUSED: tuple[tuple[str, str, str], ...] = (
    (r"\bIS (NOT )?DISTINCT FROM\b", _SYNTAX, 'syntax error at or near "DISTINCT"'),
    (r"\bADD (COLUMN )?IF NOT EXISTS\b", _SYNTAX, 'syntax error at or near "NOT"'),
    (r"^ALTER TABLE .*\bDROP (COLUMN )?IF EXISTS\b", _SYNTAX, 'syntax error at or near "EXISTS"'),
    (r"^INSERT .*\bON CONFLICT\b", _SYNTAX, 'syntax error at or near "ON"'),
    (r"^(INSERT|UPDATE|DELETE|MERGE)\b.*\bRETURNING\b", _SYNTAX, 'syntax error at or near "RETURNING"'),
    (r"\) FILTER \( WHERE\b", _SYNTAX, 'syntax error at or near "FILTER"'),
    (r"\bARRAY \[", _SYNTAX, 'syntax error at or near "["'),
    (r"\[ \]", "0A000", "array types are not supported"),
    (r"\bDISTINCT ON \(", "0A000", "SELECT DISTINCT ON is not supported"),
    (r"\bQUALIFY\b", _SYNTAX, 'syntax error at or near "QUALIFY"'),
    (r"\bIS (NOT )?(TRUE|FALSE|UNKNOWN)\b", "XX000", "Assert"),
    (r"\bUNLOGGED\b", _SYNTAX, 'syntax error at or near "UNLOGGED"'),
    (r"^CREATE (UNIQUE )?INDEX\b", "0A000", "SQL command CREATE INDEX not supported on Redshift tables."),
    (r'^DELETE FROM \S+( \. \S+)* (AS\b|"q"|(?!USING\b|WHERE\b)\w)', _SYNTAX, 'syntax error at or near "AS"'),
    (r"\bFOR (UPDATE|SHARE)\b", "0A000", "SELECT FOR UPDATE is not supported"),
    (r"\bCTID\b", "42703", 'column "ctid" does not exist'),
    (r"^CREATE OR REPLACE TABLE\b", _SYNTAX, 'syntax error at or near "TABLE"'),
    (r"^MERGE\b.*\bWHEN (NOT )?MATCHED AND\b", _SYNTAX, 'syntax error at or near "AND"'),
    (r"^MERGE\b.*\bBY (SOURCE|TARGET)\b", _SYNTAX, 'syntax error at or near "BY"'),
    (r"^MERGE\b.*\bUSING \(", "0A000", "MERGE source cannot be a subquery"),
    (r"^MERGE\b.*\bDO NOTHING\b", _SYNTAX, 'syntax error at or near "DO"'),
    (r"^MERGE\b.*\bWHEN MATCHED\b.*\bWHEN MATCHED\b", "0A000", "MERGE takes one WHEN MATCHED clause"),
    (r"^WITH\b.*\bMERGE INTO\b", _SYNTAX, 'syntax error at or near "MERGE"'),
    (r"^UPDATE\b.*\b(LEFT|RIGHT|FULL)( OUTER)? JOIN\b", "0A000", "Target table must be part of an equijoin predicate"),
    (
        r"^ALTER TABLE .*\bADD (?!.*\bDEFAULT\b).*\bNOT NULL\b",
        "0A000",
        "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression",
    ),
    (r"^ALTER TABLE .*\bTYPE (?!VARCHAR \(|CHARACTER VARYING \()", "0A000", "cannot alter the type of this column"),
    (r"^ALTER TABLE .*\bTYPE\b.*\bUSING\b", _SYNTAX, 'syntax error at or near "USING"'),
)
"""Patterns over a statement's shape, with what Redshift says."""

NOT_IN_TRANSACTION = {
    r"^VACUUM\b": "VACUUM",
    r"^ALTER TABLE .*\bAPPEND FROM\b": "ALTER TABLE APPEND",
    r"^ALTER TABLE .*\bALTER( COLUMN)? \S+ TYPE\b": "ALTER TABLE ALTER COLUMN",
    r"^(CREATE|DROP) DATABASE\b": "CREATE DATABASE",
    r"^(CREATE|ALTER|DROP) EXTERNAL\b": "CREATE EXTERNAL TABLE",
}


def _check_transaction(shape: str) -> None:
    for pattern, command in NOT_IN_TRANSACTION.items():
        if re.search(pattern, shape):
            raise Refusal("25001", f"{command} cannot run inside a transaction block")


def _check_actions(shape: str, tokens: list[Token]) -> None:
    """One action an ALTER TABLE (ALTER TABLE, syntax)."""
    if shape.startswith("ALTER TABLE ") and any(depth == 0 and token.text == "," for depth, token in _depths(tokens)):
        raise Refusal(_SYNTAX, 'syntax error at or near ","')


def _check_concat(shape: str, tokens: list[Token]) -> None:
    """CONCAT takes two arguments (CONCAT function)."""
    for index, token in enumerate(tokens[:-1]):
        if token.text.upper() == "CONCAT" and tokens[index + 1].text == "(":
            inside = list(_inside(tokens, index + 1))
            if sum(depth == 1 and each.text == "," for depth, each in inside) != 1:
                raise Refusal("42883", "function concat with other than two arguments does not exist")


def _check_aliases(shape: str, tokens: list[Token]) -> None:
    """A query in FROM has a name (FROM clause; PostgreSQL needs none since version 16)."""
    for index, token in enumerate(tokens[:-2]):
        opens = token.text.upper() in ("FROM", "JOIN") and tokens[index + 1].text == "("
        if opens and tokens[index + 2].text.upper() in ("SELECT", "WITH"):
            after = index + 2 + len(list(_inside(tokens, index + 1)))
            named = after < len(tokens) and tokens[after].token_type in (TokenType.ALIAS, *_NAMES)
            if not named:
                raise Refusal(_SYNTAX, "subquery in FROM must have an alias")


_NAMES = (TokenType.IDENTIFIER, TokenType.VAR)

CHECKS: tuple[Callable[[str, list[Token]], None], ...] = (_check_actions, _check_concat, _check_aliases)


def _depths(tokens: list[Token]) -> Iterator[tuple[int, Token]]:
    depth = 0
    for token in tokens:
        if token.token_type == TokenType.L_PAREN:
            depth += 1
        if token.token_type == TokenType.R_PAREN:
            depth -= 1
        yield depth, token


def _inside(tokens: list[Token], opening: int) -> Iterator[tuple[int, Token]]:
    """From an opening parenthesis to the one that closes it, which is not among them."""
    for depth, token in _depths(tokens[opening:]):
        if depth == 0:
            return
        yield depth, token


# --- rewriting --------------------------------------------------------------------------------------------------------

_DROPPED_WITH_NEXT = {"DISTSTYLE", "ENCODE", "BACKUP"}
_DROPPED_WITH_LIST = {"DISTKEY", "SORTKEY", "PRIMARY KEY", "UNIQUE"}
_DROPPED = {"COMPOUND", "INTERLEAVED"}


def _rewritten(sql: str, tokens: list[Token], shape: str, names: dict[str, str]) -> str:
    """The statement with types, names and table attributes as PostgreSQL has them."""
    creates = re.match(r"CREATE (LOCAL )?(TEMP |TEMPORARY )?TABLE\b", shape) is not None
    out: list[str] = []
    index = position = 0
    while index < len(tokens):
        token = tokens[index]
        text, taken = _token_text(tokens, index, names)
        if creates and (skipped := _attribute_length(tokens, index)):
            text, taken = "", skipped
            _drop_comma(out)
        out.append(sql[position : token.start])
        out.append(text if text is not None else sql[token.start : tokens[index + taken - 1].end + 1])
        position = tokens[index + taken - 1].end + 1
        index += taken
    out.append(sql[position:])
    return "".join(out)


def _drop_comma(out: list[str]) -> None:
    """A table constraint goes with the comma before it; a column's own has none there."""
    while out and not out[-1].strip():
        out.pop()
    if out and out[-1] == ",":
        out.pop()


def _attribute_length(tokens: list[Token], index: int) -> int:
    """How many tokens from here on are a table attribute that PostgreSQL does not know or must not enforce."""
    word = re.sub(r"\s+", " ", tokens[index].text.upper())
    if tokens[index].token_type == TokenType.IDENTIFIER:
        return 0
    if word == "PRIMARY" and tokens[index + 1].text.upper() == "KEY":
        return 1 + _attribute_list(tokens, index + 1)
    if word in _DROPPED:
        return 1
    if word in _DROPPED_WITH_NEXT:
        return 2
    return _attribute_list(tokens, index) if word in _DROPPED_WITH_LIST else 0


def _attribute_list(tokens: list[Token], index: int) -> int:
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    if following is None or following.text not in ("(", "AUTO"):
        return 1
    return 2 if following.text == "AUTO" else 2 + len(list(_inside(tokens, index + 1)))


def _token_text(tokens: list[Token], index: int, names: dict[str, str]) -> tuple[str | None, int]:
    """What stands in PostgreSQL for the token, ``None`` for itself, and how many tokens it stands for."""
    token = tokens[index]
    word = token.text.upper()
    if word == "INFORMATION_SCHEMA" and [each.text.lower() for each in tokens[index + 1 : index + 3]] == [
        ".",
        "columns",
    ]:
        return "redshift.svv_columns", 3
    if token.token_type == TokenType.IDENTIFIER:
        return quoted(token.text, names), 1
    if token.token_type == TokenType.STRING:
        return None, 1
    if word in _TYPES:
        return _TYPES[word](tokens, index)
    if word in _FUNCTIONS:
        return _FUNCTIONS[word], 1
    if token.token_type == TokenType.VAR and len(token.text.encode()) > POSTGRES_NAME_BYTES_MAX:
        return quoted(token.text, names), 1
    return None, 1


_FUNCTIONS: Mapping[str, str] = {
    "NVL": "COALESCE",
    "JSON_SERIALIZE": "redshift.json_serialize",
    "JSON_PARSE": "redshift.json_parse",
}
"""PostgreSQL has words of these names with a grammar of their own, or none."""


def _text_type(tokens: list[Token], index: int) -> tuple[str, int]:
    """VARCHAR counts bytes; without a length it has 256, and so has TEXT (data types, character types)."""
    if index + 2 >= len(tokens) or tokens[index + 1].text != "(" or tokens[index].text.upper() == "TEXT":
        return "varchar(256)", 1
    length = tokens[index + 2].text.upper()
    bytes_max = TEXT_BYTES_MAX if length == "MAX" else int(length)
    if bytes_max > TEXT_BYTES_MAX:
        raise Refusal("22023", f"length for type character varying cannot exceed {TEXT_BYTES_MAX}")
    return f"varchar({bytes_max})", 4


def _binary_type(tokens: list[Token], index: int) -> tuple[str, int]:
    return "bytea", 4 if index + 1 < len(tokens) and tokens[index + 1].text == "(" else 1


_TYPES: Mapping[str, Callable[[list[Token], int], tuple[str, int]]] = {
    "VARCHAR": _text_type,
    "TEXT": _text_type,
    "VARBYTE": _binary_type,
    "VARBINARY": _binary_type,
    "SUPER": lambda tokens, index: ("jsonb", 1),
}


def quoted(name: str, names: dict[str, str]) -> str:
    """A name folded to lower case though it is quoted, and cut at 127 bytes without a word (names and identifiers)."""
    kept = name.encode().lower()[:NAME_BYTES_MAX].decode(errors="ignore")
    short = kept
    if len(kept.encode()) > POSTGRES_NAME_BYTES_MAX:
        # PostgreSQL has room for half of it: a digest stands for the rest, and the catalog's views know the whole.
        short = f"{kept.encode()[:28].decode(errors='ignore')}~{hashlib.sha256(kept.encode()).hexdigest()[:32]}"
        names[short] = kept
    return '"' + short.replace('"', '""') + '"'


# --- COPY -------------------------------------------------------------------------------------------------------------


def _copy_of(tokens: list[Token]) -> Copy:
    """``COPY table FROM 's3://...' IAM_ROLE '...' FORMAT [AS] PARQUET MANIFEST [SERIALIZETOJSON ...]``"""
    words = [token.text.upper() for token in tokens]
    begin = words.index("FROM") if "FROM" in words else len(words)
    table = "".join(
        quoted(token.text, {}) if token.token_type == TokenType.IDENTIFIER else token.text for token in tokens[1:begin]
    )
    url, *rest = tokens[begin + 1 :]
    if "(" in table or not url.text.startswith("s3://"):
        raise Refusal("0A000", "this stand-in copies whole tables from S3 only")
    role, found = "", set[str]()
    while rest:
        word = rest.pop(0).text.upper()
        if word == "IAM_ROLE":
            value = rest.pop(0)
            role = "default" if value.text.lower() == "default" else value.text
        elif word == "FORMAT":
            if rest[0].text.upper() == "AS":
                rest.pop(0)
            found.add(f"FORMAT {rest.pop(0).text.upper()}")
        elif word in COPY_WORDS:
            found.add(word)
        else:
            raise Refusal("0A000", f"{word} is not supported for PARQUET")
    if "FORMAT PARQUET" not in found or "MANIFEST" not in found:
        raise Refusal("0A000", "this stand-in copies PARQUET by MANIFEST only")
    return Copy(table, url.text, role, frozenset(found))
