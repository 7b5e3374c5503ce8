"""A stand-in for Redshift: PostgreSQL behind a proxy that speaks to real clients, over TLS if it has a certificate.

::

    redshift_connector, psycopg ──▶ proxy: refuses, rewrites, COPY, faults ──▶ PostgreSQL, one session each
                                      │
                                      └──▶ S3: manifest, Parquet

Passwords are asked for in clear text and handed on to PostgreSQL, which is what decides. COPY is loaded within the
client's own transaction. What Redshift refuses is refused (``redshift_rules``), and as in Redshift it ends the
transaction. TRUNCATE commits it.

Not to be learned here: Redshift's isolation (PostgreSQL reads committed rows where Redshift has snapshots; error 1023
is injected), its speed and its limits on leader nodes, the binary result formats of redshift_connector (PostgreSQL
does not announce them, so that the client falls back to text).
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from scramp import ScramClient  # type: ignore[import-untyped]

from tests.servers import wire
from tests.servers.postgres import PgAddress
from tests.servers.redshift_catalog import SEARCH_PATH
from tests.servers.redshift_load import Bucket
from tests.servers.redshift_rules import Copy, Refusal, Statement, translate
from tests.servers.wire import Hangup, Message, Wire

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
KNOWN_TO_POSTGRES = {
    b"user",
    b"database",
    b"application_name",
    b"options",
    b"client_encoding",
    b"DateStyle",
    b"TimeZone",
}


@dataclass
class Fault:
    """Strikes the next statement that matches: an error in its place, or the connection is cut before or after it."""

    pattern: str
    strike: str
    """``"before"``, ``"after"``, or the SQLSTATE of an error."""
    message: str = ""
    detail: str = ""
    times: int = 1


@dataclass
class RedshiftServer:
    """``admin`` is PostgreSQL's; ``port`` is the proxy's, once started. ``log`` has every statement as it came."""

    admin: PgAddress
    bucket: Bucket
    tls: ssl.SSLContext | None = None
    log: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    started: list[Mapping[str, str]] = field(default_factory=list)
    """The start-up parameters of each client."""
    port: int = 0
    _names: set[tuple[str, str]] = field(default_factory=set)

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join()

    def drop_connections(self) -> None:
        """Cuts every client off, as a failing network does."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        self.log.clear()
        self.faults.clear()
        self.started.clear()

    def violate_serializability(self, pattern: str, times: int = 1) -> None:
        """Error 1023 at the next statements that match (isolation levels, in the SQL reference)."""
        detail = "Serializable isolation violation on table - 15102, transactions forming the cycle are: 1, 2 (pid:3)"
        self.faults.append(Fault(pattern, "XX000", "1023", detail, times))

    def fault_for(self, sql: str) -> Fault | None:
        for fault in self.faults:
            if re.search(fault.pattern, sql, re.IGNORECASE | re.DOTALL):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def remember(self, database: str, names: Sequence[tuple[str, str]]) -> None:
        """Writes down what names too long for PostgreSQL stand for, by a session of its own."""
        import psycopg

        for short, long in names:
            if (database, short) not in self._names:
                with psycopg.connect(replace(self.admin, database=database).dsn, autocommit=True) as connection:
                    insert = "INSERT INTO redshift.long_names VALUES (%s, %s) ON CONFLICT DO NOTHING"
                    connection.execute(insert, (short, long))
                self._names.add((database, short))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        backend: socket.socket | None = None
        self._open.add(client)
        try:
            client, parameters = self._greet(client)
            if parameters is None:
                return
            backend = socket.create_connection((self.admin.host, self.admin.port))
            Conversation(self, Wire(client), Wire(backend)).run(parameters)
        except (Hangup, OSError):
            pass
        finally:
            self._open.discard(client)
            client.close()
            if backend is not None:
                backend.close()

    def _greet(self, client: socket.socket) -> tuple[socket.socket, dict[bytes, bytes] | None]:
        """The start-up parameters, after TLS is settled; ``None`` for a request to cancel."""
        while True:
            body = Wire(client).first()
            (code,) = struct.unpack("!i", body[:4])
            if code == SSL_REQUEST and self.tls is not None:
                client.sendall(b"S")
                self._open.discard(client)
                client = self.tls.wrap_socket(client, server_side=True)
                self._open.add(client)
            elif code in (SSL_REQUEST, GSS_REQUEST):
                client.sendall(b"N")
            elif code == CANCEL_REQUEST:
                with socket.create_connection((self.admin.host, self.admin.port)) as backend:
                    Wire(backend).send_first(body)
                return client, None
            else:
                parts = body[4:].split(b"\0")
                return client, dict(zip(parts[::2], parts[1::2], strict=False))


@dataclass
class Prepared:
    sql: str
    statement: Statement | None
    """``None`` if PostgreSQL was never told of it."""


class Conversation:
    """One client's session. Messages are gathered up to Sync and dealt with together."""

    def __init__(self, server: RedshiftServer, client: Wire, backend: Wire) -> None:
        self.server, self.client, self.backend = server, client, backend
        self._status = b"I"
        self._prepared: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared] = {}

    def run(self, parameters: dict[bytes, bytes]) -> None:
        self._sign_in(parameters)
        gathered: list[Message] = []
        while True:
            message = self.client.read()
            if message.kind == b"X":
                return
            if message.kind == b"Q":
                self._simple(message.body[:-1].decode())
            elif message.kind == b"S":
                self._extended(gathered)
                gathered = []
            elif message.kind != b"H":
                gathered.append(message)

    # --- signing in ---------------------------------------------------------------------------------------------------

    def _sign_in(self, parameters: dict[bytes, bytes]) -> None:
        self._database = parameters[b"database"].decode()
        self.server.started.append({name.decode(): value.decode() for name, value in parameters.items() if name})
        kept = {name: value for name, value in parameters.items() if name in KNOWN_TO_POSTGRES}
        kept[b"search_path"] = SEARCH_PATH.encode()
        pairs = b"".join(name + b"\0" + value + b"\0" for name, value in kept.items())
        self.backend.send_first(struct.pack("!i", 196608) + pairs + b"\0")
        self.client.send(Message(b"R", struct.pack("!i", 3)))
        answer = self.client.read()
        if answer.kind != b"p":
            raise Hangup
        self._prove(parameters[b"user"].decode(), answer.body[:-1].decode())
        for message in self.backend.until_ready():
            self.client.send(message)

    def _prove(self, user: str, password: str) -> None:
        """SCRAM with PostgreSQL; its refusal goes to the client."""
        scram = ScramClient(["SCRAM-SHA-256"], user, password)
        while True:
            message = self.backend.read()
            if message.kind == b"E":
                self.client.send(message)
                raise Hangup
            (code,) = struct.unpack("!i", message.body[:4])
            if code == 10:
                first = scram.get_client_first().encode()
                self.backend.send(Message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
            elif code == 11:
                scram.set_server_first(message.body[4:].decode())
                self.backend.send(Message(b"p", scram.get_client_final().encode()))
            elif code == 12:
                scram.set_server_final(message.body[4:].decode())
            else:
                self.client.send(message)
                return

    # --- statements ---------------------------------------------------------------------------------------------------

    def _simple(self, sql: str) -> None:
        try:
            statement = self._translate(sql)
            replies = self._execute(sql, statement, lambda: self._relay([wire.query(statement.sql)]))
        except Refusal as refusal:
            replies = self._refuse(refusal)
        self.client.send(*replies, wire.ready(self._status))

    def _extended(self, gathered: list[Message]) -> None:
        try:
            replies = self._answer(gathered)
        except Refusal as refusal:
            replies = self._refuse(refusal)
        self.client.send(*replies, wire.ready(self._status))

    def _answer(self, gathered: list[Message]) -> list[Message]:
        """Names are learned, statements rewritten; what PostgreSQL cannot do is done here and answered here."""
        sent: list[Message] = []
        chosen: Prepared | None = None
        executes = False
        for kind, body in gathered:
            if kind == b"P":
                name, sql, rest = body.split(b"\0", 2)
                chosen = self._prepared[name] = Prepared(sql.decode(), self._translate(sql.decode()))
                assert chosen.statement is not None
                body = name + b"\0" + wire.text(chosen.statement.sql) + rest
            elif kind == b"B":
                portal, name = body.split(b"\0", 2)[:2]
                chosen = self._portals[portal] = self._prepared[name]
            elif kind == b"E":
                chosen, executes = self._portals[body.split(b"\0", 1)[0]], True
            elif kind == b"D":
                known = self._prepared if body[:1] == b"S" else self._portals
                chosen = known.get(body[1:-1], chosen)
            sent.append(Message(kind, body))
        if chosen is None or chosen.statement is None:
            return self._relay([*sent, Message(b"S", b"")])
        if not executes:
            own = chosen.statement.kind != "sql"
            return _acknowledged(sent) if own else self._relay([*sent, Message(b"S", b"")])
        # Whether it may run is asked anew: the statement may have been prepared outside the transaction.
        statement = self._translate(chosen.sql)
        if statement.kind == "sql":
            return self._execute(chosen.sql, statement, lambda: self._relay([*sent, Message(b"S", b"")]))
        return [*_acknowledged(sent), *self._execute(chosen.sql, statement, list)]

    def _translate(self, sql: str) -> Statement:
        try:
            statement = translate(sql, in_transaction=self._status != b"I")
        except Refusal:
            self.server.log.append(sql)
            raise
        self.server.remember(self._database, statement.long_names)
        return statement

    def _execute(self, sql: str, statement: Statement, relay: Callable[[], list[Message]]) -> list[Message]:
        self.server.log.append(sql)
        fault = self.server.fault_for(sql)
        if fault and fault.strike == "before":
            raise Hangup
        if fault and fault.strike != "after":
            raise Refusal(fault.strike, fault.message, fault.detail)
        if statement.kind == "copy":
            assert statement.copy is not None
            replies = [self._copy(statement.copy)]
        elif statement.kind == "truncate":
            replies = [self._truncate(statement.sql)]
        elif statement.kind == "set":
            replies = [Message(b"C", wire.text("SET"))]
        else:
            replies = relay()
        if fault:
            raise Hangup
        return replies

    def _refuse(self, refusal: Refusal) -> list[Message]:
        """PostgreSQL says it, so that its transaction is aborted as Redshift's would be."""
        return self._relay([wire.query(wire.failing(refusal.sqlstate, refusal.message, refusal.detail))])

    def _truncate(self, sql: str) -> Message:
        if self._status == b"T":
            self._run("COMMIT")
        self._run(sql)
        return Message(b"C", wire.text("TRUNCATE TABLE"))

    def _copy(self, copy: Copy) -> Message:
        table = copy.table.replace("'", "''")
        columns = [
            (str(name), str(type))
            for name, type in self._run(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
                f" '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            )
        ]
        count = 0
        self._run("SELECT set_config('redshift.last_copy_count', '0', false)")
        parts: list[bytes] = []
        for data, rows in self.server.bucket.rows(copy, columns):
            parts.append(data)
            count += rows
        self._run(f"COPY {copy.table} FROM STDIN WITH (FORMAT csv)", parts)
        self._run(f"SELECT set_config('redshift.last_copy_count', '{count}', false)")
        return Message(b"C", wire.text("COPY 0"))

    # --- PostgreSQL ---------------------------------------------------------------------------------------------------

    def _relay(self, messages: list[Message]) -> list[Message]:
        """What PostgreSQL answers, but for ReadyForQuery."""
        self.backend.send(*messages)
        replies = list(self.backend.until_ready())
        self._status = replies[-1].body
        return replies[:-1]

    def _run(self, sql: str, copied: list[bytes] | None = None) -> list[list[str | None]]:
        """The proxy's own statement.

        Raises:
            Refusal: PostgreSQL's error, to be handed to the client.
        """
        self.backend.send(wire.query(sql))
        replies = list(self.backend.until_ready())
        if replies[-1].kind == b"G":
            self.backend.send(*(Message(b"d", part) for part in copied or ()), Message(b"c", b""))
            replies = list(self.backend.until_ready())
        self._status = replies[-1].body
        for reply in replies:
            if reply.kind == b"E":
                said = {part[:1]: part[1:].decode() for part in reply.body.split(b"\0") if part}
                raise Refusal(said[b"C"], said[b"M"], said.get(b"D", ""))
        return [wire.row_of(reply) for reply in replies if reply.kind == b"D"]


_ACKNOWLEDGED: Mapping[bytes, bytes] = {b"P": b"1", b"B": b"2", b"C": b"3"}


def _acknowledged(messages: list[Message]) -> list[Message]:
    """The replies to the messages of a statement that returns no rows."""
    return list(_acknowledge(messages))


def _acknowledge(messages: list[Message]) -> Iterator[Message]:
    for kind, body in messages:
        if kind == b"D":
            if body[:1] == b"S":
                yield Message(b"t", struct.pack("!h", 0))
            yield Message(b"n", b"")
        elif kind in _ACKNOWLEDGED:
            yield Message(_ACKNOWLEDGED[kind], b"")
