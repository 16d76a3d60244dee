"""The world model M: from blocks of tokens to predictions of the next step (M3 section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from m3.config.schema import WorldModelSettings
from m3.nn.distributions import ScalarHead, reward_head
from m3.nn.heads import token_head
from m3.specs import ActionSpec
from m3.tokenizers.base import TokenSpec
from m3.world_model.curiosity import Curiosity
from m3.world_model.embedding import ObservationEmbedding, action_embedding
from m3.world_model.sequence import KINDS, BlockShape, Memory, SequenceModel


class RewardHead(nn.Module):
    """Linear E->2E, SiLU, then a scalar head."""

    def __init__(self, width: int, regression: str) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU())
        self.scalar: ScalarHead = reward_head(2 * width, regression)

    def forward(self, features: Tensor) -> Tensor:
        return self.scalar(self.hidden(features))


class WorldModel(nn.Module):
    """Embeddings, sequence model, and heads on the prediction outputs.

    Args:
        settings: sizes.
        window: steps of the windows on which it trains.
        specs: token layout per modality, in block order.
        actions: the action space.
        continuous_actions: "tokens" or "projection".
        regression: "classification" or "symlog_mse".
    """

    def __init__(
        self,
        settings: WorldModelSettings,
        window: int,
        specs: Mapping[str, TokenSpec],
        actions: ActionSpec,
        continuous_actions: str,
        regression: str,
    ) -> None:
        super().__init__()
        self.width = width = settings.width
        self.specs = dict(specs)
        self.observation_tokens = sum(spec.count for spec in specs.values())
        self.observation_embedding = ObservationEmbedding(specs, width, settings.shared_embeddings)
        self.action_embedding = action_embedding(actions, width, continuous_actions)
        block = BlockShape(self.observation_tokens + self.action_embedding.tokens, self.observation_tokens, window)
        self.sequence: SequenceModel = KINDS[settings.sequence.kind](settings, block)
        self.observation_heads = nn.ModuleDict(
            {name: token_head(width, sum(spec.vocabularies)) for name, spec in specs.items()}
        )
        self.reward_head = RewardHead(width, regression)
        self.end_head = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, 2))
        self.curiosity = Curiosity(specs, width) if settings.curiosity else None
        self.register_load_state_dict_pre_hook(_rename_parts)

    def embed(self, tokens: Mapping[str, Tensor], actions: Tensor, codebooks: Mapping[str, Tensor]) -> Tensor:
        """Embed tokens (B, T, K_m, C_m) per modality and actions (B, T, A) as blocks (B, T, L, E)."""
        parts = self.observation_embedding(tokens, codebooks)
        return torch.cat((*parts, self.action_embedding(actions)), dim=-2)

    def predict(self, blocks: Tensor, predictions: int) -> Tensor:
        """Predict the steps after the last ones of a window's blocks, all at once.

        Args:
            blocks: (B, T, L, E).
            predictions: P, 1 to T + 1; the last is the step after the last block.

        Returns:
            Prediction outputs (B, P, K, E).
        """
        return self.sequence(blocks, predictions)

    def empty_memory(self) -> Memory:
        """Return the memory before any block."""
        return self.sequence.empty_memory()

    def extend(self, blocks: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Append blocks (B, n, L, E) to a memory: outputs (B, K, E) for the step after them, and their memory."""
        return self.sequence.extend(blocks, memory)

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """Split prediction outputs (..., K, E) by modality, (..., K_m, E) each."""
        parts = outputs.split([spec.count for spec in self.specs.values()], dim=-2)
        return dict(zip(self.specs, parts, strict=True))

    def observation_logits(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the logits of the predicted step's tokens per modality, (..., K_m, sum of vocabularies)."""
        return {name: head(outputs[name]) for name, head in self.observation_heads.items()}


def _rename_parts(module: nn.Module, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    """Bring weights from before retention was one of several sequence models under the names of now."""
    for old, new in (("retnet.", "sequence.network."), ("placeholders.", "sequence.placeholders.")):
        for name in [name for name in state if name.startswith(prefix + old)]:
            state[prefix + new + name.removeprefix(prefix + old)] = state.pop(name)
