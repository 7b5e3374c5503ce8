"""What the org says becomes columns, exactly (TYPES-FROM-SOURCE); what cannot be read is named (LOUD)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError
from syncline.connectors.salesforce.columns import INSTANT, NumberRules, type_of
from syncline.connectors.salesforce.describe import stream_of
from syncline.connectors.sandbox.schema import Field
from tests.salesforce.org_world import Site


def field(kind: str, **more: Any) -> dict[str, Any]:
    return {"name": "X__c", "type": kind, "filterable": True, "nillable": True, **more}


def described(*fields: dict[str, Any], **flags: Any) -> Any:
    document = {
        "name": "X",
        "queryable": True,
        "replicateable": True,
        **flags,
        "fields": [field("id", name="Id"), *fields],
    }
    return stream_of("X", document, NumberRules())


TEXT = ["id", "reference", "string", "email", "phone", "url", "picklist", "combobox", "textarea", "multipicklist",
        "encryptedstring", "datacategorygroupreference", "anyType", "complexvalue", "json", "quaternion"]  # fmt: skip


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        *((field(kind), pa.string()) for kind in TEXT),
        (field("boolean"), pa.bool_()), (field("int"), pa.int64()), (field("long"), pa.int64()),
        (field("date"), pa.date32()), (field("datetime"), INSTANT), (field("time"), pa.time64("us")),
        (field("double", precision=18, scale=0), pa.decimal128(18, 0)),
        (field("double", precision=5, scale=2), pa.decimal128(18, 2)),
        (field("double", precision=18, scale=4), pa.decimal128(20, 4)),
        (field("double", precision=18, scale=8, highScaleNumber=True), pa.decimal128(24, 8)),
        (field("percent", precision=3, scale=0), pa.decimal128(18, 0)),
        (field("currency", precision=18, scale=2), pa.decimal128(18, 2)),
        (field("currency", precision=18, scale=0), pa.decimal128(18, 2)),
        (field("double", precision=30, scale=25), pa.decimal128(38, 25)),
        (field("double", precision=0, scale=0), pa.float64()),
        (field("double", precision=39, scale=0), pa.float64()),
        (field("double", precision=18, scale=2, calculated=True), pa.decimal128(38, 18)),
        (field("currency", precision=0, scale=0, calculated=True), pa.decimal128(38, 18)),
        (field("string", calculated=True), pa.string()),
        (field("date", calculated=True), pa.date32()),
    ],
)  # fmt: skip
def test_each_type_of_the_table_types_from_source(described: dict[str, Any], expected: pa.DataType) -> None:
    assert type_of(described, NumberRules()) == expected


def test_settings_give_numbers_more_room() -> None:
    number, formula = field("double", precision=18, scale=2), field("double", precision=18, scale=2, calculated=True)
    assert type_of(number, NumberRules(scale_min=6)) == pa.decimal128(22, 6)
    assert type_of(formula, NumberRules(formulas="float")) == pa.float64()


def test_an_object_with_every_odd_type_is_described_and_what_is_left_out_is_named(site: Site) -> None:
    [schema] = site.connect().describe(["Oddity__c"])
    types = dict(zip(schema.columns.names, schema.columns.types, strict=True))
    assert types["Opens__c"] == pa.time64("us")
    assert types["Riddle__c"] == types["Anything__c"] == pa.string()
    assert types["Count__c"] == pa.int64()
    assert types["Fine__c"] == pa.decimal128(24, 8)
    assert types["Place__Latitude__s"] == pa.decimal128(31, 15)
    assert set(schema.left_out) == {"Place__c", "File__c"}
    assert "base64" in schema.left_out["File__c"]
    assert "compound" in schema.left_out["Place__c"]
    assert any("quaternion" in warning for warning in schema.warnings)
    assert any("Masked__c" in warning for warning in schema.warnings)
    assert schema.columns.field("Id").nullable is False
    assert all(each.nullable for each in schema.columns if each.name != "Id")


def test_a_compound_names_the_parts_that_are_read_instead(site: Site) -> None:
    [schema] = site.connect().describe(["Account"])
    assert "BillingCity" in schema.left_out["BillingAddress"]
    assert "BillingCity" in schema.columns.names


def test_formulas_are_read_and_listed_as_volatile(site: Site) -> None:
    [schema] = site.connect().describe(["Account"])
    assert schema.volatile == ("RevenuePerEmployee__c",)
    assert "RevenuePerEmployee__c" in schema.columns.names


def test_columns_keep_the_sources_order_and_spelling_exact_names(site: Site) -> None:
    [schema] = site.connect().describe(["Account"])
    fields = [each["name"] for each in site.org.object_type("Account").describe("62.0")["fields"]]
    assert schema.columns.names == [name for name in fields if name not in schema.left_out]


@pytest.mark.parametrize(
    ("name", "cursor", "deletes"),
    [
        ("Account", "SystemModstamp", "flagged"), ("AccountShare", "LastModifiedDate", "flagged"),
        ("AccountHistory", "CreatedDate", "flagged"), ("LoginHistory", "LoginTime", "absent"),
        ("ActivityFieldHistory", "CreatedDate", "flagged"), ("Setting__mdt", None, "absent"),
        ("User", "SystemModstamp", "flagged"), ("Ledger__c", "SystemModstamp", "flagged"),
    ],
)  # fmt: skip
def test_the_best_cursor_that_can_be_filtered_is_taken(site: Site, name: str, cursor: str | None, deletes: str) -> None:
    [schema] = site.connect().describe([name])
    assert (schema.cursor, schema.deletes) == (cursor, deletes)
    assert schema.key == ("Id",)


def test_other_instants_that_are_never_null_may_be_chosen_as_cursor() -> None:
    schema = described(
        field("datetime", name="Moved__c", nillable=False),
        field("datetime", name="Seen__c"),
        field("datetime", name="CreatedDate", nillable=False),
        field("datetime", name="Blind__c", nillable=False, filterable=False),
    ).schema
    assert schema.cursors == ("CreatedDate", "Moved__c")


def test_a_cursor_that_edits_do_not_move_is_warned_of() -> None:
    created = field("datetime", name="CreatedDate", nillable=False)
    assert any("full_every" in each for each in described(created, field("string", updateable=True)).schema.warnings)
    assert not described(created).schema.warnings


def test_an_object_without_deletions_to_see_says_so() -> None:
    assert described(replicateable=False).schema.deletes == "absent"
    assert described(field("boolean", name="IsDeleted"), replicateable=False).schema.deletes == "flagged"


def test_an_unknown_object_is_an_error_with_the_nearest_names(site: Site) -> None:
    with pytest.raises(ConfigError) as caught:
        site.connect().describe(["Acount"])
    assert "Account" in caught.value.hint
    with pytest.raises(ConfigError, match="API name"):
        site.connect().describe(["Zzzzzzzzz"])


def test_a_hidden_object_is_an_error(site: Site) -> None:
    site.org.hide_object("Account")
    with pytest.raises(ConfigError, match="hides it"):
        site.connect().describe(["Account"])


def test_another_spelling_is_refused_with_the_right_one_exact_names(site: Site) -> None:
    with pytest.raises(ConfigError, match="write Account"):
        site.connect().describe(["account"])


def test_an_object_that_cannot_be_queried_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="not let this object be queried"):
        site.connect().describe(["ActivityHistory"])


def test_many_objects_cost_one_request_for_twenty_five(site: Site) -> None:
    names = ["Account", "Contact", "Opportunity", "User", "Ledger__c"]
    assert [each.name for each in site.connect().describe(names)] == names
    assert (site.calls("POST */composite"), site.calls("GET */describe")) == (1, 0)


def test_a_wrong_name_among_many_is_explained_like_a_single_one(site: Site) -> None:
    with pytest.raises(ConfigError) as caught:
        site.connect().describe(["Contact", "Acount", "User"])
    assert caught.value.object == "Acount"


def test_objects_are_described_one_by_one_where_nothing_can_be_asked_together(site: Site) -> None:
    told = [{"errorCode": "NOT_FOUND", "message": "no such thing"}]
    site.org.inject("error", path="*/composite", status=404, body=told)
    assert len(site.connect().describe(["Account", "Contact", "User"])) == 3
    assert site.calls("GET */describe") == 3


def test_a_field_that_the_user_may_not_see_is_not_a_column(site: Site) -> None:
    site.org.hide_field("Account", "Score__c")
    [schema] = site.connect().describe(["Account"])
    assert "Score__c" not in schema.columns.names


def test_a_new_field_is_seen_at_the_next_description(site: Site) -> None:
    source = site.connect()
    source.describe(["Account"])
    site.org.add_field("Account", Field("New__c", "date"))
    [schema] = source.describe(["Account"])
    assert schema.columns.field("New__c").type == pa.date32()


def test_the_objects_that_only_rest_can_read_are_known() -> None:
    assert described(field("json")).facts.rest_only
    assert not described(field("anyType")).facts.rest_only
    assert described(field("anyType")).facts.loose == {"X__c"}
