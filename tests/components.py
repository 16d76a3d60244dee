"""Programs and libraries from outside of Python that some tests need."""

import os
from typing import NoReturn

import pytest


def missing(component: str) -> NoReturn:
    """Skip a test for the lack of a component; where CI runs, which installs them all, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{component} is missing, and .ci/run should have installed it")
    pytest.skip(f"{component} is missing")
