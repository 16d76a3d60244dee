"""The agent acting: exploration, temperature, and what its recurrent state is told."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from toy_runs import toy_agent

from m3.agent.policy import Policy
from m3.seeding import randomness

CPU = torch.device("cpu")


def cue_observations(count: int) -> dict[str, np.ndarray]:
    """One random vector, seen by all environments."""
    vector = np.random.default_rng(0).normal(size=3).astype(np.float32)
    return {"vector": np.tile(vector, (count, 1))}


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_the_state_is_told_the_executed_action(epsilon: float) -> None:
    """Also when exploration replaced the chosen one."""
    agent = toy_agent("terminating", controller={"separate_networks": True})
    policy = Policy(agent, temperature=1.0, epsilon=epsilon)
    observations = cue_observations(8)
    actions, state = policy.act(observations, policy.initial_state(8), randomness(CPU, 0))
    views = agent.tokenizer.decode(agent.tokenizer.encode({"vector": torch.from_numpy(observations["vector"])}))
    _, observed = agent.actor_critic.observe(views, agent.actor_critic.initial_state(8))
    expected = agent.actor_critic.act(torch.from_numpy(actions), observed)
    assert_close(state, expected[0])  # the actor's; nobody asks the critic while acting


def test_exploration_replaces_the_given_share_of_whole_actions_uniformly() -> None:
    agent = toy_agent("multi_discrete")
    observations = {"token": np.tile(np.array([1, 2], np.uint8), (20_000, 1))}
    greedy = Policy(agent, temperature=0)
    exploring = Policy(agent, temperature=0, epsilon=0.3)
    start = greedy.initial_state(20_000)
    best, _ = greedy.act(observations, start, randomness(CPU, 0))
    actions, _ = exploring.act(observations, start, randomness(CPU, 0))
    joint = np.bincount(actions[:, 0] * 3 + actions[:, 1], minlength=12) / 20_000
    expected = np.full(12, 0.3 / 12)
    expected[best[0, 0] * 3 + best[0, 1]] += 0.7
    np.testing.assert_allclose(joint, expected, atol=0.015)


def test_a_low_temperature_sharpens_the_choice() -> None:
    agent = toy_agent("terminating")
    observations = cue_observations(4000)
    with torch.no_grad():
        agent.actor_critic.actor.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    shares = []
    for temperature in (1.0, 0.5, 0.0):
        policy = Policy(agent, temperature)
        actions, _ = policy.act(observations, policy.initial_state(4000), randomness(CPU, 0))
        shares.append((actions == 0).mean())
    assert shares[0] < shares[1] - 0.1
    assert shares[2] == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_continuous_actions_are_values_and_not_bins(temperature: float) -> None:
    agent = toy_agent("vector")
    policy = Policy(agent, temperature)
    actions, _ = policy.act(cue_observations(50), policy.initial_state(50), randomness(CPU, 0))
    assert (actions.shape, actions.dtype) == ((50, 2), np.float32)
    assert np.abs(actions).max() <= 1
    assert (actions % 1 != 0).any()


def test_the_same_randomness_gives_the_same_actions() -> None:
    agent = toy_agent("terminating")
    policy = Policy(agent, temperature=1.0, epsilon=0.5)
    start = policy.initial_state(50)
    draws = [policy.act(cue_observations(50), start, randomness(CPU, seed))[0] for seed in (0, 0, 1)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_an_environments_action_depends_on_no_other(epsilon: float) -> None:
    """Its own observation, state and numbers decide: not how many others there are, nor whether those still play."""
    agent = toy_agent("multi_discrete")
    policy = Policy(agent, temperature=1.0, epsilon=epsilon)
    observations = {"token": torch.randint(3, (6, 2), generator=torch.Generator().manual_seed(0))}
    numbers = torch.rand(6, 5, generator=torch.Generator().manual_seed(1))
    actions, (hidden, _) = policy.choose(observations, policy.initial_state(6), numbers)
    one = slice(4, 5)
    alone, (hidden_alone, _) = policy.choose(
        {"token": observations["token"][one]}, policy.initial_state(1), numbers[one]
    )
    assert torch.equal(actions[one], alone)
    assert_close(hidden[one], hidden_alone)
    assert len(torch.unique(actions, dim=0)) > 1
