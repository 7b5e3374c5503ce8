"""SOQL text to a syntax tree: a tokeniser and a recursive descent, strict where Salesforce is (SOQL reference).

The tree knows nothing of objects and fields; ``meaning`` checks it against the schema. What the sandbox does not
support is refused by name, never read leniently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias
from typing import Literal as OneOf

STATEMENT_CHARS_MAX: Final = 100_000
STRING_CHARS_MAX: Final = 4_000
OFFSET_MAX: Final = 2_000

LiteralKind: TypeAlias = OneOf["string", "number", "date", "datetime", "boolean", "null", "named"]
Operator: TypeAlias = OneOf["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN", "INCLUDES", "EXCLUDES"]


class SoqlError(Exception):
    """A statement that Salesforce would refuse, with its error code and its message.

    ``feature`` names a clause that is legal SOQL but that the sandbox, or Bulk API 2.0, does not take.
    """

    def __init__(self, code: str, message: str, feature: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.feature = feature


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field or a path through parents (``Owner.Name``), with its offset in the statement."""

    path: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Literal:
    """One value as written: strings unescaped, numbers and dates as text, ``named`` for LAST_N_DAYS:3 and the like."""

    kind: LiteralKind
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    field: FieldRef
    operator: Operator
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    operand: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    operands: tuple[Condition, ...]


Condition: TypeAlias = Comparison | NotOf | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class OrderKey:
    field: FieldRef
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """``count`` is ``SELECT COUNT()``; ``group`` is the name in ``FIELDS(...)``, upper case, or empty."""

    text: str
    fields: tuple[FieldRef, ...]
    count: bool
    group: str
    object: str
    object_at: int
    where: Condition | None
    order: tuple[OrderKey, ...]
    limit: int | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


_PATTERN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<datetime>\d{4}-\d{2}-\d{2}T[0-9:.+\-Z]*)
      | (?P<date>\d{4}-\d{2}-\d{2}(?![\w:]))
      | (?P<number>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w:]))
      | (?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:\d+)?)
      | (?P<string>'(?:[^'\\\n]|\\.)*')
      | (?P<sign><=|>=|!=|<>|[=<>(),])
    """,
    re.VERBOSE,
)
_DATETIME: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d{1,3})?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)\Z"
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\",
                   "_": "\\_", "%": "\\%"}  # fmt: skip
_OPERATORS: Final[dict[str, Operator]] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_RESERVED: Final = frozenset(
    ("AND", "AS", "ASC", "DESC", "EXCLUDES", "FIRST", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST", "LIKE",
     "LIMIT", "NOT", "NULL", "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH")
)  # fmt: skip
_REFUSED_CLAUSES: Final = frozenset(("GROUP", "HAVING", "WITH", "USING", "FOR", "ALL", "UPDATE"))
_DATE_NAMES: Final = re.compile(
    r"(YESTERDAY|TODAY|TOMORROW|(LAST|THIS|NEXT)_(WEEK|MONTH|YEAR)|(LAST|NEXT)_90_DAYS|(LAST|NEXT)_N_DAYS:\d+)\Z", re.I
)


def malformed(text: str, at: int, message: str) -> SoqlError:
    return SoqlError("MALFORMED_QUERY", pointed(text, at, message))


def pointed(text: str, at: int, message: str) -> str:
    """The message under an excerpt of the statement with a caret at the position, as Salesforce words it."""
    start = max(0, at - 40)
    excerpt = re.sub(r"\s", " ", text[start : at + 30])
    row = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return f"\n{excerpt}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{message}"


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _PATTERN.match(text, at)
        if found is None:
            raise malformed(text, at, f"unexpected token: '{text[at : at + 20].split(' ')[0]}'")
        kind = str(found.lastgroup)
        if kind != "space":
            yield _Token(kind, found.group(), at)
        at = found.end()
    yield _Token("end", "<EOF>", len(text))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return 1700 <= int(text[:4]) <= 4000


def parse(text: str) -> Query:
    """The statement's tree.

    Raises:
        SoqlError: MALFORMED_QUERY and NUMBER_OUTSIDE_VALID_RANGE, with the position in the message.
    """
    if len(text) > STATEMENT_CHARS_MAX:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {STATEMENT_CHARS_MAX} characters.")
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._all = list(_tokens(text))
        self._next = 0

    @property
    def _token(self) -> _Token:
        return self._all[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _unexpected(self, token: _Token | None = None) -> SoqlError:
        wrong = token or self._token
        return malformed(self._text, wrong.at, f"unexpected token: '{wrong.text}'")

    def _refuse(self, feature: str) -> SoqlError:
        message = pointed(self._text, self._token.at, f"{feature} is not supported by the sandbox")
        return SoqlError("MALFORMED_QUERY", message, feature)

    def _is(self, word: str, ahead: int = 0) -> bool:
        token = self._all[min(self._next + ahead, len(self._all) - 1)]
        return token.kind in ("name", "sign") and token.text.upper() == word

    def _accept(self, word: str) -> bool:
        if self._is(word):
            self._next += 1
            return True
        return False

    def _expect(self, word: str) -> _Token:
        if not self._is(word):
            raise self._unexpected()
        return self._take()

    def _name(self) -> _Token:
        token = self._token
        if token.kind != "name" or token.text.upper() in _RESERVED or ":" in token.text:
            raise self._unexpected()
        return self._take()

    def _field(self) -> FieldRef:
        token = self._name()
        return FieldRef(tuple(token.text.split(".")), token.at)

    def query(self) -> Query:
        self._expect("SELECT")
        fields, count, group = self._selection()
        self._expect("FROM")
        source = self._name()
        where = self._condition() if self._accept("WHERE") else None
        if self._token.text.upper() in _REFUSED_CLAUSES:
            raise self._refuse(self._token.text.upper())
        order = self._order() if self._accept("ORDER") else ()
        limit = self._count() if self._accept("LIMIT") else None
        offset = self._count() if self._accept("OFFSET") else None
        if offset is not None and offset > OFFSET_MAX:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {OFFSET_MAX}")
        if self._token.text.upper() in _REFUSED_CLAUSES:
            raise self._refuse(self._token.text.upper())
        if self._token.kind != "end":
            raise self._unexpected()
        return Query(self._text, fields, count, group, source.text, source.at, where, order, limit, offset)

    def _selection(self) -> tuple[tuple[FieldRef, ...], bool, str]:
        if self._is("COUNT") and self._is("(", 1) and self._is(")", 2):
            self._next += 3
            return (), True, ""
        if self._is("FIELDS") and self._is("(", 1):
            self._next += 2
            group = self._name().text.upper()
            if group not in ("ALL", "STANDARD", "CUSTOM"):
                raise self._unexpected(self._all[self._next - 1])
            self._expect(")")
            return (), False, group
        fields = [self._selected()]
        while self._accept(","):
            fields.append(self._selected())
        return tuple(fields), False, ""

    def _selected(self) -> FieldRef:
        if self._is("("):
            raise self._refuse("a sub-query")
        if self._is("TYPEOF"):
            raise self._refuse("TYPEOF")
        if self._token.kind == "name" and self._is("(", 1):
            raise self._refuse("an aggregate or function")
        return self._field()

    def _condition(self) -> Condition:
        """One condition, or several joined by AND or by OR.

        Salesforce demands parentheses where both meet: the other word is left over, and refused as unexpected.
        """
        operands = [self._operand()]
        if not (self._is("AND") or self._is("OR")):
            return operands[0]
        joint = self._token.text.upper()
        while self._accept(joint):
            operands.append(self._operand())
        return AllOf(tuple(operands)) if joint == "AND" else AnyOf(tuple(operands))

    def _operand(self) -> Condition:
        if self._accept("NOT"):
            return NotOf(self._operand())
        if self._accept("("):
            inner = self._condition()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        field = self._field()
        if self._is("("):
            raise self._refuse("a function in WHERE")
        token = self._take()
        word = token.text.upper()
        if token.kind == "sign" and word in _OPERATORS:
            return Comparison(field, _OPERATORS[word], (self._literal(),))
        if word == "LIKE":
            return Comparison(field, "LIKE", (self._literal(),))
        if word == "IN":
            return Comparison(field, "IN", self._list())
        if word == "NOT" and self._accept("IN"):
            return Comparison(field, "NOT IN", self._list())
        if word == "INCLUDES":
            return Comparison(field, "INCLUDES", self._list())
        if word == "EXCLUDES":
            return Comparison(field, "EXCLUDES", self._list())
        raise self._unexpected(token)

    def _list(self) -> tuple[Literal, ...]:
        self._expect("(")
        if self._is("SELECT"):
            raise self._refuse("a semi-join")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> Literal:
        token = self._take()
        word = token.text.upper()
        if token.kind == "string":
            return Literal("string", self._unescape(token), token.at)
        if token.kind == "datetime":
            if not _DATETIME.match(token.text) or not _is_day(token.text[:10]):
                raise self._unexpected(token)
            return Literal("datetime", token.text, token.at)
        if token.kind == "date":
            if not _is_day(token.text):
                raise self._unexpected(token)
            return Literal("date", token.text, token.at)
        if token.kind == "number":
            return Literal("number", token.text, token.at)
        if token.kind == "name" and word in ("TRUE", "FALSE"):
            return Literal("boolean", word.lower(), token.at)
        if token.kind == "name" and word == "NULL":
            return Literal("null", "", token.at)
        if token.kind == "name" and _DATE_NAMES.match(token.text):
            return Literal("named", word, token.at)
        raise self._unexpected(token)

    def _unescape(self, token: _Token) -> str:
        text = token.text[1:-1]
        if len(text) > STRING_CHARS_MAX:
            raise malformed(self._text, token.at, f"string literal longer than {STRING_CHARS_MAX} characters")

        def plain(found: re.Match[str]) -> str:
            code = found.group(1)
            if len(code) == 5:
                return chr(int(code[1:], 16))
            if code.lower() not in _ESCAPES:
                raise malformed(self._text, token.at, f"invalid string escape: '\\{code}'")
            return _ESCAPES[code.lower()]

        return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", plain, text)

    def _order(self) -> tuple[OrderKey, ...]:
        self._expect("BY")
        keys = [self._order_key()]
        while self._accept(","):
            keys.append(self._order_key())
        return tuple(keys)

    def _order_key(self) -> OrderKey:
        field = self._field()
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        nulls_last = False
        if self._accept("NULLS"):
            nulls_last = self._accept("LAST")
            if not nulls_last:
                self._expect("FIRST")
        return OrderKey(field, descending, nulls_last)

    def _count(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected(token)
        return int(token.text)
