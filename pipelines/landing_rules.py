"""``syncline landing lifecycle``: the rules that the landing's bucket should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncline.connectors.errors import ConfigError

if TYPE_CHECKING:
    from syncline.connectors.connector import Json
    from syncline.pipelines.pipeline import Pipeline


def lifecycle(pipeline: Pipeline, *, apply: bool) -> dict[str, Json]:
    """The rules, as S3 takes them; with ``apply`` they are put among the bucket's own, else nothing is asked.

    Raises:
        ConfigError: the landing is no bucket, or the rules may not be read or written.
    """
    from syncline.sinks.bucket_lifecycle import apply_rules
    from syncline.sinks.lifecycle_rules import recommended

    bucket = pipeline.landing.bucket
    if bucket is None:
        cause = "only a bucket has lifecycle rules"
        hint = f"clear it up with: syncline landing expire {pipeline.name} --older-than 30d"
        raise ConfigError("read lifecycle rules", f"landing {pipeline.landing.url}", cause, hint)
    changed = apply_rules(bucket) if apply else False
    return {
        "pipeline": pipeline.name,
        "bucket": bucket.name,
        "applied": apply,
        "changed": changed,
        "rules": list(recommended(bucket)),
    }
