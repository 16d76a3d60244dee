"""Sequence models, which predict a step from the blocks before it. To add one: a class here, a line at the end."""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from m3.config import schema
from m3.config.schema import WorldModelSettings
from m3.nn.attention import AttentionNet
from m3.nn.retnet import RetNet
from m3.python_files import make_own


class BlockShape(NamedTuple):
    """Sizes of blocks and windows: L tokens of a block, of them K of its observation; T blocks of a window."""

    tokens: int
    observation_tokens: int
    window: int


Memory = Any
"""What a sequence model knows of the blocks so far. Others only hand it back."""


class SequenceModel(nn.Module):
    """From blocks of tokens to outputs that predict the steps after them (POP: all K tokens of a step in parallel).

    What it predicts of step t depends on the blocks 0 .. t-1 only. Both methods give the same for the same blocks, but
    for dropout. Every kind is called with the world model's settings and the :class:`BlockShape`.
    """

    @abstractmethod
    def forward(self, blocks: Tensor, predictions: int) -> Tensor:
        """Predict many steps at once, as training does.

        Args:
            blocks: from the start of a window, (B, T, L, E), embedded.
            predictions: P, 1 to T + 1; the last is the step after the last block.

        Returns:
            Outputs (B, P, K, E), with gradients.
        """

    @abstractmethod
    def empty_memory(self) -> Memory:
        """Return the memory before any block."""

    @abstractmethod
    def extend(self, blocks: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Append blocks and predict the step after them, as imagination does.

        Args:
            blocks: that follow ``memory``, (B, n, L, E), embedded.
            memory: from :meth:`empty_memory` or of an earlier call. It stays as it is, and may be used again.

        Returns:
            Outputs (B, K, E), and the memory after the last block.
        """

    def memory_bytes(self, batch: int) -> int | None:
        """Tell how large the memory of ``batch`` sequences becomes until a window ends; none: not known."""
        return None


class Retention(SequenceModel):
    """The retentive network of M3 (section 3.2). Its memory is one matrix per head and layer, however many blocks."""

    def __init__(self, settings: WorldModelSettings, shape: BlockShape) -> None:
        super().__init__()
        sizes = settings.layers, settings.heads, settings.width, settings.dropout
        self._predicted = shape.observation_tokens
        self.placeholders = nn.Embedding(shape.tokens, settings.width)
        self.network = RetNet(*sizes, settings.decay_scales, shape.tokens)

    def forward(self, blocks: Tensor, predictions: int) -> Tensor:
        return self.outputs(blocks, predictions, of_blocks=False)[1]

    def outputs(self, blocks: Tensor, predictions: int, of_blocks: bool) -> tuple[Tensor, Tensor]:
        """The same, beside the blocks' own outputs (B, T, L, E) where asked for, which nothing uses."""
        asked = self._asked(len(blocks), predictions)
        return self.network(blocks, asked, self.network.empty_memory(), of_blocks)[:2]

    def empty_memory(self) -> Memory:
        return self.network.empty_memory()

    def extend(self, blocks: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return self.network.extend(blocks, self._asked(len(blocks), 1)[:, 0], memory)

    def memory_bytes(self, batch: int) -> int:
        return self.network.memory_bytes(batch)

    def _asked(self, batch: int, predictions: int) -> Tensor:
        return self.placeholders.weight[: self._predicted].expand(batch, predictions, -1, -1)


class Attention(SequenceModel):
    """The attention of Simulus-A. Its memory is the keys and values of all blocks, with room for those of a window."""

    def __init__(self, settings: WorldModelSettings, shape: BlockShape) -> None:
        super().__init__()
        assert isinstance(settings.sequence, schema.Attention)
        sizes = settings.layers, settings.heads, settings.width, settings.dropout
        room = (shape.window - 1) * shape.tokens + shape.observation_tokens
        self.placeholders = nn.Parameter(torch.randn(shape.observation_tokens, settings.width) * 0.02)
        self.network = AttentionNet(*sizes, shape.tokens, room, getattr(torch, settings.sequence.cache))

    def forward(self, blocks: Tensor, predictions: int) -> Tensor:
        return self.outputs(blocks, predictions, of_blocks=False)[1]

    def outputs(self, blocks: Tensor, predictions: int, of_blocks: bool) -> tuple[Tensor, Tensor]:
        """The same, beside the blocks' own outputs (B, T, L, E) where asked for, which nothing uses."""
        return self.network(blocks, self.placeholders.expand(len(blocks), predictions, -1, -1), of_blocks)

    def empty_memory(self) -> Memory:
        return self.network.empty_memory()

    def extend(self, blocks: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return self.network.extend(blocks, self.placeholders.expand(len(blocks), -1, -1), memory)

    def memory_bytes(self, batch: int) -> int:
        return self.network.memory_bytes(batch)


def _own(settings: WorldModelSettings, shape: BlockShape) -> SequenceModel:
    """Make the sequence model that a file of the user's defines."""
    assert isinstance(settings.sequence, schema.Own)
    made: SequenceModel = make_own(settings.sequence, SequenceModel, "world_model.sequence.model", settings, shape)
    return made


KINDS = {"retention": Retention, "attention": Attention, "own": _own}
"""By the kind that ``world_model.sequence`` names."""
