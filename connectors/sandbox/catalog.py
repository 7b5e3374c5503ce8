"""The objects a new org has: the CRM ones that demos and benches load, and the odd ones that trip connectors."""

from __future__ import annotations

from typing import Final

from syncline.connectors.sandbox.schema import Field, ObjectType, fields_of

INDUSTRIES: Final = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
    "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance",
    "Food & Beverage", "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media",
    "Not For Profit", "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation",
    "Utilities", "Other",
)  # fmt: skip
ACCOUNT_TYPES: Final = (
    "Prospect", "Customer - Direct", "Customer - Channel", "Channel Partner / Reseller", "Installation Partner",
    "Technology Partner", "Other",
)  # fmt: skip
RATINGS: Final = ("Hot", "Warm", "Cold")
STAGES: Final = (
    "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
    "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost",
)  # fmt: skip
LEAD_SOURCES: Final = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Trade Show", "Word of mouth")
FORECASTS: Final = ("Pipeline", "BestCase", "Forecast", "Closed", "Omitted")
SALUTATIONS: Final = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")


def _id() -> Field:
    return Field("Id", "id", length=18, nillable=False, createable=False)


def _text(name: str, length: int = 255, kind: str = "string", **more: object) -> Field:
    return Field(name, kind, length=length, **more)  # type: ignore[arg-type]


def _pick(name: str, values: tuple[str, ...], kind: str = "picklist") -> Field:
    return Field(name, kind, length=255, picklist=values)


def _long_text(name: str, length: int = 32_000, html: bool = False) -> Field:
    return Field(name, "textarea", length=length, filterable=False, sortable=False, long_text=True, html=html)


def _number(name: str, kind: str, precision: int, scale: int, formula: str | None = None) -> Field:
    return Field(name, kind, precision=precision, scale=scale, formula=formula)


def _int(name: str) -> Field:
    return Field(name, "int")


def _boolean(name: str) -> Field:
    return Field(name, "boolean", nillable=False)


def _date(name: str) -> Field:
    return Field(name, "date")


def _system(name: str, kind: str = "datetime") -> Field:
    return Field(name, kind, nillable=False, createable=False)


def _lookup(name: str, relationship: str | None, *targets: str) -> Field:
    return Field(name, "reference", length=18, reference_to=targets, relationship=relationship)


def _deleted() -> Field:
    return Field("IsDeleted", "boolean", nillable=False, createable=False)


def _stamps() -> tuple[Field, ...]:
    return (_system("CreatedDate"), _system("LastModifiedDate"), _system("SystemModstamp"))


def _name(length: int = 255) -> Field:
    return Field("Name", length=length, nillable=False, name_field=True)


def account() -> ObjectType:
    street = Field("BillingStreet", "textarea", length=255, compound="BillingAddress")
    parts = (("city", "BillingCity"), ("country", "BillingCountry"), ("postalCode", "BillingPostalCode"),
             ("state", "BillingState"), ("street", "BillingStreet"))  # fmt: skip
    return ObjectType(
        "Account", "001",
        fields_of(
            _id(), _deleted(), _lookup("MasterRecordId", "MasterRecord", "Account"), _name(),
            _pick("Type", ACCOUNT_TYPES), street,
            _text("BillingCity", 40, compound="BillingAddress"), _text("BillingState", 80, compound="BillingAddress"),
            _text("BillingPostalCode", 20, compound="BillingAddress"),
            _text("BillingCountry", 80, compound="BillingAddress"),
            Field("BillingAddress", "address", parts=parts, createable=False, sortable=False),
            _text("Phone", 40, "phone"), _text("AccountNumber", 40), _text("Website", 255, "url"),
            _pick("Industry", INDUSTRIES), _number("AnnualRevenue", "currency", 18, 0), _int("NumberOfEmployees"),
            _pick("Rating", RATINGS), _long_text("Description"), _lookup("OwnerId", "Owner", "User"), *_stamps(),
            _number("Score__c", "double", 18, 2), _date("Founded__c"),
            _number("RevenuePerEmployee__c", "double", 18, 2, formula="AnnualRevenue / NumberOfEmployees"),
        ),
        cascades=(("Contact", "AccountId"), ("Opportunity", "AccountId")),
    )  # fmt: skip


def contact() -> ObjectType:
    return ObjectType(
        "Contact", "003",
        fields_of(
            _id(), _deleted(), _lookup("MasterRecordId", "MasterRecord", "Contact"),
            _lookup("AccountId", "Account", "Account"), _text("LastName", 80, compound="Name"),
            _text("FirstName", 40, compound="Name"), _pick("Salutation", SALUTATIONS),
            Field("Name", length=121, nillable=False, name_field=True, createable=False),
            _text("MailingCity", 40), _text("MailingCountry", 80), _text("Phone", 40, "phone"),
            _text("Email", 80, "email"), _text("Title", 128), _text("Department", 80),
            _pick("LeadSource", LEAD_SOURCES), _date("Birthdate"), _boolean("HasOptedOutOfEmail"),
            _long_text("Description"), _lookup("OwnerId", "Owner", "User"), *_stamps(),
        ),
    )  # fmt: skip


def opportunity() -> ObjectType:
    return ObjectType(
        "Opportunity", "006",
        fields_of(
            _id(), _deleted(), _lookup("AccountId", "Account", "Account"), _name(120), _long_text("Description"),
            _pick("StageName", STAGES), _number("Amount", "currency", 18, 2),
            _number("Probability", "percent", 3, 0),
            _number("ExpectedRevenue", "currency", 18, 2, formula="Amount * Probability"),
            _number("TotalOpportunityQuantity", "double", 18, 2), _date("CloseDate"), _text("NextStep", 255),
            _pick("LeadSource", LEAD_SOURCES), _boolean("IsClosed"), _boolean("IsWon"),
            _pick("ForecastCategory", FORECASTS), _lookup("OwnerId", "Owner", "User"), *_stamps(),
        ),
    )  # fmt: skip


def user() -> ObjectType:
    """Without IsDeleted, like the real one."""
    return ObjectType(
        "User", "005",
        fields_of(
            _id(), _text("Username", 80), _text("LastName", 80), _text("FirstName", 40), _name(121),
            _text("Email", 128, "email"), _boolean("IsActive"), *_stamps(),
        ),
    )  # fmt: skip


def account_history() -> ObjectType:
    """CreatedDate only, and values whose type differs by row."""
    return ObjectType(
        "AccountHistory", "017",
        fields_of(
            _id(), _deleted(), _lookup("AccountId", "Account", "Account"), _system("CreatedDate"),
            _text("Field", 255), Field("OldValue", "anyType", filterable=False, sortable=False),
            Field("NewValue", "anyType", filterable=False, sortable=False),
        ),
    )  # fmt: skip


def account_share() -> ObjectType:
    """LastModifiedDate only."""
    return ObjectType(
        "AccountShare", "00r",
        fields_of(
            _id(), _deleted(), _lookup("AccountId", "Account", "Account"), _text("RowCause", 40),
            _system("LastModifiedDate"),
        ),
    )  # fmt: skip


def login_history() -> ObjectType:
    """LoginTime only, and no IsDeleted."""
    return ObjectType(
        "LoginHistory", "0Ya",
        fields_of(_id(), _lookup("UserId", None, "User"), _system("LoginTime"), _text("SourceIp", 39)),
        replicateable=False,
    )  # fmt: skip


def activity_field_history() -> ObjectType:
    """A SystemModstamp that exists but cannot be filtered; CreatedDate can."""
    stamp = Field("SystemModstamp", "datetime", nillable=False, filterable=False, sortable=False, createable=False)
    return ObjectType(
        "ActivityFieldHistory", "0lP",
        fields_of(_id(), _deleted(), _text("FieldName", 40), _system("CreatedDate"), stamp),
        replicateable=False,
    )  # fmt: skip


def case_status() -> ObjectType:
    """Bulk API 2.0 refuses it."""
    return ObjectType(
        "CaseStatus", "3qh",
        fields_of(_id(), _text("MasterLabel", 255), _int("SortOrder"), _boolean("IsDefault"), *_stamps()),
        bulk=False,
    )  # fmt: skip


def ledger() -> ObjectType:
    """Not replicateable: no getUpdated, no getDeleted."""
    return ObjectType(
        "Ledger__c", "a0L",
        fields_of(_id(), _deleted(), _name(80), _number("Amount__c", "currency", 18, 2), *_stamps()),
        replicateable=False,
    )  # fmt: skip


def setting() -> ObjectType:
    """No stamp of any kind: read whole each time."""
    return ObjectType(
        "Setting__mdt", "m00",
        fields_of(_id(), _text("DeveloperName", 40), _text("Value__c", 255)),
        replicateable=False,
    )  # fmt: skip


def document_link() -> ObjectType:
    """Demands a filter on one of its Ids."""
    return ObjectType(
        "ContentDocumentLink", "06A",
        fields_of(
            _id(), _deleted(), _lookup("LinkedEntityId", "LinkedEntity", "Account"),
            _lookup("ContentDocumentId", "ContentDocument"), _system("SystemModstamp"),
        ),
        demands_filter=True,
    )  # fmt: skip


def activity_history() -> ObjectType:
    """Described, but cannot be queried."""
    return ObjectType("ActivityHistory", "", fields_of(_id(), _deleted(), *_stamps()), queryable=False, bulk=False)


def oddity() -> ObjectType:
    """One field of every unusual type, and two long texts, so that REST pages hold at most 200 rows."""
    places = (("latitude", "Place__Latitude__s"), ("longitude", "Place__Longitude__s"))
    return ObjectType(
        "Oddity__c", "a0O",
        fields_of(
            _id(), _deleted(), Field("Name", length=80, nillable=False, name_field=True, auto_number=True),
            _pick("Tags__c", ("red", "green", "blue"), "multipicklist"), Field("Opens__c", "time"),
            Field("Place__c", "location", parts=places, createable=False, sortable=False),
            _number("Place__Latitude__s", "double", 18, 15), _number("Place__Longitude__s", "double", 18, 15),
            Field("File__c", "base64", filterable=False, sortable=False),
            _text("Masked__c", 175, "encryptedstring"), Field("Anything__c", "anyType", filterable=False),
            Field("Riddle__c", "quaternion"), _text("Combo__c", 255, "combobox"), Field("Count__c", "long"),
            Field("Fine__c", "double", precision=18, scale=8, high_scale=True),
            _number("Money__c", "currency", 18, 2), _number("Share__c", "percent", 5, 2), _date("Day__c"),
            Field("Moment__c", "datetime"), _boolean("Flag__c"), _long_text("Long__c", 131_072),
            _long_text("Rich__c", 131_072, html=True), _text("Short__c", 10), *_stamps(),
        ),
    )  # fmt: skip


def wide(columns: int = 800) -> ObjectType:
    """So many fields that their names do not fit in a REST URL."""
    extra = (
        _number(f"Measure_Number_{n:03d}__c", "double", 18, 2) if n % 2 else _text(f"Remark_Text_{n:03d}__c", 80)
        for n in range(columns - 6)
    )
    return ObjectType("Wide__c", "a0W", fields_of(_id(), _deleted(), _name(80), *_stamps(), *extra))


def standard_objects() -> list[ObjectType]:
    """Fresh definitions of everything above; an org changes its own."""
    return [
        account(), contact(), opportunity(), user(), account_history(), account_share(), login_history(),
        activity_field_history(), case_status(), ledger(), setting(), document_link(), activity_history(), oddity(),
        wide(),
    ]  # fmt: skip
