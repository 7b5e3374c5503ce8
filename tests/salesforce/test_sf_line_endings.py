"""Line endings inside values, wherever the borders of reads and blocks fall."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv
import pytest

from syncline.connectors.salesforce.body import CsvBytes

VALUE = "some text\r\nmore\n\rtext\r"


class Plain:
    """A body that hands out what it is asked for."""

    framed = True

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._most = io.BytesIO(data), most

    def read(self, size: int) -> bytes:
        return self._data.read(min(size, self._most))

    def close(self) -> None: ...


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10_000])
def test_no_line_feed_is_lost_at_a_border(most: int) -> None:
    """COUNTED-HOPS counts rows; this is about what is in them. pyarrow alone loses a line feed at most borders."""
    page = b'"Id","D"\n' + b"".join(b'"%03d","%s"\n' % (n, VALUE.encode()) for n in range(40))
    for block in range(80, 160):
        source = CsvBytes(Plain(page, most))  # type: ignore[arg-type]
        reader = pyarrow.csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=pyarrow.csv.ReadOptions(block_size=block, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        )
        values = [value for batch in reader for value in batch.column(1).to_pylist()]
        assert values == [VALUE] * 40, f"block of {block} bytes"


def test_a_body_that_ends_with_a_carriage_return_ends_with_it() -> None:
    source = CsvBytes(Plain(b'"Id"\r"1"\r', 3))  # type: ignore[arg-type]
    assert b"".join(iter(lambda: source.read(100), b"")) == b'"Id"\r"1"\r'
