"""The ways to sign in to Snowflake, each a frozen value that can tell the driver; nothing connects here.

Key pair is the recommended one for a machine, workload identity where the cloud vouches for it, OAuth client
credentials where an identity provider does, an access token where a user made one; a password for trials only: a user
of TYPE=SERVICE cannot have one (Snowflake guide, authentication).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, get_args

from syncline.connectors.errors import ConfigError
from syncline.connectors.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey: TypeAlias = "RSAPrivateKey | EllipticCurvePrivateKey"

PREFIX: Final = "SNOWFLAKE_"
RSA_BITS_MIN: Final = 2048

Cloud: TypeAlias = Literal["AWS", "AZURE", "GCP", "OIDC"]


class SignIn(Protocol):
    @property
    def way(self) -> str:
        """What it is called in a finding."""
        ...

    def arguments(self) -> Mapping[str, Any]:
        """What the driver's ``connect`` is given; holds secrets, so it is never kept or shown.

        Raises:
            ConfigError: a file that held the secret cannot be read any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A JWT signed with the user's key. The key is parsed when this is made, so that a bad one shows at once."""

    pem: Secret
    passphrase: Secret | None = None
    origin: str = f"{PREFIX}PRIVATE_KEY"
    way: str = "a key pair"

    def __post_init__(self) -> None:
        self._key()

    def arguments(self) -> Mapping[str, Any]:
        return {"authenticator": "SNOWFLAKE_JWT", "private_key": self._key()}

    def _key(self) -> PrivateKey:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        password = self.passphrase.reveal().encode() if self.passphrase else None
        try:
            key = load_pem_private_key(self.pem.reveal().encode(), password)
        except TypeError:
            # The parser's own words may quote the key, so neither they nor their chain are shown (NO-SECRETS).
            cause = "the key is not encrypted, but a passphrase is set" if password else "the key is encrypted"
            raise self._wrong(cause, f"set {PREFIX}PRIVATE_KEY_PASSPHRASE for an encrypted key only") from None
        except (ValueError, UnsupportedAlgorithm):
            cause = "the passphrase is wrong or the key is damaged" if password else "it is no private key in PEM form"
            raise self._wrong(cause, "give the whole text with its BEGIN and END lines") from None
        if isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS_MIN:
            return key
        if isinstance(key, EllipticCurvePrivateKey):
            return key
        raise self._wrong("it is neither an RSA key of 2048 bits or more nor an EC key", "make one with openssl genrsa")

    def _wrong(self, cause: str, hint: str) -> ConfigError:
        return ConfigError("read the private key", self.origin, cause, hint)


@dataclass(frozen=True, slots=True)
class Token:
    """A programmatic access token, or an OAuth token that somebody else renews; read anew at each sign-in."""

    kind: Literal["PROGRAMMATIC_ACCESS_TOKEN", "OAUTH"]
    text: Secret | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        self._reveal()

    @property
    def way(self) -> str:
        return "an OAuth token" if self.kind == "OAUTH" else "a programmatic access token"

    def arguments(self) -> Mapping[str, Any]:
        return {"authenticator": self.kind, "token": self._reveal()}

    def _reveal(self) -> str:
        return self.text.reveal() if self.text else _token_of(self.file)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Client credentials: the driver fetches a token from the identity provider at each sign-in."""

    client_id: str
    client_secret: Secret
    token_url: str
    scope: str = ""
    way: str = "OAuth client credentials"

    def arguments(self) -> Mapping[str, Any]:
        return {
            "authenticator": "OAUTH_CLIENT_CREDENTIALS",
            "oauth_client_id": self.client_id,
            "oauth_client_secret": self.client_secret.reveal(),
            "oauth_token_request_url": self.token_url,
            "oauth_scope": self.scope,
        }


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """The machine's own identity, attested by its cloud; with OIDC by a token that the platform leaves in a file."""

    provider: Cloud
    token: Token | None = None
    way: str = "workload identity"

    def __post_init__(self) -> None:
        if self.provider not in get_args(Cloud):
            hint = f"set it to one of {', '.join(get_args(Cloud))}"
            raise _setting(f"{PREFIX}WORKLOAD_IDENTITY_PROVIDER={self.provider}", "it is not a provider", hint)
        if (self.provider == "OIDC") != (self.token is not None):
            hint = f"set {PREFIX}TOKEN_FILE with the provider OIDC, and with no other"
            raise _setting(f"{PREFIX}WORKLOAD_IDENTITY_PROVIDER={self.provider}", "OIDC alone takes a token", hint)

    def arguments(self) -> Mapping[str, Any]:
        token = {"token": self.token.arguments()["token"]} if self.token else {}
        return {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": self.provider, **token}


@dataclass(frozen=True, slots=True)
class Password:
    """For trials."""

    password: Secret
    way: str = "a password"

    def arguments(self) -> Mapping[str, Any]:
        return {"authenticator": "SNOWFLAKE", "password": self.password.reveal()}


@dataclass(frozen=True, slots=True)
class NamedConnection:
    """An entry of ``connections.toml``, which the driver reads and which may hold any way to sign in."""

    name: str

    @property
    def way(self) -> str:
        return f"the connection {self.name} of connections.toml"

    def arguments(self) -> Mapping[str, Any]:
        return {"connection_name": self.name}


WAYS: Final = (
    ("PRIVATE_KEY", "PRIVATE_KEY_FILE"),
    ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_TOKEN_URL"),
    ("WORKLOAD_IDENTITY_PROVIDER",),
    ("TOKEN", "TOKEN_FILE"),
    ("PASSWORD",),
    ("CONNECTION",),
)
"""The variables that choose a way, by way."""

ADDITIONS: Final = {
    "PRIVATE_KEY_PASSPHRASE": "PRIVATE_KEY",
    "OAUTH_SCOPE": "OAUTH_CLIENT_ID",
    "AUTHENTICATOR": "TOKEN",
}
"""Variables that only mean something with a way: the way's first variable."""


def sign_in_from(given: Mapping[str, str]) -> SignIn:
    """The one way to sign in that the variables (without their prefix) describe.

    Raises:
        ConfigError: none is described, more than one is, or it lacks something; it names the variables.
    """
    chosen = [way for way in WAYS if any(name in given for name in way)]
    if [way[0] for way in chosen] == ["WORKLOAD_IDENTITY_PROVIDER", "TOKEN"]:
        chosen = chosen[:1]  # OIDC takes a token besides
    if not chosen:
        raise _setting(
            "the environment",
            "no way to sign in is set",
            f"set {PREFIX}PRIVATE_KEY_FILE (recommended), {PREFIX}TOKEN_FILE, {PREFIX}WORKLOAD_IDENTITY_PROVIDER,"
            f" {PREFIX}OAUTH_CLIENT_ID, {PREFIX}CONNECTION, or {PREFIX}PASSWORD for a trial",
        )
    if len(chosen) > 1:
        raise _contradiction([name for way in chosen for name in way if name in given])
    for first, second in (("PRIVATE_KEY", "PRIVATE_KEY_FILE"), ("TOKEN", "TOKEN_FILE")):
        if first in given and second in given:
            raise _contradiction([first, second])
    for name, way in ADDITIONS.items():
        if name in given and way != chosen[0][0]:
            cause = f"it means nothing with {PREFIX}{next(each for each in chosen[0] if each in given)}"
            raise _setting(PREFIX + name, cause, "unset it")
    made: SignIn = _MAKERS[chosen[0][0]](given)
    return made


def _key_pair(given: Mapping[str, str]) -> SignIn:
    passphrase = Secret(given["PRIVATE_KEY_PASSPHRASE"]) if "PRIVATE_KEY_PASSPHRASE" in given else None
    if "PRIVATE_KEY_FILE" in given:
        pem = _read(Path(given["PRIVATE_KEY_FILE"]), f"{PREFIX}PRIVATE_KEY_FILE", "a readable PEM file")
        return KeyPair(Secret(pem), passphrase, f"{PREFIX}PRIVATE_KEY_FILE={given['PRIVATE_KEY_FILE']}")
    # A key in one line of a .env file carries its line ends as backslash and n.
    return KeyPair(Secret(given["PRIVATE_KEY"].replace("\\n", "\n")), passphrase)


def _token(given: Mapping[str, str]) -> Token:
    asked = given.get("AUTHENTICATOR", "PROGRAMMATIC_ACCESS_TOKEN").upper()
    if asked not in ("PROGRAMMATIC_ACCESS_TOKEN", "OAUTH"):
        hint = "set it to oauth or programmatic_access_token, or unset it; the other ways are known by their variables"
        raise _setting(f"{PREFIX}AUTHENTICATOR={asked}", "it is not a kind of token", hint)
    kind: Literal["PROGRAMMATIC_ACCESS_TOKEN", "OAUTH"] = "OAUTH" if asked == "OAUTH" else "PROGRAMMATIC_ACCESS_TOKEN"
    if "TOKEN" in given:
        return Token(kind, Secret(given["TOKEN"]))
    return Token(kind, file=Path(given["TOKEN_FILE"]))


def _oauth_client(given: Mapping[str, str]) -> SignIn:
    needed = WAYS[1]
    if missing := [PREFIX + name for name in needed if name not in given]:
        raise _setting("the environment", f"OAuth client credentials lack {', '.join(missing)}", "set them")
    url = given["OAUTH_TOKEN_URL"]
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise _setting(f"{PREFIX}OAUTH_TOKEN_URL", "http sends the secret in the clear", "use https")
    return OAuthClient(
        given["OAUTH_CLIENT_ID"], Secret(given["OAUTH_CLIENT_SECRET"]), url, given.get("OAUTH_SCOPE", "")
    )


def _workload(given: Mapping[str, str]) -> SignIn:
    provider: Any = given["WORKLOAD_IDENTITY_PROVIDER"].upper()
    held = "TOKEN" in given or "TOKEN_FILE" in given
    return WorkloadIdentity(provider, _token(given) if held else None)


_MAKERS: Final[Mapping[str, Any]] = {
    "PRIVATE_KEY": _key_pair,
    "OAUTH_CLIENT_ID": _oauth_client,
    "WORKLOAD_IDENTITY_PROVIDER": _workload,
    "TOKEN": _token,
    "PASSWORD": lambda given: Password(Secret(given["PASSWORD"])),
    "CONNECTION": lambda given: NamedConnection(given["CONNECTION"]),
}


def _token_of(file: Path | None) -> str:
    assert file is not None
    text = _read(file, f"{PREFIX}TOKEN_FILE", "a readable file that holds the token alone").strip()
    if not text:
        raise ConfigError("read the token", f"{PREFIX}TOKEN_FILE={file}", "it is empty", "put the token in it")
    return Secret(text).reveal()  # known from here on to what scrubs texts


def _read(file: Path, variable: str, wanted: str) -> str:
    try:
        return file.expanduser().read_text()
    except (OSError, ValueError) as error:
        cause = type(error).__name__ if isinstance(error, ValueError) else str(error.strerror)
        raise ConfigError("read the Snowflake settings", f"{variable}={file}", cause, f"name {wanted}") from None


def _contradiction(names: list[str]) -> ConfigError:
    both = " and ".join(PREFIX + name for name in names)
    return _setting(both, "each is a way to sign in of its own", "keep one of them and unset the others")


def _setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read the Snowflake settings", object, cause, hint)
