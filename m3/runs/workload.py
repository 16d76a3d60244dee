"""How much arithmetic a run takes, and how long: an estimate before anything is timed."""

import torch
from torch import nn

from m3.bench.operations import OperationCount
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.training.component import Component
from m3.training.trainer import Trainer

_CPU_SPEED = 50e9
"""Operations per second and thread; 60e9 on cores with AVX-512 (BENCHMARKS.md), less on others."""
_CPU_CORES_THAT_HELP = 16
_GPU_SPEED = 10e12
"""Of a large GPU at these sizes: between what the projections for an H100 come to for DMC and for Atari."""
_WEEK = 7 * 24 * 3600


def operations_per_step(trainer: Trainer) -> dict[str, float]:
    """Estimate the additions and multiplications of one step of each component, within a third of what is counted.

    A multiplication with a weight is two operations forwards and four backwards. The retentive network reads the tokens
    of each block and predicts the next one's; it has nearly all operations of the world model and of imagination.
    """
    settings, agent = trainer.settings, trainer.agent
    sequences, model = settings.sequences, agent.world_model
    tokens = 2 * model.observation_tokens + model.action_embedding.tokens
    per_block = 2 * _parameters(model.sequence) * tokens
    behaved = sequences.burn_in + sequences.length + 1
    per_behaved = 6 * _parameters(agent.actor_critic)
    found = {
        "world_model": settings.world_model.schedule.batch_size * 3 * sequences.length * per_block,
        "controller": settings.controller.schedule.batch_size
        * ((sequences.length + 1) * per_block + behaved * per_behaved),
    }
    if "tokenizer" in trainer.components:
        component = trainer.components["tokenizer"]
        found["tokenizer"] = component.schedule.batch_size * 3 * _operations_of_a_frame(component, settings)
    return {part: float(operations) for part, operations in found.items()}


def seconds_of_parts(trainer: Trainer, device: torch.device) -> dict[str, float]:
    """Guess the seconds of one step of each component on a device, from its operations alone."""
    cores = min(torch.get_num_threads(), _CPU_CORES_THAT_HELP)
    speed = _GPU_SPEED if device.type == "cuda" else _CPU_SPEED * cores
    return {part: operations / speed for part, operations in operations_per_step(trainer).items()}


def refuse_weeks_on_the_cpu(seconds: float, device: torch.device, name: str) -> None:
    """Raise UserError where a run would take weeks on a CPU that nobody asked for.

    Args:
        seconds: how long it would take.
        device: where it would train.
        name: what was asked for: "auto", "cpu", ...
    """
    if name == "auto" and device.type == "cpu" and seconds > _WEEK:
        raise UserError(
            f"there is no GPU here, and on this CPU the run would take about {seconds / _WEEK:.0f} weeks: "
            "train where there is one, or say --device cpu if you mean it; --variant tiny trains in minutes"
        )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _operations_of_a_frame(component: Component, settings: RunSettings) -> int:
    """Count what the tokenizer's loss of one frame takes forwards, by computing it."""
    side = getattr(settings.environment, "image_size", 64)
    frame = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=next(component.module.parameters()).device)
    with torch.no_grad(), OperationCount() as operations:
        component.compute(frame, frozenset())
    return operations.total
