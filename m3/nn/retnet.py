"""Retentive network over blocks, with parallel observation prediction (POP, M3 section 3.2)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.nn import retention
from m3.nn.dropout import dropout
from m3.nn.precision import full_precision


@dataclass(frozen=True)
class Memory:
    """Recurrent state after some blocks: one (B, H, d, d) matrix per layer, and the count of tokens seen, int64 ()."""

    layers: tuple[Tensor, ...]
    position: Tensor


@dataclass(frozen=True)
class _Layout:
    """How one call's token axis is made up: T blocks of n tokens, then P predictions of K tokens."""

    blocks: int
    block_tokens: int
    predictions: int
    prediction_tokens: int
    phases: Tensor

    @property
    def context_tokens(self) -> int:
        return self.blocks * self.block_tokens


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
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.g_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(
        self, x: Tensor, layout: _Layout, mask: Tensor, powers: Tensor, initial: Tensor, context_outputs: bool
    ) -> tuple[Tensor, Tensor]:
        """One layer over all tokens of a call.

        Args:
            x: (B, T*n + P*K, E), context first.
            initial: memory before the first block (B, H, d, d).
            context_outputs: whether the context tokens' outputs are needed; if not, only the predictions are returned.

        Returns:
            Outputs of the tokens asked for, and the memory after the last block.
        """
        start = 0 if context_outputs else layout.context_tokens
        retained, memory = self._retention(self.norm1(x), start, layout, mask, powers, initial)
        x = x[:, start:] + self._drop(retained)
        hidden = self._drop(F.silu(self.linear1(self.norm2(x))))
        return x + self._drop(self.linear2(hidden)), memory

    def _retention(
        self, x: Tensor, start: int, layout: _Layout, mask: Tensor, powers: Tensor, initial: Tensor
    ) -> tuple[Tensor, Tensor]:
        asked = x[:, start:]
        q = retention.rotate(self._split(self.q_proj(asked)), layout.phases[start:])
        k = retention.rotate(self._split(self.k_proj(x)), layout.phases * (x.shape[-1] // self.heads) ** -0.5)
        v = self._split(self.v_proj(x)).float()
        with full_precision(x.device):
            retained, memory = self._retain(q, k, v, start, layout, mask, powers, initial)
        normed = F.layer_norm(self._drop(retained), retained.shape[-1:], eps=1e-6).flatten(-2)
        return self.out_proj(normed.to(asked.dtype) * F.silu(self.g_proj(asked))), memory

    def _retain(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        start: int,
        layout: _Layout,
        mask: Tensor,
        powers: Tensor,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Retention of the tokens from ``start`` on, (B, N, H, d) each, and the memory after the last block."""
        context = layout.context_tokens
        k_context, v_context = (self._blocks(t[:, :context], layout.block_tokens) for t in (k, v))
        states = retention.block_states(k_context, v_context, powers, initial)
        outputs = []
        if start == 0 and context:
            q_context = self._blocks(q[:, :context], layout.block_tokens)
            outputs.append(retention.retain(q_context, k_context, v_context, mask, powers, states[:, :-1]))
        if layout.predictions:
            q_pred = self._blocks(q[:, context - start :], layout.prediction_tokens)
            k_pred, v_pred = (self._blocks(t[:, context:], layout.prediction_tokens) for t in (k, v))
            before = states[:, -layout.predictions :]
            outputs.append(retention.retain(q_pred, k_pred, v_pred, mask, powers, before))

        return torch.cat([o.transpose(2, 3).flatten(1, 2) for o in outputs], dim=1), states[:, -1]

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, N, H, d)."""
        return x.unflatten(-1, (self.heads, -1))

    @staticmethod
    def _blocks(x: Tensor, tokens: int) -> Tensor:
        """(B, T*n, H, d) -> (B, T, H, n, d)."""
        batch, total, heads, width = x.shape
        return x.reshape(batch, total // tokens if tokens else 0, tokens, heads, width).transpose(2, 3)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class RetNet(nn.Module):
    """A stack of retention layers over blocks of L tokens.

    Args:
        layers, heads, width, dropout: sizes; width is E.
        decay_scales: memory of the fastest and the slowest head, in blocks.
        tokens_per_block: L.
    """

    mask: Tensor
    powers: Tensor
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
        self.register_buffer("mask", retention.decay_mask(decays, tokens_per_block), persistent=False)
        self.register_buffer("powers", retention.decay_powers(decays, tokens_per_block), persistent=False)
        self.register_buffer("frequencies", retention.rotary_frequencies(width // heads), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RetNet":
        """Move or convert the parameters; the constants move too, but stay float32: the decays are too close to 1."""
        constants = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, constant in constants.items():
            setattr(self, name, constant.to(getattr(self, name).device))
        return self

    def empty_memory(self, batch: int) -> Memory:
        """The memory before any block."""
        head_width = self.width // self.heads
        zeros = self.mask.new_zeros(batch, self.heads, head_width, head_width)
        return Memory((zeros,) * len(self.layers), torch.zeros((), dtype=torch.int64, device=zeros.device))

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
        states = []
        for i, layer in enumerate(self.layers):
            keep = context_outputs or i + 1 < len(self.layers)
            x, state = layer(x, layout, self.mask, self.powers, memory.layers[i], keep)
            states.append(state)
        split = layout.context_tokens if context_outputs else 0
        out_context = x[:, :split].reshape(context.shape) if context_outputs else context[:, :0]
        out_predictions = x[:, split:].reshape(predictions.shape)
        return out_context, out_predictions, Memory(tuple(states), memory.position + layout.context_tokens)

    def _layout(self, context: Tensor, predictions: Tensor, position: Tensor) -> _Layout:
        blocks, prediction_count, prediction_tokens = context.shape[1], *predictions.shape[1:3]
        assert prediction_count <= blocks + 1, "a prediction needs the memory it starts from"
        device = context.device
        context_positions = position + torch.arange(blocks * self.tokens_per_block, device=device)
        first = position + (blocks + 1 - prediction_count) * self.tokens_per_block
        starts = first + torch.arange(prediction_count, device=device) * self.tokens_per_block
        prediction_positions = (starts[:, None] + torch.arange(prediction_tokens, device=device)).flatten()
        positions = torch.cat((context_positions, prediction_positions))
        phases = retention.rotary_phases(positions, self.frequencies)
        return _Layout(blocks, self.tokens_per_block, prediction_count, prediction_tokens, phases)
