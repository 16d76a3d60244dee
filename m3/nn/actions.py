"""Continuous actions as 51 even values of [-1, 1] per dimension (M3 section 3)."""

import torch
from torch import Tensor

ACTION_BINS = 51


def to_bins(actions: Tensor) -> Tensor:
    """Return the index of the nearest value: float (...) in [-1, 1] -> int64 (...)."""
    step = 2 / (ACTION_BINS - 1)
    middles = torch.linspace(-1 + step / 2, 1 - step / 2, ACTION_BINS - 1, device=actions.device)
    return torch.bucketize(actions.float().contiguous(), middles)


def to_values(bins: Tensor) -> Tensor:
    """int64 (...) -> float32 (...)."""
    return torch.linspace(-1, 1, ACTION_BINS, device=bins.device)[bins]
