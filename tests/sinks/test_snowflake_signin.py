"""Ways to sign in, as far as the driver's arguments and its login request show them; ``tests/live`` goes further.

Over HTTP a key pair, a token, a password and OAuth client credentials are proved in ``test_snowflake_session``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from syncline.connectors.errors import ConfigError, SignInError
from syncline.sinks.landing import Landing
from syncline.sinks.snowflake import Snowflake
from syncline.sinks.snowflake_settings import settings_from
from tests.servers.snowflake_fixtures import PASSWORD, FakeSnowflake, key_pair

PLACE = {"SNOWFLAKE_ACCOUNT": "acme-prod", "SNOWFLAKE_USER": "SYNCLINE", "SNOWFLAKE_WAREHOUSE": "wh"}


def arguments(variables: Mapping[str, str], **given: Any) -> dict[str, Any]:
    return settings_from({**PLACE, **variables}, database="sales", schema="crm", **given).arguments()


def ec_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()


def test_a_key_pair_is_handed_over_as_a_key_and_never_as_text() -> None:
    for pem in (key_pair()[0], ec_key()):
        given = arguments({"SNOWFLAKE_PRIVATE_KEY": pem})
        assert given["authenticator"] == "SNOWFLAKE_JWT"
        assert given["private_key"].public_key()
        assert "PRIVATE KEY" not in repr(given)


def test_the_place_is_read_as_sql_reads_it_and_host_may_be_private() -> None:
    given = arguments(
        {"SNOWFLAKE_PASSWORD": "sentinel-x", "SNOWFLAKE_ROLE": '"my role"'}, host="acme.privatelink.x.com"
    )
    shown = {name: given[name] for name in ("account", "user", "warehouse", "role", "database", "host", "protocol")}
    assert shown == {
        **{"account": "acme-prod", "user": "SYNCLINE", "warehouse": '"WH"', "role": '"my role"'},
        **{"database": '"SALES"', "host": "acme.privatelink.x.com", "protocol": "https"},
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"WORKLOAD_IDENTITY_PROVIDER": "aws"}, {"workload_identity_provider": "AWS"}),
        ({"WORKLOAD_IDENTITY_PROVIDER": "AZURE"}, {"workload_identity_provider": "AZURE"}),
        (
            {"WORKLOAD_IDENTITY_PROVIDER": "OIDC", "TOKEN": "sentinel-jwt"},
            {"workload_identity_provider": "OIDC", "token": "sentinel-jwt"},
        ),
        ({"TOKEN": "sentinel-pat"}, {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": "sentinel-pat"}),
        (
            {"TOKEN": "sentinel-oauth", "AUTHENTICATOR": "oauth"},
            {"authenticator": "OAUTH", "token": "sentinel-oauth"},
        ),
        (
            {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "sentinel-s", "OAUTH_TOKEN_URL": "https://idp.example/t"},
            {
                **{"authenticator": "OAUTH_CLIENT_CREDENTIALS", "oauth_client_id": "id"},
                **{"oauth_client_secret": "sentinel-s", "oauth_token_request_url": "https://idp.example/t"},
            },
        ),
        ({"PASSWORD": "sentinel-p"}, {"authenticator": "SNOWFLAKE", "password": "sentinel-p"}),
        ({"CONNECTION": "prod"}, {"connection_name": "prod"}),
    ],
)
def test_each_way_gives_the_driver_its_own_arguments(variables: dict[str, str], expected: dict[str, str]) -> None:
    given = arguments({f"SNOWFLAKE_{name}": value for name, value in variables.items()})
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "SNOWFLAKE_PRIVATE_KEY_FILE"),
        ({"PASSWORD": "sentinel-p", "TOKEN": "sentinel-t"}, "SNOWFLAKE_TOKEN and SNOWFLAKE_PASSWORD"),
        ({"PRIVATE_KEY": "sentinel-k", "PRIVATE_KEY_FILE": "k.p8"}, "SNOWFLAKE_PRIVATE_KEY and"),
        ({"PRIVATE_KEY": "sentinel-k"}, "no private key in PEM form"),
        ({"PRIVATE_KEY_FILE": "/nowhere/key.p8"}, "/nowhere/key.p8"),
        ({"PASSWORD": "sentinel-p", "PRIVATE_KEY_PASSPHRASE": "sentinel-q"}, "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
        ({"WORKLOAD_IDENTITY_PROVIDER": "IBM"}, "AWS, AZURE, GCP, OIDC"),
        ({"WORKLOAD_IDENTITY_PROVIDER": "OIDC"}, "SNOWFLAKE_TOKEN_FILE"),
        ({"OAUTH_CLIENT_ID": "id"}, "SNOWFLAKE_OAUTH_CLIENT_SECRET, SNOWFLAKE_OAUTH_TOKEN_URL"),
        (
            {"OAUTH_CLIENT_ID": "i", "OAUTH_CLIENT_SECRET": "sentinel-s", "OAUTH_TOKEN_URL": "http://idp.example/t"},
            "use https",
        ),
    ],
)
def test_what_cannot_sign_in_is_refused_at_once_by_the_variable_s_name_no_secrets(
    variables: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        arguments({f"SNOWFLAKE_{name}": value for name, value in variables.items()})
    assert told in str(caught.value)
    assert "sentinel" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"storage_integraton": "X"}, "did you mean storage_integration?"),
        ({"quite_something_else": 1}, "its settings are sign_in, database"),
        ({"stage": "A", "storage_integration": "B"}, "stage and storage_integration"),
        ({"stage": "A.B.C.D"}, "at most 3 parts"),
        ({"schema": "no words"}, "quote it as SQL does"),
        ({"role": 5}, "write a text"),
        ({"names": "lower"}, 'write "upper" or "exact"'),
        ({"warehouse_size": "HUGE"}, "XSMALL"),
        ({"lock_timeout_s": 0}, "lock_timeout_s"),
        ({"lock_timeout_s": 1.5}, "write whole seconds"),
        ({"host": "http://acme.snowflakecomputing.com"}, "use https"),
        ({"account": "acme.snowflakecomputing.com"}, "alone"),
        ({"account": ""}, "SNOWFLAKE_ACCOUNT is missing"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_when_the_warehouse_is_made(given: dict[str, Any], told: str) -> None:
    variables = {**PLACE, "SNOWFLAKE_PASSWORD": "sentinel-p"}
    with pytest.raises(ConfigError) as caught:
        Snowflake.from_env(variables, **{"database": "d", "schema": "s", **given})
    assert told in str(caught.value)


def test_a_token_file_is_read_anew_at_each_sign_in(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sentinel-one\n")
    settings = settings_from({**PLACE, "SNOWFLAKE_TOKEN_FILE": str(tmp_path / "token")}, database="d", schema="s")
    assert settings.arguments()["token"] == "sentinel-one"
    (tmp_path / "token").write_text("sentinel-two\n")
    assert settings.arguments()["token"] == "sentinel-two"


# ---- by the real driver ----

SIGN_IN = """
from syncline.sinks.snowflake import Snowflake
warehouse = Snowflake.from_env(database="{database}", schema="CRM")
print([finding.text for finding in warehouse.check()][0])
warehouse.close()
"""


def test_a_named_connection_of_the_driver_s_own_file_signs_in(fake_snowflake: FakeSnowflake, tmp_path: Path) -> None:
    """In a process of its own, for the driver looks for the file when it is imported."""
    (tmp_path / "key.p8").write_text(fake_snowflake.private_key)
    file = tmp_path / "connections.toml"
    host = {"host": "127.0.0.1", "protocol": "http", "account": "acme-test", "user": "SYNCLINE"}
    lines = [f'{name} = "{value}"' for name, value in host.items()]
    lines += ['authenticator = "SNOWFLAKE_JWT"', f'private_key_file = "{tmp_path / "key.p8"}"']
    file.write_text("\n".join(["[prod]", *lines, f"port = {fake_snowflake.port}", ""]))
    file.chmod(0o600)
    environment = {"SNOWFLAKE_HOME": str(tmp_path), "SNOWFLAKE_CONNECTION": "prod", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", SIGN_IN.format(database=fake_snowflake.database())],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "signed in with the connection prod of connections.toml", done.stderr


def test_the_driver_vouches_for_an_identity_to_snowflake_s_own_hosts_only(fake_snowflake: FakeSnowflake) -> None:
    """It refuses the stand-in by the number of its own for this way, before it sends the token: no more can be seen."""
    token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpZHAiLCJzdWIiOiJzeW5jbGluZSJ9."
    kept = {name: value for name, value in fake_snowflake.variables.items() if "PRIVATE_KEY" not in name}
    given = {**kept, "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "OIDC", "SNOWFLAKE_TOKEN": token}
    with pytest.raises(SignInError, match="251021: WORKLOAD_IDENTITY"):
        Snowflake.from_env(given, database="D", schema="CRM").check()
    assert fake_snowflake.seen()["logins"] == []


# ---- what check says ----


def test_check_warns_of_a_password_and_of_schemas_that_are_to_be_made(fake_snowflake: FakeSnowflake) -> None:
    kept = {name: value for name, value in fake_snowflake.variables.items() if "PRIVATE_KEY" not in name}
    database = fake_snowflake.database()
    warehouse = Snowflake.from_env({**kept, "SNOWFLAKE_PASSWORD": PASSWORD}, database=database, schema="CRM")
    sign_in, *schemas = warehouse.check()
    assert (sign_in.level, "key pair" in sign_in.cure) == ("warn", True)
    assert [finding.level for finding in schemas] == ["warn", "warn"]
    assert all("--show-setup" in finding.cure for finding in schemas)
    [route] = warehouse.check_landing(Landing("memory://"))
    assert (route.level, route.text) == ("ok", "files are uploaded to an internal stage")
    with pytest.raises(ConfigError, match="show-setup"):
        warehouse.check_landing(Landing("s3://acme-landing/crm", access_key_id="a", secret_access_key="sentinel-s"))
    warehouse.close()
    with fake_snowflake.reader() as reader:
        for schema in ("CRM", "CRM_STAGING"):
            reader.cursor().execute(f'CREATE SCHEMA "{database}"."{schema}"')
    healthy = Snowflake.from_env(fake_snowflake.variables, database=database, schema="CRM")
    assert {finding.level for finding in healthy.check()} == {"ok"}
    healthy.close()
    writes = [each for each in fake_snowflake.seen()["statements"] if each.split()[0] not in ("SELECT", "CREATE")]
    assert writes == []
