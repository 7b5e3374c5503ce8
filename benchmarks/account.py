"""The table that every measured program copies: Account, 25 columns, and what each of them is in Arrow and in DuckDB.

The plain programs need it spelled out, because nothing describes the source to them; Syncline asks the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS: Final = (
    "Id", "MasterRecordId", "Name", "Type", "BillingStreet", "BillingCity", "BillingState", "BillingPostalCode",
    "BillingCountry", "Phone", "AccountNumber", "Website", "Industry", "Rating", "Description", "OwnerId",
)  # fmt: skip
INSTANTS: Final = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
DECIMALS: Final = {"AnnualRevenue": (18, 2), "Score__c": (18, 2), "RevenuePerEmployee__c": (38, 18)}
"""Digits and scale, as Syncline derives them from the source's description."""

COLUMNS: Final = (
    "Id", "IsDeleted", "MasterRecordId", "Name", "Type", "BillingStreet", "BillingCity", "BillingState",
    "BillingPostalCode", "BillingCountry", "Phone", "AccountNumber", "Website", "Industry", "AnnualRevenue",
    "NumberOfEmployees", "Rating", "Description", "OwnerId", "CreatedDate", "LastModifiedDate", "SystemModstamp",
    "Score__c", "Founded__c", "RevenuePerEmployee__c",
)  # fmt: skip

CURSOR: Final = "SystemModstamp"


def soql(since: str | None = None) -> str:
    """The query for every Account, or for those changed at or after ``since`` (a datetime literal)."""
    where = "" if since is None else f" WHERE {CURSOR} >= {since}"
    return f"SELECT {','.join(COLUMNS)} FROM Account{where}"


def arrow_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, arrow_type(name)) for name in COLUMNS])


def arrow_type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name in DECIMALS:
        return pa.decimal128(*DECIMALS[name])
    if name in INSTANTS:
        return pa.timestamp("us", "UTC")
    return {"IsDeleted": pa.bool_(), "NumberOfEmployees": pa.int64(), "Founded__c": pa.date32()}.get(name, pa.string())


def duckdb_table(name: str) -> str:
    """The DDL of an empty table with the 25 columns."""
    columns = ", ".join(f'"{column}" {duckdb_type(column)}' for column in COLUMNS)
    return f'CREATE TABLE "{name}" ({columns})'


def duckdb_type(name: str) -> str:
    if name in DECIMALS:
        digits, scale = DECIMALS[name]
        return f"DECIMAL({digits},{scale})"
    if name in INSTANTS:
        return "TIMESTAMP WITH TIME ZONE"
    return {"IsDeleted": "BOOLEAN", "NumberOfEmployees": "BIGINT", "Founded__c": "DATE"}.get(name, "VARCHAR")


def dlt_columns() -> dict[str, dict[str, object]]:
    """The same as dlt's column hints, so that dlt need not infer anything from values."""
    return {name: {"nullable": name != "Id", **_dlt_type(name)} for name in COLUMNS}


def _dlt_type(name: str) -> dict[str, object]:
    if name in DECIMALS:
        digits, scale = DECIMALS[name]
        return {"data_type": "decimal", "precision": digits, "scale": scale}
    if name in INSTANTS:
        return {"data_type": "timestamp", "timezone": True}
    kinds = {"IsDeleted": "bool", "NumberOfEmployees": "bigint", "Founded__c": "date"}
    return {"data_type": kinds.get(name, "text")}
