"""Nobody changes what training computes by accident: the sources on its path are as they were when somebody decided."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from m3.config import training_version
from m3.config.schema import TRAINING_VERSION
from m3.config.training_version import PACKAGE, changes, current, digest, main, recorded

SOURCE = '''\
"""A module."""
import numpy as np

LIMIT = 1.0  # of what is counted
"""The most."""


class Counter:
    """Counts."""

    def add(self, value: float, *, twice: bool = False) -> float:
        """Add."""
        return min(value * (2 if twice else 1), LIMIT)
'''


def test_every_change_of_the_training_path_was_decided_upon() -> None:
    changed = changes(recorded(), current())
    assert changed == [], (
        f"{', '.join(changed)}: does training compute the same as before, bit for bit? Say so with "
        "`python -m m3.config.training_version --same-behaviour`, or with --new-behaviour that it does not"
    )
    assert recorded().training_version == TRAINING_VERSION


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""The module."""'),
        ('    """Counts."""\n\n', ""),
        ("  # of what is counted", ""),
        ('"""The most."""', '"""The largest."""'),
        ("return min(", "return min(\n            "),
    ],
)
def test_words_and_layout_do_not_count(old: str, new: str) -> None:
    assert old in SOURCE
    assert digest(SOURCE.replace(old, new)) == digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0", "1"),
        ("2 if", "3 if"),
        ("min(", "max("),
        ("twice: bool = False", "twice: bool = True"),
        ("*, ", ""),
        ("import numpy as np", "import numpy"),
        ('"""Add."""', 'print("Add.")'),
    ],
)
def test_everything_else_counts(old: str, new: str) -> None:
    assert old in SOURCE
    assert digest(SOURCE.replace(old, new, 1)) != digest(SOURCE)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package in which the last decision is of now."""
    copy = tmp_path / "m3"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "fonts"))
    monkeypatch.setattr(training_version, "PACKAGE", copy)
    monkeypatch.setattr(training_version, "RECORD", copy / "config/training_version.json")
    monkeypatch.setattr(training_version, "current", lambda: current(copy))
    decide(monkeypatch, "--same-behaviour")
    return copy


def decide(monkeypatch: pytest.MonkeyPatch, decision: str) -> None:
    monkeypatch.setattr(sys, "argv", ["training_version", decision])
    main()


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\nCHANGED = True\n")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda package: edit(package / "world_model/losses.py"), ["world_model/losses.py"]),
        (lambda package: edit(package / "data/replay.py"), ["data/replay.py"]),
        (lambda package: (package / "training/another.py").touch(), ["training/another.py"]),
        (lambda package: (package / "nn/dropout.py").unlink(), ["nn/dropout.py"]),
        (lambda package: edit(package / "runs/metrics.py"), []),
        (lambda package: edit(package / "analysis/style.py"), []),
    ],
)
def test_the_path_is_what_training_computes_with(
    package: Path, change: Callable[[Path], None], expected: list[str]
) -> None:
    change(package)
    before = recorded(package / "config/training_version.json")
    assert changes(before, current(package)) == expected


def test_files_that_do_not_count_exist() -> None:
    """Else their names would hide files that are added later."""
    assert [name for name in training_version._EXCLUDED if not (PACKAGE / name).exists()] == []
    assert len(training_version._EXCLUDED) <= 4


def test_new_behaviour_is_a_new_version_and_the_same_is_not(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, schema = package / "config/training_version.json", package / "config/schema.py"
    edit(package / "nn/heads.py")
    decide(monkeypatch, "--same-behaviour")
    assert recorded(record) == current(package)
    assert schema.read_bytes() == (PACKAGE / "config/schema.py").read_bytes()
    edit(package / "nn/heads.py")
    decide(monkeypatch, "--new-behaviour")
    assert recorded(record) == current(package)._replace(training_version=TRAINING_VERSION + 1)
    assert f"TRAINING_VERSION = {TRAINING_VERSION + 1}\n" in schema.read_text()
