"""What is shown is what happened, really and in the agent's online."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import random_steps, toy_agent, toy_settings

import m3
from m3.environments import Environment
from m3.runs.loading import LoadedAgent, newest_checkpoint
from m3.watch.online_agent import Decision, Forecaster, to_observation, to_tokens
from m3.watch.streams import WatchedStep, imagine_beside, play, play_imagined, stored_episodes


@pytest.fixture(scope="module")
def agent(run: Path) -> LoadedAgent:
    return m3.load(run)


@pytest.fixture
def environment(agent: LoadedAgent) -> Iterator[Environment]:
    with closing(agent.make_environment()) as environment:
        yield environment


def replayed(agent: LoadedAgent, stream: list[WatchedStep], seed: int) -> None:
    """The stream' observations and rewards are those of the environment under the stream' actions."""
    environment = agent.make_environment()
    observation = environment.reset(seed=seed)
    total = 0.0
    for watched in stream:
        assert watched.episode_return == total
        for name, values in observation.items():
            np.testing.assert_array_equal(watched.observation[name], values)
        step = environment.step(watched.action)
        assert watched.reward == step.reward
        observation, total = step.observation, total + step.reward


def test_play_shows_the_environment_and_reconstructions(agent: LoadedAgent, environment: Environment) -> None:
    stream = list(islice(play(agent, environment, 0.5, seed=4), 12))
    replayed(agent, stream[:10], seed=4)
    assert [watched.episode for watched in stream] == [1] * 10 + [2] * 2
    assert [watched.step for watched in stream][9:] == [9, 0, 1]
    for watched in stream:
        np.testing.assert_array_equal(watched.other["token"], watched.observation["token"])
        np.testing.assert_array_equal(watched.other["token_2d"], watched.observation["token_2d"])
        np.testing.assert_allclose(watched.other["vector"], watched.observation["vector"], atol=0.06)
        assert watched.other["image"].shape == watched.observation["image"].shape
        assert watched.decision.probabilities[0].sum() == pytest.approx(1, abs=1e-5)


def test_somebody_elses_actions_are_taken(agent: LoadedAgent, environment: Environment) -> None:
    def choose(decision: Decision) -> np.ndarray:
        return np.array([2], np.int64)

    stream = list(islice(play(agent, environment, 0.5, 0, choose), 5))
    assert {int(watched.action[0]) for watched in stream} == {2}
    replayed(agent, stream, seed=0)


def test_a_imagined_begins_where_reality_is_and_then_leaves_it(agent: LoadedAgent, environment: Environment) -> None:
    stream = list(islice(imagine_beside(agent, environment, 0.5, seed=2, horizon=3), 10))
    replayed(agent, stream, seed=2)
    assert [watched.imagined_step for watched in stream] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    for watched in stream:
        kept = to_observation(agent.networks, to_tokens(agent.networks, watched.observation))
        same = all(np.array_equal(kept[name], watched.other[name]) for name in kept)
        assert same == (watched.imagined_step == 0)


def test_inside_the_dream_nothing_real_happens_after_its_beginning(
    agent: LoadedAgent, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    real_step = environment.step
    monkeypatch.setattr(environment, "step", lambda action: taken.append(action) or real_step(action))
    stream = list(islice(play_imagined(agent, environment, 0.5, 0, lambda decision: np.array([1])), 6))
    first = [watched for watched in stream if watched.episode == 1]
    assert len(taken) == len({watched.episode for watched in stream})  # one step of context before each dream
    assert all(watched.reward is None for watched in stream)
    assert first[-1].episode_return == pytest.approx(sum(watched.forecast.reward for watched in first[:-1]))


def test_stored_episodes_are_those_of_the_replay(run: Path, agent: LoadedAgent, environment: Environment) -> None:
    replay = newest_checkpoint(run).replay
    first, end = replay.finished_episodes()[-1]
    rows = replay.rows(first, end)
    stream = list(islice(stored_episodes(agent, environment, replay, 0.5, 0), end - first - 1))
    np.testing.assert_array_equal([m.action for m in stream], rows.columns["actions"][:-1])
    np.testing.assert_array_equal([m.reward for m in stream], rows.columns["rewards"][:-1])
    np.testing.assert_array_equal([m.observation["image"] for m in stream], rows.observations["image"][:-1])


def test_forecasts_of_a_followed_stream_are_those_of_the_whole_window(agent: LoadedAgent) -> None:
    """Until the memory is full, step by step equals a window that is read at once."""
    model, tokenizer = agent.networks.world_model, agent.networks.tokenizer
    environment = agent.make_environment()
    forecaster = Forecaster(agent.networks, agent.settings.sequences, torch.Generator().manual_seed(0))
    tokens = [to_tokens(agent.networks, environment.reset(seed=0))]
    actions = torch.tensor([[[1]], [[3]], [[0]]])
    forecaster.begin(tokens[0], actions[0])
    for action in actions:
        forecast = forecaster.step(action)
        tokens.append(to_tokens(agent.networks, environment.step(action[0].numpy()).observation))
        forecaster.correct(tokens[-1])
    window = {name: torch.stack([step[name] for step in tokens[:-1]], dim=1) for name in tokens[0]}
    with torch.no_grad():
        blocks = model.embed(window, actions.swapaxes(0, 1), tokenizer.codebooks)
        outputs = model.predict(blocks, predictions=1)
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
    assert differ[:3] == [True] * 3
    assert not any(differ[3:])


@pytest.mark.parametrize("kind", ["retention", "attention"])
@pytest.mark.parametrize(("length", "context_length"), [(2, 1), (3, 2), (4, 1), (5, 4), (9, 2)])
def test_forecasts_are_made_at_positions_of_training_alone(
    kind: str, length: int, context_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From length - 1 blocks at most, and from as many whenever the memory is full."""
    sequences = {"length": length, "context_length": context_length}
    networks = toy_agent("vector", sequences=sequences, world_model={"sequence": {"kind": kind}})
    forecaster = Forecaster(networks, toy_settings("vector", sequences=sequences).sequences, torch.Generator())
    tokens, actions = random_steps(networks, 1, 1)
    model, read = networks.world_model, []
    empty, extend = model.empty_memory(), model.extend

    def count(blocks: torch.Tensor, memory: object) -> tuple[torch.Tensor, object]:
        read.append(blocks.shape[1] + (0 if memory is empty else read[-1]))
        return extend(blocks, memory)

    monkeypatch.setattr(model, "empty_memory", lambda: empty)
    monkeypatch.setattr(model, "extend", count)
    forecaster.begin({name: value[:, 0] for name, value in tokens.items()}, actions[:, 0])
    for _ in range(3 * length):
        forecaster.step(actions[:, 0])
    assert max(read) == length - 1
    kept = min(max(context_length, length // 2), length - 2)
    assert read == [*range(1, length), *([*range(kept + 1, length)] * 3 * length)][: 3 * length]
