"""Values of the reference implementation: its weights, its inputs, its outputs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import m3.reference.golden
from m3.errors import UserError
from m3.reference.golden import verify_file
from m3.reference.golden_file import GoldenFile, compare

GOLDEN = Path(__file__).parents[1] / "golden"


NAMES = ("functions", "image_discrete", "vector_continuous", "mixed_discrete")
OF_SIMULUS = tuple(f"simulus/{path.stem}" for path in sorted((GOLDEN / "simulus").glob("*.npz")))
UNUSED_OPTIONS = re.compile(r"options/.*|mask/.*/full")
"""What the authors' Simulus-A could do and does not."""


@pytest.mark.parametrize("name", NAMES + OF_SIMULUS)
def test_every_quantity_is_met(name: str) -> None:
    comparisons = verify_file(GOLDEN / f"{name}.npz")
    assert len(comparisons) >= 6
    assert [c for c in comparisons if not c.met] == []


@pytest.mark.parametrize("path", sorted(GOLDEN.rglob("*.npz")), ids=lambda path: str(path.relative_to(GOLDEN)))
def test_nothing_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array of a file is an input, or compared."""
    opened = []

    class Noted(GoldenFile):
        def __init__(self, path: Path, device: torch.device) -> None:
            super().__init__(path, device)
            opened.append(self)

    monkeypatch.setattr(m3.reference.golden, "GoldenFile", Noted)
    verify_file(path)
    assert {name for name in opened[0].unread if not UNUSED_OPTIONS.fullmatch(name)} == set()


def test_losses_are_held_closely() -> None:
    """All of them, whatever their place in a file's names."""
    compared = [c for name in NAMES for c in verify_file(GOLDEN / f"{name}.npz")]
    losses = [c for c in compared if "loss" in c.quantity.rpartition("/")[2]]
    assert {"hl_gauss/loss", "world_model/per_sample_loss", "world_model/loss/loss_obs"} <= {c.quantity for c in losses}
    assert {c.tolerance for c in losses} == {1e-5}


def test_a_loss_is_compared_with_the_largest_of_its_kind() -> None:
    golden = np.array([1000.0, 1.0])
    assert compare("x/per_sample_loss", torch.tensor([1000.0, 1.009]), golden).met
    assert not compare("x/per_sample_loss", torch.tensor([1000.0, 1.011]), golden).met
    assert not compare("x/outputs", torch.tensor([1000.0, 1.001]), golden).met
    assert not compare("x/outputs", torch.tensor([1000.0, float("nan")]), golden).met
    assert not compare("x/outputs", torch.tensor([1000.0]), golden).met


def test_a_changed_weight_is_found(tmp_path: Path) -> None:
    arrays = dict(np.load(GOLDEN / "vector_continuous.npz"))
    weight = "state/world_model._model.layers.0.retention.q_proj.weight"
    arrays[weight] = np.roll(arrays[weight], 1)
    np.savez(tmp_path / "changed.npz", **arrays)
    assert not all(comparison.met for comparison in verify_file(tmp_path / "changed.npz"))


@pytest.mark.parametrize("content", [b"", b"text", (GOLDEN / "functions.npz").read_bytes()[:-100]])
def test_a_damaged_file_or_one_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.npz").write_bytes(content)
    with pytest.raises(UserError, match="golden"):
        verify_file(tmp_path / "other.npz")


def test_an_archive_of_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(UserError, match="golden"):
        verify_file(tmp_path / "other.npz")
