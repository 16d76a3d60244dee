"""Heads on prediction outputs and embeddings of tokens."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def token_head(width: int, classes: int) -> nn.Sequential:
    """Linear E->2E, LayerNorm, SiLU, Linear 2E->classes."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.LayerNorm(2 * width), nn.SiLU(), nn.Linear(2 * width, classes))


class EnsembleLinear(nn.Module):
    """M linear layers side by side, each initialised as ``nn.Linear``: (M, N, in) -> (M, N, out)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class EnsembleTokenHead(nn.Module):
    """M heads of :func:`token_head`'s shape, computed together: (M, N, E) -> (M, N, classes)."""

    def __init__(self, members: int, width: int, classes: int) -> None:
        super().__init__()
        self.linear1 = EnsembleLinear(members, width, 2 * width)
        self.norm_weight = nn.Parameter(torch.ones(members, 1, 2 * width))
        self.norm_bias = nn.Parameter(torch.zeros(members, 1, 2 * width))
        self.linear2 = EnsembleLinear(members, 2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear1(x)
        normed = F.layer_norm(hidden, hidden.shape[-1:])
        return self.linear2(F.silu(torch.addcmul(self.norm_bias, normed, self.norm_weight)))


class ColumnEmbedding(nn.Module):
    """Embeds a token of several categorical columns as the mean of the columns' embeddings.

    Args:
        vocabularies: one vocabulary per column.
        width: of the embedding.
    """

    first_rows: Tensor

    def __init__(self, vocabularies: Sequence[int], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in vocabularies)
        self.register_buffer("first_rows", torch.tensor([0, *accumulate(vocabularies)][:-1]), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 (..., C) -> (..., width)."""
        if len(self.tables) == 1:
            return self.tables[0](tokens[..., 0])
        rows = (tokens + self.first_rows).flatten(0, -2)
        means = F.embedding_bag(rows, torch.cat(list(self.tables.parameters())), mode="mean")
        return means.view(*tokens.shape[:-1], -1)
