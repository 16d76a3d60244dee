"""LSTMs over sequences on the fake device, which a GPU leaves to cuDNN: one call forward and one backward."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class _CudnnLstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, hidden: Tensor, cell: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(inputs, hidden, cell, *weights)
        outputs = torch.ops.m3_fake.lstm(inputs, hidden)
        return outputs, hidden, cell

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.ops.m3_fake.lstm_backward(list(ctx.saved_tensors)))


@torch.library.custom_op("m3_fake::lstm", mutates_args=())
def _forward(inputs: Tensor, hidden: Tensor) -> Tensor:
    raise RuntimeError("a tensor on the fake device has no values")


@_forward.register_fake
def _(inputs: Tensor, hidden: Tensor) -> Tensor:
    return inputs.new_empty(*inputs.shape[:2], hidden.shape[-1])


@torch.library.custom_op("m3_fake::lstm_backward", mutates_args=())
def _backward(saved: list[Tensor]) -> list[Tensor]:
    raise RuntimeError("a tensor on the fake device has no values")


@_backward.register_fake
def _(saved: list[Tensor]) -> list[Tensor]:
    return [torch.empty_like(tensor) for tensor in saved]


def fake_lstm(real: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    """Substitute ``torch.lstm`` of one layer, batch first; away from a GPU it stays itself."""

    def lstm(inputs: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], *options: Any) -> tuple[Tensor, ...]:
        return _CudnnLstm.apply(inputs, *state, *weights) if inputs.is_cuda else real(inputs, state, weights, *options)

    return lstm
