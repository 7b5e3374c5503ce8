"""The server of the tests is what production is: TCP, passwords, UTF-8; and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.servers.postgres import PgAddress, PgServer

KILLED = """
import os, signal
from tests.servers.postgres import PgServer
server = PgServer()
server.start()
with server.connect() as connection:
    print(connection.execute("SHOW data_directory").fetchone()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_takes_the_password_and_nothing_else(pg_server: PgServer) -> None:
    with pg_server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        pg_server.connect(replace(pg_server.admin, password="wrong"))


def test_its_settings_are_the_ones_asked_for(pg_server: PgServer) -> None:
    wanted = ("server_encoding", "fsync", "listen_addresses", "password_encryption")
    with pg_server.connect() as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted}
        collation = connection.execute("SELECT DISTINCT datcollate FROM pg_database").fetchall()
    assert shown == {
        "server_encoding": "UTF8",
        "fsync": "off",
        "listen_addresses": "127.0.0.1",
        "password_encryption": "scram-sha-256",
    }
    assert collation == [("C",)]


def test_each_test_has_a_database_of_its_own(pg_server: PgServer, pg_database: PgAddress) -> None:
    with pg_server.database() as other, pg_server.connect(other) as connection:
        connection.execute("CREATE TABLE mine (n int)")
        with pg_server.connect(pg_database) as elsewhere:
            assert elsewhere.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        pg_server.connect(other)


def test_a_killed_test_run_leaves_no_server_and_no_files() -> None:
    """The keeper sees its input end, stops the server and removes the files."""
    command = [sys.executable, "-c", KILLED]
    killed = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = Path(killed.stdout.strip()).parent
    assert folder.name.startswith("syncline-pg-")
    wait_until_gone(folder)


def wait_until_gone(folder: Path) -> None:
    """By the keeper's own hand: nobody is told when a stranger's child has ended."""
    subprocess.run(
        ["/bin/sh", "-c", 'while [ -e "$1" ]; do sleep 0.02; done', "sh", str(folder)], check=True, timeout=30
    )
    assert not os.path.exists(folder)
