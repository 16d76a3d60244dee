"""Imagined trajectories, and what actor and critic learn from them."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent, toy_settings

from m3.agent.agent import Agent
from m3.agent.behavior import BehaviorLosses, Trajectory, behavior_losses, imagine, start_imagination
from m3.agent.encoders import classes_to_actions
from m3.nn.distributions import HLGaussHead, Uniforms
from m3.nn.scaling import ReturnRange
from m3.world_model.imagination import Imagination, Imagined, ImaginedState, ImaginedStep

BATCH, CONTEXT, BURN_IN, HORIZON = 3, 2, 4, 4


def real_windows(agent: Agent) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Tokens, actions and mask; the first window is left-padded by two steps."""
    tokens, actions = random_steps(agent, BATCH, BURN_IN + CONTEXT)
    mask = torch.ones(BATCH, BURN_IN + CONTEXT, dtype=torch.bool)
    mask[0, :2] = False
    return tokens, actions, mask


def play(agent: Agent, imagination: Imagination, seed: int = 0) -> Trajectory:
    state, start = start_imagination(
        agent.actor_critic, imagination, agent.tokenizer, *real_windows(agent), context_length=CONTEXT
    )
    return imagine(agent.actor_critic, state, imagination, start, agent.tokenizer, HORIZON, uniforms(seed))


def uniforms(seed: int = 0) -> Uniforms:
    return Uniforms(torch.Generator().manual_seed(seed))


def world_model_of(agent: Agent) -> Imagination:
    return Imagination(agent.world_model, agent.tokenizer.codebooks, uniforms())


class Scripted(Imagination):
    """Rewards 1, 2, 3, ..., disagreements of ten times as much, and an end in the first window with step 2."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent.world_model, agent.tokenizer.codebooks, uniforms())
        self.steps = 0

    def advance(self, state: ImaginedState, action: Tensor) -> tuple[Imagined, ImaginedState]:
        self.steps += 1
        return super().advance(state, action)

    def read(self, imagined: Sequence[Imagined]) -> ImaginedStep:
        rewards = torch.arange(1.0, len(imagined) + 1).expand(BATCH, -1)
        ends = (torch.arange(BATCH) == 0)[:, None] & (rewards == 2)
        return ImaginedStep(rewards, ends, 10 * rewards)


@pytest.mark.parametrize("task", ["mixed", "vector"])
@torch.no_grad()
def test_the_first_action_follows_the_real_steps_and_continues_both_networks_from_the_same_observation(
    task: str,
) -> None:
    """The actor as if it had acted through the real steps; the world model from the context and this action."""
    agent = toy_agent(task)
    policy, model = agent.actor_critic, agent.world_model
    trajectory = play(agent, world_model_of(agent))

    tokens, actions, mask = real_windows(agent)
    views = agent.tokenizer.decode(tokens)
    state = policy.burn_in({n: v[:, :-1] for n, v in views.items()}, actions[:, :-1], mask[:, :-1])
    output, _ = policy.observe({n: v[:, -1] for n, v in views.items()}, state)
    assert_close(trajectory.values[:, 0], output.value)

    classes = policy.distribution(output.logits).sample(uniforms())
    assert_close(trajectory.log_probs[:, 0], policy.distribution(output.logits).log_prob(classes))
    actions[:, -1] = classes_to_actions(classes, policy.actions)
    context = {name: t[:, -CONTEXT:] for name, t in tokens.items()}
    blocks = model.embed(context, actions[:, -CONTEXT:], agent.tokenizer.codebooks)
    following = model.predict(blocks, predictions=1)[:, 0, -1]
    assert_close(trajectory.rewards[:, 0], model.reward_head.scalar.mean(model.reward_head(following)))


def test_rewards_and_ends_belong_to_the_step_whose_action_caused_them() -> None:
    agent = toy_agent("mixed")
    imagination = Scripted(agent)
    trajectory = play(agent, imagination)
    assert trajectory.rewards.tolist() == [[1, 2, 3]] * BATCH
    assert trajectory.disagreements.tolist() == [[10, 20, 30]] * BATCH
    assert trajectory.terminations.tolist() == [[False, True, False], [False] * 3, [False] * 3]
    assert imagination.steps == HORIZON - 1  # nothing reads what follows the last action


def test_only_the_policy_learns() -> None:
    agent = toy_agent("all_modalities")
    trajectory = play(agent, world_model_of(agent))
    (trajectory.log_probs + trajectory.entropies).sum().backward(retain_graph=True)
    trajectory.values.sum().backward()
    assert all(p.grad is None for part in (agent.tokenizer, agent.world_model) for p in part.parameters())
    assert all(p.grad is not None for p in agent.actor_critic.parameters())


def hand_built(terminations: list[list[bool]]) -> Trajectory:
    """Two trajectories of four steps. The critic's logits lean to values around 1, 2, 3, ... by turns."""
    logits = -0.1 * (torch.arange(129) - torch.tensor([[67.0, 69, 71, 73], [75.0, 73, 71, 69]])[..., None]) ** 2
    return Trajectory(
        log_probs=torch.tensor([[-1.0, -2, -3, -4], [-0.5, -1, -1.5, -2]], requires_grad=True),
        entropies=torch.tensor([[1.0, 2, 3, 4], [4.0, 3, 2, 1]], requires_grad=True),
        values=logits.requires_grad_(),
        rewards=torch.tensor([[1.0, 2, 3], [10.0, 0, -10]]),
        terminations=torch.tensor(terminations),
        disagreements=torch.tensor([[0.5, 0, 0], [0, 0, 2.0]]),
    )


NO_ENDS = [[False] * 3] * 2
ONE_END = [[False, True, False], [False] * 3]
"""The first trajectory ends with its second step, which still counts."""


def losses_of(trajectory: Trajectory, **controller: Any) -> BehaviorLosses:
    settings = toy_settings("mixed", controller={"discount": 1.0, "lambda_": 1.0, **controller}).controller
    return behavior_losses(toy_agent("mixed").actor_critic, trajectory, settings, ReturnRange(batch_returns=6))


def critic_head() -> HLGaussHead:
    head = toy_agent("mixed").actor_critic.critic
    assert isinstance(head, HLGaussHead)
    return head


def test_losses_by_hand_without_ends() -> None:
    """Discount and lambda of 1: the returns are the sums of what comes, and the last value."""
    trajectory = hand_built(NO_ENDS)
    losses = losses_of(trajectory, extrinsic_weight=2.0, intrinsic_weight=3.0)
    rewards = torch.tensor([[3.5, 4, 6], [20.0, 0, -14]])
    values = critic_head().mean(trajectory.values.detach())
    returns = rewards.flip(1).cumsum(1).flip(1) + values[:, -1:]
    scale = 0.5 * (torch.quantile(returns, 0.975) - torch.quantile(returns, 0.025))
    assert scale > 1
    assert_close(losses.scale, scale)
    advantages = (returns - values[:, :-1]) / scale
    assert_close(losses.actor, -(trajectory.log_probs[:, :-1] * advantages).mean())
    targets = critic_head().target_probabilities(returns)
    assert_close(losses.critic, -(targets * trajectory.values[:, :-1].log_softmax(-1)).sum(-1).mean())
    assert_close(losses.entropy, torch.tensor(2.5))


def test_the_last_step_teaches_the_entropy_only() -> None:
    """Its return is its own value: a critic of bins would learn to be sure of it, and count it among the returns."""
    trajectory = hand_built(NO_ENDS)
    losses = losses_of(trajectory)
    (losses.actor + losses.critic + losses.entropy).backward()
    assert (trajectory.values.grad[:, -1] == 0).all()
    assert (trajectory.log_probs.grad[:, -1] == 0).all()
    assert (trajectory.values.grad[:, :-1] != 0).any(-1).all()
    assert (trajectory.log_probs.grad[:, :-1] != 0).all()
    assert_close(trajectory.entropies.grad, torch.full((2, 4), 1 / 8))


def test_the_return_range_remembers_all_returns_but_the_last_ones() -> None:
    trajectory, history = hand_built(ONE_END), ReturnRange(batch_returns=6)
    settings = toy_settings("mixed", controller={"discount": 1.0, "lambda_": 1.0, "intrinsic_weight": 0.0}).controller
    behavior_losses(toy_agent("mixed").actor_critic, trajectory, settings, history)
    last = critic_head().mean(trajectory.values.detach())[1, -1]
    expected = torch.tensor([[3.0, 2, torch.nan], [0.0, -10, -10]])
    expected[1] += last
    assert_close(history.history[0].view(2, 3), expected, equal_nan=True)


def test_small_returns_are_not_scaled_up() -> None:
    trajectory = hand_built(ONE_END)._replace(rewards=torch.zeros(2, 3))
    losses = losses_of(trajectory, discount=0.01, intrinsic_weight=0.0)
    assert losses.scale == 1


def test_steps_after_an_end_do_not_train() -> None:
    trajectory = hand_built(ONE_END)
    losses = losses_of(trajectory)
    (losses.actor + losses.critic + losses.entropy).backward()
    counts = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert_close(trajectory.entropies.grad, counts / 6)
    learnable = counts.bool()[:, :-1]
    assert torch.equal(trajectory.log_probs.grad[:, :-1] != 0, learnable)
    assert torch.equal((trajectory.values.grad[:, :-1] != 0).any(-1), learnable)
    assert_close(losses.entropy.detach(), torch.tensor((1.0 + 2 + 4 + 3 + 2 + 1) / 6))


def test_what_comes_after_an_end_changes_no_loss() -> None:
    first = hand_built(ONE_END)
    after_end = torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 0, 0]])
    second = Trajectory(
        log_probs=first.log_probs + 5 * after_end,
        entropies=first.entropies + 5 * after_end,
        values=first.values + after_end[..., None] * torch.arange(129),
        rewards=first.rewards + 5 * after_end[:, :-1],
        terminations=first.terminations,
        disagreements=first.disagreements + 5 * after_end[:, :-1],
    )
    for one, other in zip(losses_of(first), losses_of(second), strict=True):
        assert_close(one, other)


def test_advantages_carry_no_gradient_to_the_critic() -> None:
    trajectory = hand_built(NO_ENDS)
    losses_of(trajectory).actor.backward()
    assert trajectory.values.grad is None
