"""Redshift's settings are refused when they are made, by name and with the cure; and what its errors mean."""

from __future__ import annotations

from typing import Any

import pytest
from redshift_connector.error import InterfaceError, ProgrammingError

from syncline.connectors.errors import (
    ConfigError,
    DataError,
    SignInError,
    SynclineError,
    Transient,
    ValueOutOfType,
)
from syncline.sinks.redshift import Redshift
from syncline.sinks.redshift_errors import ScanRefused, translate, translate_connect
from syncline.sinks.redshift_settings import Settings, settings_from

VARIABLES = {
    "REDSHIFT_HOST": "crm.c1.eu-central-1.redshift.amazonaws.com",
    "REDSHIFT_USER": "syncline",
    "REDSHIFT_PASSWORD": "sentinel-password",
    "REDSHIFT_DATABASE": "sales",
    "REDSHIFT_SCHEMA": "CRM",
}
IAM: dict[str, Any] = {"user": "syncline", "password": "", "iam": True, "region": "eu-central-1"}


def settings(**given: Any) -> Settings:
    return settings_from(VARIABLES, **given)


def test_the_environment_is_enough_and_arguments_go_before_it() -> None:
    assert (settings().database, settings().schema, settings().staging_schema) == ("sales", "crm", "crm_staging")
    assert settings(schema="other").schema == "other"
    assert settings_from({**VARIABLES, "REDSHIFT_PORT": "5440"}).port == 5440


def test_no_secret_is_shown() -> None:
    """NO-SECRETS."""
    made = Redshift(settings())
    assert "sentinel" not in repr(made) + repr(made.settings) + str(made.settings)
    assert made.settings.arguments()["password"] == "sentinel-password"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"schema": "x" * 128}, "schema"),
        ({"port": 0}, "port"),
        ({"statement_timeout_s": 0}, "statement_timeout_s"),
        ({"iam_role": "syncline-copy"}, "iam_role"),
        ({"iam_role": "arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b"}, "iam_role"),
        ({"port": "many"}, "REDSHIFT_PORT"),
        ({"statement_timeout_s": 1.5}, "statement_timeout_s"),
        ({"region": 1}, "region"),
        ({"iam": 1}, "iam"),
        ({"password": 1}, "password"),
        ({"shema": "crm"}, "shema"),
        ({"tls": "disable"}, "tls"),
        ({"tls": "prefer"}, "tls"),
        ({"iam": True}, "password and iam"),
        ({**IAM}, "cluster_identifier and serverless_workgroup"),
        ({**IAM, "cluster_identifier": "crm", "region": ""}, "region"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    assert (caught.value.object, bool(caught.value.hint)) == (named, True)


@pytest.mark.parametrize("name", ["REDSHIFT_DATABASE", "REDSHIFT_SCHEMA", "REDSHIFT_PASSWORD", "REDSHIFT_HOST"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({**VARIABLES, name: ""})
    assert name.removeprefix("REDSHIFT_").lower() in caught.value.object.lower()


def test_the_driver_is_told_of_iam_and_of_tls() -> None:
    cluster = settings(**IAM, cluster_identifier="crm").arguments()
    assert (cluster["iam"], cluster["cluster_identifier"], cluster["db_user"]) == (True, "crm", "syncline")
    serverless = settings(**IAM, serverless_workgroup="crm").arguments()
    assert (serverless["is_serverless"], serverless["serverless_work_group"]) == (True, "crm")
    assert "password" not in cluster
    assert (settings().arguments()["ssl"], settings().arguments()["sslmode"]) == (True, "verify-full")
    assert settings(host="127.0.0.1", tls="disable").arguments()["ssl"] is False


# ---- errors ----

SCAN = (
    "error: Spectrum Scan Error code: 15001 context: File 's3://b/x.parquet' has an incompatible Parquet schema for"
    " column 's3://b/x.parquet.stamp'. Column type: TIMESTAMP, Parquet schema: optional int64 stamp"
)


@pytest.mark.parametrize(
    ("state", "message", "detail", "kind"),
    [
        ("XX000", "1023", "Serializable isolation violation on table - 15102", Transient),
        ("40P01", "deadlock detected", "", Transient),
        ("57014", "Query cancelled on user's request", "", Transient),
        ("57P01", "terminating connection due to administrator command", "", Transient),
        ("42P01", 'relation "account" does not exist', "", Transient),
        ("42501", "permission denied for schema crm", "", ConfigError),
        ("53100", "Disk Full", "", ConfigError),
        (
            "XX000",
            "User arn:aws:redshift:x is not authorized to assume IAM Role arn:aws:iam::1:role/r",
            "",
            ConfigError,
        ),
        ("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied", "", ConfigError),
        (
            "XX000",
            "S3ServiceException:The bucket is in another region,Status 301,Error PermanentRedirect",
            "",
            ConfigError,
        ),
        ("XX000", "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown", "", Transient),
        ("22001", "value too long for type character varying(65535)", "", ValueOutOfType),
        ("22003", "Numeric data overflow", "", ValueOutOfType),
        ("XX000", "Spectrum Scan Error", SCAN, ScanRefused),
        ("28000", 'password authentication failed for user "syncline"', "", SignInError),
    ],
)
def test_an_error_says_whether_a_retry_helps_or_the_user_must_act(
    state: str, message: str, detail: str, kind: type[SynclineError]
) -> None:
    error = translate(ProgrammingError({"S": "ERROR", "C": state, "M": message, "D": detail}), "run COPY", "Redshift x")
    assert type(error) is kind
    assert error.hint


def test_a_refused_scan_names_the_column_type_it_was_refused_for() -> None:
    error = translate(ProgrammingError({"C": "XX000", "M": "Spectrum Scan Error", "D": SCAN}), "run COPY", "Redshift x")
    assert isinstance(error, ScanRefused)
    assert error.column_type == "TIMESTAMP"
    assert isinstance(error, DataError)


def test_what_did_not_come_from_the_server_is_a_broken_connection() -> None:
    assert isinstance(translate(InterfaceError("BrokenPipe: server socket closed"), "run", "x"), Transient)
    assert isinstance(translate_connect(InterfaceError("communication error", OSError(111, "refused")), "x"), Transient)
    assert isinstance(translate_connect(InterfaceError("Server refuses SSL"), "x"), ConfigError)
