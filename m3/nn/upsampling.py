"""Upsampling followed by a convolution, as one operation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_UPSAMPLED = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Weights of the transposed kernel's four taps by those of the 3-tap kernel, along one axis."""


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution with padding 1.

    Every pixel is doubled, so taps that read the same pixel add up: the two operations are one transposed convolution
    of stride 2 with a 4x4 kernel of sums of the 3x3 one's weights. It takes less than half the products and never holds
    the upsampled map.
    """

    expansion: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, padding=1)
        self.register_buffer("expansion", torch.tensor(_UPSAMPLED), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        kernel = torch.einsum("oikl,pk,ql->iopq", self.weight, self.expansion, self.expansion)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)
