"""Record Ids: 15 case-sensitive characters, and the 18-character form with its checksum suffix.

An Id is a three-character key prefix, the org's ``5g`` and ``0``, and nine base-62 digits of a serial number, so the
order of the first 15 characters is the order of the serials.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_POD: Final = "5g0"
_SERIAL_DIGITS: Final = 9
_SHAPE: Final = re.compile(r"[0-9A-Za-z]{15}([0-9A-Za-z]{3})?\Z")

_DIGIT_BYTES: Final = np.frombuffer(DIGITS.encode(), np.uint8)
_SUFFIX_BYTES: Final = np.frombuffer(_SUFFIX.encode(), np.uint8)
_VALUE_OF: Final = np.full(256, -1, np.int64)
_VALUE_OF[_DIGIT_BYTES] = np.arange(62)

Serials = npt.NDArray[np.int64]


def suffix_of(id15: str) -> str:
    """The three checksum characters: one bit for each upper-case letter, five to a character."""
    chunks = (id15[start : start + 5] for start in (0, 5, 10))
    return "".join(_SUFFIX[sum(1 << place for place, c in enumerate(chunk) if "A" <= c <= "Z")] for chunk in chunks)


def normalise(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character Id; ``None`` for anything else."""
    if not _SHAPE.match(text):
        return None
    full = text[:15] + suffix_of(text[:15])
    return full if len(text) == 15 or text == full else None


def id_text(prefix: str, serial: int) -> str:
    digits = ""
    for _ in range(_SERIAL_DIGITS):
        serial, digit = divmod(serial, 62)
        digits = DIGITS[digit] + digits
    id15 = prefix + _POD + digits
    return id15 + suffix_of(id15)


def id_texts(prefix: str, serials: Serials) -> pa.Array:
    """The 18-character Ids of many serials."""
    count = len(serials)
    chars = np.empty((count, 18), np.uint8)
    chars[:, :6] = np.frombuffer((prefix + _POD).encode(), np.uint8)
    rest = serials.astype(np.int64, copy=True)
    for place in range(14, 5, -1):
        rest, digit = np.divmod(rest, 62)
        chars[:, place] = _DIGIT_BYTES[digit]
    upper = (chars[:, :15] >= ord("A")) & (chars[:, :15] <= ord("Z"))
    weights = np.array([1, 2, 4, 8, 16], np.uint8)
    for chunk in range(3):
        bits = upper[:, chunk * 5 : chunk * 5 + 5] @ weights
        chars[:, 15 + chunk] = _SUFFIX_BYTES[bits]
    return fixed_width_text(chars)


def fixed_width_text(chars: npt.NDArray[np.uint8]) -> pa.Array:
    """A string column from a matrix of ASCII codes, one row a value."""
    count, width = chars.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(chars)))


def serials_of(prefix: str, ids: pa.Array) -> Serials:
    """The serial of each 18-character Id with that prefix; -1 for null and for other objects' Ids."""
    found = np.full(len(ids), -1, np.int64)
    valid = np.asarray(ids.is_valid())
    present = ids.drop_null()
    if not len(present):
        return found
    offsets = np.frombuffer(present.buffers()[1], np.int32)[present.offset : present.offset + len(present) + 1]
    chars = np.frombuffer(present.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, 18)
    values = np.zeros(len(chars), np.int64)
    for place in range(6, 15):
        values = values * 62 + _VALUE_OF[chars[:, place]]
    values[(chars[:, :3] != np.frombuffer(prefix.encode(), np.uint8)).any(axis=1)] = -1
    found[valid] = values
    return found


def serial_of(id18: str) -> int:
    serial = 0
    for char in id18[6:15]:
        serial = serial * 62 + DIGITS.index(char)
    return serial
