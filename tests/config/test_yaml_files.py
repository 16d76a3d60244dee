"""The canonical text of settings, whose hash names runs."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from m3.config.yaml_files import dump_yaml

CONFIGS = sorted(Path("config").rglob("*.yaml"))
ODD: dict[str, Any] = {
    "words": "word " * 60,
    "text": "a 'quoted' \"text\"\n  of lines: # no comment",
    "unicode": "äöü 日本",
    "beyond 16 bits": "🎮",
    "numbers": [1e-4, 0.1, 1e300, float("inf"), -0.0, 10**20],
    "ambiguous": ["yes", "2020-01-01", "1e3", "null", "", None, True],
    "control": "\x07\ttab",
    "nothing": [[], {}],
}


@pytest.mark.parametrize("content", [*(yaml.safe_load(path.read_text()) for path in CONFIGS), ODD])
def test_the_text_is_that_of_yamls_own_dumper(content: dict[str, Any]) -> None:
    """Whether libyaml is there or not, or the hash of the same settings would differ."""
    content = json.loads(json.dumps(content))  # as models are dumped: without objects that stand in two places
    expected = yaml.dump(content, Dumper=yaml.SafeDumper, sort_keys=True, allow_unicode=True, width=120)
    assert dump_yaml(content) == expected
