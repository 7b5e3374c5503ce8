"""What a landing's url means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from syncline.connectors.errors import ConfigError
from syncline.connectors.s3 import open_bucket
from syncline.connectors.s3_settings import S3Settings, endpoint_in_use, is_loopback, split_url

if TYPE_CHECKING:
    from syncline.sinks.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where on S3 a landing is; ``prefix`` is without slashes around it, perhaps empty."""

    settings: S3Settings
    prefix: str

    @property
    def name(self) -> str:
        return self.settings.bucket

    def key(self, key: str) -> str:
        """The whole key of what lies at ``key`` below the landing's root."""
        return f"{self.prefix}/{key}" if self.prefix else key


@dataclass(frozen=True, slots=True)
class Place:
    """A landing's root: its name, without secrets, and how to open it. ``bucket`` is ``None`` where there is none.

    ``address`` is a url that leads there from other processes, whatever their folder; ``None`` for memory.
    """

    url: str
    open: Callable[[], ObjectStore]
    bucket: Bucket | None = None
    address: str | None = None


def parse_url(url: str, settings: S3Settings) -> Place:
    """Where the landing is; looks at nothing but the text.

    Raises:
        ConfigError: a url or settings that cannot work together.
    """
    parts = urlsplit(url if "://" in url else "")
    if "://" not in url or parts.scheme == "file":
        _refuse_bucket_settings(url, settings)
        folder = _folder(url, parts)
        root = folder.absolute()  # the same folder, whatever becomes of the working directory
        return Place(str(folder), lambda: _open_folder(root), address=str(root))
    if parts.scheme == "memory":
        _refuse_bucket_settings(url, settings)
        return Place(url, lambda: _open_memory(url))
    if parts.scheme == "s3":
        name, prefix = split_url(url)
        bucket = Bucket(replace(settings, bucket=name), prefix)
        shown = f"s3://{name}/{prefix}".rstrip("/")
        return Place(shown, lambda: _open_bucket(bucket, shown), bucket, shown)
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


def _open_bucket(bucket: Bucket, name: str) -> ObjectStore:
    from syncline.sinks.object_store import BucketStore

    settings = bucket.settings
    endpoint = endpoint_in_use(settings)
    local = endpoint is not None and is_loopback(urlsplit(endpoint).hostname or "")
    return BucketStore(
        open_bucket(settings, owned=True),
        name,
        bucket.prefix,
        stranger=None if local else lambda: open_bucket(settings, signed=False),
        lister=open_bucket(settings) if settings.expected_bucket_owner else None,
    )
