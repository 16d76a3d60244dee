"""Actor and critic as a recurrent machine: state in, state out."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent

from m3.agent.actor_critic import ActorCritic, PolicyState
from m3.agent.agent import Agent
from m3.agent.encoders import ActionEncoder, actions_to_classes, classes_to_actions
from m3.specs import ContinuousActions, DiscreteActions

SEPARATE = {"controller": {"separate_networks": True}}
BATCH, STEPS = 3, 5


def views_and_actions(agent: Agent) -> tuple[dict[str, Tensor], Tensor]:
    tokens, actions = random_steps(agent, BATCH, STEPS)
    return agent.tokenizer.decode(tokens), actions


def at(views: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    return {name: view[:, step] for name, view in views.items()}


def act_through(policy: ActorCritic, views: dict[str, Tensor], actions: Tensor) -> PolicyState:
    state = policy.initial_state(len(actions))
    for step in range(actions.shape[1]):
        _, state = policy.observe(at(views, step), state)
        state = policy.act(actions[:, step], state)
    return state


def assert_same_state(one: PolicyState, other: PolicyState) -> None:
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        assert_close(torch.stack(first), torch.stack(second))


@pytest.mark.parametrize("task", ["image", "vector", "mixed", "multi_discrete"])
@pytest.mark.parametrize("changes", [{}, SEPARATE], ids=["shared", "separate"])
@torch.no_grad()
def test_burning_in_equals_acting_without_a_break(task: str, changes: dict) -> None:
    agent = toy_agent(task, **changes)
    policy = agent.actor_critic
    views, actions = views_and_actions(agent)
    past = {name: view[:, :-1] for name, view in views.items()}
    state = policy.burn_in(past, actions[:, :-1], torch.ones(BATCH, STEPS - 1, dtype=torch.bool))
    acted = act_through(policy, past, actions[:, :-1])
    assert_same_state(state, acted)
    for one, other in zip(*(policy.observe(at(views, -1), s)[0] for s in (state, acted)), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("task", ["mixed", "multi_discrete"])
@pytest.mark.parametrize("changes", [{}, SEPARATE], ids=["shared", "separate"])
def test_unrolling_equals_acting_step_by_step(task: str, changes: dict) -> None:
    """What is read after each observation, and the gradients; from a state that is not the initial one."""
    agent = toy_agent(task, **changes)
    policy = agent.actor_critic
    views, actions = views_and_actions(agent)
    start = state = policy.burn_in(views, actions, torch.ones(BATCH, STEPS, dtype=torch.bool))
    outputs = []
    for step in range(STEPS):
        output, state = policy.observe(at(views, step), state)
        outputs.append(output)
        state = policy.act(actions[:, step], state)
    stepwise = [torch.stack(parts, dim=1) for parts in zip(*outputs, strict=True)]
    unrolled = policy.unroll(views, actions[:, :-1], start)
    parameters = list(policy.parameters())
    gradients = [
        torch.autograd.grad(sum(part.square().sum() for part in parts), parameters) for parts in (stepwise, unrolled)
    ]
    for one, other in zip((*stepwise, *gradients[0]), (*unrolled, *gradients[1]), strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, SEPARATE], ids=["shared", "separate"])
def test_padding_on_the_left_leaves_the_initial_state(changes: dict) -> None:
    """Three windows of five steps, of which the last 5, 2 and 0 are real."""
    agent = toy_agent("mixed", **changes)
    views, actions = views_and_actions(agent)
    real = (5, 2, 0)
    mask = torch.arange(STEPS) >= STEPS - torch.tensor(real)[:, None]
    state = agent.actor_critic.burn_in(views, actions, mask)
    for row, steps in enumerate(real):
        own = {name: view[row : row + 1, STEPS - steps :] for name, view in views.items()}
        expected = act_through(agent.actor_critic, own, actions[row : row + 1, STEPS - steps :])
        assert_same_state(tuple((h[row : row + 1], c[row : row + 1]) for h, c in state), expected)


def test_burning_in_has_no_gradient() -> None:
    agent = toy_agent("mixed")
    state = agent.actor_critic.burn_in(*views_and_actions(agent), torch.ones(BATCH, STEPS, dtype=torch.bool))
    assert not any(part.requires_grad for trunk in state for part in trunk)


def test_the_state_hears_of_the_action() -> None:
    policy = toy_agent("multi_discrete").actor_critic
    start = policy.initial_state(4)
    (hidden, _), *_ = policy.act(torch.tensor([[0, 0], [1, 0], [0, 2], [0, 0]]), start)
    assert torch.equal(hidden[0], hidden[3])
    assert not torch.allclose(hidden[0], hidden[1])
    assert not torch.allclose(hidden[0], hidden[2])


def test_separate_networks_share_nothing() -> None:
    agent = toy_agent("all_modalities", **SEPARATE)
    policy = agent.actor_critic
    views, actions = views_and_actions(agent)
    for output, trunk in (("logits", "actor"), ("value", "critic")):
        policy.zero_grad()
        state = policy.act(actions[:, 0], policy.observe(at(views, 0), policy.initial_state(BATCH))[1])
        getattr(policy.observe(at(views, 1), state)[0], output).sum().backward()
        trained = {name.partition(".")[0] for name, p in policy.named_parameters() if p.grad is not None}
        assert trained == {trunk, f"{trunk}_trunk"}


def test_a_shared_trunk_serves_both() -> None:
    agent = toy_agent("mixed")
    policy = agent.actor_critic
    views, _ = views_and_actions(agent)
    policy.observe(at(views, 0), policy.initial_state(BATCH))[0].value.sum().backward()
    assert policy.critic_trunk is None
    assert all(p.grad is not None for p in policy.actor_trunk.observation_encoder.parameters())


@pytest.mark.parametrize(
    ("task", "expected"), [("vector", math.log(51)), ("multi_discrete", math.log(4) + math.log(3))]
)
def test_continuous_dimensions_are_averaged_and_discrete_ones_summed(task: str, expected: float) -> None:
    policy = toy_agent(task).actor_critic
    uniform = policy.distribution(torch.zeros(1, policy.actor.out_features))
    assert uniform.entropy().item() == pytest.approx(expected)
    assert uniform.log_prob(torch.zeros(1, 2, dtype=torch.long)).item() == pytest.approx(-expected)


def test_a_multi_discrete_action_is_encoded_as_the_mean_of_its_tables() -> None:
    encoder = ActionEncoder(DiscreteActions((4, 3)), 8)
    first, second = (table.weight for table in encoder.encoder.tables)
    assert_close(encoder(torch.tensor([[2, 1]]))[0], (first[2] + second[1]) / 2)


def test_classes_and_actions_are_inverse() -> None:
    continuous, discrete = ContinuousActions(2), DiscreteActions((51, 51))
    classes = torch.randint(51, (7, 2), generator=torch.Generator().manual_seed(0))
    actions = classes_to_actions(classes, continuous)
    assert actions.dtype == torch.float32
    assert actions.abs().max() <= 1
    assert torch.equal(actions_to_classes(actions, continuous), classes)
    assert torch.equal(classes_to_actions(classes, discrete), classes)
    assert torch.equal(actions_to_classes(classes, discrete), classes)
