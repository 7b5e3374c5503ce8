"""How a part is made anew in another process: by words that may be pickled and logged, never by its secrets.

A worker reads the same variables, files and secret stores that the run's own process read (NO-SECRETS). So that it does
not read another account's by mistake, both sides hold their recipes against each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from syncline.connectors.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Recipe:
    """``maker`` is what is called, as ``package.module:Class.method``; ``options`` its keyword arguments, all JSON.

    ``identity`` tells whose account or place the maker found, without secrets: a part that was made elsewhere and has
    another identity is refused (``make``).

    Raises:
        ConfigError: an option that is not JSON: a secret, or an object that lives in this process only.
    """

    maker: str
    options: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""

    def __post_init__(self) -> None:
        for name, value in self.options.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError):
                raise ConfigError(
                    "read pipeline",
                    f"{self.maker}, setting {name}",
                    f"a {type(value).__name__} cannot be handed to a worker in another process",
                    'leave the setting out, or read slices here with executor="threads"',
                ) from None

    @property
    def text(self) -> str:
        """The same for equal recipes."""
        return json.dumps(asdict(self), sort_keys=True)


def make(recipe: Recipe) -> Any:
    """The part that ``recipe`` describes, made in this process.

    Raises:
        ConfigError: what it needs is missing here, or here it would be another account's.
    """
    module, _, path = recipe.maker.partition(":")
    maker: Any = import_module(module)
    for name in path.split("."):
        maker = getattr(maker, name)
    made = maker(**recipe.options)
    found: Recipe = made.recipe()
    if found.text != recipe.text:
        raise ConfigError(
            "make it anew in a worker",
            recipe.maker,
            f"the worker's environment leads to {found.identity or found.text}, the run's to "
            f"{recipe.identity or recipe.text}",
            "give the workers the same settings and variables as the run",
        )
    return made
