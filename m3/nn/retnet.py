"""Retentive network over blocks, with parallel observation prediction (POP, M3 section 3.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from m3.nn import retention
from m3.nn.blocks import BlockOrder, block_order, from_blocks, to_blocks
from m3.nn.dropout import dropout
from m3.nn.precision import full_precision, product_dtype
from m3.nn.retention_chunk import ChunkLayers, ChunkShape, chunk_shape


@dataclass(frozen=True)
class Memory:
    """Recurrent state after some blocks: a (B, H, d, d) matrix per layer (none at first); the count of tokens seen.

    ``chunks`` are the layers as they were packed for the first of the blocks, where gradients are not needed.
    """

    layers: tuple[Tensor | None, ...] | Tensor
    position: int
    chunks: ChunkLayers | None = None


class _Layout(NamedTuple):
    """What all layers of a call have in common.

    order: how tokens make up blocks. phases: of positions and decays. weights: of blocks in the memories before the
    blocks, and last in that after them. context_tokens: T * n.
    """

    order: BlockOrder
    phases: Tensor
    weights: Tensor
    context_tokens: int


_KEPT_LAYOUTS = 64
_COMPILED_FORMS = 64
"""Of the layers of all networks in a process, which share one code: each has at most four, by blocks and memory."""

_Layers = Callable[[Tensor, _Layout, tuple[Tensor | None, ...] | Tensor, bool], tuple[Tensor, tuple[Tensor, ...]]]


class RetentionLayer(nn.Module):
    """Pre-norm retention and feed-forward layer.

    Context tokens and prediction tokens share every weight and run through the same matrix products. Predictions
    read the memory left by the blocks before them and never enter it.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkvg_proj = nn.Linear(width, 4 * width)
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
                for matrix in module.weight.chunk(4) if module is self.qkvg_proj else [module.weight]:
                    nn.init.xavier_normal_(matrix)

    def forward(
        self, x: Tensor, layout: _Layout, causal: Tensor, initial: Tensor | None, context_outputs: bool
    ) -> tuple[Tensor, Tensor]:
        """Apply one layer to all tokens of a call.

        Args:
            x: (B, T*n + P*K, E), context first.
            causal: ones on and below the diagonal, (n, n).
            initial: memory before the first block (B, H, d, d); none: zeros.
            context_outputs: whether the context tokens' outputs are needed; if not, only the predictions are returned.

        Returns:
            Outputs of the tokens asked for, and the memory after the last block.
        """
        start = 0 if context_outputs else layout.context_tokens
        packed = self.qkvg_proj(self.norm1(x)).unflatten(-1, (4, self.heads, -1))
        qkv, gates = packed.split((3, 1), dim=2)  # whose gradients are joined, where those of slices would be added up
        turned = retention.rotate(qkv, layout.phases)
        with full_precision(x.device):
            retained, memory = self._retain(turned, layout, causal, initial)
        normed = F.layer_norm(self._drop(retained[:, start:]), retained.shape[-1:], eps=1e-6)
        gated = F.silu(gates.squeeze(2)[:, start:]) * normed.to(packed.dtype)
        x = x[:, start:] + self._drop(self.out_proj(gated.flatten(-2)))
        hidden = self._drop(F.silu(self.linear1(self.norm2(x))))
        return x + self._drop(self.linear2(hidden)), memory

    @staticmethod
    def _retain(turned: Tensor, layout: _Layout, causal: Tensor, initial: Tensor | None) -> tuple[Tensor, Tensor]:
        """Retain queries, keys and values (B, N, 3, H, d); return also the memory after the last block."""
        q, k, v = to_blocks(turned, layout.order).unbind(0)
        updates = (k.transpose(-1, -2) @ v)[:, :, : layout.order.blocks]
        states = retention.memories(updates, layout.weights, initial)
        retained = retention.retain(q, k, v, causal, states[:, :, : q.shape[2]])
        return from_blocks(retained, layout.order), states[:, :, -1]

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class RetNet(nn.Module):
    """A stack of retention layers over blocks of L tokens.

    Args:
        layers, heads, width, dropout: sizes; width is E.
        decay_scales: memory of the fastest and the slowest head, in blocks.
        tokens_per_block: L.
    """

    causal: Tensor
    decays: Tensor
    frequencies: Tensor

    def __init__(
        self,
        layers: int,
        heads: int,
        width: int,
        dropout: float,
        decay_scales: tuple[float, float],
        tokens_per_block: int,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.width = width
        self.tokens_per_block = tokens_per_block
        self.layers = nn.ModuleList(RetentionLayer(width, heads, dropout) for _ in range(layers))
        decays = retention.head_decays(heads, *decay_scales, tokens_per_block)
        self.register_buffer("decays", decays, persistent=False)
        self.register_buffer("causal", torch.ones(tokens_per_block, tokens_per_block).tril(), persistent=False)
        self.register_buffer("frequencies", retention.rotary_frequencies(width // heads), persistent=False)
        self._longest_chunk = retention.longest_chunk(decays)
        self._layouts: dict[tuple[int, ...], _Layout] = {}
        self._chunk_shapes: dict[tuple[int, ...], ChunkShape] = {}
        self._compiled: _Layers | None = None
        self.recompute = False
        """Whether the backward pass computes each layer once more, instead of keeping what is within it: same bits."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RetNet":
        """Move or convert the parameters; the constants only move: decays are too close to 1 to be rounded."""
        constants = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, constant in constants.items():
            setattr(self, name, constant.to(getattr(self, name).device))
        self._layouts.clear()
        self._chunk_shapes.clear()
        return self

    def empty_memory(self) -> Memory:
        """Return the memory before any block."""
        return Memory((None,) * len(self.layers), 0)

    def compile_without_gradients(self) -> None:
        """From now on, torch's compiler makes the kernels of all layers of calls that need no gradient.

        It fuses what stands between products, so results are rounded otherwise. On the CPU, layers with gradients are
        slower compiled, as dropout is.
        """
        self._compiled = torch.compile(self._run_layers, fullgraph=True, dynamic=False)
        dynamo = torch._dynamo.config
        dynamo.recompile_limit = max(dynamo.recompile_limit, _COMPILED_FORMS)

    def memory_bytes(self, batch: int) -> int:
        """Tell the size of the memory of ``batch`` sequences, float32, however many blocks it has read."""
        return len(self.layers) * batch * self.width * (self.width // self.heads) * 4

    def forward(
        self, context: Tensor, predictions: Tensor, memory: Memory, context_outputs: bool = False
    ) -> tuple[Tensor, Tensor, Memory]:
        """Run blocks and predictions.

        The P predictions start from the last P of the T + 1 memories (before the first block, after each block), so
        P = 1 predicts what follows the last block and P = T + 1 also what the first block should have been.

        Args:
            context: (B, T, L, E) embedded blocks that follow ``memory``.
            predictions: (B, P, K, E) embedded placeholders, P <= T + 1, K <= L.
            memory: the state before the first block.
            context_outputs: also compute the last layer for the context.

        Returns:
            Context outputs (B, T, L, E) (empty unless asked for), prediction outputs (B, P, K, E), and the memory after
            the last block.
        """
        layout = self._layout(context, predictions, memory.position)
        x = torch.cat((context.flatten(1, 2), predictions.flatten(1, 2)), dim=1)
        run = self._run_layers if self._compiled is None or torch.is_grad_enabled() else self._compiled
        x, states = run(x, layout, memory.layers, context_outputs)
        split = layout.context_tokens if context_outputs else 0
        out_context = x[:, :split].reshape(context.shape) if context_outputs else context[:, :0]
        out_predictions = x[:, split:].reshape(predictions.shape)
        return out_context, out_predictions, Memory(states, memory.position + layout.context_tokens)

    def extend(self, blocks: Tensor, prediction: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Append blocks to a memory and predict the step after them, without gradients.

        Args:
            blocks: (B, T, L, E), embedded.
            prediction: (B, K, E), embedded placeholders.
            memory: of what was before them. It stays as it is.

        Returns:
            Prediction outputs (B, K, E), and the memory after the blocks.
        """
        with torch.no_grad():
            tokens = blocks.shape[1] * self.tokens_per_block
            compiled = self._compiled is not None or torch.compiler.is_compiling()
            if compiled or self.training or tokens > self._longest_chunk:
                _, outputs, memory = self(blocks, prediction[:, None], memory)
                return outputs[:, 0], memory
            x = torch.cat((blocks.flatten(1, 2), prediction), dim=1)
            dtype = product_dtype(x)
            with torch.autocast(x.device.type, enabled=False):
                chunks = memory.chunks or ChunkLayers(list(self.layers), self.heads, dtype)
                shape = self._chunk_shape(tokens, prediction.shape[1], memory.position)
                x, layers = chunks(x, shape, _stacked(memory))
            return x, Memory(layers, memory.position + tokens, chunks)

    def _chunk_shape(self, block_tokens: int, predicted: int, position: int) -> ChunkShape:
        """Return the shape of a chunk, kept as a layout is."""
        key = (block_tokens, predicted, position)
        shape = self._chunk_shapes.get(key) or chunk_shape(*key, self.decays, self.frequencies)
        if len(self._chunk_shapes) < _KEPT_LAYOUTS:
            self._chunk_shapes[key] = shape
        return shape

    def _run_layers(
        self, x: Tensor, layout: _Layout, initial: tuple[Tensor | None, ...] | Tensor, context_outputs: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The layers one after another: outputs of the tokens asked for, and every layer's memory."""
        states = []
        for i, layer in enumerate(self.layers):
            keep = context_outputs or i + 1 < len(self.layers)
            given = x, layout, self.causal, initial[i], keep
            if self.recompute and torch.is_grad_enabled():
                x, state = checkpoint(layer, *given, use_reentrant=False)
            else:
                x, state = layer(*given)
            states.append(state)
        return x, tuple(states)

    def _layout(self, context: Tensor, predictions: Tensor, position: int) -> _Layout:
        """Return the layout of a call, kept for others of its shape and position, of which there are few."""
        key = (context.shape[0], context.shape[1], predictions.shape[1], predictions.shape[2], position)
        if torch.compiler.is_compiling():
            return self._new_layout(*key)
        layout = self._layouts.get(key) or self._new_layout(*key)
        if len(self._layouts) < _KEPT_LAYOUTS:  # and none is thrown away, as a captured step reads them where they are
            self._layouts[key] = layout
        return layout

    def _new_layout(self, batch: int, blocks: int, predictions: int, filled: int, position: int) -> _Layout:
        assert predictions <= blocks + 1, "a prediction needs the memory it starts from"
        n, device = self.tokens_per_block, self.frequencies.device
        order = block_order(n, blocks, predictions, filled, device)
        seen = torch.cat(
            (
                torch.arange(blocks, device=device),
                torch.arange(blocks + 1 - max(predictions, 1), blocks + 1, device=device),
            )
        )
        indices = order.places % n
        positions = position + seen[order.places // n] * n + indices
        phases = retention.token_phases(positions, indices, self.decays, self.frequencies)
        weights = retention.scan_weights(self.decays, n, blocks, seen)
        return _Layout(order, phases, weights.repeat(batch, 1, 1), blocks * n)


def _stacked(memory: Memory) -> Tensor | None:
    """The matrices of all layers together, (layers, B, H, d, d)."""
    if isinstance(memory.layers, Tensor):
        return memory.layers
    matrices = [matrix for matrix in memory.layers if matrix is not None]
    return torch.stack(matrices) if matrices else None
