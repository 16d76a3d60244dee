"""Values of the reference implementation: its weights, its inputs, its outputs."""

from pathlib import Path

import numpy as np
import pytest

from m3.errors import UserError
from m3.reference.golden import verify_file

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["functions", "image_discrete", "vector_continuous", "mixed_discrete"])
def test_every_quantity_is_met(name: str) -> None:
    comparisons = verify_file(GOLDEN / f"{name}.npz")
    assert len(comparisons) >= 6
    assert [c for c in comparisons if not c.met] == []


def test_no_quantity_is_left_out() -> None:
    """Everything that a file holds is either read as an input or compared."""
    for path in GOLDEN.glob("*.npz"):
        outputs = {
            name
            for name in np.load(path).files
            if name.startswith(("tokenizer/", "world_model/", "imagination/", "actor_critic/"))
        }
        assert outputs <= {comparison.quantity for comparison in verify_file(path)}


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
