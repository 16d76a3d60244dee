"""Imagination against the parallel form that training uses."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent

from m3.agent.agent import Agent
from m3.nn.distributions import Uniforms
from m3.world_model import imagination as imagination_module
from m3.world_model.imagination import Imagination, ImaginedState, ImaginedStep

CONTEXT, STEPS, BATCH = 2, 5, 3


def imagine(
    agent: Agent, tokens: dict[str, Tensor], actions: Tensor, context: int, seed: int = 0
) -> tuple[list[ImaginedState], list[ImaginedStep]]:
    """From the first ``context`` blocks, take the other actions one by one; states before, and what followed."""
    imagination = Imagination(
        agent.world_model, agent.tokenizer.codebooks, Uniforms(torch.Generator().manual_seed(seed))
    )
    states = [imagination.start({n: t[:, :context] for n, t in tokens.items()}, actions[:, : context - 1])]
    steps = []
    for action in actions[:, context - 1 :].unbind(1):
        step, state = imagination.step(states[-1], action)
        steps.append(step)
        states.append(state)
    return states, steps


def parallel_outputs(agent: Agent, tokens: dict[str, Tensor], actions: Tensor) -> Tensor:
    """Prediction outputs (B, T, K, E) of the steps after each block, all at once as in training."""
    model = agent.world_model
    blocks = model.embed(tokens, actions, agent.tokenizer.codebooks)
    return model.predict(blocks, actions.shape[1])


@pytest.mark.parametrize("task", ["mixed", "vector", "image"])
@torch.no_grad()
def test_steps_predict_what_the_training_form_predicts_after_the_same_blocks(task: str) -> None:
    agent = toy_agent(task)
    tokens, actions = random_steps(agent, BATCH, STEPS)
    states, steps = imagine(agent, tokens, actions, CONTEXT)
    imagined = {
        name: torch.cat((t[:, : CONTEXT - 1], *(state.tokens[name][:, -1:] for state in states[:-1])), dim=1)
        for name, t in tokens.items()
    }
    outputs = parallel_outputs(agent, imagined, actions)[:, CONTEXT - 1 :]
    model = agent.world_model
    assert model.curiosity is not None
    rewards = model.reward_head.scalar.mean(model.reward_head(outputs[:, :, -1]))
    disagreements = model.curiosity.step_disagreement(model.split(outputs))
    assert_close(torch.stack([s.reward for s in steps], dim=1), rewards, atol=1e-5, rtol=1e-4)
    assert_close(torch.stack([s.disagreement for s in steps], dim=1), disagreements, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_next_tokens_and_ends_are_drawn_from_their_heads() -> None:
    agent = toy_agent("mixed")
    model = agent.world_model
    one_step, one_action = random_steps(agent, 1, CONTEXT)
    draws = 5_000
    tokens = {name: t.expand(draws, *t.shape[1:]) for name, t in one_step.items()}
    (_, state), (step,) = imagine(agent, tokens, one_action.expand(draws, -1, -1), CONTEXT)

    output = parallel_outputs(agent, one_step, one_action)[:, -1]
    logits = model.observation_logits(model.split(output))
    expected = {
        "vector": logits["vector"][0, 1].softmax(-1),
        "token": logits["token"][0, 1].softmax(-1),
        "token_2d": logits["token_2d"][0, 1, 2:].softmax(-1),
    }
    for name, probabilities in expected.items():
        drawn = state.observation[name][:, 1, -1]
        frequencies = torch.bincount(drawn, minlength=len(probabilities)) / draws
        assert_close(frequencies, probabilities, atol=0.03, rtol=0)
    assert_close(step.terminated.float().mean(), model.end_head(output[0, -1]).softmax(-1)[1], atol=0.03, rtol=0)


def test_what_was_imagined_is_what_goes_on() -> None:
    """Changing an imagined token changes the reward predicted next."""
    agent = toy_agent("mixed")
    tokens, actions = random_steps(agent, BATCH, CONTEXT)
    (_, state), _ = imagine(agent, tokens, actions, CONTEXT)
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms(torch.Generator().manual_seed(0)))
    other = ImaginedState(state.memory, {n: 1 - t.clamp(max=1) for n, t in state.tokens.items()}, state.actions)
    first, second = (imagination.step(s, actions[:, 0])[0] for s in (state, other))
    assert not torch.allclose(first.reward, second.reward)


def test_the_generator_decides_what_is_imagined() -> None:
    agent = toy_agent("mixed")
    tokens, actions = random_steps(agent, BATCH, STEPS)
    runs = [imagine(agent, tokens, actions, CONTEXT, seed)[0][-1].tokens["vector"] for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("context", [1, 3])
def test_the_first_observation_to_act_on_is_the_last_of_the_context(context: int) -> None:
    agent = toy_agent("mixed")
    tokens, actions = random_steps(agent, BATCH, context)
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms())
    state = imagination.start(tokens, actions[:, :-1])
    for name, observed in state.observation.items():
        assert torch.equal(observed, tokens[name][:, -1])


@torch.no_grad()
def test_outcomes_read_together_are_those_of_single_steps() -> None:
    """Also where the ensemble takes the steps one after the other; the same numbers are behind the same samples."""
    agent = toy_agent("mixed")
    tokens, actions = random_steps(agent, BATCH, STEPS)
    states, steps = imagine(agent, tokens, actions, CONTEXT)
    for at_once in (2**25, 1):
        generator = torch.Generator().manual_seed(0)
        imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms(generator))
        imagined, state = [], states[0]
        for action in actions[:, CONTEXT - 1 :].unbind(1):
            outcome, state = imagination.advance(state, action)
            imagined.append(outcome)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(imagination_module, "_LOGITS_AT_ONCE", at_once)
            together = imagination.read(imagined)
        for name, part in together._asdict().items():
            assert_close(part, torch.stack([getattr(step, name) for step in steps], dim=1))
    assert all(torch.equal(t, states[-1].tokens[name]) for name, t in state.tokens.items())
