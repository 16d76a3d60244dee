import shutil
from pathlib import Path

import numpy as np
import pytest

import m3
from m3.errors import UserError


def actions_of_an_episode(agent: "m3.LoadedAgent", seed: int) -> np.ndarray:
    environment = agent.make_environment()
    observation = environment.reset(seed=seed)
    agent.reset(seed=seed)
    actions = []
    for _ in range(8):
        actions.append(agent.act(observation))
        observation = environment.step(actions[-1]).observation
    return np.array(actions)


def test_acting_follows_from_the_seed(run: Path) -> None:
    agent = m3.load(run)
    first = actions_of_an_episode(agent, seed=1)
    assert first.shape == (8, 1)
    np.testing.assert_array_equal(actions_of_an_episode(agent, seed=1), first)
    assert any((actions_of_an_episode(agent, seed) != first).any() for seed in range(2, 6))


def test_folder_weights_and_checkpoint_give_the_same_agent(run: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished)
    (unfinished / "weights.safetensors").unlink()
    expected = actions_of_an_episode(m3.load(run), seed=3)
    for source in (run / "weights.safetensors", str(run), unfinished):
        agent = m3.load(source)
        np.testing.assert_array_equal(actions_of_an_episode(agent, seed=3), expected)
        assert agent.agent_steps == 80


def test_continuous_actions_are_float32_in_range(vector_run: Path) -> None:
    actions = actions_of_an_episode(m3.load(vector_run), seed=0)
    assert actions.dtype == np.float32
    assert actions.shape == (8, 2)
    assert np.abs(actions).max() <= 1


def test_the_recurrent_state_is_forgotten_at_reset(run: Path) -> None:
    agent = m3.load(run)
    environment = agent.make_environment()
    observation = environment.reset(seed=0)
    states = []
    for _ in range(2):
        agent.reset(seed=0)
        agent.act(observation)
        states.append(agent._state[0][0].numpy())
    np.testing.assert_array_equal(*states)


def test_mistakes_say_what_to_do(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, words in (
        (run.with_name("al"), rf"does not exist: did you mean {run}\?"),
        (run.parent, rf"no trained agent .*: did you mean {run}\?"),
        (tmp_path / "empty", "train it first"),
    ):
        with pytest.raises(UserError, match=words):
            m3.load(path)
    with pytest.raises(UserError, match=r"observes image uint8 \(3, 8, 8\), given is nothing"):
        m3.load(run).act({})
