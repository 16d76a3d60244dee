"""The world model's losses. All labels are aligned here: y_t predicts observation t, reward and end of step t - 1."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from m3.world_model.curiosity import column_cross_entropy
from m3.world_model.world_model import WorldModel


class WorldModelBatch(NamedTuple):
    """Windows of T steps, padded on the right.

    tokens: int64 (B, T, K_m, C_m) per modality. actions: (B, T, A). rewards: float32 (B, T).
    terminated: bool (B, T), true where the step's action ended the episode. mask: bool (B, T), false where padded.
    """

    tokens: Mapping[str, Tensor]
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    mask: Tensor


class WorldModelLosses(NamedTuple):
    """Scalars, and the per-window priority signal (B,): mean observation loss plus mean reward loss."""

    observations: Tensor
    rewards: Tensor
    terminations: Tensor
    curiosity: Tensor
    per_window: Tensor

    @property
    def total(self) -> Tensor:
        return self.observations + self.rewards + self.terminations + self.curiosity


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def _mean_per_window(losses: Tensor, weights: Tensor) -> Tensor:
    return (losses * weights).sum(1) / weights.sum(1).clamp(min=1)


def world_model_losses(
    model: WorldModel,
    batch: WorldModelBatch,
    codebooks: Mapping[str, Tensor],
    context_length: int,
    curious: bool = True,
) -> WorldModelLosses:
    """Compute all losses of a batch (M3 section 3.2).

    Observations count from step ``context_length`` on; rewards and terminations of step t count where t and
    t + 1 are real. The ensemble, if the model has one, learns where ``curious``.
    """
    blocks = model.embed({name: t[:, :-1] for name, t in batch.tokens.items()}, batch.actions[:, :-1], codebooks)
    steps = blocks.shape[1]
    outputs = model.predict(blocks, steps)

    predicted = model.split(outputs[:, context_length - 1 :])
    targets = {name: t[:, context_length:] for name, t in batch.tokens.items()}
    logits = model.observation_logits(predicted)
    token_losses = torch.cat(
        [column_cross_entropy(logits[name], targets[name], spec.vocabularies) for name, spec in model.specs.items()],
        dim=-1,
    )
    step_losses = token_losses.mean(-1)
    observed = batch.mask[:, context_length:].float()

    last = outputs[:, :, -1]
    followed = (batch.mask[:, :-1] & batch.mask[:, 1:]).float()
    reward_losses = model.reward_head.scalar.loss(model.reward_head(last), batch.rewards[:, :-1])
    end_logits = model.end_head(last).float()
    end_losses = F.cross_entropy(
        end_logits.flatten(0, 1), batch.terminated[:, :-1].long().flatten(), reduction="none"
    ).view_as(followed)

    ensemble = model.curiosity if curious else None
    curiosity = ensemble.loss(predicted, targets, observed) if ensemble else followed.new_zeros(())
    return WorldModelLosses(
        observations=_mean(step_losses, observed),
        rewards=_mean(reward_losses, followed),
        terminations=_mean(end_losses, followed),
        curiosity=curiosity,
        per_window=(_mean_per_window(step_losses, observed) + _mean_per_window(reward_losses, followed)).detach(),
    )
