"""What every measured program is told on its command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.many_objects import object_names
from benchmarks.plain_http import Access


@dataclass(frozen=True, slots=True)
class Settings:
    """``folder`` is where the program keeps everything; ``since`` asks for the changes from that instant on only.

    ``objects`` are copied instead of Account; ``executor`` reads them.
    """

    access: Access
    folder: Path
    since: str | None
    api: str
    objects: tuple[str, ...]
    executor: str


def read_settings(apis: tuple[str, ...]) -> Settings:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--since", default=None, help="a SOQL datetime literal")
    parser.add_argument("--api", choices=apis, default=apis[0])
    parser.add_argument("--objects", type=int, default=0, help="the first so many objects of an org of many")
    parser.add_argument("--executor", choices=("threads", "processes"), default="threads")
    found = parser.parse_args()
    found.folder.mkdir(parents=True, exist_ok=True)
    access = Access(found.url, found.client_id, found.client_secret)
    objects = object_names(found.objects) or ("Account",)
    return Settings(access, found.folder, found.since, found.api, objects, found.executor)
