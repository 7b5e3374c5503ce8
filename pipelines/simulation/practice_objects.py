"""What the simulation's practice org holds: two objects, parent and child.

They have few fields: what matters here is not their number but what they show. A decimal that is widened, an integer, a
text beyond any short column, and two names that are one where spelling is not kept.
"""

from __future__ import annotations

from typing import Final

from syncline.connectors.sandbox.schema import Field, ObjectType, fields_of

STORY_NAMES: Final = 60
"""So often a name stands in a story: more than 255 characters, mostly."""


def _stamp(name: str) -> Field:
    return Field(name, "datetime", nillable=False, createable=False)


def _object(name: str, prefix: str, *fields: Field, cascades: tuple[tuple[str, str], ...] = ()) -> ObjectType:
    key = Field("Id", "id", length=18, nillable=False, createable=False)
    flag = Field("IsDeleted", "boolean", nillable=False, createable=False)
    stamps = _stamp("CreatedDate"), _stamp("LastModifiedDate"), _stamp("SystemModstamp")
    return ObjectType(name, prefix, fields_of(key, flag, *fields, *stamps), cascades=cascades)


def objects() -> list[ObjectType]:
    """Fresh ones: an org changes them."""
    return [
        _object("Account", "001", Field("Name", length=80, nillable=False, name_field=True),
                Field("Amount__c", "currency", precision=12, scale=2), Field("Rank__c", "int"),
                Field("Story__c", "textarea", length=32_000), cascades=(("Contact", "AccountId"),)),
        _object("Contact", "003", Field("Name", length=80, nillable=False, name_field=True),
                Field("AccountId", "reference", length=18, reference_to=("Account",), relationship="Account"),
                Field("MyField__c", length=80), Field("My_Field__c", length=80)),
    ]  # fmt: skip
