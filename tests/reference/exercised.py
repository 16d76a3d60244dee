"""Golden files must call the functions that they claim to cover."""

from pathlib import Path
from typing import Any

import pytest

from m3.reference.golden import verify_file


class Called(Exception):
    """A function was called that a golden file claims to cover."""


def check_exercised(file: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify a file with a function, named by module, that raises; it has to be called."""

    def raise_called(*_: Any, **__: Any) -> None:
        raise Called(function)

    monkeypatch.setattr(function, raise_called)
    with pytest.raises(Called):
        verify_file(file)
