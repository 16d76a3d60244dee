"""Embeddings of a block's tokens: K observation tokens, then A action tokens."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.nn.actions import ACTION_BINS, to_bins
from m3.nn.heads import ColumnEmbedding
from m3.specs import ActionSpec, DiscreteActions
from m3.tokenizers.base import TokenSpec


class CodeEmbedding(nn.Module):
    """Tokens enter as their code vectors, through one linear layer where the widths differ."""

    def __init__(self, code_size: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(code_size, width) if code_size != width else nn.Identity()

    def forward(self, tokens: Tensor, codebook: Tensor) -> Tensor:
        """int64 (..., K, 1), (vocabulary, code_size) -> (..., K, E)."""
        return F.embedding(tokens[..., 0], self.projection(codebook))


class ObservationEmbedding(nn.Module):
    """Every modality's tokens, (..., K_m, C_m), to (..., K_m, E).

    Args:
        specs: token layout per modality, in block order.
        width: E.
        shared: tokens with a codebook enter through it instead of through a table of their own.
    """

    def __init__(self, specs: Mapping[str, TokenSpec], width: int, shared: bool) -> None:
        super().__init__()
        self._coded = {name for name, spec in specs.items() if spec.code_size and shared}
        self.tables = nn.ModuleDict(
            {
                name: CodeEmbedding(spec.code_size, width)
                if name in self._coded
                else ColumnEmbedding(spec.vocabularies, width)
                for name, spec in specs.items()
            }
        )

    def forward(self, tokens: Mapping[str, Tensor], codebooks: Mapping[str, Tensor]) -> list[Tensor]:
        return [
            table(tokens[name], codebooks[name]) if name in self._coded else table(tokens[name])
            for name, table in self.tables.items()
        ]


class DiscreteActionEmbedding(nn.Module):
    """One token and one table per dimension: int64 (..., A) -> (..., A, E)."""

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.tokens = len(sizes)

    def forward(self, actions: Tensor) -> Tensor:
        tokens = [table(actions[..., i]) for i, table in enumerate(self.tables)]
        return tokens[0][..., None, :] if len(tokens) == 1 else torch.stack(tokens, dim=-2)


class QuantisedActionEmbedding(nn.Module):
    """One token per dimension through one table of 51 values: float (..., A) -> (..., A, E)."""

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(ACTION_BINS, width)
        self.tokens = dimensions

    def forward(self, actions: Tensor) -> Tensor:
        return self.table(to_bins(actions))


class ProjectedActionEmbedding(nn.Module):
    """One token by a linear projection of the vector: float (..., A) -> (..., 1, E)."""

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dimensions, width)
        self.tokens = 1

    def forward(self, actions: Tensor) -> Tensor:
        return self.projection(actions.float())[..., None, :]


ActionEmbedding = DiscreteActionEmbedding | QuantisedActionEmbedding | ProjectedActionEmbedding


def action_embedding(spec: ActionSpec, width: int, continuous: str) -> ActionEmbedding:
    """Make the embedding of an action space; ``continuous`` is "tokens" or "projection" (M3 section 3)."""
    if isinstance(spec, DiscreteActions):
        return DiscreteActionEmbedding(spec.sizes, width)
    if continuous == "projection":
        return ProjectedActionEmbedding(spec.dimensions, width)
    return QuantisedActionEmbedding(spec.dimensions, width)
