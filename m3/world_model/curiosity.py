"""Curiosity: an ensemble of observation heads whose disagreement is the intrinsic reward (M3 section 3.2)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3.nn.distributions import side_by_side
from m3.nn.heads import EnsembleTokenHead
from m3.tokenizers.base import TokenSpec

MEMBERS = 4


def column_cross_entropy(logits: Tensor, tokens: Tensor, vocabularies: Sequence[int]) -> Tensor:
    """Compute the cross-entropy of tokens, summed over their columns.

    Args:
        logits: (..., sum(vocabularies)).
        tokens: int64 (..., C).

    Returns:
        float32 (...), in nats.
    """
    loss = logits.new_zeros((), dtype=torch.float32)
    for column, part in enumerate(logits.split(list(vocabularies), dim=-1)):
        target = tokens[..., column]
        loss = loss + F.cross_entropy(part.float().flatten(0, -2), target.flatten(), reduction="none").view_as(target)
    return loss


class Curiosity(nn.Module):
    """Four heads per modality on detached prediction outputs."""

    def __init__(self, specs: Mapping[str, TokenSpec], width: int) -> None:
        super().__init__()
        self._vocabularies = {name: spec.vocabularies for name, spec in specs.items()}
        self._logits = sum(spec.count * sum(spec.vocabularies) for spec in specs.values())
        self.heads = nn.ModuleDict(
            {name: EnsembleTokenHead(MEMBERS, width, sum(spec.vocabularies)) for name, spec in specs.items()}
        )

    @property
    def logits_per_step(self) -> int:
        """Of all members, for one step of one sequence."""
        return MEMBERS * self._logits

    def loss(self, outputs: Mapping[str, Tensor], tokens: Mapping[str, Tensor], weights: Tensor) -> Tensor:
        """Compute the cross-entropy where member m learns from the m-th quarter of the batch only.

        Args:
            outputs: prediction outputs per modality, (B, S, K_m, E), B divisible by 4.
            tokens: what they predict, int64 (B, S, K_m, C_m).
            weights: 1 where a step counts, else 0, (B, S).

        Returns:
            Scalar: the members' losses summed over tokens, divided by K times the number of steps that count.
        """
        total = weights.new_zeros(())
        count = 0
        for name, head in self.heads.items():
            quarters = outputs[name].detach().reshape(MEMBERS, -1, outputs[name].shape[-1])
            logits = head(quarters).reshape(*outputs[name].shape[:-1], -1)
            losses = column_cross_entropy(logits, tokens[name], self._vocabularies[name])
            total = total + (losses * weights[..., None]).sum()
            count += losses.shape[-1]
        return total / (count * weights.sum().clamp(min=1))

    @torch.no_grad()
    def disagreement(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the entropy of the members' mean distribution minus the mean of their entropies, per token.

        Args:
            outputs: prediction outputs per modality, (..., K_m, E).

        Returns:
            Per modality float32 (..., K_m), in nats; the mean over a token's columns.
        """
        result = {}
        for name, head in self.heads.items():
            flat = outputs[name].flatten(0, -2)
            vocabularies = self._vocabularies[name]
            logs = F.log_softmax(side_by_side(head(flat.expand(MEMBERS, -1, -1)).float(), vocabularies), dim=-1)
            members = logs.exp()
            negative_entropies = (members * logs).sum((0, -1))
            columns = torch.special.entr(members.mean(0)).sum(-1).add_(negative_entropies, alpha=1 / MEMBERS)
            mean = columns[..., 0] if len(vocabularies) == 1 else columns.mean(-1)
            result[name] = mean.view(outputs[name].shape[:-1])
        return result

    def step_disagreement(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Compute the disagreement of whole steps: the mean over a modality's tokens, summed over modalities: (...)."""
        first, *others = (tokens.mean(-1) for tokens in self.disagreement(outputs).values())
        return sum(others, start=first)
