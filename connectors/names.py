"""Names a user got wrong, answered with the names that exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from syncline.connectors.errors import ConfigError

NAMES_SHOWN_MAX = 20


def unknown_stream(name: str, known: Iterable[str], source: str) -> ConfigError:
    """The error for a stream the source does not have; its hint holds the nearest names, or else all of them."""
    by_fold = {each.casefold(): each for each in known}
    near = [by_fold[fold] for fold in get_close_matches(name.casefold(), by_fold, n=3)]
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif by_fold:
        hint = f"its streams are {', '.join(sorted(by_fold.values())[:NAMES_SHOWN_MAX])}"
    else:
        hint = "it has no streams"
    return ConfigError("describe", name, f"{source} has no stream of this name", hint)
