"""An org of many small objects, each with Account's 25 columns, in a process of its own.

``python -m benchmarks.many_objects OBJECTS ROWS`` is that process; it ends with its parent, like a sandbox's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.measure import ROOT
from benchmarks.practice_org import SEED, PracticeOrg

if TYPE_CHECKING:
    from syncline.connectors.sandbox import ObjectType, SandboxServer

OBJECTS_MAX: Final = 360
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def object_names(count: int) -> tuple[str, ...]:
    return tuple(f"Part{number:03d}__c" for number in range(count))


def object_types(count: int) -> list[ObjectType]:
    """Custom objects with Account's fields; their key prefixes begin with ``a``, as a real org's do."""
    from syncline.connectors.sandbox import ObjectType
    from syncline.connectors.sandbox.catalog import account

    if count > OBJECTS_MAX:
        raise ValueError(f"{count} objects have no prefixes of three characters, at most {OBJECTS_MAX} do")
    fields = account().fields
    prefixes = (f"a{number // len(_DIGITS)}{_DIGITS[number % len(_DIGITS)]}" for number in range(count))
    return [ObjectType(name, prefix, dict(fields)) for name, prefix in zip(object_names(count), prefixes, strict=True)]


@contextmanager
def many_objects(objects: int, rows: int) -> Iterator[PracticeOrg]:
    """``rows`` records in each of the objects.

    Raises:
        RuntimeError: the org's process ended before it answered.
    """
    from syncline.connectors.sandbox import SandboxProcess

    command = [sys.executable, "-m", __name__, str(objects), str(rows)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    line = process.stdout.readline() if process.stdout is not None else ""
    told = json.loads(line or '{"url": "", "client_id": "", "client_secret": ""}')
    with SandboxProcess(told["url"], process.pid, told["client_id"], told["client_secret"], process) as running:
        if not line:
            raise RuntimeError(f"the org of {objects} objects ended before it answered")
        yield PracticeOrg(running, objects * rows)


def tell(server: SandboxServer) -> None:
    print(json.dumps({name: getattr(server, name) for name in ("url", "client_id", "client_secret")}), flush=True)


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    from syncline.connectors.sandbox import Org, SandboxServer
    from syncline.connectors.sandbox.catalog import standard_objects

    objects, rows = int(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=end_with_parent, daemon=True).start()
    org = Org(seed=SEED, objects=[*standard_objects(), *object_types(objects)])
    org.seed(dict.fromkeys(object_names(objects), rows))
    org.settings.gzip = "never"
    with SandboxServer(org) as server:
        tell(server)
        threading.Event().wait()


if __name__ == "__main__":
    main()
