"""Putting Syncline's lifecycle rules among those that a bucket has (S3 API reference, PutBucketLifecycleConfiguration).

Writing replaces the whole set and knows no condition, so what was written is read back: whoever writes at the same
moment would otherwise undo the other unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncline.connectors.errors import SynclineError, Transient
from syncline.sinks.lifecycle_rules import Rule, merged, recommended, rules_of

if TYPE_CHECKING:
    from syncline.sinks.landing_url import Bucket

_HINT = "grant s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration, or give the rules to the bucket's owner"


def apply_rules(bucket: Bucket) -> bool:
    """Adds the recommended rules, or brings those with their ids up to date; ``False`` if they stand already.

    Everybody else's rules are written back as they were read.

    Raises:
        ConfigError: boto3 is missing, or the rules may not be read or written.
        Transient: somebody else wrote the rules at the same moment.
    """
    from syncline.connectors.aws import aws_errors, client_of

    client = client_of(bucket.settings, "s3")
    there = _read(client, bucket)
    rules = merged(rules_of(there), recommended(bucket))
    if rules == rules_of(there):
        return False
    kept = {name: there[name] for name in ("TransitionDefaultMinimumObjectSize",) if name in there}
    with aws_errors("write lifecycle rules", bucket.name, _HINT):
        client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": rules}, **kept)
    if not _same(rules_of(_read(client, bucket)), rules):
        cause = "others changed them at the same moment"
        raise Transient("write lifecycle rules", bucket.name, cause, "look at the bucket's rules, then run it again")
    return True


def _read(client: Any, bucket: Bucket) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    from syncline.connectors.aws import aws_errors, code_of

    try:
        with aws_errors("read lifecycle rules", bucket.name, _HINT):
            found: dict[str, Any] = client.get_bucket_lifecycle_configuration(Bucket=bucket.name)
    except SynclineError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and code_of(cause) == "NoSuchLifecycleConfiguration":
            return {}
        raise
    return found


def _same(found: list[Rule], wanted: list[Rule]) -> bool:
    """S3 keeps no order."""
    return len(found) == len(wanted) and all(rule in found for rule in wanted)
