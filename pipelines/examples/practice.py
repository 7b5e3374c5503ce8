"""A pipeline that works at once on a laptop, against a practice org with made-up customers.

syncline sandbox salesforce      in one terminal; leave it running
syncline run practice            in another; again whenever you like
syncline verify practice         proves that the tables in ./practice.duckdb equal the org
"""

from syncline.connectors import Salesforce
from syncline.pipelines import Pipeline, Stream

pipeline = Pipeline(
    "practice",
    # The practice org takes these; for an org of your own see crm.py, where nothing secret stands in the file.
    source=Salesforce.from_env(
        {
            "SALESFORCE_INSTANCE_URL": "http://127.0.0.1:8080",
            "SALESFORCE_CLIENT_ID": "sandbox-client-id",
            "SALESFORCE_CLIENT_SECRET": "sandbox-client-secret",
        }
    ),
    streams=[Stream("Account"), Stream("Contact"), Stream("Opportunity")],
)
