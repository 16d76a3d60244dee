"""Atari preprocessing against scripted games with known answers, and against Gymnasium's own environment."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import ale_py
import gymnasium
import numpy as np
import pytest
from PIL import Image

from m3.config.simulators import AtariEnvironment
from m3.environments import make_environment

NOOP, FIRE = ale_py.Action.NOOP, ale_py.Action.FIRE
ACT = np.array([1])


class Frame(NamedTuple):
    """What one raw frame of a scripted game brings. The screen is of one grey, which resizing keeps."""

    grey: int
    reward: int = 0
    lives: int = 3
    over: bool = False


class ScriptedEmulator:
    """Stands in for the emulator: plays given frames, one list per game, and notes what it was asked to do."""

    def __init__(self, games: list[list[Frame]]) -> None:
        self.games = deque(games)
        self.log: list[str | ale_py.Action] = []
        self.frames: Iterator[Frame] = iter(())
        self.frame = Frame(0)

    setLoggerMode = staticmethod(lambda mode: None)

    def setFloat(self, key: str, value: float) -> None:
        assert (key, value) == ("repeat_action_probability", 0.0)

    def setInt(self, key: str, value: int) -> None:
        assert key == "random_seed"

    def loadROM(self, path: object) -> None:
        pass

    def getMinimalActionSet(self) -> list[ale_py.Action]:
        return [NOOP, FIRE]

    def getScreenDims(self) -> tuple[int, int]:
        return 4, 4

    def reset_game(self) -> None:
        self.frames = iter(self.games.popleft())
        self.frame = Frame(0)
        self.log.append("reset")

    def act(self, action: ale_py.Action) -> int:
        assert not self.frame.over, "acted after the end"
        self.frame = next(self.frames)
        self.log.append(action)
        return self.frame.reward

    def getScreenRGB(self, screen: np.ndarray) -> None:
        screen[:] = self.frame.grey

    def lives(self) -> int:
        return self.frame.lives

    def game_over(self, *, with_truncation: bool) -> bool:
        return self.frame.over


@pytest.fixture
def scripted(monkeypatch):
    """Make an environment that plays scripted games."""

    def make(games, mode, **settings):
        emulator = ScriptedEmulator(games)
        replacement = type("Emulator", (), {"__new__": lambda cls: emulator, "setLoggerMode": emulator.setLoggerMode})
        monkeypatch.setattr(ale_py, "ALEInterface", replacement)
        return make_environment(AtariEnvironment(family="atari", **settings), "Pong", mode), emulator

    return make


def grey(observation) -> int:
    (value,) = np.unique(observation["image"])
    return int(value)


QUIET = [Frame(0)] * 40


def test_a_step_repeats_its_action_and_shows_the_maximum_of_the_last_two_frames(scripted):
    environment, emulator = scripted([[Frame(5), Frame(90), Frame(50), Frame(40), Frame(30), Frame(7)]], "test")
    assert grey(environment.reset(0)) == 5
    assert grey(environment.step(ACT).observation) == 40
    assert emulator.log == ["reset", NOOP, FIRE, FIRE, FIRE, FIRE]


@pytest.mark.parametrize(("mode", "expected"), [("test", 7 - 2 + 5), ("train", 1 - 1 + 1)])
def test_rewards_are_summed_and_in_training_their_signs(scripted, mode, expected):
    game = [Frame(0), Frame(0, 7), Frame(0, -2), Frame(0, 0), Frame(0, 5)]
    environment, _ = scripted([game], mode, max_noops=1)
    environment.reset(0)
    assert environment.step(ACT).reward == expected


@pytest.mark.parametrize(("greys", "shown"), [([20], 20), ([80, 20], 80), ([90, 80, 20], 80)])
def test_a_step_stops_when_the_game_is_over(scripted, greys, shown):
    """It then shows the maximum of the last two frames that it played, never older ones."""
    frames = [Frame(grey, reward=1) for grey in greys]
    frames[-1] = frames[-1]._replace(over=True)
    environment, _ = scripted([[Frame(100), *frames]], "test")
    environment.reset(0)
    step = environment.step(ACT)
    assert (grey(step.observation), step.reward) == (shown, len(frames))
    assert (step.terminated, step.truncated) == (True, False)


def test_a_lost_life_ends_a_training_episode_but_not_the_game(scripted):
    game = [Frame(0), *[Frame(10)] * 3, *[Frame(g, lives=2) for g in (10, 20, 21, 23, 22, 0, 0, 0, 0)]]
    environment, emulator = scripted([game], "train", max_noops=1)
    environment.reset(0)
    step = environment.step(ACT)
    assert (step.terminated, step.truncated) == (True, False)
    emulator.log.clear()
    assert grey(environment.reset()) == 23
    assert emulator.log == [NOOP] * 4
    # The life that is gone does not end the next episode too.
    assert not environment.step(ACT).terminated


def test_a_lost_life_ends_no_test_episode(scripted):
    game = [Frame(0), *[Frame(0, lives=2)] * 4, Frame(0, lives=1, over=True)]
    environment, _ = scripted([game], "test")
    environment.reset(0)
    assert not environment.step(ACT).terminated
    assert environment.step(ACT).terminated


def test_no_lives_left_only_counts_when_the_game_is_over(scripted):
    game = [Frame(0, lives=1), *[Frame(0, lives=0)] * 4, Frame(0, lives=0, over=True)]
    environment, _ = scripted([game], "train", max_noops=1)
    environment.reset(0)
    assert not environment.step(ACT).terminated
    assert environment.step(ACT).terminated


def test_a_life_lost_while_the_game_is_continued_ends_no_episode(scripted):
    game = [Frame(0), *[Frame(0, lives=2)] * 4, *[Frame(0, lives=1)] * 8]
    environment, _ = scripted([game], "train", max_noops=1)
    environment.reset(0)
    assert environment.step(ACT).terminated
    environment.reset()
    assert not environment.step(ACT).terminated


def test_losing_a_life_that_was_won_ends_the_episode(scripted):
    game = [Frame(0), *[Frame(0, lives=4)] * 4, *[Frame(0, lives=3)] * 4]
    environment, _ = scripted([game], "train", max_noops=1)
    environment.reset(0)
    assert not environment.step(ACT).terminated
    assert environment.step(ACT).terminated


def test_a_game_that_ends_while_it_is_continued_starts_anew(scripted):
    first = [Frame(0), *[Frame(0, lives=2)] * 4, Frame(0, lives=1), Frame(0, lives=0, over=True)]
    environment, emulator = scripted([first, [Frame(60), *QUIET]], "train", max_noops=1)
    environment.reset(0)
    assert environment.step(ACT).terminated
    emulator.log.clear()
    assert grey(environment.reset()) == 60
    assert emulator.log == [NOOP, NOOP, "reset", NOOP]
    assert not environment.step(ACT).terminated


def test_a_finished_game_starts_anew(scripted):
    games = [[Frame(0), Frame(0, over=True)], [Frame(60), *QUIET]]
    environment, emulator = scripted(games, "train", max_noops=1)
    environment.reset(0)
    assert environment.step(ACT).terminated
    emulator.log.clear()
    assert grey(environment.reset()) == 60
    assert emulator.log == ["reset", NOOP]


@pytest.mark.parametrize("mode", ["train", "test"])
def test_the_frame_limit_truncates_and_counts_noops_and_lives(scripted, mode):
    """Limit 10: one no-op, a step that loses a life, in training its continuation; then the limit cuts a step short."""
    game = [Frame(0), *[Frame(0, 1, lives=2)] * 30]
    environment, emulator = scripted(
        [game, [Frame(70), *QUIET]], mode, max_noops=1, train_frame_limit=10, test_frame_limit=10
    )
    environment.reset(0)
    first = environment.step(ACT)
    if mode == "train":
        assert first.terminated
        environment.reset()
    else:
        environment.step(ACT)
    last = environment.step(ACT)
    assert (last.terminated, last.truncated, last.reward) == (False, True, 1.0)
    emulator.log.clear()
    assert grey(environment.reset()) == 70
    assert emulator.log == ["reset", NOOP]


def test_a_real_end_at_the_frame_limit_is_a_termination(scripted):
    environment, _ = scripted([[Frame(0), *[Frame(0)] * 3, Frame(0, over=True)]], "test", test_frame_limit=5)
    environment.reset(0)
    step = environment.step(ACT)
    assert (step.terminated, step.truncated) == (True, False)


def test_noops_are_one_in_tests_and_random_up_to_the_maximum_in_training(scripted):
    def noops(mode: str) -> set[int]:
        environment, emulator = scripted([QUIET for _ in range(30)], mode, max_noops=3)
        for seed in range(30):
            environment.reset(seed)
        log = "".join("r" if entry == "reset" else "n" for entry in emulator.log)
        return {len(run) for run in log.split("r")[1:]}

    assert noops("test") == {1}
    assert noops("train") == {1, 2, 3}


def test_a_game_that_ends_during_noops_starts_again(scripted):
    games = [[Frame(1, over=True)], [Frame(2), *QUIET]]
    environment, emulator = scripted(games, "test")
    assert grey(environment.reset(0)) == 0
    assert emulator.log == ["reset", NOOP, "reset"]
    assert not environment.step(ACT).terminated


@pytest.mark.parametrize(("mode", "seed"), [("train", 0), ("test", 0), ("test", None)])
def test_resets_in_the_middle_of_a_life_start_a_new_game_if_seeded_or_in_tests(scripted, mode, seed):
    environment, emulator = scripted([QUIET, QUIET], mode, max_noops=1)
    environment.reset(0)
    environment.step(ACT)
    environment.reset(seed)
    assert emulator.log.count("reset") == 2


def resized(frame: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


@pytest.mark.parametrize("game", ["Breakout", "MsPacman"])
def test_training_equals_gymnasium_with_the_preprocessing_written_out(game, make, random_actions):
    """A game and a bit, from Gymnasium's raw frames: skip, maximum, signs, lives, continuation."""
    environment = make("atari", game)
    observation = environment.reset(seed=5)
    raw = gymnasium.make(f"{game}NoFrameskip-v4").unwrapped
    frame, _ = raw.reset(seed=5)
    assert environment.action_spec.sizes == (raw.action_space.n,)
    for _ in range(environment.get_state()["frames"]):
        frame, *_ = raw.step(0)
    np.testing.assert_array_equal(observation["image"], resized(frame))
    lives = raw.ale.lives()

    def four_frames(action):
        frames, reward, over = [], 0.0, False
        while len(frames) < 4 and not over:
            frame, points, over, *_ = raw.step(action)
            frames.append(resized(frame))
            reward += np.sign(points)
        return np.max(frames[-2:], axis=0), reward, over

    endings = rewards = 0
    for action in random_actions(environment, 400):
        step = environment.step(action)
        image, reward, over = four_frames(action[0])
        np.testing.assert_array_equal(step.observation["image"], image)
        assert step.reward == reward
        assert step.terminated == (over or raw.ale.lives() < lives)
        lives = raw.ale.lives()
        rewards += reward != 0
        if over:
            break
        if step.terminated:
            endings += 1
            np.testing.assert_array_equal(environment.reset()["image"], four_frames(0)[0])
    assert endings
    assert rewards


def test_test_episodes_have_raw_rewards_and_all_lives(make, random_actions):
    environment = make("atari", "MsPacman", "test")
    environment.reset(seed=1)
    assert environment.get_state()["frames"] == 1
    rewards, lives = set(), set()
    for action in random_actions(environment, 2000):
        step = environment.step(action)
        rewards.add(step.reward)
        lives.add(environment.get_state()["lives"])
        if step.terminated:
            break
    assert step.terminated
    assert 10.0 in rewards
    assert len(lives) > 1


@pytest.mark.parametrize("game", ["Breakout", "Seaquest"])
def test_seeds_and_states_reproduce_play(game, make, assert_reproducible):
    assert_reproducible(lambda: make("atari", game), before=150, after=250)


def test_rendering_shows_the_game_at_full_size_also_after_set_state(make, random_actions):
    environment = make("atari", "Breakout")
    environment.reset(seed=1)
    for action in random_actions(environment, 20):
        environment.step(action)
    picture = environment.render()
    assert (picture.shape, picture.dtype) == ((210, 160, 3), np.uint8)
    other = make("atari", "Breakout")
    other.reset(seed=9)
    other.set_state(environment.get_state())
    np.testing.assert_array_equal(other.render(), picture)
