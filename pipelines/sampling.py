"""Choosing some of a stream's keys by chance, in one pass over landed files and in bounded memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncline.connectors.connector import DELETED_COLUMN, StreamSchema
from syncline.connectors.errors import ConfigError
from syncline.pipelines.context import Context
from syncline.sinks.manifest import Manifest

_CHANCE = "_syncline_chance"


@dataclass(frozen=True, slots=True)
class Sample:
    """``count`` rows of each stream, or a ``share`` of them from 0 to 1; one of the two."""

    count: int | None = None
    share: float | None = None

    @staticmethod
    def parse(text: str) -> Sample:
        """``500`` or ``2.5%``.

        Raises:
            ConfigError: anything else, or none at all.
        """
        found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)\s*%", text.strip())
        if found and found[1] and int(found[1]) > 0:
            return Sample(count=int(found[1]))
        if found and found[2] and 0 < float(found[2]) <= 100:
            return Sample(share=float(found[2]) / 100)
        cause = "it is neither a number nor a share of rows"
        if found:
            above = found[2] is not None and float(found[2]) > 100
            cause = "there are no more rows than 100%" if above else "it is a sample of no rows"
        hint = "write a number of rows, as in 500, or a share, as in 5%"
        raise ConfigError("read options", f"--sample {text!r}", cause, hint)


def sample_keys(context: Context, manifest: Manifest, schema: StreamSchema, sample: Sample) -> pa.Table:
    """Keys of live records that the manifest holds, each with the same chance."""
    import numpy as np

    chance = np.random.default_rng(int.from_bytes(context.seams.random(8), "big"))
    names = list(schema.key)
    kept = pa.schema([*(schema.columns.field(name) for name in names), (_CHANCE, pa.float64())]).empty_table()
    with tempfile.TemporaryDirectory(prefix="syncline-sample-") as folder:
        for keys in _live_keys(context, manifest, names, Path(folder)):
            drawn = keys.append_column(_CHANCE, pa.array(chance.random(len(keys))))
            if sample.share is not None:
                drawn = drawn.filter(pc.field(_CHANCE) < sample.share)
            kept = pa.concat_tables([kept, drawn])
            if sample.count is not None and len(kept) > sample.count:
                kept = kept.take(pc.select_k_unstable(kept, sample.count, [(_CHANCE, "ascending")]))
    return kept.select(names)


def _live_keys(context: Context, manifest: Manifest, names: list[str], folder: Path) -> Iterator[pa.Table]:
    records = [entry for entry in manifest.files if entry.kind == "records"]
    for path in context.landing.paths(records, folder):
        for batch in pq.ParquetFile(path).iter_batches(columns=[*names, DELETED_COLUMN]):
            yield pa.Table.from_batches([batch]).filter(~pc.field(DELETED_COLUMN)).select(names)
