"""Retention over blocks of tokens: pure functions (retentive networks, Sun et al. 2023; POP, M3 section 3).

Shapes: B batch, T blocks, H heads, n tokens of a block, d head width. A head forgets by its decay gamma at every token.
The memory of a head is a (d, d) matrix S; after a token (k, v) it becomes ``gamma * S + k^T v``.

Decays are taken out of the products: token i of a block has its query multiplied by gamma^(i+1) and its key divided
by that. Then, within a block, a query meets the earlier keys as they are, and the memory before the block as it is; and
the memory after the block is gamma^n times the sum of the memory before it and all k^T v. gamma^-n is about e^(1/s) for
a memory of s blocks. Positions and these factors are one product of complex numbers per token.
"""

import math

import torch
from torch import Tensor

from m3.errors import UserError

_LARGEST_FACTOR = math.exp(20)
"""Of a key. The scale of such a head is 0.05 blocks, or a little more where blocks have few tokens."""


def head_decays(heads: int, scale_min: float, scale_max: float, tokens_per_block: int) -> Tensor:
    """Compute decays gamma_h = 1 - 1 / (s_h * tokens_per_block), s_h geometric between the two scales (in blocks).

    Returns:
        float64 (H,).

    Raises:
        UserError: a head would forget so fast that keys, divided by gamma^tokens_per_block, leave float32.
    """
    least = 1 / (tokens_per_block * (1 - _LARGEST_FACTOR ** (-1 / tokens_per_block)))
    if scale_min < least:
        raise UserError(
            f"world_model.decay_scale_min must be at least {math.ceil(1000 * least) / 1000:g} where a block has "
            f"{tokens_per_block} tokens, got {scale_min:g}"
        )
    ratio = torch.linspace(0, 1, heads, dtype=torch.float64)
    scales = scale_min * (scale_max / scale_min) ** ratio
    return 1 - 1 / (scales * tokens_per_block)


def longest_chunk(decays: Tensor) -> int:
    """Tell of how many tokens the decays (H,) can be taken out of products in float32."""
    return int(math.log(_LARGEST_FACTOR) / -math.log(float(decays.min())) + 1e-6)


def rotary_frequencies(head_width: int) -> Tensor:
    """Compute angles per token 1 / 10000^linspace(0, 1, d/2), each for an interleaved pair, float32 (d/2,)."""
    return 10000.0 ** -torch.linspace(0, 1, head_width // 2, dtype=torch.float32)


def rotary_phases(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Compute cosine and sine of position * frequency: (N,), (d/2,) -> (N, 1, d/2, 2)."""
    angles = (positions.float()[:, None] * frequencies)[:, None, :]
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def token_phases(positions: Tensor, indices: Tensor, decays: Tensor, frequencies: Tensor) -> Tensor:
    """Compute what multiplies queries, keys and values, as complex numbers: positions, decays and key scale.

    Args:
        positions: of the tokens in the stream, int64 (N,).
        indices: of the tokens in their blocks, int64 (N,).
        decays: float64 (H,).
        frequencies: (d/2,).

    Returns:
        float32 (N, 3, H, d/2, 2), the values' being 1.
    """
    turns = rotary_phases(positions, frequencies)
    powers = decays ** (indices[:, None] + 1)
    scale = (2 * len(frequencies)) ** -0.5
    queries, keys = (turns * factor.float()[..., None, None] for factor in (powers, scale / powers))
    ones = torch.zeros_like(queries)
    ones[..., 0] = 1
    return torch.stack((queries, keys, ones), dim=1)


def rotate(x: Tensor, phases: Tensor) -> Tensor:
    """Multiply interleaved pairs, read as complex numbers, by their token's phases (rotary position embedding).

    The compiler fuses products of real numbers; without it, one operation on complex ones is quicker.

    Args:
        x: (..., d).
        phases: (..., d/2, 2), from :func:`rotary_phases` or :func:`token_phases`.

    Returns:
        float32 (..., d), whatever the precision of ``x``.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        (a, b), (cos, sin) = pairs.unbind(-1), phases.unbind(-1)
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(phases)).flatten(-2)


def scan_weights(decays: Tensor, tokens: int, blocks: int, states: Tensor) -> Tensor:
    """Compute how much each block's k^T v contributes to a memory.

    Args:
        decays: float64 (H,).
        tokens: of a block, n.
        blocks: T.
        states: how many blocks each memory has seen, int64 (S,).

    Returns:
        float32 (H, S, T + 1): of the memory before all blocks, then of each block.
    """
    ages = states[:, None] - torch.arange(-1, blocks, device=states.device)
    ages[:, 0] -= 1
    weights = decays[:, None, None] ** (tokens * ages.clamp(min=0))
    return (weights * ((ages > 0) | (torch.arange(blocks + 1, device=states.device) == 0))).float()


def memories(updates: Tensor, weights: Tensor, initial: Tensor | None) -> Tensor:
    """Compute the memories after some numbers of blocks, as one product.

    Args:
        updates: k^T v of the T blocks, (B, H, T, d, d).
        weights: :func:`scan_weights` for every batch element, (B * H, S, T + 1).
        initial: memory before the first block, (B, H, d, d); none: zeros.

    Returns:
        (B, H, S, d, d).
    """
    batch, heads, blocks, *matrix = updates.shape
    if initial is None:
        weights = weights[..., 1:]
    else:
        updates, blocks = torch.cat((initial[:, :, None], updates), dim=2), blocks + 1
    flat = torch.bmm(weights, updates.reshape(batch * heads, blocks, -1))
    return flat.view(batch, heads, -1, *matrix)


def retain(queries: Tensor, keys: Tensor, values: Tensor, causal: Tensor, states: Tensor) -> Tensor:
    """Compute the retention output of each token from its own block and the memory before that block.

    Args:
        queries, keys, values: (B, H, T, n, d), decays in them.
        causal: ones on and below the diagonal, (n, n).
        states: memory before each block, (B, H, T, d, d).

    Returns:
        (B, H, T, n, d).
    """
    q, k, v, memory = (t.flatten(0, 2) for t in (queries, keys, values, states))
    within = torch.bmm(torch.bmm(q, k.transpose(1, 2)) * causal, v)
    return torch.baddbmm(within, q, memory).view_as(queries)
