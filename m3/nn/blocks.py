"""Convert between a sequence of tokens and blocks of equal length."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class BlockOrder(NamedTuple):
    """How P predictions of K tokens, which follow T blocks of n tokens, fill T + P blocks of n tokens.

    tokens: of each place in the blocks, int64 ((T + P) * n,); what is beyond a prediction's end repeats its last token.
    places: of each token, int64 (T * n + P * K,).
    """

    tokens: Tensor
    places: Tensor
    block: int
    blocks: int
    filled: int
    """K."""


def block_order(block: int, blocks: int, predictions: int, filled: int, device: torch.device) -> BlockOrder:
    """Compute the order for n, T, P and K."""
    context = torch.arange(blocks * block, device=device)
    starts = torch.arange(predictions, device=device)[:, None]
    within = torch.arange(block, device=device).clamp(max=filled - 1)
    tokens = torch.cat((context, (len(context) + starts * filled + within).flatten()))
    filled_places = len(context) + starts * block + torch.arange(filled, device=device)
    return BlockOrder(tokens, torch.cat((context, filled_places.flatten())), block, blocks, filled)


def to_blocks(x: Tensor, order: BlockOrder) -> Tensor:
    """Reorder tokens (B, N, M, H, d) as (M, B, H, T + P, n, d). No gradient comes from beyond a prediction's end."""
    return _ToBlocks.apply(x, order)


def from_blocks(x: Tensor, order: BlockOrder) -> Tensor:
    """Reorder blocks (B, H, T + P, n, d) as tokens (B, N, H, d)."""
    return _FromBlocks.apply(x[None], order)[:, :, 0]


def _fill(x: Tensor, order: BlockOrder) -> Tensor:
    return x.permute(2, 0, 3, 1, 4).index_select(3, order.tokens).unflatten(3, (-1, order.block))


def _empty(x: Tensor, order: BlockOrder) -> Tensor:
    return x.flatten(3, 4).permute(1, 3, 0, 2, 4).index_select(1, order.places)


class _ToBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: BlockOrder) -> Tensor:
        ctx.order = order
        return _fill(x, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _empty(gradient, ctx.order), None


class _FromBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: BlockOrder) -> Tensor:
        ctx.order = order
        return _empty(x, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        filled = _fill(gradient, ctx.order)
        filled[:, :, :, ctx.order.blocks :, ctx.order.filled :] = 0
        return filled, None
