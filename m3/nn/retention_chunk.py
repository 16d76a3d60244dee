"""Retention of a chunk of tokens without gradients, in as few kernels as torch's own operations allow.

Blocks and the prediction of the step after them are one causal sequence, as the prediction's tokens come at the
positions that follow. Decays are divided between queries and keys so that the memory takes part in the same products
as the chunk itself: its rows are values, and the keys before them are the identity, decayed by the chunk's blocks.
Then, for values V = [memory, v] and keys K = [identity * decay, k], outputs are (q K^T, causal) V, and the memory
after the blocks is K^T V.

Shapes: B batch, H heads, N tokens of the chunk, C of them in blocks, d head width, E = H * d.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.nn import retention
from m3.nn.precision import full_precision

_ONES = 8
"""Columns beside a layer's inputs, of which the first is ones: its weights are the bias. 8, to stay aligned."""


class ChunkShape(NamedTuple):
    """What all chunks of a shape and position have in common.

    phases: of positions and decays, complex (N, 3, H, d/2). causal: ones on and below the diagonal, (N, N).
    forgotten: what is left of a memory after the blocks, times the identity, (H, d, d). block_tokens: C.
    """

    phases: Tensor
    causal: Tensor
    forgotten: Tensor
    block_tokens: int


def chunk_shape(block_tokens: int, predicted: int, position: int, decays: Tensor, frequencies: Tensor) -> ChunkShape:
    """Compute the shape of C tokens in blocks and as many predicted ones after them, from a position on."""
    indices = torch.arange(block_tokens + predicted, device=decays.device)
    phases = retention.token_phases(position + indices, indices - block_tokens, decays, frequencies)
    identity = torch.eye(2 * len(frequencies), device=decays.device)
    return ChunkShape(
        phases=torch.view_as_complex(phases),
        causal=torch.ones(len(indices), len(indices), device=decays.device).tril(),
        forgotten=(decays**block_tokens).float()[:, None, None] * identity,
        block_tokens=block_tokens,
    )


class _Room(NamedTuple):
    """Where the layers of a chunk write.

    retained: queries, keys and values of all layers, each after the d rows of a memory, (3, layers, B, H, d + N, d).
    gated, hidden: inputs of the layers' last products, with the columns of ones, (B * N, E or 4E + ones).
    """

    retained: Tensor
    gated: Tensor
    hidden: Tensor


class ChunkLayers:
    """Layers of retention with their weights as they are when this is made, packed for chunks.

    Args:
        layers: of :class:`m3.nn.retnet.RetentionLayer`, in evaluation mode.
        heads: H.
        dtype: of products with weights.
    """

    def __init__(self, layers: Sequence[nn.Module], heads: int, dtype: torch.dtype) -> None:
        self._heads = heads
        self._dtype = dtype
        self._norms = [
            [layer.get_parameter(f"norm{i}.{n}") for i in (1, 2) for n in ("weight", "bias")] for layer in layers
        ]

        def together(name: str) -> Tensor:
            return torch.stack([layer.get_parameter(name) for layer in layers]).to(dtype)

        def with_bias(name: str) -> Tensor:
            """Weights (layers, inputs + ones, outputs), the bias being the row of the column of ones."""
            weight, bias = together(f"{name}.weight"), together(f"{name}.bias")[..., None]
            return torch.cat((weight, bias, torch.zeros_like(bias).expand(-1, -1, _ONES - 1)), dim=-1).mT

        self._projections = [
            (together(f"{name}.weight"), together(f"{name}.bias")) for name in ("qkvg_proj", "linear1")
        ]
        self._out, self._down = with_bias("out_proj"), with_bias("linear2")
        self._rooms: dict[tuple[int, ...], _Room] = {}

    def __call__(self, x: Tensor, shape: ChunkShape, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run all layers.

        Args:
            x: the chunk's tokens (B, N, E), which are overwritten.
            shape: of the chunk.
            memory: before it, (layers, B, H, d, d); none: zeros.

        Returns:
            Outputs of the predicted tokens, (B, N - C, E), and the memory after the blocks.
        """
        room = self._room(x, shape)
        before = room.retained[2, :, :, :, : -x.shape[1]]
        before.zero_() if memory is None else before.copy_(memory)
        for i in range(len(self._norms)):
            x = self._layer(i, x, shape, room, start=0 if i + 1 < len(self._norms) else shape.block_tokens)
        seen = x.shape[-1] // self._heads + shape.block_tokens
        keys, values = (part[..., :seen, :].flatten(0, 2) for part in room.retained[1:])
        with full_precision(x.device):
            return x, torch.bmm(keys.mT, values).view(before.shape)

    def _layer(self, i: int, x: Tensor, shape: ChunkShape, room: _Room, start: int) -> Tensor:
        """Layer ``i``, of whose outputs those of the tokens from ``start`` on are needed: (B, N - start, E)."""
        (weight, bias), (up_weight, up_bias) = self._projections
        gain1, shift1, gain2, shift2 = self._norms[i]
        normed = F.layer_norm(x, gain1.shape, gain1, shift1, eps=1e-6).to(self._dtype)
        packed = F.linear(normed, weight[i], bias[i]).unflatten(-1, (4, self._heads, -1))
        retained = self._retain(packed[:, :, :3], shape, room.retained[:, i], start)
        x = x[:, start:].contiguous() if start else x
        rows = x.flatten(0, 1)
        gated, hidden = room.gated[: len(rows)], room.hidden[: len(rows)]
        gates = F.silu(packed[:, start:, 3])
        torch.mul(gates, retained, out=gated[:, :-_ONES].view(gates.shape))
        _add_product(rows, gated, self._out[i])
        up = F.linear(
            F.layer_norm(rows, gain2.shape, gain2, shift2, eps=1e-6).to(self._dtype), up_weight[i], up_bias[i]
        )
        torch.ops.aten.silu.out(up, out=hidden[:, :-_ONES])
        _add_product(rows, hidden, self._down[i])
        return x

    def _retain(self, packed: Tensor, shape: ChunkShape, room: Tensor, start: int) -> Tensor:
        """What the tokens from ``start`` on retain, normalised: (B, N - start, H, d) of q, k, v (B, N, 3, H, d)."""
        batch, _, _, heads, width = packed.shape
        turned = torch.view_as_complex(room[:, :, :, width:].unflatten(-1, (-1, 2))).permute(1, 3, 0, 2, 4)
        torch.mul(torch.view_as_complex(packed.float().unflatten(-1, (-1, 2))), shape.phases, out=turned)
        queries, keys, values = (part.flatten(0, 1) for part in room)
        with full_precision(packed.device):
            scores = torch.bmm(queries[:, width + start :], keys.mT)
            scores[..., width:].mul_(shape.causal[start:])
            retained = torch.bmm(scores, values)
        return F.layer_norm(retained, (width,), eps=1e-6).view(batch, heads, -1, width).transpose(1, 2)

    def _room(self, x: Tensor, shape: ChunkShape) -> _Room:
        """The place for chunks of this shape, made once: memories are before it, and all else is overwritten."""
        batch, tokens, width = x.shape
        key = (batch, tokens, shape.block_tokens)
        if key not in self._rooms:
            layers, head_width = len(self._norms), width // self._heads
            sizes = 3, layers, batch, self._heads, head_width + tokens, head_width
            retained = torch.empty(sizes, device=x.device)
            retained[1, :, :, :, :head_width] = shape.forgotten
            gated, hidden = (
                torch.ones(batch * tokens, inputs + _ONES, dtype=self._dtype, device=x.device)
                for inputs in (width, self._down.shape[1] - _ONES)
            )
            self._rooms[key] = _Room(retained, gated, hidden)
        return self._rooms[key]


def _add_product(rows: Tensor, inputs: Tensor, weights: Tensor) -> None:
    """Add a product to rows, in one kernel where both have one number format."""
    if rows.dtype == inputs.dtype:
        rows.addmm_(inputs, weights)
    else:
        rows.add_(inputs @ weights)
