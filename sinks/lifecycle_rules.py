"""The lifecycle rules that a landing's bucket should have, and how they join the rules that are there.

S3 keeps one set of rules a bucket, and writing replaces the set (S3 API reference, PutBucketLifecycleConfiguration): so
others' rules are read and written back as they were, and only Syncline's own, known by their ids, are put in.

None of the rules expires landed files by age. S3 does not know which runs are committed; ``syncline landing expire``
does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from syncline.sinks.keys import escaped
from syncline.sinks.landing_url import Bucket

Rule: TypeAlias = dict[str, Any]

ABORT_AFTER_DAYS = 3
"""No upload of a file of 128 MB takes days."""

NONCURRENT_DAYS = 7
PROBE_DAYS = 1


def recommended(bucket: Bucket) -> list[Rule]:
    """Rules for what lies below the landing's root; their ids name the root, so that two landings do not meet."""
    root = bucket.key("")
    name = escaped(bucket.prefix or bucket.name)
    return [
        {
            "ID": f"syncline-abort-uploads-{name}"[:255],
            "Status": "Enabled",
            "Filter": {"Prefix": root},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_AFTER_DAYS},
        },
        {
            "ID": f"syncline-old-versions-{name}"[:255],
            "Status": "Enabled",
            "Filter": {"Prefix": root},
            "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {
            "ID": f"syncline-probes-{name}"[:255],
            "Status": "Enabled",
            "Filter": {"Prefix": bucket.key("_check/")},
            "Expiration": {"Days": PROBE_DAYS},
        },
    ]


def merged(existing: Sequence[Rule], own: Sequence[Rule]) -> list[Rule]:
    """The existing rules, in their order and as they are; those with the id of one of ``own`` are replaced by it."""
    by_id = {rule["ID"]: rule for rule in own}
    there = {rule.get("ID") for rule in existing}
    return [by_id.get(rule.get("ID", ""), rule) for rule in existing] + [
        rule for rule in own if rule["ID"] not in there
    ]


def rules_of(answer: Mapping[str, Any]) -> list[Rule]:
    return [dict(rule) for rule in answer.get("Rules", [])]


def covers(rule: Mapping[str, Any], prefix: str) -> bool:
    """Whether an enabled rule applies to every object below ``prefix``: no tags, no sizes, and a prefix above it."""
    chosen = rule.get("Filter")
    if chosen is None:
        chosen = {"Prefix": rule.get("Prefix", "")}
    narrower = set(chosen) - {"Prefix"}
    root = f"{prefix}/" if prefix else ""
    return rule.get("Status") == "Enabled" and not narrower and root.startswith(chosen.get("Prefix") or "")
