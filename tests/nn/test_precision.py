"""Training in other number formats: what may differ a little, and what stays float32."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import TASKS_WITH_IMAGES, random_steps, toy_agent, toy_settings, toy_trainer

from m3.agent.agent import Agent
from m3.agent.policy import Policy
from m3.config.schema import Precision
from m3.nn.precision import autocast, full_precision, tf32_products
from m3.runs.progress import RunProgress
from m3.seeding import randomness
from m3.world_model.losses import WorldModelBatch, WorldModelLosses, world_model_losses

CPU = torch.device("cpu")
BATCH, STEPS, CONTEXT = 8, 6, 2


def losses(agent: Agent, precision: Precision) -> WorldModelLosses:
    tokens, actions = random_steps(agent, BATCH, STEPS)
    rewards = torch.randn(BATCH, STEPS, generator=torch.Generator().manual_seed(1))
    real = torch.ones(BATCH, STEPS, dtype=torch.bool)
    batch = WorldModelBatch(tokens, actions, rewards, ~real, real)
    with autocast(precision, CPU):
        return world_model_losses(agent.world_model, batch, agent.tokenizer.codebooks, CONTEXT)


@pytest.mark.parametrize("task", ["vector", "all_modalities"])
def test_bf16_losses_are_float32_and_near_those_of_fp32(task: str) -> None:
    agent = toy_agent(task)
    rough, exact = losses(agent, "bf16"), losses(agent, "fp32")
    for name, value in rough._asdict().items():
        assert value.dtype == torch.float32, name
        assert_close(value, getattr(exact, name), rtol=0.02, atol=0.02)
    assert not torch.equal(rough.per_window, exact.per_window)


def test_tf32_is_fp32_on_a_cpu_and_leaves_the_switches_as_they_were() -> None:
    agent = toy_agent("vector")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with tf32_products("tf32"):
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
        assert_close(losses(agent, "tf32"), losses(agent, "fp32"), rtol=0, atol=0)
    with tf32_products("fp32"):
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_full_precision_is_not_tf32_either() -> None:
    with tf32_products("tf32"):
        with full_precision(CPU):
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32


def test_frames_are_encoded_and_actions_chosen_without_tf32_whatever_torch_defaults_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent, switches = toy_agent("image"), []

    def note(*_: object) -> None:
        switches.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))

    assert agent.tokenizer.image is not None
    for module in (agent.tokenizer.image.encoder, agent.actor_critic.actor):
        module.register_forward_hook(note)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    policy = Policy(agent, temperature=1.0)
    frames = np.zeros((2, 3, 8, 8), np.uint8)
    policy.act({"image": frames}, policy.initial_state(2), randomness(CPU, 0))
    assert switches == [(False, False)] * 2


def test_memories_stay_float32_over_many_blocks() -> None:
    agent = toy_agent("vector")
    tokens, actions = random_steps(agent, BATCH, STEPS)
    blocks = agent.world_model.embed(tokens, actions, {})
    with torch.no_grad(), autocast("bf16", CPU):
        memory = agent.world_model.empty_memory()
        for _ in range(20):
            _, memory = agent.world_model.extend(blocks, memory)
    assert {layer.dtype for layer in memory.layers} == {torch.float32}
    assert memory.position == 20 * STEPS * blocks.shape[2]


def test_frames_have_the_same_tokens_in_bf16() -> None:
    agent = toy_agent("image")
    frames = torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with autocast("bf16", CPU):
        tokens = agent.tokenizer.encode({"image": frames})
    assert torch.equal(tokens["image"], agent.tokenizer.encode({"image": frames})["image"])


class Learned(NamedTuple):
    """LSTM state after two observations, and the gradient of its sum for the encoder."""

    state: Tensor
    gradient: Tensor


def observe_twice(agent: Agent, gradient_first: bool) -> Learned:
    """In bf16, where the first observation has a gradient or not."""
    policy = agent.actor_critic
    views = agent.tokenizer.decode({name: t[:, 0] for name, t in random_steps(agent, BATCH, 1)[0].items()})
    with autocast("bf16", CPU):
        with torch.set_grad_enabled(gradient_first):
            _, state = policy.observe(views, policy.initial_state(BATCH))
        _, state = policy.observe(views, tuple((h.detach(), c.detach()) for h, c in state))
    hidden = state[0][0]
    (gradient,) = torch.autograd.grad(hidden.sum(), next(policy.actor_trunk.observation_encoder.parameters()))
    return Learned(hidden, gradient)


def test_weights_that_were_read_without_gradient_still_learn() -> None:
    agent = toy_agent("vector")
    after_none, after_some = observe_twice(agent, False), observe_twice(agent, True)
    assert after_none.state.dtype == torch.float32
    assert_close(after_none, after_some)
    assert after_none.gradient.abs().sum() > 0


def test_products_in_full_precision_are_those_outside() -> None:
    x = torch.randn(9, 9, generator=torch.Generator().manual_seed(0))
    with autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
        with full_precision(CPU):
            inside = x @ x
    assert_close(inside, x @ x, rtol=0, atol=0)


@pytest.mark.parametrize("task", TASKS_WITH_IMAGES)
def test_a_bf16_run_trains_float32_weights(task: str) -> None:
    settings = toy_settings(task, precision="bf16")
    trainer = toy_trainer(settings)
    for _ in range(settings.epochs):
        trainer.run_epoch(RunProgress(settings))
    assert {parameter.dtype for parameter in trainer.agent.parameters()} == {torch.float32}
    newest = trainer.log.newest
    assert all(math.isfinite(newest[f"{name}/loss"]) for name in trainer.components)
