"""Scale of imagined returns."""

import numpy as np
import torch
from torch import Tensor, nn


class ReturnRange(nn.Module):
    """Range between two percentiles of the lambda-returns of the last batches (M3 section 3.3).

    The history is a ring in buffers, NaN where a step does not count, so it is saved with the controller.

    Args:
        batch_returns: number of returns in a batch.
        batches: how many batches are remembered.
    """

    history: Tensor
    count: Tensor
    _levels: Tensor

    def __init__(self, batch_returns: int, batches: int = 500, low: float = 0.025, high: float = 0.975) -> None:
        super().__init__()
        self.register_buffer("_levels", torch.tensor([low, high], dtype=torch.float64), persistent=False)
        self.register_buffer("history", torch.full((batches, batch_returns), torch.nan))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, returns: Tensor, mask: Tensor | None = None) -> None:
        """Remember a batch of returns (any shape of the batch's size); masked-out ones do not count."""
        if mask is not None:
            returns = returns.masked_fill(~mask, torch.nan)
        slot = (self.count % len(self.history)).reshape(1)
        self.history.index_copy_(0, slot, returns.reshape(1, -1).to(self.history.dtype))
        self.count += 1

    @torch.no_grad()
    def range(self) -> Tensor:
        """Return the difference of the two percentiles (linear interpolation), a scalar; 0 before the first batch."""
        count = self.history.isfinite().sum()
        positions = self._levels * (count - 1).clamp(min=0)
        below = positions.long()
        above = torch.minimum(below + 1, (count - 1).clamp(min=0))
        lower, upper = _order_statistics(self.history.flatten(), torch.stack((below, above)))
        low, high = torch.lerp(lower, upper, (positions - below).to(lower.dtype))
        return torch.where(count > 0, high - low, 0)


def _order_statistics(values: Tensor, ranks: Tensor) -> Tensor:
    """Return values by rank, 0 the smallest, NaN last. A GPU sorts faster than it selects, a CPU does not."""
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.from_numpy(np.partition(values.numpy(), ranks.flatten().numpy())[ranks.numpy()])
    return values.sort().values[ranks]
