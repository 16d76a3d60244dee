"""Retention over blocks of tokens: pure functions (retentive networks, Sun et al. 2023; POP, M3 section 3).

Shapes: B batch, T blocks, H heads, n tokens of a block, d head width. A head forgets by its decay gamma at every token.
The memory of a head is a (d, d) matrix S; after a token (k, v) it becomes ``gamma * S + k^T v``.
"""

import torch
from torch import Tensor


def head_decays(heads: int, scale_min: float, scale_max: float, tokens_per_block: int) -> Tensor:
    """Decays gamma_h = 1 - 1 / (s_h * tokens_per_block), s_h geometric between the two scales (in blocks).

    Returns:
        float64 (H,).
    """
    ratio = torch.linspace(0, 1, heads, dtype=torch.float64)
    scales = scale_min * (scale_max / scale_min) ** ratio
    return 1 - 1 / (scales * tokens_per_block)


def decay_powers(decays: Tensor, length: int) -> Tensor:
    """gamma^0 .. gamma^length, float32 (H, length + 1)."""
    exponents = torch.arange(length + 1, dtype=torch.float64)
    return (decays[:, None] ** exponents).float()


def decay_mask(decays: Tensor, length: int) -> Tensor:
    """Causal weights gamma^(i - j) for j <= i and 0 elsewhere, float32 (H, length, length)."""
    index = torch.arange(length)
    distance = index[:, None] - index[None, :]
    weights = decays[:, None, None] ** distance.clamp(min=0)
    return (weights * (distance >= 0)).float()


def rotary_frequencies(head_width: int) -> Tensor:
    """Angles per token 1 / 10000^linspace(0, 1, d/2), each for an interleaved pair, float32 (d/2,)."""
    return 10000.0 ** -torch.linspace(0, 1, head_width // 2, dtype=torch.float32)


def rotary_phases(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Cosine and sine of position * frequency: (N,), (d/2,) -> (N, 1, d/2, 2)."""
    angles = (positions.float()[:, None] * frequencies)[:, None, :]
    return torch.stack((angles.cos(), angles.sin()), dim=-1)


def rotate(x: Tensor, phases: Tensor) -> Tensor:
    """Rotary position embedding: interleaved pairs, read as complex numbers, turn by their token's phases.

    The compiler fuses products of real numbers; without it, one operation on complex ones is quicker.

    Args:
        x: (..., N, H, d).
        phases: (N, 1, d/2, 2), from :func:`rotary_phases`.

    Returns:
        float32 (..., N, H, d), whatever the precision of ``x``.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        (a, b), (cos, sin) = pairs.unbind(-1), phases.unbind(-1)
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(phases)).flatten(-2)


def block_states(keys: Tensor, values: Tensor, powers: Tensor, initial: Tensor) -> Tensor:
    """Memory before the first block and after each of the T blocks.

    Args:
        keys, values: (B, T, H, n, d).
        powers: gamma^0 .. at least gamma^n, (H, >= n + 1).
        initial: memory before the first block, (B, H, d, d).

    Returns:
        (B, T + 1, H, d, d).
    """
    tokens = keys.shape[3]
    to_block_end = powers[:, :tokens].flip(-1)[..., None]
    updates = (keys * to_block_end).transpose(-1, -2) @ values
    block_decay = powers[:, tokens, None, None]
    states = [initial]
    for update in updates.unbind(1):
        states.append(torch.addcmul(update, block_decay, states[-1]))
    return torch.stack(states, dim=1)


def retain(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, powers: Tensor, states: Tensor) -> Tensor:
    """Retention output of each token from its own block and the memory before that block.

    Args:
        queries, keys, values: (B, T, H, n, d).
        mask: causal decay weights (H, >= n, >= n).
        powers: (H, >= n + 1).
        states: memory before each block, (B, T, H, d, d).

    Returns:
        (B, T, H, n, d).
    """
    tokens = queries.shape[3]
    within = (queries @ keys.transpose(-1, -2) * mask[:, :tokens, :tokens]) @ values
    since_memory = powers[:, 1 : tokens + 1, None]
    return within + (queries * since_memory) @ states
