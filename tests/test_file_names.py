"""A run's files are named in one place, and the same names are all over the documentation."""

import re
import subprocess
from pathlib import Path

import pytest

from m3.files import names

ROOT = Path(__file__).parents[1]
NAMES = [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]
FORMATS = [name for name in NAMES if name.startswith("m3.")]
FILES = [name for name in NAMES if "." in name and not name.startswith(("m3.", "resolved-"))]
HOME = "m3/files/names.py"


def sources() -> dict[str, str]:
    """The package and the workflow, by path."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "m3/*.py", "workflow/*"]
    paths = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {path: (ROOT / path).read_text() for path in paths if (ROOT / path).exists()}


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_a_run_is_named_once(file: str) -> None:
    found = [path for path, text in sources().items() for _ in re.findall(re.escape(file), text)]
    assert found == [HOME]


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_is_named_once(format: str) -> None:
    found = [path for path, text in sources().items() for _ in re.findall(f'"{re.escape(format)}"', text)]
    assert found == [HOME]
