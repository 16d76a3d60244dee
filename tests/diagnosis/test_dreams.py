"""Dreams beside reality: what counts as wrong, and from where dreams begin."""

import torch
from toy_runs import random_steps, toy_agent, toy_settings

from m3.diagnosis.dreams import bins_between, dream, wrong_share
from m3.diagnosis.episodes import Episode

TASK = "all_modalities"


def still_episode(steps: int) -> Episode:
    """Nothing changes; rewards count the steps, the last of which ends the episode."""
    tokens, actions = random_steps(toy_agent(TASK), 1)
    same = {name: t.expand(steps + 1, *t.shape[1:]) for name, t in tokens.items()}
    rewards = torch.arange(steps, dtype=torch.float32)
    return Episode(same, actions.expand(steps, -1), rewards, rewards == steps - 1)


def test_vectors_may_be_off_by_one_bin_other_tokens_by_nothing() -> None:
    real = {"vector": torch.tensor([[[60], [70]]]), "token": torch.tensor([[[3], [4]]])}
    other = {"vector": torch.tensor([[[61], [65]]]), "token": torch.tensor([[[2], [4]]])}
    assert wrong_share(real, other).tolist() == [0.5]
    assert bins_between(real, other).tolist() == [3.0]
    assert bins_between({"token": real["token"]}, {"token": other["token"]}).isnan().all()


def test_dreams_stand_beside_the_steps_that_really_followed() -> None:
    sequences = toy_settings(TASK).sequences  # context of 2 steps, dreams of 4
    found = dream(toy_agent(TASK), still_episode(5), sequences, 10, torch.Generator().manual_seed(0))
    nan = torch.nan
    expected = torch.tensor([[1, 2, 3, 4], [2, 3, 4, nan], [3, 4, nan, nan], [4, nan, nan, nan]])
    torch.testing.assert_close(found.reward, expected, equal_nan=True)
    torch.testing.assert_close(found.ended, torch.where(expected.isnan(), nan, (expected == 4).float()), equal_nan=True)
    torch.testing.assert_close(found.unchanged, torch.where(expected.isnan(), nan, 0.0), equal_nan=True)
    assert (found.wrong[~found.wrong.isnan()] > 0).any()  # the agent is untrained


def test_fewer_dreams_are_spread_over_the_episode() -> None:
    sequences = toy_settings(TASK).sequences
    found = dream(toy_agent(TASK), still_episode(21), sequences, 3, torch.Generator().manual_seed(0))
    assert found.reward[:, 0].tolist() == [1, 10, 20]


def test_an_episode_shorter_than_the_context_has_no_dreams() -> None:
    sequences = toy_settings(TASK).sequences
    found = dream(toy_agent(TASK), still_episode(1), sequences, 3, torch.Generator().manual_seed(0))
    assert found.wrong.shape == (0, sequences.length)


def test_a_model_that_foresees_everything_is_never_wrong() -> None:
    agent, sequences = toy_agent(TASK), toy_settings(TASK).sequences
    episode = still_episode(6)
    zeros = episode._replace(tokens={name: torch.zeros_like(t) for name, t in episode.tokens.items()})
    with torch.no_grad():
        for name, head in agent.world_model.observation_heads.items():
            head[-1].weight.zero_()
            certain = [torch.eye(size)[0] * 100 for size in agent.world_model.specs[name].vocabularies]
            head[-1].bias.copy_(torch.cat(certain))
    found = dream(agent, zeros, sequences, 4, torch.Generator().manual_seed(0))
    assert found.wrong.nansum() == found.bins.nansum() == 0
