"""The range of returns against NumPy's percentiles."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from m3.nn.scaling import ReturnRange


def numpy_range(returns: np.ndarray) -> float:
    low, high = np.percentile(returns, [2.5, 97.5])
    return high - low


@pytest.mark.parametrize("masked", [False, True])
def test_is_the_percentiles_distance_over_the_last_batches(masked: bool) -> None:
    """Seven batches in a ring of three: after the third one, the oldest ones no longer count."""
    rng = np.random.default_rng(0)
    ring = ReturnRange(batch_returns=4 * 5, batches=3)
    batches = rng.normal(scale=[[1], [10], [1], [2], [3], [0.1], [7]], size=(7, 20))
    masks = rng.random((7, 20)) < (0.6 if masked else 1.0)
    for i, (batch, mask) in enumerate(zip(batches, masks, strict=True)):
        ring.update(torch.tensor(batch).view(4, 5), torch.tensor(mask).view(4, 5) if masked else None)
        recent = slice(max(0, i - 2), i + 1)
        assert ring.range().item() == pytest.approx(numpy_range(batches[recent][masks[recent]]), rel=1e-5)


def test_is_zero_while_nothing_counts() -> None:
    ring = ReturnRange(batch_returns=4, batches=3)
    assert ring.range().item() == 0
    ring.update(torch.ones(4), torch.zeros(4, dtype=torch.bool))
    assert ring.range().item() == 0


def test_continues_from_its_saved_state() -> None:
    first, second = ReturnRange(batch_returns=4, batches=2), ReturnRange(batch_returns=4, batches=2)
    for i in range(3):
        first.update(torch.arange(4.0) * i)
    second.load_state_dict(first.state_dict())
    for ring in (first, second):
        ring.update(torch.tensor([0.0, -5, 5, 1]))
    assert_close(second.range(), first.range())
