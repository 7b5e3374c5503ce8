"""The Salesforce connector: ``Salesforce`` for pipelines, and the credentials for who reads them from elsewhere."""

from syncline.connectors.salesforce.connector import Salesforce
from syncline.connectors.salesforce.signin import ClientCredentials, JwtBearer, ReadyToken, UsernamePassword

__all__ = ["ClientCredentials", "JwtBearer", "ReadyToken", "Salesforce", "UsernamePassword"]
