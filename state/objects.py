"""Documents in a bucket, each changed by compare-and-set on its ETag (S3 user guide, conditional writes).

::

    read document and ETag ──▶ edit ──▶ put, if the ETag is still that one ──▶ 412: somebody was first, begin again

A put whose reply is lost may have succeeded; sent again, by whoever retries, it then meets its own first attempt and
is told 412. So each write leaves a mark of its own in the document, and who is in doubt reads the document again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from syncline.connectors.errors import Transient
from syncline.connectors.s3 import s3_code, s3_error
from syncline.state.documents import Document, decoded

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import MemoryStore, S3Store

    Store: TypeAlias = S3Store | MemoryStore

ATTEMPTS_MAX = 16
"""Of one change. Each time somebody else's change got in first, so that many writers at once need about as many."""

REPLIES_LOST_MAX = 2
"""Of one change; the store has retried by itself before, for up to two minutes."""

BACKOFF_FIRST_S = 0.05
BACKOFF_LONGEST_S = 2.0
LISTED_AT_ONCE = 1000
"""Names S3 gives to one request (S3 API reference, ListObjectsV2)."""


class Documents:
    """The documents below a prefix of a bucket. ``url`` names them in errors, without secrets."""

    def __init__(
        self, store: Store, url: str, prefix: str, sleep: Callable[[float], None], random: Callable[[int], bytes]
    ) -> None:
        self.url = url
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""
        self._sleep = sleep
        self._random = random

    def read(self, key: str) -> Document | None:
        """``None`` where there is none."""
        document, _ = self._look(key)
        return document

    def change(self, key: str, edit: Callable[[Document | None], Document | None], marks_max: int = 1) -> None:
        """Replaces the document by what ``edit`` makes of it; nothing is changed by others in between.

        ``edit`` may be asked several times; ``None`` leaves the document as it is, what it raises is passed on. The
        marks of ``marks_max`` latest writes are kept: with more than one, a write whose reply was lost is also
        recognised below later ones.

        Raises:
            Transient: others were first every time, or the store does not answer.
        """
        mark = self._random(16).hex()
        in_doubt, replies_lost = False, 0
        for attempt in range(ATTEMPTS_MAX):
            self._pause(attempt)
            found, version = self._look(key)
            if in_doubt and found is not None and mark in found.writes:
                return
            document = edit(found)
            if document is None:
                return
            written = Document(document.body, document.tail, found.writes if found else ()).written_by(mark, marks_max)
            in_doubt = True
            try:
                if self._put(key, written, version):
                    return
            except Transient:
                replies_lost += 1
                if replies_lost > REPLIES_LOST_MAX:
                    raise
        cause = f"{ATTEMPTS_MAX} times in a row somebody else changed it first"
        raise Transient("change state", f"{self.url}/{key}", cause, "run again; if it goes on, run fewer at once")

    def names(self, folder: str) -> Iterator[Sequence[str]]:
        """Names of the documents right below ``folder`` as they sort, page by page; a page is asked for when wanted."""
        prefix = f"{self._prefix}{folder}/"
        with self._errors("list state", folder):
            for page in obstore.list(self._store, prefix, chunk_size=LISTED_AT_ONCE):
                yield [entry["path"].removeprefix(prefix) for entry in page]

    def remove(self, keys: Sequence[str]) -> None:
        with self._errors("remove state", keys[0]):
            obstore.delete(self._store, [self._prefix + key for key in keys])

    def conditions_hold(self, key: str) -> bool:
        """Whether the store refuses to create what is there and to change what has changed; leaves ``key`` behind.

        Some S3-compatible stores take such a put for any other.
        """
        self._put(key, Document({"probe": 1}), None)
        _, version = self._look(key)
        created_again = self._put(key, Document({"probe": 2}), None)
        self._put(key, Document({"probe": 3}), version)
        changed_again = self._put(key, Document({"probe": 4}), version)
        return not created_again and not changed_again

    def _look(self, key: str) -> tuple[Document | None, UpdateVersion | None]:
        with self._errors("read state", key):
            try:
                result = obstore.get(self._store, self._prefix + key)
                data = result.bytes().to_bytes()
            except FileNotFoundError as error:
                if s3_code(error) == "NoSuchBucket":
                    raise
                return None, None
        version: UpdateVersion = {"e_tag": result.meta["e_tag"]}
        return decoded(data, f"{self.url}/{key}"), version

    def _put(self, key: str, document: Document, version: UpdateVersion | None) -> bool:
        """Whether the document was still of that version, or still absent; a reply that was lost is ``Transient``."""
        with self._errors("write state", key):
            try:
                mode: PutMode = "create" if version is None else version
                obstore.put(self._store, self._prefix + key, document.encoded(), mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError as error:  # it was there a moment ago
                if s3_code(error) == "NoSuchBucket":
                    raise
                return False
            return True

    def _pause(self, attempt: int) -> None:
        """Before another attempt; at random, lest the same writers meet again."""
        if attempt:
            longest = min(BACKOFF_FIRST_S * 2 ** (attempt - 1), BACKOFF_LONGEST_S)
            self._sleep(longest * (1 + self._random(1)[0] / 255) / 2)

    @contextmanager
    def _errors(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise s3_error(operation, f"{self.url}/{key}", error) from error
