"""The transposed convolution equals upsampling and convolving."""

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from m3.nn.upsampling import UpsampleConv


def test_equals_upsampling_and_then_convolving() -> None:
    torch.manual_seed(0)
    layer = UpsampleConv(6, 4)
    x = torch.randn(2, 6, 5, 7, requires_grad=True)
    upsampled = F.interpolate(x, scale_factor=2, mode="nearest-exact")
    expected = F.conv2d(upsampled, layer.weight, layer.bias, padding=1)
    assert_close(layer(x), expected, atol=5e-6, rtol=0)

    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, layer.weight, layer.bias), gradient)
    assert_close(torch.autograd.grad(layer(x), (x, layer.weight, layer.bias), gradient), wanted)
