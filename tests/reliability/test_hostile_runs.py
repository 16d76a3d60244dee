"""Hostile files in a run's folder: progress, failures, leases, manifests, states."""

import csv
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import SEED, changed, npz, odd_texts, scrambled
from test_strange_folders import not_longer_than
from trained import SETTINGS

from m3.files.names import FAILURE, LEASE, PROGRESS
from m3.runs.manifest import _sealed


def test_odd_small_files_stop_neither_training_nor_status(run: Path, tmp_path: Path) -> None:
    """``failure.json``, ``lease.json`` and ``progress.json`` with any content: one run's oddities hide no other run."""
    from m3.runs.failure import cause_of_failure
    from m3.runs.lease import living_holder

    rng = random.Random(SEED)
    progress = json.loads((run / PROGRESS).read_text())
    samples = [json.dumps(changed(progress, rng)) for _ in range(60)]
    holder = {"host": "h", "machine": "m", "process": 1, "started": "1", "token": "t", "generation": 1}
    samples += [json.dumps(changed(holder, rng)) for _ in range(40)]
    for text in [*odd_texts(), *samples]:
        for name in (PROGRESS, FAILURE, LEASE):
            (run / name).write_text(text, encoding="utf-8")
        with not_longer_than(60):
            living_holder(run)
            assert isinstance(cause_of_failure(run, "any"), str)
            hdf5_free_status(run)


def hdf5_free_status(run: Path) -> None:
    from m3.files.progress import read_progress
    from m3.files.run_folder import config_hash
    from m3.runs.progress import duration

    record = read_progress(run, config_hash(SETTINGS))
    if record is not None:
        for attempt in record.attempts:
            assert attempt.seconds >= 0
        duration(record.seconds_left or 0)


def sealed_manifest(path: Path, content: Any) -> None:
    path.write_text(_sealed(content))


def test_manifests_that_are_whole_and_wrong(run: Path, refused: Callable[..., str]) -> None:
    rng = random.Random(SEED)
    (manifest, *others) = sorted(run.glob("checkpoints/*/*/manifest.json"), reverse=True)
    for other in others:
        shutil.rmtree(other.parent)
    content = json.loads(manifest.read_text())["content"]
    for _ in range(60):
        free = {key: content[key] for key in ("epoch", "created_by")}  # which may be anything of their kind
        rest = {key: value for key, value in content.items() if key not in free}
        sealed_manifest(manifest, free | changed(rest, rng))
        refused("dataset", "--run", run, "--output", run / "out.h5")
        assert not (run / "out.h5").exists()
    for name in ("../secret.npz", "/etc/passwd", "state.npz/../../x", ""):
        parts = [content["parts"][0] | {"file": content["parts"][0]["file"] | {"name": name}}]
        sealed_manifest(manifest, content | {"parts": parts})
        refused("dataset", "--run", run, "--output", run / "out.h5")
    for text in odd_texts():
        manifest.write_text(text, encoding="utf-8")
        refused("dataset", "--run", run, "--output", run / "out.h5")


def test_states_that_are_whole_and_wrong(run: Path, refused: Callable[..., str]) -> None:
    """Bytes whose checksums are right, and which are no state of this run."""
    rng = random.Random(SEED)
    (manifest, *others) = sorted(run.glob("checkpoints/*/*/manifest.json"), reverse=True)
    for other in others:
        shutil.rmtree(other.parent)
    state = manifest.with_name("state.npz")
    whole, content = state.read_bytes(), json.loads(manifest.read_text())["content"]
    structures = ["{}", "[]", "null", '{"dict": []}', '{"dict": 3}', '{"tuple": 1}', '{"array": "arr_9"}', "[" * 5_000]
    structures += [
        '{"a": 1, "b": 2}',
        '{"dict": [[1]]}',
        '{"dict": [[{"dict": []}, 1]]}',
        '{"scalar": "arr_0"}',
        "\xff",
    ]
    samples = [npz(arr_0=np.frombuffer(text.encode(), np.uint8)) for text in structures]
    samples += [b"", b"PK\x03\x04", npz(), npz(arr_0=np.array(["x"], object).astype("U")), npz(arr_0=np.zeros(3))]
    samples += [scrambled(whole, rng) for _ in range(30)]
    for sample in samples:
        state.write_bytes(sample)
        described = {"name": state.name, "bytes": len(sample), "sha256": hashlib.sha256(sample).hexdigest()}
        sealed_manifest(manifest, content | {"state": described})
        refused("dataset", "--run", run, "--output", run / "out.h5")


def test_what_a_status_shows_cannot_move_a_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from m3.cli.status import _table, _write_csv
    from m3.config.experiment import Run
    from m3.runs.status import RunStatus

    note = "\x1b[2J=cmd|' /C calc'!A0\nsecond line\u202e"
    status = RunStatus(Run("b", "v", "t", 0), "failed", note, 0, 1, None, None, 1, 0.0, 0, Path())
    assert "\x1b" not in _table([status])
    assert len(_table([status]).splitlines()) == 2
    buffer = io.StringIO()
    _write_csv([status], buffer)
    rows = list(csv.reader(io.StringIO(buffer.getvalue())))
    assert len(rows) == 2
    assert rows[1][-1].isprintable()
    assert not rows[1][-1].startswith(("=", "+", "-", "@"))
