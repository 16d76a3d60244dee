"""A sequence model of one's own: a recurrent network that reads one block after the other."""

import torch
from torch import Tensor, nn

from m3.config.schema import WorldModelSettings
from m3.world_model.sequence import BlockShape, SequenceModel


class Recurrent(SequenceModel):
    """A GRU over whole blocks. Its state, beside a learned vector per token, predicts the next observation.

    Its memory is what the GRU hands on, (depth, B, E), or None before any block.

    Args:
        settings: the `world_model` section of the run's settings.
        shape: of blocks and windows.
        depth: layers of the GRU, an option of the variant.
    """

    def __init__(self, settings: WorldModelSettings, shape: BlockShape, depth: int = 1) -> None:
        super().__init__()
        width = settings.width
        self.block = nn.Linear(shape.tokens * width, width)
        self.gru = nn.GRU(width, width, depth, batch_first=True)
        self.tokens = nn.Parameter(torch.randn(shape.observation_tokens, width) * 0.02)
        self.output = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.LayerNorm(width))

    def forward(self, blocks: Tensor, predictions: int) -> Tensor:
        states, _ = self.gru(self.block(blocks.flatten(2)))
        before_any = torch.zeros_like(states[:, :1])
        return self._outputs(torch.cat((before_any, states), dim=1)[:, -predictions:])

    def empty_memory(self) -> None:
        return None

    @torch.no_grad()
    def extend(self, blocks: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        states, memory = self.gru(self.block(blocks.flatten(2)), memory)
        return self._outputs(states[:, -1]), memory

    def _outputs(self, states: Tensor) -> Tensor:
        """States (..., E) to outputs (..., K, E)."""
        return self.output(states[..., None, :] + self.tokens)
