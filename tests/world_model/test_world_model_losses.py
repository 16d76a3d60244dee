"""Every loss against a hand-built batch, one step and one window at a time."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent

from m3.agent.agent import Agent
from m3.world_model.losses import WorldModelBatch, WorldModelLosses, world_model_losses

CONTEXT, STEPS = 2, 6
REAL_STEPS = (6, 4, 3, 6)
"""Per window; the second one was terminated by its third action and the third one truncated by its second."""


@pytest.fixture
def agent() -> Agent:
    return toy_agent("mixed", world_model={"dropout": 0.0})


@pytest.fixture
def batch(agent: Agent) -> WorldModelBatch:
    """Rewards tell their step: 1, 2, 3, ...; where steps do not exist there are zeros."""
    tokens, actions = random_steps(agent, len(REAL_STEPS), STEPS)
    mask = torch.arange(STEPS) < torch.tensor(REAL_STEPS)[:, None]
    terminated = torch.zeros_like(mask)
    terminated[1, 2] = True
    return WorldModelBatch(
        tokens={name: t * mask[..., None, None] for name, t in tokens.items()},
        actions=actions * mask[..., None],
        rewards=torch.arange(1.0, STEPS + 1) * mask,
        terminated=terminated,
        mask=mask,
    )


def compute(agent: Agent, batch: WorldModelBatch) -> WorldModelLosses:
    return world_model_losses(agent.world_model, batch, agent.tokenizer.codebooks, CONTEXT)


def prediction(agent: Agent, batch: WorldModelBatch, window: int, step: int) -> Tensor:
    """Prediction outputs (K, E) of one step, from the blocks before it only."""
    model = agent.world_model
    past = {name: t[window : window + 1, :step] for name, t in batch.tokens.items()}
    blocks = model.embed(past, batch.actions[window : window + 1, :step], agent.tokenizer.codebooks)
    return model.predict(blocks, predictions=1)[0, 0]


def observation_loss(agent: Agent, batch: WorldModelBatch, window: int, step: int) -> Tensor:
    """Mean over the step's nine tokens; a cell's is the sum over its columns."""
    model = agent.world_model
    parts = model.observation_logits(model.split(prediction(agent, batch, window, step)))
    tokens = {name: t[window, step] for name, t in batch.tokens.items()}
    losses = [
        F.cross_entropy(parts["vector"], tokens["vector"][:, 0], reduction="sum"),
        F.cross_entropy(parts["token"], tokens["token"][:, 0], reduction="sum"),
        F.cross_entropy(parts["token_2d"][:, :2], tokens["token_2d"][:, 0], reduction="sum"),
        F.cross_entropy(parts["token_2d"][:, 2:], tokens["token_2d"][:, 1], reduction="sum"),
    ]
    return torch.stack(losses).sum() / 9


def reward_loss(agent: Agent, batch: WorldModelBatch, window: int, step: int) -> Tensor:
    head = agent.world_model.reward_head
    return head.scalar.loss(head(prediction(agent, batch, window, step + 1)[-1]), torch.tensor(step + 1.0))


def end_loss(agent: Agent, batch: WorldModelBatch, window: int, step: int) -> Tensor:
    logits = agent.world_model.end_head(prediction(agent, batch, window, step + 1)[-1])
    return -F.log_softmax(logits, dim=-1)[int((window, step) == (1, 2))]


@torch.no_grad()
def test_every_head_is_trained_on_its_own_step(agent: Agent, batch: WorldModelBatch) -> None:
    """Observations from the context on; rewards and terminations of step t from the prediction of step t + 1."""
    observed = [(w, t) for w, real in enumerate(REAL_STEPS) for t in range(CONTEXT, real)]
    followed = [(w, t) for w, real in enumerate(REAL_STEPS) for t in range(real - 1)]
    losses = compute(agent, batch)
    assert_close(losses.observations, torch.stack([observation_loss(agent, batch, *s) for s in observed]).mean())
    assert_close(losses.rewards, torch.stack([reward_loss(agent, batch, *s) for s in followed]).mean())
    assert_close(losses.terminations, torch.stack([end_loss(agent, batch, *s) for s in followed]).mean())


@torch.no_grad()
def test_a_window_counts_as_its_mean_observation_loss_plus_its_mean_reward_loss(
    agent: Agent, batch: WorldModelBatch
) -> None:
    expected = [
        torch.stack([observation_loss(agent, batch, window, t) for t in range(CONTEXT, real)]).mean()
        + torch.stack([reward_loss(agent, batch, window, t) for t in range(real - 1)]).mean()
        for window, real in enumerate(REAL_STEPS)
    ]
    assert_close(compute(agent, batch).per_window, torch.stack(expected))


def test_padding_has_no_influence(agent: Agent, batch: WorldModelBatch) -> None:
    tokens, actions = random_steps(agent, len(REAL_STEPS), STEPS, seed=7)
    real = batch.mask
    noisy = WorldModelBatch(
        tokens={name: torch.where(real[..., None, None], t, tokens[name]) for name, t in batch.tokens.items()},
        actions=torch.where(real[..., None], batch.actions, actions),
        rewards=torch.where(real, batch.rewards, 77.0),
        terminated=batch.terminated | ~real,
        mask=real,
    )
    for one, other in zip(compute(agent, noisy), compute(agent, batch), strict=True):
        assert_close(one, other)


def test_the_ensemble_leaves_the_network_alone(agent: Agent, batch: WorldModelBatch) -> None:
    compute(agent, batch).curiosity.backward()
    touched = {name for name, parameter in agent.world_model.named_parameters() if parameter.grad is not None}
    assert touched == {f"curiosity.{name}" for name, _ in agent.world_model.curiosity.named_parameters()}


def test_the_total_is_the_sum_and_trains_everything_but_the_tokenizer(agent: Agent, batch: WorldModelBatch) -> None:
    losses = compute(agent, batch)
    assert_close(losses.total, losses.observations + losses.rewards + losses.terminations + losses.curiosity)
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in agent.world_model.parameters())


def test_there_is_no_ensemble_without_curiosity(batch: WorldModelBatch) -> None:
    agent = toy_agent("mixed", world_model={"curiosity": False}, controller={"intrinsic_weight": 0.0})
    assert not any("curiosity" in name for name in agent.state_dict())
    assert compute(agent, batch).curiosity == 0
