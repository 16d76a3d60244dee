"""Attention over blocks of tokens, with parallel observation prediction and a cache of keys and values (Simulus-A).

Shapes: B batch, T blocks of L tokens, P predictions of K tokens, H heads, d head width, E = H * d.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.nn.dropout import dropout

Phases = tuple[Tensor, Tensor]
"""Cosine and sine of position * frequency, for both halves of a head, float32 (N, d) each; the first sine negative."""


def rotary_phases(positions: Tensor, head_width: int) -> Phases:
    """Phases of positions int64 (N,), with the frequencies 10000^(-2i/d), in float32 whatever surrounds it."""
    frequencies = 10000.0 ** -(
        torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float32) / head_width
    )
    angles = positions.float()[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(x: Tensor, phases: Phases) -> Tensor:
    """Turn the pairs (i, i + d/2) of (..., N, d) by their token's phases: float32 (..., N, d)."""
    cos, sin = phases
    x = x.float()
    swapped = x.unflatten(-1, (2, -1)).flip(-2).flatten(-2)
    return torch.addcmul(x * cos, swapped, sin)


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """Which keys the last ``queries`` of ``keys`` tokens see, bool (queries, keys): their own and all earlier ones."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def prediction_mask(length: int, before: range, filled: int, device: torch.device) -> Tensor:
    """Which tokens those of P predictions see, bool (P * K, length + P * K): of blocks, then of predictions.

    Args:
        length: tokens of blocks.
        before: of each prediction, how many tokens of blocks it follows.
        filled: K.
        device: of the mask.
    """
    follows = torch.arange(before.start, before.stop, before.step, device=device).repeat_interleave(filled)
    blocks = torch.arange(length, device=device) < follows[:, None]
    same = torch.eye(len(before), dtype=torch.bool, device=device)[:, None, :, None]
    own = (same & causal_mask(filled, filled, device)[:, None]).flatten(2).flatten(0, 1)
    return torch.cat((blocks, own), dim=1)


@dataclass
class Cache:
    """Rotated keys and values of the first tokens of sequences, in buffers (layers, 2, B, H, room, d).

    Only what is not ``filled`` yet is ever written, so whoever knows of fewer tokens still finds those as they were.
    """

    buffers: Tensor
    filled: int


@dataclass(frozen=True)
class Memory:
    """The tokens seen so far: their number, and the cache that holds them (none at first)."""

    cache: Cache | None
    position: int


class AttentionLayer(nn.Module):
    """Post-norm attention and feed-forward layer; block tokens and prediction tokens share every weight."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)
        self.norm1 = nn.LayerNorm(width)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm2 = nn.LayerNorm(width)

    def project(self, x: Tensor, phases: Phases) -> tuple[Tensor, Tensor]:
        """Rotated queries (B, H, N, d) of tokens (B, N, E), and rotated keys beside values (2, B, H, N, d)."""
        packed = self.qkv_proj(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys = rotate(packed[:2], phases).to(packed.dtype).unbind(0)
        return queries, torch.stack((keys, packed[2]))

    def attend(self, queries: Tensor, keys_values: Tensor, mask: Tensor | None) -> Tensor:
        """Attention (B, H, Q, d) of queries to the keys that ``mask`` (Q, keys) lets them see; none: causally."""
        keys, values = keys_values
        probability = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(queries, keys, values, mask, probability, is_causal=mask is None)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """What follows the attention: tokens (B, N, E) and what their heads attended to, (B, H, N, d), to outputs."""
        x = self.norm1(x + self._drop(self.out_proj(attended.transpose(1, 2).flatten(-2))))
        return self.norm2(x + self._drop(self.ff(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class AttentionNet(nn.Module):
    """A stack of attention layers over blocks of L tokens.

    A block's token sees itself and all earlier tokens of blocks. Token j of a prediction of step t is at position
    t * L + j; it sees the blocks before t, and the tokens of its own prediction up to itself. Nothing sees the tokens
    of another prediction.

    Args:
        layers, heads, width, dropout: sizes; width is E.
        tokens_per_block: L.
        room: tokens for which a cache is made; one that needs more is copied to a larger one.
        cache_dtype: of cached keys and values.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        width: int,
        dropout: float,
        tokens_per_block: int,
        room: int,
        cache_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.tokens_per_block = tokens_per_block
        self.room = room
        self.cache_dtype = cache_dtype
        self.layers = nn.ModuleList(AttentionLayer(width, heads, dropout) for _ in range(layers))

    def _stack(self) -> list[AttentionLayer]:
        return [layer for layer in self.layers if isinstance(layer, AttentionLayer)]

    def empty_memory(self) -> Memory:
        """Return the memory before any block."""
        return Memory(None, 0)

    def forward(self, blocks: Tensor, predictions: Tensor, block_outputs: bool = False) -> tuple[Tensor, Tensor]:
        """Run blocks from the start of a sequence, and predictions of the steps after the last P of 0 .. T blocks.

        Args:
            blocks: (B, T, L, E), embedded.
            predictions: (B, P, K, E), embedded placeholders, P <= T + 1, K <= L.
            block_outputs: also compute the last layer for the blocks.

        Returns:
            Block outputs (B, T, L, E) (empty unless asked for) and prediction outputs (B, P, K, E).
        """
        length, count = blocks.shape[1] * self.tokens_per_block, predictions.shape[1]
        assert 0 < count <= blocks.shape[1] + 1, "a prediction needs the blocks before it"
        before = range(length - (count - 1) * self.tokens_per_block, length + 1, self.tokens_per_block)
        x = torch.cat((blocks.flatten(1, 2), predictions.flatten(1, 2)), dim=1)
        phases = rotary_phases(_positions(length, before, predictions.shape[2], x.device), self.head_width)
        mask = prediction_mask(length, before, predictions.shape[2], x.device)
        for i, layer in enumerate(self._stack()):
            start = 0 if block_outputs or i + 1 < len(self.layers) else length
            queries, keys_values = layer.project(x, phases)
            attended = layer.attend(queries[:, :, length:], keys_values, mask)
            if not start:
                of_blocks = layer.attend(queries[:, :, :length], keys_values[..., :length, :], mask=None)
                attended = torch.cat((of_blocks, attended), dim=2)
            x = layer.finish(x[:, start:], attended)
        split = length if block_outputs else 0
        outputs = x[:, :split].reshape(blocks.shape) if block_outputs else blocks[:, :0]
        return outputs, x[:, split:].reshape(predictions.shape)

    def extend(self, blocks: Tensor, prediction: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Append blocks and predict the step after them, in one pass.

        The tokens of the prediction follow the blocks' and see what they would see there, but leave nothing behind.

        Args:
            blocks: (B, n, L, E), embedded.
            prediction: (B, K, E), embedded placeholders.
            memory: of what was before them.

        Returns:
            Prediction outputs (B, K, E), and the memory after the blocks. The memory before them stays as it is.
        """
        with torch.no_grad():
            x = torch.cat((blocks.flatten(1, 2), prediction), dim=1)
            start, end = memory.position, memory.position + x.shape[1]
            appended = x.shape[1] - prediction.shape[1]
            phases = rotary_phases(torch.arange(start, end, device=x.device), self.head_width)
            mask = causal_mask(end - start, end, x.device)
            cache = self._cache(memory, end, x)
            for i, layer in enumerate(self._stack()):
                queries, keys_values = layer.project(x, phases)
                cache.buffers[i][..., start:end, :] = keys_values
                needed = appended if i + 1 == len(self.layers) else 0
                visible = cache.buffers[i][..., :end, :]
                attended = layer.attend(queries[:, :, needed:].to(visible.dtype), visible, mask[needed:])
                x = layer.finish(x[:, needed:], attended.to(x.dtype))
            cache.filled = start + appended
            return x, Memory(cache, cache.filled)

    def memory_bytes(self, batch: int) -> int:
        """Tell the size of the cache that is made for ``batch`` sequences."""
        return math.prod(self._buffers_shape(batch, self.room)) * self.cache_dtype.itemsize

    def _buffers_shape(self, batch: int, room: int) -> tuple[int, ...]:
        return (len(self.layers), 2, batch, self.heads, room, self.head_width)

    def _cache(self, memory: Memory, end: int, x: Tensor) -> Cache:
        """The memory's cache if it can be filled up to ``end``, else a new one with what the memory holds."""
        old = memory.cache
        if old is not None and old.filled == memory.position and end <= old.buffers.shape[4]:
            return old
        shape = self._buffers_shape(len(x), max(end, self.room))
        buffers = torch.empty(shape, dtype=self.cache_dtype, device=x.device)
        if old is not None:
            buffers[..., : memory.position, :] = old.buffers[..., : memory.position, :]
        return Cache(buffers, memory.position)


def _positions(length: int, before: range, filled: int, device: torch.device) -> Tensor:
    """Positions of ``length`` tokens of blocks, and of the K = ``filled`` of predictions after ``before`` of them."""
    starts = torch.arange(before.start, before.stop, before.step, device=device)
    predicted = (starts[:, None] + torch.arange(filled, device=device)).flatten()
    return torch.cat((torch.arange(length, device=device), predicted))
