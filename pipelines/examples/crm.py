"""Salesforce to Parquet files in S3 and tables in DuckDB (./crm.duckdb).

Settings and secrets come from the environment or from ./.env: copy .env.example to .env and fill it in. Then:

    syncline check crm      what is missing, and how to mend it
    syncline plan crm       what a run would do; touches nothing
    syncline run crm        everything the first time, afterwards what changed
"""

import os

from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream
from syncline.sinks import Landing

pipeline = Pipeline(
    "crm",
    source=Salesforce.from_env(),  # SALESFORCE_DOMAIN, SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET, ...
    landing=Landing(os.environ["LANDING_URL"]),  # s3://your-bucket/crm; AWS credentials are found as usual
    # For Snowflake import it from syncline.sinks and set SNOWFLAKE_ACCOUNT, _USER, _WAREHOUSE and _PRIVATE_KEY_FILE:
    # warehouse=Snowflake.from_env(database="SALES", schema="CRM", storage_integration="CRM_LANDING"),
    # For Redshift set REDSHIFT_HOST, _USER, _PASSWORD and _IAM_ROLE, the role that COPY reads the landing as:
    # warehouse=Redshift.from_env(database="sales", schema="crm"),
    streams=[
        # Every field, the key and the cursor come from the org's own description.
        Stream("Account"),
        # A deleted contact stays in the table, with the time of its deletion in _syncline_deleted_at.
        Stream("Contact", on_delete="mark"),
        # An edited record that no longer matches the filter leaves the table; what changes without an edit, such as a
        # formula in a filter, is found by a full read once a week.
        Stream(
            "Opportunity",
            fields=["Id", "AccountId", "Name", "Amount", "StageName", "CloseDate"],
            where="Amount > 0",
            full_every="7d",
        ),
    ],
)
