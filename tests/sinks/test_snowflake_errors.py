"""What Snowflake's numbers mean: by the reference's list, whether a retry may help and who must act (LOUD)."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import Error, ForbiddenError, ProgrammingError

from syncline.connectors.errors import ConfigError, SignInError, SynclineError, Transient, ValueOutOfType
from syncline.sinks.snowflake_errors import ObjectMissing, SessionGone, translate

LISTED: dict[type[SynclineError], tuple[int, ...]] = {
    SessionGone: (250_001, 250_002, 250_003, 251_011, 251_012, 390_111, 390_112, 390_113, 390_114, 390_115, 390_318),
    Transient: (253_003, 604, 625, 630, 2_002),
    SignInError: (390_100, 390_144, 390_195, 390_303, *range(394_300, 394_307)),
    ConfigError: (606, 90_073, 3_001),
    ObjectMissing: (2_003,),
    ValueOutOfType: (100_035, 100_038, 100_040, 100_069, 100_072, 100_078, 100_082),
    SynclineError: (100_067, 100_090, 1_003),
}
PAIRS = [(number, kind) for kind, numbers in LISTED.items() for number in numbers]


def said(errno: int, sqlstate: str = "", kind: type[Error] = ProgrammingError) -> Error:
    return kind(msg="no", errno=errno, sqlstate=sqlstate, sfqid="01b2")


@pytest.mark.parametrize(("errno", "kind"), PAIRS, ids=[str(number) for number, _ in PAIRS])
def test_each_number_of_the_reference_has_its_meaning(errno: int, kind: type[SynclineError]) -> None:
    found = translate(said(errno), "load", "SALES.CRM")
    assert type(found) is kind
    assert found.hint
    assert "01b2" in found.cause, "the query's id is what Snowflake's support asks for"
    assert f"{errno:06d}" in found.cause


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (said(390_318), SignInError),
        (said(390_114), SignInError),
        (said(250_001), SessionGone),
        (said(-1, "", ForbiddenError), ConfigError),
    ],
    ids=["a token that ended", "a master token", "no network", "another account"],
)
def test_signing_in_nothing_is_lost_and_a_token_that_ended_is_not_tried_again(
    error: Error, kind: type[SynclineError]
) -> None:
    assert type(translate(error, "connect", "SALES", signing_in=True)) is kind


@pytest.mark.parametrize(
    ("errno", "sqlstate", "kind"),
    [
        (290_503, "", SessionGone),
        (290_403, "", SessionGone),
        (290_404, "", ConfigError),
        (999_999, "22018", ValueOutOfType),
        (999_999, "08001", SessionGone),
        (999_999, "42000", SynclineError),
    ],
)
def test_a_number_that_is_not_listed_goes_by_http_status_or_sql_state(
    errno: int, sqlstate: str, kind: type[SynclineError]
) -> None:
    assert type(translate(said(errno, sqlstate), "load", "SALES.CRM")) is kind
