"""The connector's settings, and the credentials read from the environment. Nothing connects here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict

from syncline.connectors.errors import ConfigError
from syncline.connectors.salesforce.columns import FormulaNumbers, NumberRules
from syncline.connectors.salesforce.hosts import origin_of
from syncline.connectors.salesforce.signin import (
    ClientCredentials,
    Credentials,
    JwtBearer,
    ReadyToken,
    UsernamePassword,
)
from syncline.connectors.secret import Secret

Api: TypeAlias = Literal["auto", "rest", "bulk"]

API_VERSION: Final = "62.0"
API_VERSION_MIN: Final = 50.0
"""From here on Bulk gives its columns in the order asked."""

PREFIX: Final = "SALESFORCE_"
NAMES: Final = (
    "DOMAIN", "CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PRIVATE_KEY", "PRIVATE_KEY_FILE", "PASSWORD",
    "SECURITY_TOKEN", "ACCESS_TOKEN", "INSTANCE_URL", "API_VERSION",
)  # fmt: skip
WAYS: Final = (
    ("an access token", ("ACCESS_TOKEN",)),
    ("a private key (JWT bearer)", ("PRIVATE_KEY", "PRIVATE_KEY_FILE")),
    ("a user's password", ("PASSWORD",)),
    ("a client secret (client credentials)", ("CLIENT_SECRET",)),
)


class Options(TypedDict, total=False):
    """The settings as keyword arguments."""

    api: Api
    api_version: str
    settling_lag_s: float
    quota_share: float
    bulk_rows_min: int
    page_rows: int
    part_rows: int
    rest_part_rows: int
    job_deadline_s: float
    number_scale_min: int
    formula_numbers: FormulaNumbers


@dataclass(frozen=True, slots=True)
class Settings:
    """How to read an org.

    ``api``: ``auto`` takes REST below ``bulk_rows_min`` rows of a window and Bulk from there on.
    ``settling_lag_s``: how far below the org's clock a run stays, so that transactions under way can commit.
    ``quota_share``: of the org's daily requests, used by whomever, at which a run stops. ``page_rows``: rows of a
    Bulk page where pages are fetched one after another. ``part_rows``: rows of a Bulk job at most,
    ``rest_part_rows``: of a slice read by REST; a window of more is cut in parts by time, as the org counts.
    ``job_deadline_s``: how long to wait for one Bulk job. ``number_scale_min``: decimal places kept at least;
    ``formula_numbers="float"`` takes numeric formulas as floats.
    """

    api: Api = "auto"
    api_version: str = API_VERSION
    settling_lag_s: float = 60.0
    quota_share: float = 0.80
    bulk_rows_min: int = 10_000
    page_rows: int = 50_000
    part_rows: int = 5_000_000
    rest_part_rows: int = 100_000
    job_deadline_s: float = 6 * 3600.0
    number_scale_min: int = 0
    formula_numbers: FormulaNumbers = "decimal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_version", version_of(self.api_version))
        _require(self.api in ("auto", "rest", "bulk"), "api", self.api, "auto, rest or bulk")
        _require(0 <= self.settling_lag_s <= 86_400, "settling_lag_s", self.settling_lag_s, "0 to 86400 seconds")
        _require(0 < self.quota_share <= 1, "quota_share", self.quota_share, "a share, above 0 and up to 1")
        _require(self.bulk_rows_min >= 0, "bulk_rows_min", self.bulk_rows_min, "0 or more")
        _require(1 <= self.page_rows <= 1_000_000, "page_rows", self.page_rows, "1 to 1000000")
        _require(self.part_rows >= 1, "part_rows", self.part_rows, "1 or more")
        _require(self.rest_part_rows >= 1, "rest_part_rows", self.rest_part_rows, "1 or more")
        _require(self.job_deadline_s > 0, "job_deadline_s", self.job_deadline_s, "more than 0 seconds")
        _require(0 <= self.number_scale_min <= 18, "number_scale_min", self.number_scale_min, "0 to 18")
        _require(self.formula_numbers in ("decimal", "float"), "formula_numbers", self.formula_numbers, "one of both")

    @property
    def numbers(self) -> NumberRules:
        return NumberRules(self.number_scale_min, self.formula_numbers)


def version_of(text: str) -> str:
    """``62``, ``62.0`` or ``v62.0`` as ``62.0``."""
    found = re.fullmatch(r"v?(\d{2,3})(\.0)?", str(text).strip())
    _require(found is not None, "api_version", text, "a version such as 62.0")
    assert found is not None
    _require(float(found.group(1)) >= API_VERSION_MIN, "api_version", text, f"{API_VERSION_MIN} or later")
    return f"{found.group(1)}.0"


def credentials_from(environ: Mapping[str, str] | None) -> tuple[Credentials, str | None]:
    """The one way to sign in that ``SALESFORCE_*`` describes, and the API version if one is named there.

    Raises:
        ConfigError: something is missing, or two ways are described at once; it names the variables.
    """
    source = os.environ if environ is None else environ
    given = {name: value for name in NAMES if (value := source.get(PREFIX + name, "").strip())}
    chosen = [(way, names) for way, names in WAYS if any(name in given for name in names)]
    if not chosen:
        raise _missing("no way to sign in is set", "CLIENT_SECRET", "PRIVATE_KEY", "PASSWORD or _ACCESS_TOKEN")
    if len(chosen) > 1 or ("PRIVATE_KEY" in given and "PRIVATE_KEY_FILE" in given):
        both = [name for _, names in chosen for name in names if name in given]
        raise ConfigError(
            "read the Salesforce settings",
            " and ".join(PREFIX + name for name in both),
            "they contradict each other: each is a way to sign in of its own",
            "keep one of them and unset the others",
        )
    return _MAKERS[chosen[0][1][0]](given), given.get("API_VERSION")


def _ready_token(given: Mapping[str, str]) -> Credentials:
    _need(given, "an access token", "INSTANCE_URL")
    return ReadyToken(_origin(given), Secret(given["ACCESS_TOKEN"]))


def _jwt(given: Mapping[str, str]) -> Credentials:
    _need(given, "a private key", "CLIENT_ID", "USERNAME")
    key = given.get("PRIVATE_KEY") or _key_file(given["PRIVATE_KEY_FILE"])
    # A key in one line of a .env file carries its line ends as backslash and n.
    return JwtBearer(_origin(given, "login"), given["CLIENT_ID"], given["USERNAME"], Secret(key.replace("\\n", "\n")))


def _password(given: Mapping[str, str]) -> Credentials:
    _need(given, "a user's password", "USERNAME")
    version = version_of(given.get("API_VERSION", API_VERSION))
    token = Secret(given.get("SECURITY_TOKEN", ""))
    return UsernamePassword(_origin(given, "login"), given["USERNAME"], Secret(given["PASSWORD"]), token, version)


def _client(given: Mapping[str, str]) -> Credentials:
    _need(given, "a client secret", "CLIENT_ID")
    if "DOMAIN" not in given and "INSTANCE_URL" not in given:
        raise _missing("a client secret is set", "DOMAIN")
    if given.get("DOMAIN") in ("login", "test") and "INSTANCE_URL" not in given:
        raise ConfigError(
            "read the Salesforce settings",
            f"{PREFIX}DOMAIN={given['DOMAIN']}",
            "client credentials are accepted at the org's My Domain only",
            "set it to the My Domain, such as acme.my or acme--uat.sandbox.my",
        )
    return ClientCredentials(_origin(given), given["CLIENT_ID"], Secret(given["CLIENT_SECRET"]))


_MAKERS: Final = {"ACCESS_TOKEN": _ready_token, "PRIVATE_KEY": _jwt, "PASSWORD": _password, "CLIENT_SECRET": _client}


def _origin(given: Mapping[str, str], default: str = "") -> str:
    """Where to sign in: the instance if it is named, else the domain."""
    name = "INSTANCE_URL" if "INSTANCE_URL" in given else "DOMAIN"
    return origin_of(given.get(name, default), PREFIX + name)


def _key_file(name: str) -> str:
    try:
        return Path(name).expanduser().read_text()
    except (OSError, ValueError) as error:
        cause = type(error).__name__ if isinstance(error, ValueError) else str(error.strerror)
        hint = "name a readable PEM file"
        raise ConfigError("read the private key", f"{PREFIX}PRIVATE_KEY_FILE={name}", cause, hint) from None


def _need(given: Mapping[str, str], way: str, *names: str) -> None:
    if missing := [name for name in names if name not in given]:
        raise _missing(f"{way} is set", *missing)


def _missing(state: str, *names: str) -> ConfigError:
    wanted = ", ".join(PREFIX + name for name in names)
    return ConfigError(
        "read the Salesforce settings",
        "the environment",
        f"{state}, but {wanted} {'is' if len(names) == 1 else 'are'} missing",
        "set it in the environment or in .env; the guide lists what each way to sign in needs",
    )


def _require(right: bool, setting: str, value: object, wanted: str) -> None:
    if not right:
        raise ConfigError("read the Salesforce settings", f"{setting}={value!r}", "it is not valid", f"give {wanted}")
