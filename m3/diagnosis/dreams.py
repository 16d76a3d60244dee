"""How long dreams stay true: the world model, left to itself, beside what really followed the same actions."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.config.schema import Sequences
from m3.diagnosis.episodes import Episode
from m3.specs import Modality
from m3.world_model.imagination import Imagination

TOLERANCE = 1
"""Bins of the quantiser by which a vector's number may be off without being wrong."""


class Dreams(NamedTuple):
    """Dreams (n) by dreamt step (T); NaN where the real episode was over before.

    wrong: share of tokens that are not the real ones (of vectors: off by more than ``TOLERANCE`` bins). unchanged: that
    of a dream in which nothing ever changes. bins: by how many bins a vector's numbers are off on average, NaN without
    vectors. unchanged_bins: that of a dream in which nothing changes. reward, dreamt_reward. ended, dreamt_end: 0 or 1.
    """

    wrong: Tensor
    unchanged: Tensor
    bins: Tensor
    unchanged_bins: Tensor
    reward: Tensor
    dreamt_reward: Tensor
    ended: Tensor
    dreamt_end: Tensor


@torch.no_grad()
def dream(agent: Agent, episode: Episode, sequences: Sequences, most: int, generator: torch.Generator) -> Dreams:
    """Dream of the training windows' length from at most ``most`` steps of an episode, evenly spread."""
    context = sequences.context_length
    steps = len(episode.rewards)
    device = episode.rewards.device
    if steps < context:
        return Dreams(*(torch.empty(0, sequences.length) for _ in Dreams._fields))
    now = torch.linspace(context - 1, steps - 1, min(most, steps - context + 1)).round().long().to(device)
    before = now[:, None] + torch.arange(1 - context, 1, device=device)
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, generator, curious=False)
    begun = {name: tokens[before] for name, tokens in episode.tokens.items()}
    state = imagination.start(begun, episode.actions[before[:, :-1]])
    first = state.observation
    columns = []
    for dreamt_step in range(sequences.length):
        real = (now + dreamt_step).clamp(max=steps - 1)  # what is beyond the episode's end is left out below
        dreamt, state = imagination.step(state, episode.actions[real])
        following = {name: tokens[real + 1] for name, tokens in episode.tokens.items()}
        column = torch.stack(
            [
                wrong_share(following, state.observation),
                wrong_share(following, first),
                bins_between(following, state.observation),
                bins_between(following, first),
                *(episode.rewards[real], dreamt.reward, episode.ends[real].float(), dreamt.end.float()),
            ]
        )
        column[:, now + dreamt_step >= steps] = torch.nan
        columns.append(column)
    return Dreams(*torch.stack(columns, dim=-1).cpu())


def wrong_share(real: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Tensor:
    """Share of wrong tokens, for each of a batch of observations (B, K_m, C_m): (B,)."""
    parts = []
    for name, tokens in real.items():
        off = (tokens - other[name]).abs().flatten(1)
        parts.append(off > (TOLERANCE if name == Modality.VECTOR else 0))
    return torch.cat(parts, dim=1).float().mean(dim=1)


def bins_between(real: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Tensor:
    """Mean distance of vectors in bins, for each of a batch of observations (B, K_m, C_m): (B,)."""
    if Modality.VECTOR not in real:
        return torch.full((len(next(iter(real.values()))),), torch.nan)
    return (real[Modality.VECTOR] - other[Modality.VECTOR]).abs().flatten(1).float().mean(dim=1)
