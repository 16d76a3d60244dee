"""Where the files of an analysis come from."""

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from m3.analysis.scores import ScoreTable
from m3.files.provenance import Provenance


def provenance(settings: Mapping[str, Any], table: ScoreTable) -> Provenance:
    """The provenance of a file made from a table of scores with these settings."""
    config = yaml.safe_dump(dict(settings), sort_keys=True, allow_unicode=True)
    seeds = sorted({int(seed) for seed in table.scores.seed})
    return Provenance(config, hashlib.sha256(config.encode()).hexdigest(), seeds)
