"""What the org knows about its objects and fields, and how ``describe`` tells it (REST API guide, sObject Describe)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from syncline.connectors.connector import Json

SOAP_TYPES: Final[Mapping[str, str]] = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "long": "xsd:long",
    "double": "xsd:double", "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date",
    "datetime": "xsd:dateTime", "time": "xsd:time", "base64": "xsd:base64Binary", "address": "urn:address",
    "location": "urn:location", "anyType": "xsd:anyType", "json": "tns:json",
}  # fmt: skip

NUMBERS: Final = frozenset({"int", "long", "double", "currency", "percent"})
COMPOUNDS: Final = frozenset({"address", "location"})
UNFILTERABLE_TYPES: Final = frozenset({"base64", "json", "complexvalue"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``parts`` of a compound map each key of its JSON object to the component field's name.

    ``hidden`` is field-level security: the field exists and keeps its values, the API denies it.
    """

    name: str
    type: str = "string"
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    filterable: bool = True
    sortable: bool = True
    formula: str | None = None
    compound: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    external_id: bool = False
    unique: bool = False
    name_field: bool = False
    auto_number: bool = False
    encrypted: bool = False
    high_scale: bool = False
    html: bool = False
    long_text: bool = False
    picklist: tuple[str, ...] = ()
    createable: bool = True
    hidden: bool = False

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c") or self.name.endswith("__s")

    @property
    def stored(self) -> bool:
        """Whether rows hold a value of their own; a compound is put together from its parts."""
        return self.type not in COMPOUNDS

    def describe(self) -> dict[str, Json]:
        """Every attribute of the field in a describe answer."""
        calculated = self.formula is not None
        written = self.createable and not calculated and self.stored
        told: dict[str, Json] = {
            "aggregatable": self.filterable, "aiPredictionField": False, "autoNumber": self.auto_number,
            "byteLength": self.length * 3, "calculated": calculated, "calculatedFormula": self.formula,
            "cascadeDelete": False, "caseSensitive": self.type == "id", "compoundFieldName": self.compound,
            "controllerName": None, "createable": written, "custom": self.custom, "defaultValue": None,
            "defaultValueFormula": None, "defaultedOnCreate": self.type == "boolean",
            "dependentPicklist": False, "deprecatedAndHidden": False,
            "digits": 8 if self.type == "int" else 0, "displayLocationInDecimal": self.type == "location",
            "externalId": self.external_id, "extraTypeInfo": self._extra_type(),
            "filterable": self.filterable, "filteredLookupInfo": None,
            "formulaTreatNullNumberAsZero": calculated, "groupable": self.filterable and self.type not in NUMBERS,
            "highScaleNumber": self.high_scale, "htmlFormatted": self.html, "idLookup": self.type == "id",
            "inlineHelpText": None, "label": self.label or self.name.removesuffix("__c"), "length": self.length,
            "mask": None, "maskType": None, "name": self.name, "nameField": self.name_field,
            "namePointing": len(self.reference_to) > 1, "nillable": self.nillable,
            "permissionable": self.custom or self.nillable,
            "picklistValues": [_picklist_value(value) for value in self.picklist],
            "polymorphicForeignKey": len(self.reference_to) > 1,
            "precision": self.precision, "queryByDistance": self.type in COMPOUNDS,
            "referenceTargetField": None, "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship, "relationshipOrder": None, "restrictedDelete": False,
            "restrictedPicklist": bool(self.picklist), "scale": self.scale, "searchPrefilterable": False,
            "soapType": SOAP_TYPES.get(self.type, "xsd:string"), "sortable": self.sortable, "type": self.type,
            "unique": self.unique, "updateable": written, "writeRequiresMasterRead": False,
        }  # fmt: skip
        if self.encrypted or self.type == "encryptedstring":
            told["encrypted"] = True
        return told

    def _extra_type(self) -> str | None:
        if self.type != "textarea":
            return None
        if self.html:
            return "richtextarea"
        return "plaintextarea"


def _picklist_value(value: str) -> dict[str, Json]:
    return {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}


@dataclass(slots=True)
class ObjectType:
    """One object: its flags and its fields, in order. Live schema changes replace ``fields`` and move ``changed_ms``.

    ``bulk`` says whether Bulk API 2.0 accepts it; ``demands_filter`` makes a query without WHERE an error;
    ``cascades`` names child fields (object, field) whose records go with their parent.
    """

    name: str
    key_prefix: str
    fields: dict[str, Field]
    label: str = ""
    queryable: bool = True
    replicateable: bool = True
    retrieveable: bool = True
    bulk: bool = True
    demands_filter: bool = False
    hidden: bool = False
    cascades: tuple[tuple[str, str], ...] = ()
    changed_ms: int = 0
    _folded: dict[str, Field] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._refold()

    def _refold(self) -> None:
        self._folded = {name.lower(): found for name, found in self.fields.items()}

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c") or self.name.endswith("__mdt")

    def visible(self) -> list[Field]:
        return [found for found in self.fields.values() if not found.hidden]

    def find(self, name: str) -> Field | None:
        """The visible field of that name in any case."""
        found = self._folded.get(name.lower())
        return None if found is None or found.hidden else found

    def relation(self, name: str) -> Field | None:
        """The visible reference field whose relationship has that name."""
        wanted = name.lower()
        return next((f for f in self.visible() if f.relationship and f.relationship.lower() == wanted), None)

    def put(self, new: Field, at_ms: int) -> None:
        self.fields = {**self.fields, new.name: new}
        self.changed_ms = at_ms
        self._refold()

    def drop(self, name: str, at_ms: int) -> None:
        self.fields = {key: value for key, value in self.fields.items() if key != name}
        self.changed_ms = at_ms
        self._refold()

    def change(self, name: str, at_ms: int, **changes: Json) -> None:
        self.put(replace(self.fields[name], **changes), at_ms)

    def summary(self, version: str) -> dict[str, Json]:
        """The object's entry in describe global; the same flags open its own describe."""
        base = f"/services/data/v{version}/sobjects/{self.name}"
        return {
            "activateable": False, "associateEntityType": None, "associateParentEntity": None,
            "createable": self.queryable, "custom": self.custom, "customSetting": False, "deepCloneable": False,
            "deletable": self.queryable, "deprecatedAndHidden": False, "feedEnabled": False,
            "hasSubtypes": False, "isInterface": False, "isSubtype": False, "keyPrefix": self.key_prefix or None,
            "label": self.label or self.name, "labelPlural": (self.label or self.name) + "s", "layoutable": True,
            "mergeable": self.name in ("Account", "Contact"), "mruEnabled": False, "name": self.name,
            "queryable": self.queryable, "replicateable": self.replicateable, "retrieveable": self.retrieveable,
            "searchable": True, "triggerable": True, "undeletable": "IsDeleted" in self.fields,
            "updateable": self.queryable,
            "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
        }  # fmt: skip

    def describe(self, version: str) -> dict[str, Json]:
        children = [
            {
                "cascadeDelete": True, "childSObject": child, "deprecatedAndHidden": False, "field": name,
                "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": f"{child}s",
                "restrictedDelete": False,
            }
            for child, name in self.cascades
        ]  # fmt: skip
        return {
            **self.summary(version),
            "actionOverrides": [], "childRelationships": children, "compactLayoutable": True,
            "defaultImplementation": None, "extendedBy": None, "extendsInterfaces": None,
            "fields": [found.describe() for found in self.visible()], "implementedBy": None,
            "implementsInterfaces": None, "listviewable": None, "lookupLayoutable": None, "namedLayoutInfos": [],
            "networkScopeFieldName": None, "recordTypeInfos": [], "searchLayoutable": True,
            "sobjectDescribeOption": "FULL", "supportedScopes": [{"label": "All", "name": "everything"}],
        }  # fmt: skip


def fields_of(*fields: Field) -> dict[str, Field]:
    return {found.name: found for found in fields}


def index_of(types: Iterable[ObjectType]) -> dict[str, ObjectType]:
    return {kind.name.lower(): kind for kind in types}
