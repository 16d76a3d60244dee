"""Encoders of what the policy sees, one per kind of view (M3 section 3.3)."""

from collections.abc import Mapping
from math import ceil, prod

import torch
from torch import Tensor, nn

from m3.nn.actions import to_bins, to_values
from m3.nn.heads import ColumnEmbedding
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions
from m3.tokenizers.base import TokenSpec, ViewSpec

_LEAST_CHANNELS = 4
"""Codes of fewer numbers keep them all: there is nothing to spare."""


def _map_widths(channels: int) -> tuple[int, int]:
    """Channels after the first and the second convolution: halved twice, rounded up."""
    return (channels, channels) if channels < _LEAST_CHANNELS else (ceil(channels / 2), ceil(channels / 4))


def _map_encoder(channels: int) -> nn.Sequential:
    half, quarter = _map_widths(channels)
    return nn.Sequential(
        nn.Conv2d(channels, half, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(half, quarter, 3, padding=1),
        nn.SiLU(),
        nn.Flatten(),
    )


class ObservationEncoder(nn.Module):
    """All modalities' views to one vector.

    Code maps go through two convolutions, tokens through embeddings, vectors stay; flattened and concatenated they
    go through an MLP of Linear, LayerNorm and SiLU.

    Args:
        views, tokens: per modality, in order.
        token_embedding_size: width of a token's embedding.
        mlp: widths of the MLP.
    """

    def __init__(
        self,
        views: Mapping[str, ViewSpec],
        tokens: Mapping[str, TokenSpec],
        token_embedding_size: int,
        mlp: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict()
        inputs = 0
        for name, view in views.items():
            match view.kind:
                case "map":
                    channels, *places = view.shape
                    self.encoders[name] = _map_encoder(channels)
                    inputs += _map_widths(channels)[1] * prod(places)
                case "vector":
                    self.encoders[name] = nn.Identity()
                    inputs += view.size
                case "tokens":
                    embedding = ColumnEmbedding(tokens[name].vocabularies, token_embedding_size)
                    self.encoders[name] = nn.Sequential(embedding, nn.Flatten())
                    inputs += view.shape[0] * token_embedding_size
        layers: list[nn.Module] = []
        for width in mlp:
            layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU()]
            inputs = width
        self.mlp = nn.Sequential(*layers)

    def forward(self, views: Mapping[str, Tensor]) -> Tensor:
        """Encode views (B, *shape) per modality as (B, mlp[-1])."""
        parts = [encoder(views[name]) for name, encoder in self.encoders.items()]
        return self.mlp(parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1))


class ActionEncoder(nn.Module):
    """The executed action as an LSTM input: mean of the dimensions' tables, or a linear layer where continuous."""

    def __init__(self, spec: ActionSpec, width: int) -> None:
        super().__init__()
        self.encoder: nn.Module = (
            ColumnEmbedding(spec.sizes, width)
            if isinstance(spec, DiscreteActions)
            else nn.Linear(spec.dimensions, width)
        )

    def forward(self, actions: Tensor) -> Tensor:
        """(B, A) to (B, width)."""
        return self.encoder(actions)


def classes_to_actions(classes: Tensor, spec: ActionSpec) -> Tensor:
    """Turn class indices (..., A), as a policy samples them, into actions (..., A) as an environment takes them."""
    return to_values(classes) if isinstance(spec, ContinuousActions) else classes


def actions_to_classes(actions: Tensor, spec: ActionSpec) -> Tensor:
    """Invert :func:`classes_to_actions` (nearest value where continuous)."""
    return to_bins(actions) if isinstance(spec, ContinuousActions) else actions
