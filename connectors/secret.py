"""Secrets that cannot be printed by accident (NO-SECRETS)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

SCRUBBED_CHARS_MIN = 6
"""A shorter text is not scrubbed: it occurs in innocent words, and hiding those would make errors unreadable."""

OWN_FIELDS = frozenset(
    ("event", "at", "run_id", "pipeline", "stream", "streams", "path", "kind", "status", "level", "mode", "api")
)
"""Fields of reports and events that hold words of Syncline's own, or names from the user's pipeline file.

A mapping under one of them (``streams`` of a report) is looked into all the same.
"""

_PLAIN = (bool, int, float, type(None))

_SPELLINGS: set[str] = set()


class Secret:
    """Holds one secret text; ``repr``, ``str`` and formatting show ``***``, pickling is refused.

    Call :meth:`reveal` only where the text is handed to a client library.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _remember(text)

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


def scrub(text: str) -> str:
    """``text`` with every secret that this process has wrapped so far shown as ``***``.

    A last line of defence for what others wrote (a vendor's error body, a traceback): also finds a secret that was
    escaped for a URL or for JSON, and single lines of a private key.
    """
    for spelling in sorted(_SPELLINGS, key=len, reverse=True):
        text = text.replace(spelling, "***")
    return text


def scrubbed(document: Any) -> Any:
    """The same document, ready for JSON, with what others may have written in it scrubbed.

    Names of fields, and the values of ``OWN_FIELDS``, stay as they are: no vendor's words come there, and a password
    that is an ordinary word must not rename what a program looks for.
    """
    if isinstance(document, Mapping):
        return {str(name): _kept(value) if name in OWN_FIELDS else scrubbed(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [scrubbed(value) for value in document]
    return document if isinstance(document, _PLAIN) else scrub(str(document))


@contextmanager
def forgetting() -> Iterator[None]:
    """What is wrapped as a secret within is not scrubbed afterwards: for a process that plays many lives."""
    known = set(_SPELLINGS)
    try:
        yield
    finally:
        _SPELLINGS.intersection_update(known)


def _kept(value: Any) -> Any:
    names = isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(each, str) for each in value))
    return value if names else scrubbed(value)


def _remember(text: str) -> None:
    for line in {text, *text.splitlines()}:
        if len(line) >= SCRUBBED_CHARS_MIN and not line.startswith("-----"):
            _SPELLINGS.update((line, quote(line, safe=""), quote_plus(line), json.dumps(line)[1:-1]))
