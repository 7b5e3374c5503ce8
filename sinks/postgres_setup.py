"""What an administrator of Postgres runs once, with the least rights that do.

Text for people to read and run; it holds no secret, and nothing here connects. The role owns what it creates, so it
needs nothing on tables.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from syncline.sinks.postgres_settings import Settings

ROLE, DATABASE = "syncline", "warehouse"
"""What is made where the settings name none."""


def setup(settings: Settings) -> str:
    """The statements, in the order they are run, as a superuser in the database itself."""
    parts = urlsplit(settings.shown)
    role = _name(unquote(parts.username or "") or ROLE)
    database = _name(unquote(parts.path.strip("/")) or DATABASE)
    schemas = [_name(name) for name in settings.schemas]
    statements = [
        f"CREATE ROLE {role} LOGIN",
        f"GRANT CONNECT ON DATABASE {database} TO {role}",
        *(f"CREATE SCHEMA {name}" for name in schemas),
        *(f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}" for name in schemas),
    ]
    head = f"-- As a superuser, in the database {database}; then set a password: \\password {role}"
    return "\n".join([head, *(f"{statement};" for statement in statements)]) + "\n"


def _name(name: str) -> str:
    """Quoted where it must be: an administrator reads it."""
    from sqlglot import exp

    plain = re.fullmatch("[a-z_][a-z0-9_]*", name) is not None
    return exp.to_identifier(name, quoted=not plain).sql("postgres")
