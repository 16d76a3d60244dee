"""Final scores of a trained run."""

from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from m3.agent.agent import Agent
from m3.config.identity import canonical, config_hash
from m3.data import hdf5
from m3.data.provenance import Provenance
from m3.environments import VectorEnvironment, make_environment
from m3.seeding import derive
from m3.training.devices import device_name
from m3.training.evaluator import evaluate
from m3.training.progress import finish
from m3.training.weights import load_weights

FORMAT = "m3.scores"


def score_run(weights_file: Path, episodes: int, output: Path, device: torch.device) -> None:
    """Evaluate trained weights and write every episode's return and length.

    Args:
        weights_file: of the run.
        episodes: how many to play.
        output: scores.h5.
        device: where the networks are.

    Raises:
        UserError: the weights are missing or damaged, or the environment's package is.
    """
    weights = load_weights(weights_file)
    settings = weights.settings
    count = min(settings.evaluation.environments, episodes)
    make = partial(make_environment, settings.environment, settings.task, "test")
    with closing(VectorEnvironment(make, count)) as environments:
        agent = Agent(settings, environments.observation_spec, environments.action_spec).eval()
        agent.load_state_dict(weights.state)
        agent.to(device)
        temperature = settings.evaluation.temperature
        seed = derive(settings.seed, "final evaluation")
        work = evaluate(agent, environments, episodes, temperature, seed, device)
        scores = finish(work, f"{settings.task} seed {settings.seed} | evaluate", episodes)
    content: hdf5.Tree = {
        "benchmark": settings.benchmark,
        "variant": settings.variant,
        "task": settings.task,
        "seed": settings.seed,
        "agent_steps": weights.agent_steps,
        "frames_per_step": environments.frames_per_step,
        "temperature": temperature,
        "returns": scores.returns,
        "lengths": scores.lengths,
    }
    provenance = Provenance(canonical(settings), config_hash(settings), [settings.seed], device_name(device))
    hdf5.write(output, FORMAT, content, provenance)
