"""What the tests of networks over blocks start from."""

from typing import TypeVar

import torch
from torch import Tensor, nn

BATCH, BLOCKS, BLOCK, PREDICTED, WIDTH = 2, 4, 5, 3, 16
Network = TypeVar("Network", bound=nn.Module)


def disturbed(net: Network) -> Network:
    """A network in evaluation mode, all of whose parameters count: biases begin at 0, where none is missed."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += torch.randn(parameter.shape) * 0.1
    return net.eval()


def random_blocks() -> Tensor:
    """Embedded blocks (B, T, L, E), the same every time."""
    return torch.randn(BATCH, BLOCKS, BLOCK, WIDTH, generator=torch.Generator().manual_seed(1))


def random_placeholders() -> Tensor:
    """Embedded placeholders (K, E), the same every time."""
    return torch.randn(PREDICTED, WIDTH, generator=torch.Generator().manual_seed(2))
