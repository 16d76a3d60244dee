"""Where tensors are, and how many parameters the paper's agents have.

The paper's counts include parameters that the reference carries and never uses, as do its published weights.
"""

import pytest
import torch
from torch import nn
from toy_runs import toy_agent

from m3.agent.agent import Agent
from m3.cli import main
from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.reference.weights import unused_in_reference
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec
from m3.tokenizers.image_fsq import FSQTokenizer

ATARI = ObservationSpec({"image": ModalitySpec((3, 64, 64), "uint8")})
WALKER = ObservationSpec({"vector": ModalitySpec((24,), "float32")})
CRAFTAX = ObservationSpec(
    {
        "vector": ModalitySpec((47,), "float32"),
        "token": ModalitySpec((1,), "uint8", (4,)),
        "token_2d": ModalitySpec((99, 4), "uint8", (37, 5, 40, 21)),
    }
)


CRAFTAX_WITH_NONE = ObservationSpec({**CRAFTAX.modalities, "token_2d": ModalitySpec((99, 4), "uint8", (37, 5, 41, 21))})
ALIEN, WALK, CRAFT = ("atari100k", "Alien"), ("dmc500k", "walker-walk"), ("craftax1m", "Craftax-Symbolic-v1")
BREAKOUT = ("atari100k", "Breakout")
ALL_ACTIONS, FOUR_ACTIONS, OF_CRAFTAX = (DiscreteActions((n,)) for n in (18, 4, 43))
OF_WALKER = ContinuousActions(6)


@pytest.mark.parametrize(
    ("run", "variant", "observations", "actions", "tokenizer", "world_model", "in_reference", "controller"),
    [
        (ALIEN, "m3", ATARI, ALL_ACTIONS, 5_596_931, 10_817_667, 11_212_931, 4_653_395),
        (ALIEN, "fsq", ATARI, ALL_ACTIONS, 5_467_654, 10_817_667, 11_212_931, 4_653_395),
        (ALIEN, "attention", ATARI, ALL_ACTIONS, 5_596_931, 10_149_251, 10_149_763, 4_653_395),
        (ALIEN, "simulus-a", ATARI, ALL_ACTIONS, 5_467_654, 10_149_251, 10_149_763, 4_653_395),
        (BREAKOUT, "m3", ATARI, FOUR_ACTIONS, 5_596_931, 10_814_083, None, 4_639_045),
        (BREAKOUT, "simulus-a", ATARI, FOUR_ACTIONS, 5_467_654, 10_145_667, 10_146_179, 4_639_045),
        (WALK, "m3", WALKER, OF_WALKER, 0, 5_635_380, 5_809_073, 2_559_027),
        (WALK, "attention", WALKER, OF_WALKER, 0, 5_255_988, 5_307_060, 2_559_027),
        (CRAFT, "m3", CRAFTAX, OF_CRAFTAX, 0, 7_234_827, 7_751_667, 5_784_428),
        (CRAFT, "attention", CRAFTAX, OF_CRAFTAX, 0, 6_900_491, 6_901_003, 5_784_428),
        (CRAFT, "m3", CRAFTAX_WITH_NONE, OF_CRAFTAX, 0, 7_237_648, None, 5_784_492),
        (CRAFT, "attention", CRAFTAX_WITH_NONE, OF_CRAFTAX, 0, 6_903_312, 6_903_824, 5_784_492),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parameter_counts_of_the_paper_and_of_simulus_a(
    run: tuple[str, str],
    variant: str,
    observations: ObservationSpec,
    actions: ActionSpec,
    tokenizer: int,
    world_model: int,
    in_reference: int | None,
    controller: int,
) -> None:
    benchmark, task = run
    agent = Agent(load_run(Run(benchmark, variant, task, seed=0)), observations, actions)
    assert count(agent.tokenizer) == tokenizer
    assert count(agent.world_model) == world_model
    if in_reference is not None:
        assert count(agent.world_model) + unused_in_reference(agent) == in_reference
    assert count(agent.actor_critic) == controller


@pytest.mark.parametrize(
    ("words", "beside"),
    [
        (["dmc500k", "cartpole-swingup", "m3"], True),
        (["dmc500k", "cartpole-swingup", "tiny"], False),
        (["toy", "image", "m3"], False),
    ],
)
def test_the_reference_is_shown_beside_agents_that_it_has(
    words: list[str], beside: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark, task, variant = words
    assert main(["describe", "--benchmark", benchmark, "--task", task, "--variant", variant]) == 0
    assert ("in the reference" in capsys.readouterr().out) is beside


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("actions", "controller"), [(18, 4_653_395), (4, 4_639_045)])
def test_parameter_counts_of_fsq_image_tokens(actions: int, controller: int) -> None:
    """As measured in the authors' Simulus-A; the rest is as with a codebook."""
    agent = Agent(load_run(Run("atari100k", "fsq", "Alien", seed=0)), ATARI, DiscreteActions((actions,)))
    image = agent.tokenizer.image
    assert isinstance(image, FSQTokenizer)
    parts = image.encoder, image.down, image.up, image.decoder
    assert tuple(map(count, parts)) == (2_732_800, 771, 1_024, 2_733_059)
    assert count(agent.tokenizer) == 5_467_654
    assert count(agent.actor_critic) == controller
    assert (image.tokens.count, image.tokens.vocabularies, image.view.shape) == (64, (512,), (256, 8, 8))


@pytest.mark.parametrize("task", ["all_modalities", "vector"])
def test_every_tensor_is_a_parameter_or_a_buffer(task: str) -> None:
    """So that it moves with the agent, and what has to be saved is saved."""
    agent = toy_agent(task, controller={"separate_networks": True})
    for name, module in agent.named_modules():
        known = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        own = {key: value for key, value in vars(module).items() if key not in ("_parameters", "_buffers", "_modules")}
        assert not [tensor for tensor in tensors_in(own) if id(tensor) not in known], name


def tensors_in(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    return [tensor for child in children for tensor in tensors_in(child)]


def test_buffers_that_are_not_saved_are_the_same_in_every_agent_of_its_settings() -> None:
    first, second = toy_agent("all_modalities", seed=0), toy_agent("all_modalities", seed=1)
    saved = set(first.state_dict())
    constants = {name: buffer for name, buffer in first.named_buffers() if name not in saved}
    assert constants
    for name, buffer in second.named_buffers():
        if name in constants:
            assert torch.equal(buffer, constants[name]), name
