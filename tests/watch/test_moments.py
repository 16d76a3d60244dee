"""What is shown is what happened, really and in the agent's mind."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import m3
from m3.environments import Environment
from m3.loading import LoadedAgent
from m3.training.experience import newest_checkpoint
from m3.watch.mind import Forecaster, Thought, to_observation, to_tokens
from m3.watch.moments import Moment, dream_beside, play, play_dream, stored_episodes


@pytest.fixture(scope="module")
def agent(run: Path) -> LoadedAgent:
    return m3.load(run)


@pytest.fixture
def environment(agent: LoadedAgent) -> Iterator[Environment]:
    with closing(agent.make_environment()) as environment:
        yield environment


def replayed(agent: LoadedAgent, moments: list[Moment], seed: int) -> None:
    """The moments' observations and rewards are those of the environment under the moments' actions."""
    environment = agent.make_environment()
    observation = environment.reset(seed=seed)
    total = 0.0
    for moment in moments:
        assert moment.episode_return == total
        for name, values in observation.items():
            np.testing.assert_array_equal(moment.observation[name], values)
        step = environment.step(moment.action)
        assert moment.reward == step.reward
        observation, total = step.observation, total + step.reward


def test_play_shows_the_environment_and_reconstructions(agent: LoadedAgent, environment: Environment) -> None:
    moments = list(islice(play(agent, environment, 0.5, seed=4), 12))
    replayed(agent, moments[:10], seed=4)
    assert [moment.episode for moment in moments] == [1] * 10 + [2] * 2
    assert [moment.step for moment in moments][9:] == [9, 0, 1]
    for moment in moments:
        np.testing.assert_array_equal(moment.other["token"], moment.observation["token"])
        np.testing.assert_array_equal(moment.other["token_2d"], moment.observation["token_2d"])
        np.testing.assert_allclose(moment.other["vector"], moment.observation["vector"], atol=0.06)
        assert moment.other["image"].shape == moment.observation["image"].shape
        assert moment.thought.probabilities[0].sum() == pytest.approx(1, abs=1e-5)


def test_somebody_elses_actions_are_taken(agent: LoadedAgent, environment: Environment) -> None:
    def choose(thought: Thought) -> np.ndarray:
        return np.array([2], np.int64)

    moments = list(islice(play(agent, environment, 0.5, 0, choose), 5))
    assert {int(moment.action[0]) for moment in moments} == {2}
    replayed(agent, moments, seed=0)


def test_a_dream_begins_where_reality_is_and_then_leaves_it(agent: LoadedAgent, environment: Environment) -> None:
    moments = list(islice(dream_beside(agent, environment, 0.5, seed=2, horizon=3), 10))
    replayed(agent, moments, seed=2)
    assert [moment.dream_step for moment in moments] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    for moment in moments:
        kept = to_observation(agent.networks, to_tokens(agent.networks, moment.observation))
        same = all(np.array_equal(kept[name], moment.other[name]) for name in kept)
        assert same == (moment.dream_step == 0)


def test_inside_the_dream_nothing_real_happens_after_its_beginning(
    agent: LoadedAgent, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    real_step = environment.step
    monkeypatch.setattr(environment, "step", lambda action: taken.append(action) or real_step(action))
    moments = list(islice(play_dream(agent, environment, 0.5, 0, lambda thought: np.array([1])), 6))
    first = [moment for moment in moments if moment.episode == 1]
    assert len(taken) == len({moment.episode for moment in moments})  # one step of context before each dream
    assert all(moment.reward is None for moment in moments)
    assert first[-1].episode_return == pytest.approx(sum(moment.forecast.reward for moment in first[:-1]))


def test_stored_episodes_are_those_of_the_replay(run: Path, agent: LoadedAgent, environment: Environment) -> None:
    replay = newest_checkpoint(run).replay
    first, end = replay.finished_episodes()[-1]
    rows = replay.rows(first, end)
    moments = list(islice(stored_episodes(agent, environment, replay, 0.5, 0), end - first - 1))
    np.testing.assert_array_equal([m.action for m in moments], rows.columns["actions"][:-1])
    np.testing.assert_array_equal([m.reward for m in moments], rows.columns["rewards"][:-1])
    np.testing.assert_array_equal([m.observation["image"] for m in moments], rows.observations["image"][:-1])


def test_forecasts_of_a_followed_stream_are_those_of_the_whole_window(agent: LoadedAgent) -> None:
    """Until the memory is full, step by step equals a window that is read at once."""
    model, tokenizer = agent.networks.world_model, agent.networks.tokenizer
    environment = agent.make_environment()
    forecaster = Forecaster(agent.networks, agent.settings.sequences, torch.Generator().manual_seed(0))
    tokens = [to_tokens(agent.networks, environment.reset(seed=0))]
    actions = torch.tensor([[[1]], [[3]], [[0]], [[2]]])
    forecaster.begin(tokens[0], actions[0])
    for action in actions:
        forecast = forecaster.step(action)
        tokens.append(to_tokens(agent.networks, environment.step(action[0].numpy()).observation))
        forecaster.correct(tokens[-1])
    window = {name: torch.stack([step[name] for step in tokens[:-1]], dim=1) for name in tokens[0]}
    with torch.no_grad():
        blocks = model.embed(window, actions.swapaxes(0, 1), tokenizer.codebooks)
        outputs, _ = model.predict(blocks, model.empty_memory(), predictions=1)
        expected = model.reward_head.scalar.mean(model.reward_head(outputs[0, -1, -1:]))
    assert forecast.reward == pytest.approx(float(expected[0]), abs=1e-5)


def test_memory_is_made_anew_when_its_window_ends(agent: LoadedAgent) -> None:
    """After a refresh the forecast depends on the latest steps only."""
    environment = agent.make_environment()
    generator = torch.Generator().manual_seed(0)
    streams = []
    for first in (0, 3):
        forecaster = Forecaster(agent.networks, agent.settings.sequences, generator)
        observation = environment.reset(seed=0)
        forecaster.begin(to_tokens(agent.networks, observation), torch.tensor([[0]]))
        rewards = []
        for step in range(9):
            rewards.append(forecaster.step(torch.tensor([[first if step == 0 else 1]])).reward)
            forecaster.correct(to_tokens(agent.networks, observation))
        streams.append(rewards)
    differ = [abs(one - other) > 1e-7 for one, other in zip(*streams, strict=True)]
    assert differ[:4] == [True] * 4
    assert not any(differ[4:])
