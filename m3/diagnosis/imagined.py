"""How long imagination stays accurate: the world model on its own, compared with what followed the same actions."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.config.schema import Sequences
from m3.diagnosis.episodes import Episode
from m3.nn.distributions import Uniforms
from m3.nn.host import download
from m3.specs import Modality
from m3.world_model.imagination import Imagination

TOLERANCE = 1
"""Bins of the quantiser by which a vector's number may be off without being wrong."""


class Imagined(NamedTuple):
    """Errors of imagined episodes (n) by imagined step (T); NaN once the real or the imagined episode is over.

    wrong: share of tokens that are not the real ones (of vectors: off by more than ``TOLERANCE`` bins; the columns of a
    cell count one by one). unchanged: that of a forecast in which nothing ever changes.
    """

    wrong: Tensor
    unchanged: Tensor


@torch.no_grad()
def imagine_beside(
    agent: Agent, episode: Episode, sequences: Sequences, most: int, generator: torch.Generator
) -> Imagined:
    """Imagine from at most ``most`` steps of an episode, evenly spread, for as many steps T as the policy trains on."""
    context, horizon = sequences.context_length, sequences.length - sequences.context_length
    steps = len(episode.rewards)
    device = episode.rewards.device
    if steps < context:
        return Imagined(torch.empty(0, horizon), torch.empty(0, horizon))
    now = torch.linspace(context - 1, steps - 1, min(most, steps - context + 1)).round().long().to(device)
    before = now[:, None] + torch.arange(1 - context, 1, device=device)
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms(generator), curious=False)
    begun = {name: tokens[before] for name, tokens in episode.tokens.items()}
    state = imagination.start(begun, episode.actions[before[:, :-1]])
    first = state.observation
    over = torch.zeros(len(now), dtype=torch.bool, device=device)
    columns = []
    for imagined_step in range(horizon):
        over = over | (now + imagined_step >= steps)
        real = (now + imagined_step).clamp(max=steps - 1)
        imagined, state = imagination.step(state, episode.actions[real])
        following = {name: tokens[real + 1] for name, tokens in episode.tokens.items()}
        column = torch.stack([wrong_share(following, state.observation), wrong_share(following, first)])
        columns.append(column.masked_fill(over, torch.nan))
        over = over | imagined.terminated
    return Imagined(*torch.from_numpy(download(torch.stack(columns, dim=-1))))


def wrong_share(real: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Tensor:
    """Return the share of wrong tokens of each of a batch of observations (B, K_m, C_m): (B,)."""
    parts = []
    for name, tokens in real.items():
        off = (tokens - other[name]).abs().flatten(1)
        parts.append(off > (TOLERANCE if name == Modality.VECTOR else 0))
    return torch.cat(parts, dim=1).float().mean(dim=1)
