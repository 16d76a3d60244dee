"""Kept tokens are what encoding anew would give."""

import numpy as np
import torch
from toy_runs import toy_settings

from m3.data.replay import Replay
from m3.environments import Environment, make_environment
from m3.tokenizers.multimodal import Tokenizer
from m3.training.device_replay import DeviceReplay
from m3.training.replay_tokens import ReplayTokens

CPU = torch.device("cpu")


def played(task: str, steps: int, capacity_bytes: int = 10**8) -> tuple[Tokenizer, Replay]:
    """A tokenizer, and a replay of so many steps of a toy environment."""
    settings = toy_settings(task)
    environment = make_environment(settings.environment, task, "train")
    torch.manual_seed(0)
    tokenizer = Tokenizer(environment.observation_spec, settings.tokenizer).eval()
    replay = Replay(environment.observation_spec, environment.action_spec, 1, capacity_bytes)
    play(environment, replay, steps)
    return tokenizer, replay


def play(environment: Environment, replay: Replay, steps: int) -> None:
    """Add so many steps of doing nothing."""
    action = np.zeros(environment.action_spec.shape, environment.action_spec.dtype)
    observation = environment.reset(steps)
    for _ in range(steps):
        step = environment.step(action)
        replay.add(observation, action, step.reward, step.terminated, step.truncated, step.observation)
        observation = environment.reset() if step.terminated or step.truncated else step.observation


def check(tokenizer: Tokenizer, replay: Replay, kept: ReplayTokens) -> None:
    """Tokens of random windows against those of their observations."""
    rng = np.random.default_rng(0)
    windows = rng.integers(replay.first_window, replay.next_window, 16)
    ids = replay.window_ids(windows)
    batch, tokens = kept.windows(ids, before=3, length=5)
    whole = replay.gather(ids, before=3, length=5)
    assert np.array_equal(batch.mask, whole.mask)
    expected = tokenizer.encode({name: torch.from_numpy(o) for name, o in whole.observations.items()})
    assert list(tokens) == list(expected)
    mask = torch.from_numpy(whole.mask)
    for name, values in expected.items():
        assert tokens[name].dtype == torch.int64
        assert torch.equal(tokens[name][mask], values[mask])


def test_tokens_are_those_of_the_observations() -> None:
    tokenizer, replay = played("all_modalities", 200)
    kept = ReplayTokens(tokenizer, DeviceReplay(replay, CPU))
    check(tokenizer, replay, kept)
    check(tokenizer, replay, kept)


def test_a_changed_tokenizer_counts_once_old_tokens_are_forgotten() -> None:
    tokenizer, replay = played("image", 200)
    kept = ReplayTokens(tokenizer, DeviceReplay(replay, CPU))
    check(tokenizer, replay, kept)
    assert tokenizer.image is not None
    with torch.no_grad():
        tokenizer.image.codes.weight.copy_(tokenizer.image.codes.weight.flip(0))
    kept.forget()
    check(tokenizer, replay, kept)


def test_rows_that_took_the_place_of_evicted_ones_are_encoded() -> None:
    tokenizer, replay = played("image", 40, capacity_bytes=64 * 800)
    kept = ReplayTokens(tokenizer, DeviceReplay(replay, CPU))
    check(tokenizer, replay, kept)
    play(make_environment(toy_settings("image").environment, "image", "train"), replay, 300)
    assert replay.first_row > 40
    check(tokenizer, replay, kept)


def test_a_replay_that_has_grown_is_followed() -> None:
    tokenizer, replay = played("image", 900)
    kept = ReplayTokens(tokenizer, DeviceReplay(replay, CPU))
    check(tokenizer, replay, kept)
    slots = replay.num_slots
    play(make_environment(toy_settings("image").environment, "image", "train"), replay, 300)
    assert replay.num_slots > slots
    check(tokenizer, replay, kept)


def test_rows_that_are_forgotten_are_encoded_again_and_no_others() -> None:
    tokenizer, replay = played("image", 200)
    kept = ReplayTokens(tokenizer, DeviceReplay(replay, CPU))
    rows = np.arange(replay.first_row, replay.next_row)
    ids = replay.window_ids(np.arange(replay.first_window, replay.next_window))
    kept.windows(ids, before=0, length=1)
    assert tokenizer.image is not None
    with torch.no_grad():
        tokenizer.image.codes.weight.copy_(tokenizer.image.codes.weight.flip(0))
    _, old = kept.windows(ids, before=0, length=1)
    kept.forget_rows(rows[: len(rows) // 2])
    batch, new = kept.windows(ids, before=0, length=1)
    changed = (old["image"] != new["image"]).flatten(1).any(1).numpy()
    assert changed[batch.rows[:, 0] < rows[len(rows) // 2]].all()
    assert not changed[batch.rows[:, 0] >= rows[len(rows) // 2]].any()
