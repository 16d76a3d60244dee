"""The world model M: from blocks of tokens to predictions of the next step (M3 section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from m3.config.schema import WorldModelSettings
from m3.nn.distributions import ScalarHead, reward_head
from m3.nn.heads import token_head
from m3.nn.retnet import Memory, RetNet
from m3.specs import ActionSpec
from m3.tokenizers.base import TokenSpec
from m3.world_model.curiosity import Curiosity
from m3.world_model.embedding import ObservationEmbedding, action_embedding


class RewardHead(nn.Module):
    """Linear E->2E, SiLU, then a scalar head."""

    def __init__(self, width: int, regression: str) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU())
        self.scalar: ScalarHead = reward_head(2 * width, regression)

    def forward(self, features: Tensor) -> Tensor:
        return self.scalar(self.hidden(features))


class WorldModel(nn.Module):
    """Embeddings, retentive network, and heads on the prediction outputs.

    Args:
        settings: sizes.
        specs: token layout per modality, in block order.
        actions: the action space.
        continuous_actions: "tokens" or "projection".
        regression: "classification" or "symlog_mse".
    """

    def __init__(
        self,
        settings: WorldModelSettings,
        specs: Mapping[str, TokenSpec],
        actions: ActionSpec,
        continuous_actions: str,
        regression: str,
    ) -> None:
        super().__init__()
        width = settings.width
        self.specs = dict(specs)
        self.observation_tokens = sum(spec.count for spec in specs.values())
        self.observation_embedding = ObservationEmbedding(specs, width, settings.shared_embeddings)
        self.action_embedding = action_embedding(actions, width, continuous_actions)
        block = self.observation_tokens + self.action_embedding.tokens
        self.placeholders = nn.Embedding(block, width)
        self.retnet = RetNet(
            settings.layers,
            settings.heads,
            width,
            settings.dropout,
            (settings.decay_scale_min, settings.decay_scale_max),
            block,
        )
        self.observation_heads = nn.ModuleDict(
            {name: token_head(width, sum(spec.vocabularies)) for name, spec in specs.items()}
        )
        self.reward_head = RewardHead(width, regression)
        self.end_head = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, 2))
        self.curiosity = Curiosity(specs, width) if settings.curiosity else None

    def embed(self, tokens: Mapping[str, Tensor], actions: Tensor, codebooks: Mapping[str, Tensor]) -> Tensor:
        """Tokens (B, T, K_m, C_m) per modality and actions (B, T, A) to blocks (B, T, L, E)."""
        return torch.cat((self.observation_embedding(tokens, codebooks), self.action_embedding(actions)), dim=-2)

    def empty_memory(self) -> Memory:
        """The memory before any block."""
        return self.retnet.empty_memory()

    def predict(self, blocks: Tensor, memory: Memory, predictions: int) -> tuple[Tensor, Memory]:
        """Feed blocks and predict the steps after the last ones of them.

        Args:
            blocks: (B, T, L, E) following ``memory``.
            predictions: P <= T + 1; the last is the step after the last block.

        Returns:
            Prediction outputs (B, P, K, E), and the memory after the last block.
        """
        placeholders = self.placeholders.weight[: self.observation_tokens]
        asked = placeholders.expand(len(blocks), predictions, -1, -1)
        _, outputs, memory = self.retnet(blocks, asked, memory)
        return outputs, memory

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """Prediction outputs (..., K, E) by modality, (..., K_m, E) each."""
        parts = outputs.split([spec.count for spec in self.specs.values()], dim=-2)
        return dict(zip(self.specs, parts, strict=True))

    def observation_logits(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits of the predicted step's tokens per modality, (..., K_m, sum of vocabularies)."""
        return {name: head(outputs[name]) for name, head in self.observation_heads.items()}
