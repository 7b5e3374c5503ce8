"""Who ends with target = org? ``python -m benchmarks.peers`` drives every tool through the same histories.

Each trial has an org, a folder and a process of its own. A tool's own errors are not held against it; what its target
holds at the end is, and whether readers saw half of a change on the way.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.histories import HISTORIES, Trial
from syncline.connectors.sandbox import Org, SandboxServer

ROWS = {"Account": 40, "Contact": 40}

TOOLS = {
    "Syncline": ("run_syncline", ""),
    "dlt, merge on a cursor": ("run_dlt", "defaults"),
    "dlt, the same with lag and direct names": ("run_dlt", "tuned"),
    "dlt, replace": ("run_dlt", "replace"),
}

COMPARED = {"Account": ("Name",), "Contact": ("LastName",)}


@dataclass
class Process:
    """A tool in a process of its own; started anew after it was killed."""

    module: str
    arguments: list[str]
    folder: Path
    extra: tuple[str, ...]
    errors: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def sync(self) -> None:
        told = self._say("run")
        if told is None:
            raise RuntimeError(f"{self.module} died by itself")
        if not told["ok"]:
            self.errors.append(told["error"])

    def kill(self) -> None:
        told = self._say("kill")
        if told is not None:
            raise RuntimeError(f"{self.module} was to be killed between two tables, and wrote no second one: {told}")

    def rows(self, object: str) -> dict[str, tuple[Any, ...]]:
        """The compared columns by Id, the tool's own spelling of names resolved."""
        import duckdb

        names = ["Id", *COMPARED[object], *(self.extra if object == "Account" else ())]
        with duckdb.connect(str(self.folder / "target.duckdb")) as connection:
            table = self._table(connection, object)
            shown = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
            columns = [next((each for each in shown if each in (name, plain(name))), None) for name in names]
            listed = ", ".join("NULL" if each is None else f'"{each}"' for each in columns)
            rows = connection.execute(f"SELECT {listed} FROM {table}").fetchall()
        found = {row[0]: tuple(row[1:]) for row in rows}
        if len(found) != len(rows):
            found["doubled"] = (len(rows) - len(found),)
        return found

    def forbid(self, object: str) -> None:
        """As when a column of the warehouse is narrower than a value: any insert of a row into this table fails."""
        self._execute(object, "ALTER TABLE {table} RENAME TO {name}_hidden", "CREATE VIEW {table} AS FROM {hidden}")

    def allow(self, object: str) -> None:
        self._execute(object, "DROP VIEW {table}", "ALTER TABLE {hidden} RENAME TO {name}")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with process:  # closes both pipes and waits: at the end of its input a tool ends
                pass

    def _execute(self, object: str, *statements: str) -> None:
        import duckdb

        self.close()
        with duckdb.connect(str(self.folder / "target.duckdb")) as connection:
            table = self._table(connection, object)
            name = table.rpartition(".")[2].strip('"')
            hidden = f'"crm"."{name.removesuffix("_hidden")}_hidden"'
            for statement in statements:
                connection.execute(statement.format(table=table, name=name, hidden=hidden))

    def _table(self, connection: Any, object: str) -> str:
        names = [row[0] for row in connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'crm'").fetchall()]  # fmt: skip
        name = next(each for each in names if each in (object, object.lower()))
        return f'"crm"."{name}"'

    def _say(self, word: str) -> dict[str, Any] | None:
        if self._process is None:
            command = [sys.executable, "-m", f"benchmarks.peers.{self.module}", *self.arguments]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                told: dict[str, Any] = json.loads(line.removeprefix("ANSWER "))
                return told
        self.close()
        return None


def plain(name: str) -> str:
    """A name as dlt's default convention spells it."""
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    return str(NamingConvention().normalize_identifier(name))


def differing(org: Org, tool: Process) -> int:
    """How many records differ between org and target, in either direction."""
    count = 0
    for object in ROWS:
        names = [*COMPARED[object], *(tool.extra if object == "Account" else ())]
        held = org.snapshot(object).select(["Id", *names]).to_pylist()
        expected = {row["Id"]: tuple(row[name] for name in names) for row in held}
        found = tool.rows(object)
        count += sum(expected.get(key) != found.get(key) for key in expected.keys() | found.keys())
    return count


def outcome(history: str, module: str, variant: str) -> dict[str, Any]:
    org = Org(seed=1)
    org.seed(ROWS)
    org.freeze()
    org.advance(3_600)
    extra = ("MyField__c", "My_Field__c") if history == "name collision" else ()
    with SandboxServer(org) as server, tempfile.TemporaryDirectory(prefix="syncline-peers-") as folder:
        arguments = ["--url", server.url, "--client-id", org.client_id, "--client-secret", org.client_secret,
                     "--variant", variant, "--extra", ",".join(extra), "--folder", folder]  # fmt: skip
        tool = Process(module, arguments, Path(folder), extra)
        trial = Trial(org, tool)
        try:
            HISTORIES[history](trial)
            differ = differing(org, tool)
        finally:
            tool.close()
    return {"equal": differ == 0, "differing": differ, "notes": trial.notes, "errors": tool.errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, help="write the outcomes here as well")
    parser.add_argument("--history", choices=[*HISTORIES], action="append")
    told = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name, (module, variant) in TOOLS.items():
        for history in told.history or HISTORIES:
            found.setdefault(name, {})[history] = outcome(history, module, variant)
            print(f"{name}, {history}: {found[name][history]}", file=sys.stderr)
    print(table(found, told.history or list(HISTORIES)))
    if told.json is not None:
        told.json.write_text(json.dumps({"versions": versions(), "outcomes": found}, indent=1))


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("syncline", "dlt", "duckdb")}


def table(found: dict[str, dict[str, Any]], histories: list[str]) -> str:
    lines = ["| | " + " | ".join(histories) + " |", "|---" * (len(histories) + 1) + "|"]
    for name, each in found.items():
        lines.append(f"| {name} | " + " | ".join(cell(each[history]) for history in histories) + " |")
    lines.append("")
    lines.append("Versions: " + ", ".join(f"{name} {text}" for name, text in versions().items()))
    return "\n".join(lines)


def cell(told: dict[str, Any]) -> str:
    text = "equal" if told["equal"] else f"**{told['differing']} records differ**"
    return "; ".join([text, *told["notes"]])


if __name__ == "__main__":
    main()
