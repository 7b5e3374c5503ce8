"""Line endings inside values, wherever the borders of reads and blocks fall."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv
import pytest

from syncline.connectors.salesforce.body import CsvBytes


class Plain:
    """A body as ``Body`` gives it: exactly what is asked for, fewer at the end."""

    framed = True

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._data.read(size)

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "value", ["some text\r\nmore\n\rtext\r", "\r\n\r\n", "\r", "\n", "\r\r\n", "\u00ed\r\n\ud7ff\r"]
)
def test_no_line_feed_is_lost_at_a_border(value: str) -> None:
    """COUNTED-HOPS counts rows; this is about what is in them. pyarrow alone loses a line feed at most borders."""
    page = b'"Id","D"\n' + b"".join(b'"%03d","%s"\n' % (n, value.encode()) for n in range(40))
    for block in range(80, 160):
        source = CsvBytes(Plain(page))  # type: ignore[arg-type]
        reader = pyarrow.csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=pyarrow.csv.ReadOptions(block_size=block, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        )
        values = [value for batch in reader for value in batch.column(1).to_pylist()]
        assert values == [value] * 40, f"block of {block} bytes"


def test_a_body_that_ends_with_a_carriage_return_ends_with_it() -> None:
    source = CsvBytes(Plain(b'"Id"\r"1"\r'))  # type: ignore[arg-type]
    assert b"".join(iter(lambda: source.read(3), b"")) == b'"Id"\r"1"\r'
