from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.connectors.sandbox import Org, SandboxServer
from tests.journey.journey import Journey
from tests.salesforce.org_world import START, Site


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    org = Org(seed=3, start=START, seed_rows={"Account": 120, "Contact": 80, "Opportunity": 60})
    with SandboxServer(org) as server:
        yield Journey(Site(org, server), tmp_path)
