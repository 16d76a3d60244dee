"""One training step of every component of every benchmark at the paper's sizes, with batches of four.

The experience is made up, so that no simulator is needed; the perceptual distance, whose weights are not part of the
project, is left out.
"""

import math

import numpy as np
import pytest
import torch

from m3.agent.agent import Agent
from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.runs.progress import finish
from m3.seeding import randomness
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, Observation, ObservationSpec
from m3.training.component import Component
from m3.training.components import ControllerComponent, TokenizerComponent, WorldModelComponent
from m3.training.device_replay import DeviceReplay
from m3.training.replay_tokens import ReplayTokens

CPU = torch.device("cpu")
STEPS = 30


def one_step_of_four(settings: RunSettings) -> RunSettings:
    content = settings.model_dump()
    for part in ("tokenizer", "world_model", "controller"):
        if content[part] is not None:
            content[part]["schedule"] |= {"steps_per_epoch": 1, "batch_size": 4}
    return RunSettings.model_validate(content)


def made_up_replay(observations: ObservationSpec, actions: ActionSpec, context_length: int) -> Replay:
    """One long episode of random observations and actions."""
    rng = np.random.default_rng(0)

    def observe() -> Observation:
        made = {}
        for name, spec in observations.modalities.items():
            if name == "vector":
                made[name] = rng.normal(size=spec.shape).astype(np.float32)
            else:
                made[name] = rng.integers(0, spec.vocabularies or 256, spec.shape).astype(spec.dtype)
        return made

    replay = Replay(observations, actions, context_length, 10**8)
    observation = observe()
    for step in range(STEPS):
        sizes = actions.sizes if isinstance(actions, DiscreteActions) else None
        action = rng.integers(sizes) if sizes else rng.uniform(-1, 1, actions.shape).astype(np.float32)
        following = observe()
        replay.add(observation, action, rng.normal(), step == STEPS - 1, False, following)
        observation = following
    return replay


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "task", "observations", "actions"),
    [
        ("atari100k", "Alien", {"image": ModalitySpec((3, 64, 64), "uint8")}, DiscreteActions((18,))),
        ("dmc500k", "walker-walk", {"vector": ModalitySpec((24,), "float32")}, ContinuousActions(6)),
        (
            "craftax1m",
            "Craftax-Symbolic-v1",
            {
                "vector": ModalitySpec((47,), "float32"),
                "token": ModalitySpec((1,), "uint8", (4,)),
                "token_2d": ModalitySpec((99, 4), "uint8", (37, 5, 41, 21)),
            },
            DiscreteActions((43,)),
        ),
    ],
    ids=["atari", "dmc", "craftax"],
)
def test_every_component_trains(
    benchmark: str, task: str, observations: dict[str, ModalitySpec], actions: ActionSpec
) -> None:
    settings = one_step_of_four(load_run(Run(benchmark, "m3", task, seed=0)))
    torch.manual_seed(0)
    agent = Agent(settings, ObservationSpec(observations), actions).eval()
    replay = made_up_replay(ObservationSpec(observations), actions, settings.sequences.context_length)
    tokens = ReplayTokens(agent.tokenizer, DeviceReplay(replay, CPU))
    components: list[Component] = [
        WorldModelComponent(agent, settings, replay, tokens, CPU),
        ControllerComponent(agent, settings, replay, tokens, CPU),
    ]
    if agent.tokenizer.image is not None:
        components.insert(0, TokenizerComponent(agent.tokenizer.image, settings, DeviceReplay(replay, CPU), None, CPU))
    for component in components:
        before = [parameter.detach().clone() for parameter in component.module.parameters()]
        epoch = settings.epochs  # after any warm-up
        metrics = finish(component.train(randomness(CPU, 0), epoch), component.name, 1)
        assert all(map(math.isfinite, metrics.values()))
        moved = [not torch.equal(p, old) for p, old in zip(component.module.parameters(), before, strict=True)]
        assert all(moved), component.name
