"""Records asked for by their ids, as a proof does: whatever stands in a target's key is no reason to fail."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.salesforce.org_world import Site

NO_IDS = ("TEST-1", "", "x' OR Id != '", "k" * 3_000, "0015g000000000é")


@pytest.mark.parametrize("fields", [("Id", "Name"), ()], ids=["narrow", "whole"])
def test_what_is_no_id_is_not_asked_for_and_the_others_come(site: Site, fields: tuple[str, ...]) -> None:
    ids = sorted(site.org.insert("Account", {"Name": "asked for"}, count=3))
    site.org.advance(120)
    source = site.connect()
    [schema] = source.describe(["Account"])
    wanted = schema.select([*fields, "SystemModstamp"]) if fields else schema
    keys = pa.table({"Id": [*NO_IDS, *ids[:2], ids[2][:15], ids[2][:17] + "z", ids[2][:14] + "?AAA"]})
    found = source.look_up(wanted, keys)
    assert found is not None
    assert sorted(key for batch in found for key in batch.records["Id"].to_pylist()) == ids[:2]


def test_only_what_is_no_id_costs_no_request(site: Site) -> None:
    source = site.connect()
    [schema] = source.describe(["Account"])
    before = source.api_calls
    assert list(source.look_up(schema, pa.table({"Id": list(NO_IDS)})) or ()) == []
    assert source.api_calls == before
