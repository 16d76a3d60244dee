"""Predictions of a whole episode: the losses that training has, each step once, beside what really happened."""

import pytest
import torch
from toy_runs import random_steps, toy_agent, toy_settings

from m3.diagnosis.episodes import Episode
from m3.diagnosis.predictions import predict
from m3.world_model.curiosity import MEMBERS
from m3.world_model.losses import WorldModelBatch, world_model_losses

TASK = "all_modalities"


def episode_of(steps: int, seed: int = 0) -> Episode:
    tokens, actions = random_steps(toy_agent(TASK), steps + 1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    ends = torch.zeros(steps, dtype=torch.bool)
    ends[-1] = True
    return Episode(tokens, actions[:-1], torch.rand(steps, generator=generator), ends)


def test_one_window_has_the_losses_of_training() -> None:
    agent, sequences = toy_agent(TASK), toy_settings(TASK).sequences
    episode = episode_of(sequences.length - 1)
    copies = torch.zeros(MEMBERS, dtype=torch.long)  # one for each member of the ensemble
    batch = WorldModelBatch(
        tokens={name: tokens[None][copies] for name, tokens in episode.tokens.items()},
        actions=torch.cat((episode.actions, episode.actions[-1:]))[None][copies],
        rewards=torch.cat((episode.rewards, torch.zeros(1)))[None][copies],
        terminated=torch.cat((episode.terminations, torch.zeros(1, dtype=torch.bool)))[None][copies],
        mask=torch.ones(MEMBERS, sequences.length, dtype=torch.bool),
    )
    expected = world_model_losses(agent.world_model, batch, agent.tokenizer.codebooks, sequences.context_length)
    found = predict(agent, episode, sequences)
    assert len(found.reward) == sequences.length - sequences.context_length
    assert found.observation_loss.mean().item() == pytest.approx(expected.observations.item(), rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 9])
def test_every_step_after_the_context_is_predicted_once_and_in_order(steps: int) -> None:
    agent, sequences = toy_agent(TASK), toy_settings(TASK).sequences
    episode = episode_of(steps)
    found = predict(agent, episode, sequences)
    skipped = sequences.context_length - 1
    torch.testing.assert_close(found.reward, episode.rewards[skipped:])
    assert found.ended.tolist() == episode.terminations[skipped:].tolist()
    assert all(torch.isfinite(column.float()).all() and len(column) == len(found.reward) for column in found)


def test_predictions_do_not_see_what_they_predict() -> None:
    agent, sequences = toy_agent(TASK), toy_settings(TASK).sequences
    episode = episode_of(sequences.length - 1)
    other = episode_of(sequences.length - 1, seed=1)
    changed = episode._replace(
        tokens={name: torch.cat((t[:-1], other.tokens[name][-1:])) for name, t in episode.tokens.items()}
    )
    before, after = (predict(agent, each, sequences) for each in (episode, changed))
    torch.testing.assert_close(before.predicted_reward, after.predicted_reward)
    torch.testing.assert_close(before.observation_entropy, after.observation_entropy)
    assert before.observation_loss[-1] != after.observation_loss[-1]


def test_the_entropy_of_even_predictions_is_that_of_their_vocabularies() -> None:
    agent, sequences = toy_agent(TASK), toy_settings(TASK).sequences
    with torch.no_grad():
        for head in agent.world_model.observation_heads.values():
            head[-1].weight.zero_()
            head[-1].bias.zero_()
    found = predict(agent, episode_of(6), sequences)
    specs = agent.world_model.specs.values()
    of_step = sum(spec.count * torch.tensor(spec.vocabularies).log().sum() for spec in specs)
    expected = of_step / sum(spec.count for spec in specs)
    for column in (found.observation_entropy, found.observation_loss):
        torch.testing.assert_close(column, expected.expand(len(column)))
