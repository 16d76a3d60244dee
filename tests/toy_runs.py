"""Runs and agents on the toy environments, small enough that an epoch takes a fraction of a second."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.config.identity import canonical
from m3.config.layers import merge
from m3.config.schema import RunSettings
from m3.environments import SerialEnvironments, make_environment
from m3.files.run_folder import resolved_name
from m3.runs.saving import CheckpointInterval
from m3.runs.train import AfterEpoch, train
from m3.specs import DiscreteActions
from m3.training.trainer import Trainer

TASKS_WITH_IMAGES = ("image", "all_modalities")
FSQ: dict[str, Any] = {"tokenizer": {"quantizer": {"kind": "fsq", "levels": [4, 3]}}}
"""Settings of image tokens on a lattice."""


def toy_settings(task: str, **changes: Any) -> RunSettings:
    """A tiny run of a toy environment that trains every component from its third epoch on.

    Args:
        task: name of the toy environment.
        changes: more settings, nested as in ``RunSettings``; they win.
    """
    content: dict[str, Any] = {
        "benchmark": "toy",
        "variant": "tiny",
        "task": task,
        "seed": 0,
        "epochs": 4,
        "environment": {"family": "toy", "image_size": 8},
        "sequences": {"length": 4, "context_length": 2, "burn_in": 3},
        "collection": {"steps_per_epoch": 20, "epsilon": 0.1},
        "evaluation": {"every_epochs": 2, "episodes": 3, "environments": 2},
        "world_model": {
            "layers": 2,
            "heads": 2,
            "width": 16,
            "decay_scale_min": 2,
            "decay_scale_max": 4,
            "schedule": {"start_after_epoch": 1, "steps_per_epoch": 2, "batch_size": 4},
        },
        "controller": {
            "mlp": [16],
            "lstm_width": 16,
            "token_embedding_size": 4,
            "schedule": {"start_after_epoch": 2, "steps_per_epoch": 2, "batch_size": 4},
        },
    }
    if task in TASKS_WITH_IMAGES:
        content["tokenizer"] = {
            "channels": 8,
            "downsamples": 1,
            "code_size": 8,
            "vocabulary": 16,
            "perceptual": "none",
            "schedule": {"start_after_epoch": 0, "steps_per_epoch": 2, "batch_size": 4},
        }
    return RunSettings.model_validate(merge([content, changes]))


def toy_agent(task: str, seed: int = 0, **changes: Any) -> Agent:
    """The freshly initialised agent of ``toy_settings``, in evaluation mode."""
    settings = toy_settings(task, **changes)
    environment = make_environment(settings.environment, task, "train")
    torch.manual_seed(seed)
    return Agent(settings, environment.observation_spec, environment.action_spec).eval()


def decisive_agent(task: str, seed: int = 0, **changes: Any) -> Agent:
    """A ``toy_agent`` whose actions depend much on what it has seen and done."""
    agent = toy_agent(task, seed, **changes)
    with torch.no_grad():
        for parameter in agent.actor_critic.actor_trunk.lstm.parameters():
            parameter *= 8
        agent.actor_critic.actor.weight *= 30
        agent.actor_critic.actor.bias.zero_()
    return agent


def random_steps(agent: Agent, *shape: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Random tokens int64 (*shape, K_m, C_m) of each modality, and random actions (*shape, A)."""
    generator = torch.Generator().manual_seed(seed)
    tokens = {
        name: torch.stack(
            [torch.randint(size, (*shape, spec.count), generator=generator) for size in spec.vocabularies], dim=-1
        )
        for name, spec in agent.tokenizer.tokens.items()
    }
    actions = agent.actor_critic.actions
    if isinstance(actions, DiscreteActions):
        columns = [torch.randint(size, shape, generator=generator) for size in actions.sizes]
        return tokens, torch.stack(columns, dim=-1)
    return tokens, torch.rand(*shape, actions.dimensions, generator=generator) * 2 - 1


def train_in_folder(folder: Path, settings: RunSettings, after_epoch: AfterEpoch | None = None) -> Path:
    """Train a run to its end in a folder that is as the workflow's is; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / resolved_name(settings)).write_text(canonical(settings))
    following = nullcontext(after_epoch) if after_epoch is not None else None
    assert train(settings, folder, device="cpu", interval=CheckpointInterval(10), following=following)
    return folder


def toy_trainer(settings: RunSettings) -> Trainer:
    """A run of ``toy_settings`` as it is before its first epoch."""
    environment = make_environment(settings.environment, settings.task, "train")
    make_test = partial(make_environment, settings.environment, settings.task, "test")
    test_environments = SerialEnvironments(make_test, settings.evaluation.environments)
    return Trainer(settings, environment, test_environments, None, torch.device("cpu"))
