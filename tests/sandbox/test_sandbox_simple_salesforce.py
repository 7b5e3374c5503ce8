"""The real client against the sandbox: every sign-in it knows, queries, describe, Bulk 2.0, its errors."""

from __future__ import annotations

import csv
import io
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
import requests.adapters
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceOperationError,
    SalesforceResourceNotFound,
)

from syncline.connectors.sandbox import JobPlan, Org, SandboxServer


def connect(**login: Any) -> Any:
    """The client; its own annotations are looser than what it does."""
    return Salesforce(**login)


class Rewrite(requests.adapters.HTTPAdapter):
    """Sends every https request to one local server and keeps the Host it was meant for."""

    def __init__(self, base: str) -> None:
        self._base = urlsplit(base)
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        target = urlsplit(str(request.url))
        request.headers.setdefault("Host", target.netloc)
        request.url = urlunsplit((self._base.scheme, self._base.netloc, target.path, target.query, ""))
        return super().send(request, *args, **kwargs)


@pytest.fixture
def org() -> Org:
    """Real time: the client signs its JWTs by its own clock."""
    org = Org(seed=7, seed_rows={"Account": 300})
    org.settings.page_rows_max = 100
    return org


@pytest.fixture
def session(server: SandboxServer) -> Any:
    with requests.Session() as opened:
        opened.trust_env = False
        opened.mount("https://", Rewrite(server.url))
        yield opened


@pytest.fixture
def sf(server: SandboxServer, session: requests.Session) -> Any:
    return connect(
        session=session, consumer_key=server.client_id, consumer_secret=server.client_secret, domain="acme.my"
    )


def test_soap_login(org: Org, session: requests.Session) -> None:
    user = org.user
    sf = connect(session=session, username=user.username, password=user.password, security_token=user.security_token)
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 300
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        connect(session=session, username=user.username, password="no", security_token="no")
    with pytest.raises(SalesforceAuthenticationFailed, match="UNSUPPORTED_API_VERSION"):
        connect(session=session, username=user.username, password=user.password, security_token="TOKEN", version="65.0")


def test_password_login(org: Org, session: requests.Session) -> None:
    user = org.user
    keys = {"consumer_key": org.client_id, "consumer_secret": org.client_secret}
    password = user.password + user.security_token
    assert connect(session=session, username=user.username, password=password, **keys).limits()
    with pytest.raises(SalesforceAuthenticationFailed, match="authentication failure"):
        connect(session=session, username=user.username, password="no", **keys)


def test_jwt_login(org: Org, session: requests.Session) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    org.app.public_key = public.decode()
    login = {"session": session, "username": org.user.username, "privatekey": private.decode()}
    assert connect(consumer_key=org.client_id, **login).limits()
    with pytest.raises(SalesforceAuthenticationFailed, match="client identifier invalid"):
        connect(consumer_key="someone", **login)


def test_client_credentials_login(sf: Any, session: requests.Session) -> None:
    assert sf.limits()["DailyApiRequests"]["Max"] == 100_000
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid client credentials"):
        connect(session=session, consumer_key="sandbox-client-id", consumer_secret="x", domain="acme.my")


def test_direct_mode_over_tls(org: Org, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with SandboxServer(org, tls=context) as server, requests.Session() as session:
        session.trust_env = False
        session.verify = str(trusted)
        sf = connect(session=session, instance_url=server.url, session_id=org.access_token())
        assert len(sf.query_all("SELECT Id FROM Account")["records"]) == 300
        org.revoke_sessions()
        with pytest.raises(SalesforceExpiredSession):
            sf.query("SELECT Id FROM Account")


def test_queries_page_to_the_end(org: Org, sf: Any) -> None:
    found = sf.query_all("SELECT Id, Name, Owner.Name, BillingAddress FROM Account")
    assert found["totalSize"] == 300
    assert sorted(row["Id"] for row in found["records"]) == org.ids("Account")
    assert org.log.totals()["query_more"] == 2
    streamed = list(sf.query_all_iter("SELECT Id FROM Account", include_deleted=True))
    assert len(streamed) == 300
    assert sf.api_usage["api-usage"].total == 100_000


def test_describe_and_rows(org: Org, sf: Any) -> None:
    assert {entry["name"] for entry in sf.describe()["sobjects"]} >= {"Account", "Wide__c"}
    assert len(sf.Account.describe()["fields"]) == 26
    assert sf.Account.get(org.ids("Account", limit=1)[0])["attributes"]["type"] == "Account"


def test_replication_calls(org: Org, sf: Any) -> None:
    start = org.now() - timedelta(minutes=2)
    changed, gone = org.ids("Account", limit=2)
    org.update("Account", [changed], {"Name": "x"})
    org.delete("Account", [gone])
    end = org.now() + timedelta(minutes=2)
    assert sf.Account.updated(start, end)["ids"] == [changed]
    assert [entry["id"] for entry in sf.Account.deleted(start, end)["deletedRecords"]] == [gone]


def test_errors_reach_the_client_as_its_own_classes(sf: Any) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="No such column"):
        sf.query("SELECT Nope FROM Account")
    with pytest.raises(SalesforceResourceNotFound):
        sf.Nope.describe()


def test_an_expired_session_is_renewed_by_the_client(org: Org, sf: Any) -> None:
    assert sf.query("SELECT COUNT() FROM Account")
    org.revoke_sessions()
    assert sf.query("SELECT COUNT() FROM Account")["totalSize"] == 300
    assert org.log.totals()["token"] == 2


def test_bulk_pages_hold_every_row(org: Org, sf: Any) -> None:
    pages = list(sf.bulk2.Account.query_all("SELECT Id, Description FROM Account", max_records=130, wait=0.01))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))]
    assert len(pages) == 3
    assert sorted(row["Id"] for row in rows) == org.ids("Account")
    by_rest = sf.query_all("SELECT Id, Description FROM Account")["records"]
    texts = {row["Id"]: row["Description"] or "" for row in by_rest}
    assert {row["Id"]: row["Description"] for row in rows} == texts


def test_bulk_download_and_failed_jobs(org: Org, sf: Any, tmp_path: Path) -> None:
    files = sf.bulk2.Account.download("SELECT Id FROM Account", path=str(tmp_path), max_records=200, wait=0.01)
    assert sum(file["number_of_records"] for file in files) == 300
    org.plan_job(JobPlan("failed", message="Retried more than fifteen times"))
    with pytest.raises(SalesforceOperationError, match="Retried more than fifteen times"):
        list(sf.bulk2.Account.query("SELECT Id FROM Account", wait=0.01))
