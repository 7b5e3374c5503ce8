"""Snowflake's errors told in Syncline's words, by number (driver's error codes; server's error reference).

Numbers below 250000 and from 390000 on are the server's, those from 250001 to 259999 the driver's, 290000 and what is
added to it are HTTP's. Every error says the query's id, which is what Snowflake's support and its history ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient, ValueOutOfType
from syncline.connectors.secret import scrub

if TYPE_CHECKING:
    from snowflake.connector.errors import Error

CAUSE_CHARS_MAX = 500

HTTP_BASE = 290_000


class SessionGone(Transient):
    """The session is no more, with its transaction and its temporary tables; a new one may be opened."""


class ObjectMissing(ConfigError):
    """A table, schema or stage does not exist, or the role may not see it: Snowflake does not tell the two apart."""


@dataclass(frozen=True, slots=True)
class Meaning:
    kind: type[SynclineError]
    hint: str = ""


_AGAIN = "run again; if it goes on, look at the network and at Snowflake's status page"
_GONE = Meaning(SessionGone, _AGAIN)
_KEY = "compare the user's RSA_PUBLIC_KEY (DESC USER) with the private key, and this machine's clock with the time"
_SIGN_IN = Meaning(SignInError, "check the SNOWFLAKE_ variables of the way to sign in; syncline check tries them")
_JWT = Meaning(SignInError, _KEY)
_TOKEN = Meaning(SignInError, "the token has ended or is not accepted: make a new one")
_VALUE = Meaning(ValueOutOfType, "a value does not fit its column's type exactly")
_DOCUMENT = Meaning(
    ValueOutOfType, "a value is larger than a column holds, or no JSON: leave it out with exclude=[...]"
)
_WIF = Meaning(SignInError, "check that this machine has the identity the user's WORKLOAD_IDENTITY names")
_SETTING = Meaning(ConfigError, "check the SNOWFLAKE_ variables and the warehouse's settings")
_HELD = Meaning(
    Transient,
    "another transaction holds the table; run again, or find it with SHOW TRANSACTIONS and end it with"
    " SELECT SYSTEM$ABORT_TRANSACTION(<id>)",
)

SESSION_NUMBERS = frozenset(
    {
        *(250_001, 250_002, 250_003, 250_005, 251_011, 251_012, 252_007, 252_010, 252_013),
        *(390_103, 390_104, 390_111, 390_112, 390_113, 390_114, 390_115, 390_318, HTTP_BASE + 401),
    }
)
"""What ends a session; 390112 only when the driver could not renew it (driver's ``network.py``)."""

MEANINGS: Mapping[int, Meaning] = {
    **dict.fromkeys(SESSION_NUMBERS, _GONE),
    253_003: Meaning(Transient, "the upload failed; run again"),
    253_006: Meaning(ConfigError, "the landed file is gone from this machine"),
    **dict.fromkeys((390_100, 390_303, 390_195), _SIGN_IN),
    **dict.fromkeys((390_144, *range(394_300, 394_307)), _JWT),
    **dict.fromkeys(range(394_400, 394_410), _TOKEN),
    **dict.fromkeys((251_017, 251_018, 251_021), _WIF),
    **dict.fromkeys((251_001, 251_005, 251_006, 251_007, 251_013, 251_020), _SETTING),
    250_006: Meaning(SignInError, "check SNOWFLAKE_OAUTH_TOKEN_URL, _CLIENT_ID and _CLIENT_SECRET"),
    251_008: Meaning(SignInError, "give an RSA or EC private key in PEM form"),
    625: _HELD,
    604: Meaning(Transient, "the statement was cancelled; run again, or raise statement_timeout_s"),
    630: Meaning(Transient, "the statement took longer than statement_timeout_s: raise it, or use a larger warehouse"),
    606: Meaning(ConfigError, "set SNOWFLAKE_WAREHOUSE to a warehouse that the role has USAGE on"),
    90_073: Meaning(ConfigError, "the resource monitor's quota is used up: raise it, or wait for the next period"),
    1_003: Meaning(SynclineError, "this statement is Syncline's: report it with the query's id"),
    2_002: Meaning(Transient, "another session made it at the same moment; run again"),
    2_003: Meaning(
        ObjectMissing, "create it, or grant the role USAGE and SELECT; syncline check --show-setup shows how"
    ),
    2_043: Meaning(ObjectMissing, "create it, or grant the role USAGE; syncline check --show-setup shows how"),
    3_001: Meaning(ConfigError, "grant the role what syncline check --show-setup lists"),
    100_090: Meaning(SynclineError, "a key was staged twice after de-duplication: report it with the query's id"),
    91_016: Meaning(
        ConfigError, "a landed file is not where the stage looks: compare the stage's URL with the landing"
    ),
    **dict.fromkeys((100_035, 100_038, 100_039, 100_040, 100_046, 100_051, 100_071, 100_072, 100_078), _VALUE),
    # Error parsing JSON; max LOB size exceeded (Snowflake, behavior change 1779).
    **dict.fromkeys((100_069, 100_082), _DOCUMENT),
    100_067: Meaning(SynclineError, "a value is too large to fetch: report it with the query's id"),
}

VALUE_STATES = frozenset(("22003", "22007", "22018"))
"""SQL states of the class "data exception" that only ever tell of a value (SQL standard)."""


def translate(error: Error, operation: str, place: str, *, signing_in: bool = False) -> SynclineError:
    """The error in the one tree. ``signing_in``: it came instead of a session, so that nothing was lost with it."""
    errno = error.errno or -1
    meaning = MEANINGS.get(errno) or _by_kind(error)
    if signing_in and errno in (390_318, 390_112, 390_114):
        meaning = _TOKEN
    if signing_in and type(error).__name__ == "ForbiddenError":
        hint = "check SNOWFLAKE_ACCOUNT (as in <organisation>-<account>) and the account's network policy"
        meaning = Meaning(ConfigError, hint)
    return meaning.kind(operation, place, cause_of(error), meaning.hint)


def _by_kind(error: Error) -> Meaning:
    errno = error.errno or -1
    if errno >= HTTP_BASE and errno < HTTP_BASE + 600:
        client_side = 400 <= errno - HTTP_BASE < 500 and errno - HTTP_BASE not in (403, 408, 429)
        return _SETTING if client_side else _GONE
    if error.sqlstate in VALUE_STATES:
        return _VALUE
    if error.sqlstate in ("08001", "08003", "08006"):
        return _GONE
    return Meaning(SynclineError)


def cause_of(error: Error) -> str:
    """What was said, in one line without secrets, and the query's id."""
    text = " ".join(scrub(str(error.msg or error)).split())
    if len(text) > CAUSE_CHARS_MAX:
        text = f"{text[:CAUSE_CHARS_MAX]}..."
    if error.errno and error.errno > 0 and f"{error.errno:06d}" not in text:
        text = f"{error.errno:06d}: {text}"
    return f"{text} (query {error.sfqid})" if error.sfqid else text
