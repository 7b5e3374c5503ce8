"""A body is whole or an error (LOUD): lengths, chunks, gzip trailers, quotes, and what is no UTF-8."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping
from typing import cast

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.errors import DataError, Stopped
from syncline.connectors.salesforce.body import REPLACEMENT, Body, CsvBytes
from syncline.connectors.salesforce.faults import Faulted


class Raw:
    def __init__(self, content: bytes, fails: bool) -> None:
        self._content = content
        self._fails = fails

    def read(self, size: int, decode_content: bool) -> bytes:
        taken, self._content = self._content[:size], self._content[size:]
        if not taken and self._fails:
            raise urllib3.exceptions.IncompleteRead(1, 2)
        return taken

    def close(self) -> None: ...

    def shutdown(self) -> None: ...


class Response:
    def __init__(self, content: bytes, headers: Mapping[str, str], fails: bool = False) -> None:
        self.raw = Raw(content, fails)
        self.headers = requests.structures.CaseInsensitiveDict(headers)

    def close(self) -> None: ...


def running() -> None: ...


GZIP = {"Content-Encoding": "gzip"}
CHUNKED = {"Transfer-Encoding": "chunked"}


def body_of(content: bytes, headers: Mapping[str, str] = {}, fails: bool = False) -> Body:
    return Body(cast(requests.Response, Response(content, headers, fails)), "read", "Account", running)


def csv_of(content: bytes, headers: Mapping[str, str] = {}) -> CsvBytes:
    return CsvBytes(body_of(content, headers))


def all_of(source: CsvBytes, size: int = 64) -> bytes:
    out = b""
    while chunk := source.read(size):
        out += chunk
    return out


@given(st.binary(max_size=5000), st.integers(1, 700), st.booleans())
def test_reads_give_exactly_what_was_asked_until_the_end(content: bytes, size: int, packed: bool) -> None:
    body = body_of(gzip.compress(content) if packed else content, GZIP if packed else {})
    parts = []
    while part := body.read(size):
        parts.append(part)
    assert b"".join(parts) == content
    assert all(len(part) == size for part in parts[:-1])


def test_several_gzip_members_are_one_body() -> None:
    two = gzip.compress(b"one ") + gzip.compress(b"two")
    assert body_of(two, GZIP).read_all() == b"one two"


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 200])
def test_gzip_without_its_trailer_is_an_error(cut: int) -> None:
    packed = gzip.compress(random.Random(1).randbytes(1000))
    with pytest.raises(Faulted, match="broke off"):
        body_of(packed[:-cut], GZIP).read_all()


def test_gzip_with_a_wrong_checksum_is_an_error() -> None:
    packed = bytearray(gzip.compress(b"x" * 1000))
    packed[-6] ^= 1
    with pytest.raises(Faulted, match="broke off"):
        body_of(bytes(packed), GZIP).read_all()


def test_a_broken_transfer_is_an_error_and_a_stopped_one_is_a_stop() -> None:
    with pytest.raises(Faulted, match="broke off"):
        body_of(b"half", fails=True).read_all()

    def stopped() -> None:
        raise Stopped("read", "Account", "asked to", "")

    with pytest.raises(Stopped):
        Body(cast(requests.Response, Response(b"", {}, fails=True)), "read", "Account", stopped).read_all()


def test_a_body_longer_than_its_bound_is_refused_bounded() -> None:
    assert body_of(b"x" * 10).read_all(10) == b"x" * 10
    with pytest.raises(DataError, match="longer than 9"):
        body_of(b"x" * 10).read_all(9)


def test_an_encoding_nobody_asked_for_is_refused() -> None:
    with pytest.raises(DataError, match="br"):
        body_of(b"", {"Content-Encoding": "br"})


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("tail", [b'"3","4', b'"3","', b'"3","a\n', b'"3","a""'])
def test_a_csv_cut_inside_its_last_value_is_an_error(tail: bytes, framed: bool) -> None:
    """The parser itself takes these for whole pages with the right number of rows."""
    with pytest.raises(Faulted, match="inside a value"):
        all_of(csv_of(b'"a","b"\n"1","2"\n' + tail, CHUNKED if framed else {}))


def test_a_csv_without_a_last_line_end_is_whole_only_if_the_transfer_says_so() -> None:
    content = b'"a"\n"1"'
    assert all_of(csv_of(content, CHUNKED)) == content
    with pytest.raises(Faulted, match="inside a value"):
        all_of(csv_of(content))


@given(st.lists(st.sampled_from(["a", "\U0001f642", "\ud7ff", "\ue000", "\ud800", "\udfff", "é"])), st.integers(8, 40))
def test_halves_of_surrogate_pairs_read_as_u_fffd_wherever_reads_are_cut(texts: list[str], size: int) -> None:
    content = "".join(texts).encode("utf-8", "surrogatepass") + b"\n"
    source = csv_of(content)
    halves = sum(text in ("\ud800", "\udfff") for text in texts)
    expected = "".join("\ufffd" if text in ("\ud800", "\udfff") else text for text in texts)
    assert all_of(source, size).decode() == expected + "\n"
    assert source.mended == halves
    assert REPLACEMENT.decode() == "\ufffd"
