"""Imagination beside reality: what counts as wrong, and where imagination begins."""

import torch
from toy_runs import random_steps, toy_agent, toy_settings

from m3.agent.agent import Agent
from m3.diagnosis.episodes import Episode
from m3.diagnosis.imagined import Imagined, imagine_beside, wrong_share

TASK = "all_modalities"


def still_episode(steps: int) -> Episode:
    """Nothing changes; rewards count the steps, the last of which ends the episode."""
    tokens, actions = random_steps(toy_agent(TASK), 1)
    same = {name: t.expand(steps + 1, *t.shape[1:]) for name, t in tokens.items()}
    rewards = torch.arange(steps, dtype=torch.float32)
    return Episode(same, actions.expand(steps, -1), rewards, rewards == steps - 1)


def foresee(agent: Agent, end: bool) -> None:
    """Make the world model certain of zeros everywhere, and of whether an episode ends."""
    with torch.no_grad():
        for name, head in agent.world_model.observation_heads.items():
            head[-1].weight.zero_()
            certain = [torch.eye(size)[0] * 100 for size in agent.world_model.specs[name].vocabularies]
            head[-1].bias.copy_(torch.cat(certain))
        agent.world_model.end_head[-1].weight.zero_()
        agent.world_model.end_head[-1].bias.copy_(torch.tensor([0.0, 100.0 if end else -100.0]))


def zeros(steps: int) -> Episode:
    episode = still_episode(steps)
    return episode._replace(tokens={name: torch.zeros_like(t) for name, t in episode.tokens.items()})


def imagined_of(agent: Agent, episode: Episode, most: int) -> Imagined:
    return imagine_beside(agent, episode, toy_settings(TASK).sequences, most, torch.Generator().manual_seed(0))


def test_vectors_may_be_off_by_one_bin_other_tokens_by_nothing() -> None:
    real = {"vector": torch.tensor([[[60], [70]]]), "token": torch.tensor([[[3], [4]]])}
    other = {"vector": torch.tensor([[[61], [65]]]), "token": torch.tensor([[[2], [4]]])}
    assert wrong_share(real, other).tolist() == [0.5]


def test_imagination_is_as_long_as_that_of_the_policy_and_ends_with_the_episode() -> None:
    agent = toy_agent(TASK)  # context of 2 steps in windows of 4: the world model is asked for 2
    foresee(agent, end=False)
    found = imagined_of(agent, zeros(5), 10)
    nan = torch.nan
    expected = torch.tensor([[0, 0], [0, 0], [0, 0], [0, nan]])  # from the second step to the fifth and last
    for column in found:
        torch.testing.assert_close(column, expected, equal_nan=True)


def test_what_follows_a_imagined_termination_does_not_count() -> None:
    agent = toy_agent(TASK)
    foresee(agent, end=True)
    found = imagined_of(agent, zeros(5), 10)
    assert found.wrong[:, 0].tolist() == [0, 0, 0, 0]
    assert found.wrong[:, 1:].isnan().all()


def test_each_step_is_compared_with_what_really_followed() -> None:
    agent = toy_agent(TASK)
    foresee(agent, end=False)
    episode = zeros(5)
    changed = {name: t.clone() for name, t in episode.tokens.items()}
    changed["token"][4] = 1  # one observation, which the model does not foresee
    share = changed["token"][0].numel() / sum(t[0].numel() for t in changed.values())
    found = imagined_of(agent, episode._replace(tokens=changed), 10)
    # from steps 1 to 4: the fourth observation is two, one and no steps ahead
    torch.testing.assert_close(found.wrong[:3], torch.tensor([[0, 0], [0, share], [share, 0]]))
    torch.testing.assert_close(found.unchanged[:3], torch.tensor([[0, 0], [0, share], [share, 0]]))
    torch.testing.assert_close(found.unchanged[3, 0], torch.tensor(share))  # begun at what is gone a step later


def test_fewer_starts_are_spread_over_the_episode() -> None:
    agent = toy_agent(TASK)
    episode = zeros(21)
    places = torch.zeros(22, dtype=torch.int64)
    places[[2, 11]] = 1  # what follows the first and the second of three beginnings
    tokens = {**episode.tokens, "token": episode.tokens["token"] + places[:, None, None]}
    found = imagined_of(agent, episode._replace(tokens=tokens), 3)
    assert (found.unchanged[:, 0] > 0).tolist() == [True, True, False]


def test_an_episode_shorter_than_the_context_is_not_imagined() -> None:
    assert imagined_of(toy_agent(TASK), still_episode(1), 3).wrong.shape == (0, 2)
