"""What holds for all tests: how they share processors, and what the tests of a file have in common."""

import os
from itertools import chain

import pytest

# one thread per process, as tests run side by side and compare training bit for bit
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Tests that share a fixture of their file run in one process, so that it is made once."""
    for item in items:
        fixtures = chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
        if any(fixture.scope == "module" for fixture in fixtures):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
