"""What a landing's url means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.s3 import S3Settings, endpoint_in_use, is_loopback, open_bucket, split_url

if TYPE_CHECKING:
    from syncline.sinks.object_store import ObjectStore


def parse_url(url: str, settings: S3Settings) -> tuple[str, Callable[[], ObjectStore]]:
    """The root's name, without secrets, and how to open it; looks at nothing but the text.

    Raises:
        ConfigError: a url or settings that cannot work together.
    """
    parts = urlsplit(url if "://" in url else "")
    if "://" not in url or parts.scheme == "file":
        _refuse_bucket_settings(url, settings)
        folder = _folder(url, parts)
        root = folder.absolute()  # the same folder, whatever becomes of the working directory
        return str(folder), lambda: _open_folder(root)
    if parts.scheme == "memory":
        _refuse_bucket_settings(url, settings)
        return url, lambda: _open_memory(url)
    if parts.scheme == "s3":
        bucket, prefix = split_url(url)
        name = f"s3://{bucket}/{prefix}".rstrip("/")
        return name, lambda: _open_bucket(replace(settings, bucket=bucket), name, prefix)
    raise _wrong_setting(f"landing {parts.scheme}://", "not a kind of landing", 'use a folder or "s3://bucket/prefix"')


def _folder(url: str, parts: SplitResult) -> Path:
    if "://" not in url:
        return Path(url).expanduser()
    if parts.netloc not in ("", "localhost"):
        raise _wrong_setting(f"landing {url}", "a file url names no host", 'write it as "file:///folder"')
    return Path(unquote(parts.path))


def _wrong_setting(object: str, cause: str, hint: str) -> ConfigError:
    return ConfigError("read landing settings", object, cause, hint)


def _refuse_bucket_settings(url: str, settings: S3Settings) -> None:
    if replace(settings, retries_max=S3Settings().retries_max) != S3Settings():
        raise _wrong_setting(f"landing {url}", "it was given settings that only an s3:// landing has", "drop them")


def _open_folder(root: Path) -> ObjectStore:
    from syncline.sinks.folder_store import FolderStore

    return FolderStore(root)


def _open_memory(name: str) -> ObjectStore:
    from obstore.store import MemoryStore

    from syncline.sinks.object_store import BucketStore

    return BucketStore(MemoryStore(), name.rstrip("/"))


def _open_bucket(settings: S3Settings, name: str, prefix: str) -> ObjectStore:
    from syncline.sinks.object_store import BucketStore

    endpoint = endpoint_in_use(settings)
    if endpoint and is_loopback(urlsplit(endpoint).hostname or ""):
        return BucketStore(open_bucket(settings), name, prefix)
    return BucketStore(open_bucket(settings), name, prefix, lambda: open_bucket(settings, signed=False))
