"""What ``syncline check --show-setup`` prints for Redshift: enough for whole runs, each right needed, nothing secret.

The SQL is run in the stand-in and a user with those rights alone does the runs. PostgreSQL's rights on schemas and
tables are Redshift's; GRANT ASSUMEROLE it does not know, and IAM is only held against the objects that COPY reads.
"""

from __future__ import annotations

import fnmatch
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from syncline.connectors.errors import ConfigError
from syncline.sinks.landing import Landing
from syncline.sinks.redshift import Redshift
from syncline.sinks.trial import COLUMNS, Change, Trial, record, tombstone
from tests.servers.redshift_fixtures import ROLE, FakeRedshift
from tests.sinks.redshift_house import RedshiftHouse
from tests.sinks.snapshot import check_snapshot

PASSWORD = "Sentinel-password-1"
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
BUCKET = Landing("s3://acme-landing/crm", sse="kms", kms_key_id=KMS_KEY, region="eu-central-1")
HOST = "crm.c1.eu-central-1.redshift.amazonaws.com"
VARIABLES = {"REDSHIFT_HOST": HOST, "REDSHIFT_PASSWORD": PASSWORD, "REDSHIFT_IAM_ROLE": ROLE}


def warehouse(variables: dict[str, str] | None = None, **given: Any) -> Redshift:
    return Redshift.from_env(variables or {}, **{"database": "dev", "schema": "crm", **given})


IAM: dict[str, Any] = {"iam": True, "region": "eu-central-1"}


def test_the_text_is_as_reviewed() -> None:
    by_password = warehouse({**VARIABLES, "REDSHIFT_USER": "syncline"})
    cluster = warehouse(cluster_identifier="crm", user="syncline", **IAM)
    serverless = warehouse(
        serverless_workgroup="crm", host="crm.1.eu-central-1.redshift-serverless.amazonaws.com", **IAM
    )
    texts = [
        ("a password", by_password.setup(BUCKET)),
        ("IAM, a cluster", cluster.setup(BUCKET)),
        ("IAM, serverless, no bucket yet", serverless.setup(Landing("memory://"))),
    ]
    check_snapshot("redshift_setup", texts)
    assert not [text for _, text in texts if PASSWORD in text]


# ---- rights ----


@dataclass
class Person:
    """A database user of its own."""

    fake: FakeRedshift
    name: str

    def house(self) -> RedshiftHouse:
        return RedshiftHouse(self.fake, {"user": self.name, "password": PASSWORD})

    def statements(self, landing: Landing) -> list[str]:
        text = self.house().warehouse().setup(landing)
        first = text.split("-- 2.")[0]
        filled = re.sub(r"PASSWORD '<[^']*>'", f"PASSWORD '{PASSWORD}'", first)
        return re.findall(r"^[A-Z].*(?=;$)", filled, re.MULTILINE)


@pytest.fixture
def person(fake_redshift: FakeRedshift) -> Iterator[Person]:
    person = Person(fake_redshift, f"u_{secrets.token_hex(6)}")
    yield person
    with fake_redshift.reader() as administrator:
        administrator.execute(f'DROP OWNED BY "{person.name}" CASCADE')
        administrator.execute(f'DROP ROLE "{person.name}"')


def live(trial: Trial) -> None:
    """First run, an increment with a delete and a new column, a wider column, a reload."""
    trial.run(Change([record("1"), record("2")]))
    more = COLUMNS.append(pa.field("Amount", pa.int64()))
    trial.run(Change([{**record("1", "new", 1), "Amount": 1}], [tombstone("2", 1)], columns=more))
    wider = COLUMNS.append(pa.field("Amount", pa.decimal128(18, 2)))
    trial.run(Change([{**record("1", "wider", 2), "Amount": 2}], columns=wider))
    trial.run(Change([{**record("3", "again", 3), "Amount": 3}], columns=wider, mode="snapshot"))


def test_the_rights_are_enough_for_whole_runs(person: Person, fake_redshift: FakeRedshift) -> None:
    landing = Landing(**fake_redshift.landing)
    statements = person.statements(landing)
    assert len(statements) == 5
    with fake_redshift.reader() as administrator:
        for statement in statements:
            administrator.execute(statement)
    live(Trial(person.house(), landing))
    warehouse = person.house().warehouse()
    assert [finding.level for finding in warehouse.check()] == ["ok", "ok", "ok"]
    warehouse.close()


@pytest.mark.parametrize("left_out", ["crm", "staging"])
def test_each_right_is_needed(person: Person, fake_redshift: FakeRedshift, left_out: str) -> None:
    """A right that nothing needs would be one too many; the run says where the missing one is to be found."""
    landing = Landing(**fake_redshift.landing)
    with fake_redshift.reader() as administrator:
        for statement in person.statements(landing):
            grants = statement.startswith("GRANT")
            if not grants or ("_staging" in statement) != (left_out == "staging"):
                administrator.execute(statement)
    with pytest.raises(ConfigError, match="42501") as caught:
        live(Trial(person.house(), landing))
    assert "docs/warehouses.md" in caught.value.hint
    warehouse = person.house().warehouse()
    [wrong] = [finding for finding in warehouse.check() if finding.level == "error"]
    assert "--show-setup" in wrong.cure
    warehouse.close()


def test_schemas_that_are_missing_are_told_of(fake_redshift: FakeRedshift) -> None:
    warehouse = RedshiftHouse(fake_redshift).warehouse()
    assert [finding.level for finding in warehouse.check()] == ["ok", "warn", "warn"]
    warehouse.close()


# ---- IAM ----


def policies(text: str) -> list[Any]:
    decoder, found = json.JSONDecoder(), []
    for match in re.finditer(r"^\{$", text, re.MULTILINE):
        found.append(decoder.raw_decode(text, match.start())[0])
    return found


def allowed(policy: Any, action: str, resource: str) -> bool:
    def listed(value: Any) -> list[str]:
        return value if isinstance(value, list) else [value]

    return any(
        action in listed(each["Action"]) and any(fnmatch.fnmatchcase(resource, one) for one in listed(each["Resource"]))
        for each in policy["Statement"]
    )


def test_the_role_may_read_what_copy_reads_and_nothing_else(
    fake_redshift: FakeRedshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = Landing(**fake_redshift.landing)
    house = RedshiftHouse(fake_redshift)
    client = fake_redshift.server.bucket.client
    get, read = client.get_object, list[str]()

    def noting(**given: Any) -> Any:
        read.append(f"arn:aws:s3:::{given['Bucket']}/{given['Key']}")
        return get(**given)

    monkeypatch.setattr(client, "get_object", noting)
    Trial(house, landing).run(Change([record("1")]))
    policy, trust = policies(house.warehouse().setup(landing))
    assert {each.rpartition(".")[2] for each in read} == {"manifest", "parquet"}
    assert all(allowed(policy, "s3:GetObject", each) for each in read)
    bucket = f"arn:aws:s3:::{fake_redshift.bucket}"
    assert not allowed(policy, "s3:GetObject", f"{bucket}/landing-of-others/x.parquet")
    assert not allowed(policy, "s3:PutObject", read[0])
    assert allowed(policy, "s3:ListBucket", bucket)
    assert allowed(policy, "s3:GetBucketLocation", bucket)
    [statement] = trust["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    assert "redshift.amazonaws.com" in statement["Principal"]["Service"]


def test_an_encrypted_landing_needs_its_key() -> None:
    policy, _ = policies(warehouse({**VARIABLES, "REDSHIFT_USER": "syncline"}).setup(BUCKET))
    assert allowed(policy, "kms:Decrypt", KMS_KEY)


# ---- the way in ----


@pytest.mark.parametrize(
    ("landing", "level", "says"),
    [
        (BUCKET, "ok", "as arn:aws:iam::123456789012:role/copy"),
        (Landing("s3://acme-landing/crm", region="us-west-2"), "error", "own region, eu-central-1, not us-west-2"),
        (Landing("memory://"), "error", "from S3 only"),
    ],
)
def test_a_landing_that_copy_cannot_read_is_found_without_connecting(landing: Landing, level: str, says: str) -> None:
    [finding] = warehouse({**VARIABLES, "REDSHIFT_USER": "syncline"}).check_landing(landing)
    assert (finding.level, says in finding.text) == (level, True)
