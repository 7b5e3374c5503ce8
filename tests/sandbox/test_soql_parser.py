"""The SOQL grammar: what is read, and what is refused with Salesforce's codes and a position."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.sandbox.soql import AllOf, AnyOf, Comparison, NotOf, SoqlError, parse


def test_a_whole_statement_becomes_its_tree() -> None:
    query = parse(
        "select Id, Owner.Name from Account where (Name like 'A%' or AnnualRevenue >= 1.5e3) and not IsDeleted = true "
        "order by Name desc nulls last, Id limit 10 offset 5"
    )
    assert [ref.text for ref in query.fields] == ["Id", "Owner.Name"]
    assert isinstance(query.where, AllOf)
    either, negated = query.where.operands
    assert isinstance(either, AnyOf)
    assert isinstance(negated, NotOf)
    assert [(key.field.text, key.descending, key.nulls_last) for key in query.order] == [
        ("Name", True, True),
        ("Id", False, False),
    ]
    assert (query.limit, query.offset, query.count) == (10, 5, False)


def test_count_and_fields_are_recognised() -> None:
    assert parse("SELECT COUNT() FROM Account").count
    assert parse("SELECT FIELDS(ALL) FROM Account LIMIT 200").group == "ALL"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"'it\'s'", "it's"),
        (r"'a\\b'", "a\\b"),
        (r"'tab\there'", "tab\there"),
        (r"'\u00e9'", "é"),
        (r"'100\%'", "100\\%"),
    ],
)
def test_string_escapes(written: str, meant: str) -> None:
    where = parse(f"SELECT Id FROM Account WHERE Name = {written}").where
    assert isinstance(where, Comparison)
    assert where.values[0].text == meant


@pytest.mark.parametrize(
    "literal",
    [
        "2026-01-15T12:00:00Z",
        "2026-01-15T12:00:00.123Z",
        "2026-01-15T12:00:00+02:00",
        "2026-01-15T12:00:00.5-11:30",
        "1700-01-01T00:00:00Z",
        "LAST_N_DAYS:30",
        "TODAY",
    ],
)
def test_datetime_literals_are_read(literal: str) -> None:
    where = parse(f"SELECT Id FROM Account WHERE SystemModstamp >= {literal}").where
    assert isinstance(where, Comparison)
    assert where.values[0].text == literal


@pytest.mark.parametrize(
    "literal",
    [
        "2026-01-15T12:00:00",
        "2026-01-15T12:00Z",
        "2026-01-15T25:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-13-01",
        "2026-01-15T12:00:00.1234Z",
        "2026-01-15T12:00:00 02:00",
        "'2026-01-15T12:00:00Z",
        "1699-01-01T00:00:00Z",
        "4001-01-01",
        "LAST_N_DAYS",
    ],
)
def test_malformed_literals_are_refused(literal: str) -> None:
    with pytest.raises(SoqlError) as refused:
        parse(f"SELECT Id FROM Account WHERE SystemModstamp >= {literal}")
    assert refused.value.code == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    "soql",
    [
        "",
        "SELECT FROM Account",
        "SELECT Id Account",
        "SELECT Id, FROM Account",
        "SELECT Id FROM Account WHERE",
        "SELECT Id FROM Account WHERE Name == 'x'",
        "SELECT Id FROM Account WHERE Name = 'x' AND Type = 'y' OR Rating = 'z'",
        "SELECT Id FROM Account WHERE (Name = 'x'",
        "SELECT Id FROM Account WHERE Name IN ()",
        'SELECT Id FROM Account WHERE Name = "x"',
        "SELECT Id FROM Account ORDER Name",
        "SELECT Id FROM Account LIMIT ten",
        "SELECT Id FROM Account LIMIT -1",
        "SELECT Id FROM Account OFFSET 1 LIMIT 1",
        "SELECT Id FROM Account; DROP",
        "SELECT Id FROM Account WHERE Name = 'a\nb'",
        r"SELECT Id FROM Account WHERE Name = '\q'",
    ],
)
def test_broken_statements_are_refused(soql: str) -> None:
    with pytest.raises(SoqlError) as refused:
        parse(soql)
    assert refused.value.code == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    ("soql", "feature"),
    [
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "a sub-query"),
        ("SELECT TYPEOF Owner WHEN User THEN Name END FROM Account", "TYPEOF"),
        ("SELECT MAX(AnnualRevenue) FROM Account", "an aggregate or function"),
        ("SELECT Type FROM Account GROUP BY Type", "GROUP"),
        ("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)", "a semi-join"),
        ("SELECT Id FROM Account LIMIT 1 FOR UPDATE", "FOR"),
        ("SELECT Id FROM Account ALL ROWS", "ALL"),
    ],
)
def test_what_the_sandbox_does_not_do_is_refused_by_name(soql: str, feature: str) -> None:
    with pytest.raises(SoqlError) as refused:
        parse(soql)
    assert refused.value.feature == feature
    assert "not supported by the sandbox" in refused.value.message


def test_the_message_points_at_the_token() -> None:
    with pytest.raises(SoqlError) as refused:
        parse("SELECT Id FROM Account WHERE Name ! 'x'")
    lines = refused.value.message.split("\n")
    assert lines[1][lines[2].index("^")] == "!"
    assert "ERROR at Row:1:Column:35" in lines[3]


def test_limits_of_the_language() -> None:
    with pytest.raises(SoqlError, match="longer than 100000"):
        parse("SELECT Id FROM Account WHERE Id = '" + "x" * 100_000 + "'")
    with pytest.raises(SoqlError, match="longer than 4000"):
        parse("SELECT Id FROM Account WHERE Name = '" + "x" * 4_001 + "'")
    with pytest.raises(SoqlError) as refused:
        parse("SELECT Id FROM Account OFFSET 2001")
    assert refused.value.code == "NUMBER_OUTSIDE_VALID_RANGE"


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for statement in (text, f"SELECT Id FROM Account WHERE {text}", f"SELECT {text} FROM Account"):
        with contextlib.suppress(SoqlError):
            assert parse(statement).object == "Account"
