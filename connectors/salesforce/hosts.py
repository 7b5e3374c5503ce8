"""Which addresses a credential may be sent to: https everywhere, plain http only to this machine (practice orgs)."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from syncline.connectors.errors import ConfigError

LOGIN_HOSTS: Final = ("login.salesforce.com", "test.salesforce.com")


def origin_of(address: str, setting: str) -> str:
    """``https://host[:port]`` of an org, from a My Domain prefix (``acme.my``), a host name or an address.

    Raises:
        ConfigError: the address is not one of an org's API, or would send credentials in the clear.
    """
    text = address.strip().rstrip("/")
    if "://" not in text:
        text = f"https://{_whole_host(text, setting)}"
    require_safe(text, setting)
    parts = urlsplit(text)
    if parts.hostname is not None and parts.hostname.endswith(".lightning.force.com"):
        raise ConfigError(
            "read the Salesforce settings",
            setting,
            f"{parts.hostname} is the browser's address, the API does not answer there",
            "use the My Domain address, which ends in .my.salesforce.com (Setup, My Domain)",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _whole_host(text: str, setting: str) -> str:
    if text in ("login", "test"):
        return f"{text}.salesforce.com"
    host = text.partition("/")[0]
    name = host.partition(":")[0]
    if is_loopback(name) or name.endswith((".salesforce.com", ".force.com", ".mil", ".com", ".cloud")):
        return host
    if name.endswith(".my"):
        return f"{name}.salesforce.com"
    raise ConfigError(
        "read the Salesforce settings",
        setting,
        f"{text!r} is neither login, test, a My Domain prefix nor a host name",
        f"write the My Domain host, such as {text.partition('.')[0]}.my.salesforce.com",
    )


def require_safe(url: str, setting: str) -> None:
    """Raises ConfigError for anything but https, or http to a loopback address (NO-SECRETS)."""
    parts = urlsplit(url)
    if parts.hostname and not parts.username:
        if parts.scheme == "https":
            return
        if parts.scheme == "http" and is_loopback(parts.hostname):
            return
    raise ConfigError(
        "read the Salesforce settings",
        setting,
        f"{parts.scheme or 'no scheme'}://{parts.hostname or ''} is not a safe address for credentials",
        "use https; plain http is accepted for 127.0.0.1, localhost and ::1 only, and no user name in the address",
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same_origin(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.netloc.lower()) == (second.scheme, second.netloc.lower())


def audience_of(origin: str) -> str:
    """The ``aud`` of a JWT assertion: the login host of the org's kind, not the My Domain (OAuth JWT bearer flow)."""
    host = urlsplit(origin).hostname or ""
    sandbox = host == "test.salesforce.com" or ".sandbox." in host or host.startswith("test.")
    return f"https://{LOGIN_HOSTS[1] if sandbox else LOGIN_HOSTS[0]}"
