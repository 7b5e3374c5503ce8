"""Secrets that cannot be printed by accident (NO-SECRETS)."""

from __future__ import annotations


class Secret:
    """Holds one secret text; ``repr``, ``str`` and formatting show ``***``, pickling is refused.

    Call :meth:`reveal` only where the text is handed to a client library.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled; hand workers the name of the variable that holds it")


def secret(value: Secret | str) -> Secret:
    """Wraps a plain text; a Secret is returned as it is."""
    return value if isinstance(value, Secret) else Secret(value)
