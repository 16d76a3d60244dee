"""What a world model predicts for the next step when all previous steps are real."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from m3.agent.agent import Agent
from m3.config.schema import Sequences
from m3.diagnosis.episodes import Episode
from m3.nn.distributions import IndependentCategoricals
from m3.nn.host import upload
from m3.world_model.curiosity import column_cross_entropy


class Predictions(NamedTuple):
    """One entry per predicted step, (n,) each.

    observation_loss: cross-entropy of the next observation's tokens, mean over tokens, in nats.
    observation_entropy: the same of tokens drawn from the prediction itself, which a calibrated model's loss equals.
    reward, predicted_reward: of the step. ended, end_probability: whether it terminated the episode.
    """

    observation_loss: Tensor
    observation_entropy: Tensor
    reward: Tensor
    predicted_reward: Tensor
    ended: Tensor
    end_probability: Tensor


_WINDOWS_AT_ONCE = 64


@torch.no_grad()
def predict(agent: Agent, episode: Episode, sequences: Sequences) -> Predictions:
    """Predict every step of an episode but the first ``context_length - 1``, in windows as those of training."""
    context, length = sequences.context_length, sequences.length
    last_start = max(len(episode.rewards) - context + 1, 1)
    starts = np.arange(0, last_start, length - context)
    groups = (starts[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(starts), _WINDOWS_AT_ONCE))
    parts = [_predict_windows(agent, episode, sequences, some) for some in groups]
    return Predictions(*map(torch.cat, zip(*parts, strict=True)))


def _predict_windows(agent: Agent, episode: Episode, sequences: Sequences, starts: np.ndarray) -> Predictions:
    """Predict the steps of the windows that start at these steps (W,). All indices are made on the host."""
    model, context = agent.world_model, sequences.context_length
    steps = len(episode.rewards)
    indices = starts[:, None] + np.arange(sequences.length)
    followed = indices[:, context:]  # the observations that are predicted; those of index 0 to ``steps`` are real
    device = episode.rewards.device
    real = tuple(upload(index, device) for index in np.nonzero(followed <= steps))
    step = upload(followed[followed <= steps] - 1, device)
    window = upload(indices, device)
    tokens = {name: t[window.clamp(max=steps)] for name, t in episode.tokens.items()}
    actions = episode.actions[window[:, :-1].clamp(max=steps - 1)]

    blocks = model.embed({name: t[:, :-1] for name, t in tokens.items()}, actions, agent.tokenizer.codebooks)
    outputs = model.predict(blocks, blocks.shape[1])[:, context - 1 :]
    logits = model.observation_logits(model.split(outputs))
    losses, entropies = [], []
    for name, spec in model.specs.items():
        losses.append(column_cross_entropy(logits[name], tokens[name][:, context:], spec.vocabularies))
        entropies.append(IndependentCategoricals(logits[name], spec.vocabularies).entropy())
    last = outputs[:, :, -1]
    return Predictions(
        observation_loss=torch.cat(losses, dim=-1).mean(-1)[real],
        observation_entropy=torch.cat(entropies, dim=-1).mean(-1)[real],
        reward=episode.rewards[step],
        predicted_reward=model.reward_head.scalar.mean(model.reward_head(last))[real],
        ended=episode.terminations[step],
        end_probability=F.softmax(model.end_head(last).float(), dim=-1)[..., 1][real],
    )
