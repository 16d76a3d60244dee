"""Encoders of what the policy sees, however narrow its codes."""

import pytest
import torch
from toy_runs import random_steps, toy_agent

from m3.agent.encoders import ObservationEncoder
from m3.tokenizers.base import TokenSpec, ViewSpec


@pytest.mark.parametrize(
    ("channels", "widths"), [(256, (128, 64)), (8, (4, 2)), (4, (2, 1)), (6, (3, 2)), (3, (3, 3)), (1, (1, 1))]
)
def test_codes_are_halved_twice_where_there_is_something_to_spare(channels: int, widths: tuple[int, int]) -> None:
    views, tokens = {"image": ViewSpec("map", (channels, 2, 5))}, {"image": TokenSpec(10, (7,), channels)}
    encoder = ObservationEncoder(views, tokens, 4, (16,))
    maps = encoder.encoders["image"]
    assert (maps[0].out_channels, maps[2].out_channels) == widths
    assert encoder({"image": torch.randn(3, channels, 2, 5)}).shape == (3, 16)


@pytest.mark.parametrize("code_size", [1, 2, 3, 5])
def test_an_agent_sees_differences_of_narrow_codes(code_size: int) -> None:
    agent = toy_agent("image", tokenizer={"code_size": code_size})
    with torch.no_grad():
        agent.tokenizer.image.codes.weight.normal_()
    tokens, _ = random_steps(agent, 4)
    output, _ = agent.actor_critic.observe(agent.tokenizer.decode(tokens), agent.actor_critic.initial_state(4))
    assert output.logits.std(dim=0).min() > 0
