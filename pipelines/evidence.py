"""A run's evidence, for ``syncline runs PIPELINE --show RUN``: what its sealed manifests and its history say of it.

The manifests are what a run sealed before it committed (SEALED-MANIFEST): which program asked which query of which API,
how many rows there were at each hop, and each file's checksum. The history adds how it ended and what became of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError
from syncline.pipelines.history import run_of, settled

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline
    from syncline.sinks.landing import Landing
    from syncline.sinks.manifest import Manifest
    from syncline.state.store import RunRecord

HISTORY_MAX = 1_000
"""How far back the history is looked through; an older run is shown from its manifests alone."""


def evidence_of(pipeline: Pipeline, run_id: str) -> dict[str, Json]:
    """What is known of one run, by stream. Neither the source nor the warehouse is asked.

    Rows that it took over from an unfinished run are shown with that run's manifests; those of a compacted run with the
    manifest that holds them now.

    Raises:
        ConfigError: neither the history nor the landing knows the run.
        DataError: a manifest cannot be read.
    """
    record = _record(pipeline, run_id)
    resumed = [str(each) for each in record.report.get("resumed") or ()] if record else []
    counts = record.report.get("streams") or {} if record else {}
    streams: dict[str, Json] = {}
    for stream in pipeline.streams:
        found = [
            manifest
            for each in [*resumed, run_id]
            if (manifest := manifest_of(pipeline.landing, pipeline.name, stream.name, each)) is not None
        ]
        if found or stream.name in counts:
            manifests = [_document(manifest, pipeline.landing) for manifest in found]
            streams[stream.name] = {"counts": counts.get(stream.name), "manifests": manifests}
    if record is None and not streams:
        hint = f"`syncline runs {pipeline.name} --limit {HISTORY_MAX}` lists the runs"
        raise ConfigError("show run", f"{pipeline.name}, run {run_id}", "neither history nor landing knows it", hint)
    run = None if record is None else {**run_of(record), "resumed": resumed}
    return {"run_id": run_id, "pipeline": pipeline.name, "run": run, "streams": streams}


def manifest_of(landing: Landing, pipeline: str, stream: str, run_id: str) -> Manifest | None:
    """The run's manifest, or the compacted one that has its rows; ``None`` for a run that landed nothing."""
    found = landing.find(pipeline, stream, run_id)
    if found is not None:
        return found
    # A compacted manifest is named after its last run, so it sorts after every run in it.
    for name in landing.sealed(pipeline, stream, run_id):
        if name.count("-") < 2:
            continue
        merged = landing.find(pipeline, stream, name)
        if merged is not None and any(run.run_id == run_id for run in merged.merged):
            return merged
    return None


def _record(pipeline: Pipeline, run_id: str) -> RunRecord | None:
    runs: Sequence[RunRecord] = settled(pipeline.state.runs(pipeline.name, HISTORY_MAX))
    return next((run for run in runs if run.run_id == run_id), None)


def _document(manifest: Manifest, landing: Landing) -> dict[str, Json]:
    """The manifest as it is sealed, with where its files lie, and without the schema that only programs read."""
    document: dict[str, Json] = json.loads(manifest.to_bytes())
    del document["arrow_schema"]
    return {**document, "landing": landing.url}
