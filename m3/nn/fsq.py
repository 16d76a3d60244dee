"""Finite scalar quantisation: pure functions (Mentzer et al. 2023, as in the authors' Simulus-A).

A latent has D numbers. The i-th is bounded and rounded to one of its l_i levels; its level's place, from 0, is a digit,
and the digits make the token, the first of them varying fastest. A code has the levels as even numbers in [-1, 1].

``levels`` is int64 (D,) throughout, each at least 2, on the device of the other tensors; ``...`` is any shape.
"""

import torch
from torch import Tensor

_MARGIN = 0.001
"""Share of a dimension's range that the outermost levels keep to themselves, so that they are reached."""


def bound(latents: Tensor, levels: Tensor) -> Tensor:
    """Squash latents (..., D) smoothly to the range in which each rounds to one of its levels; float32.

    Even numbers of levels lie around -1/2, so that there is one more below 0 than above it.
    """
    half = (levels - 1) * ((1 - _MARGIN) / 2)
    offset = (levels % 2 == 0) / 2
    shift = torch.tan(
        offset / half
    )  # so in the paper's listing; the inverse of the hyperbolic tangent would map 0 to 0
    return half * torch.tanh(latents.float() + shift) - offset


def quantise(latents: Tensor, levels: Tensor) -> Tensor:
    """Turn latents (..., D) into codes (..., D); the gradient passes the rounding as if it were the identity."""
    bounded = bound(latents, levels)
    return (bounded.detach().round() + (bounded - bounded.detach())) / (levels // 2)


def to_tokens(latents: Tensor, levels: Tensor) -> Tensor:
    """Tokens of latents (..., D): int64 (...), below the product of the levels. Halves round to even."""
    digits = bound(latents, levels).round().long() + levels // 2
    return (digits * _strides(levels)).sum(-1)


def to_codes(tokens: Tensor, levels: Tensor) -> Tensor:
    """Codes of tokens: int64 (...) -> float32 (..., D)."""
    digits = tokens[..., None] // _strides(levels) % levels
    middle = levels // 2
    return (digits - middle) / middle


def _strides(levels: Tensor) -> Tensor:
    """How far apart tokens are that differ by one in a digit: 1, l_1, l_1 l_2, ... (D,)."""
    return levels.cumprod(0) // levels
