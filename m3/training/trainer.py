"""One run: collect, train each part, evaluate, log."""

from copy import deepcopy
from typing import Any

import torch

from m3.agent.agent import Agent
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.environments import Environment, VectorEnvironment
from m3.errors import UserError
from m3.nn.retnet import RetNet
from m3.seeding import Randomness, derive, randomness
from m3.tokenizers.base import Perceptual
from m3.training.collector import Collector
from m3.training.compilation import compile_imagination
from m3.training.component import Component
from m3.training.components import ControllerComponent, TokenizerComponent, WorldModelComponent
from m3.training.device_replay import DeviceReplay
from m3.training.evaluator import play_episodes
from m3.training.metric_log import MetricLog
from m3.training.replay_tokens import ReplayTokens
from m3.training.schedule import Progress, Work, parts_of_epoch
from m3.training.state import to_arrays, to_tensors


def new_replay(settings: RunSettings, environment: Environment) -> Replay:
    """Make the empty replay of a run."""
    capacity = int(settings.replay.capacity_gigabytes * 1e9)
    context_length = settings.sequences.context_length
    return Replay(environment.observation_spec, environment.action_spec, context_length, capacity)


class Trainer:
    """Everything of one run that changes while it trains; an epoch depends on nothing else.

    Args:
        settings: the run.
        environment: in training mode.
        test_environments: in test mode, for evaluations.
        perceptual: the tokenizer's perceptual distance, where the settings ask for one.
        device: where the networks are.
        graphs: capture the steps of all components and replay them (CUDA graphs).
        recompute: compute the world model's layers again in its backward pass, for memory's sake.

    Raises:
        UserError: graphs cannot be captured of what is computed again.
    """

    def __init__(
        self,
        settings: RunSettings,
        environment: Environment,
        test_environments: VectorEnvironment,
        perceptual: Perceptual | None,
        device: torch.device,
        graphs: bool = False,
        recompute: bool = False,
    ) -> None:
        if graphs and recompute:
            raise UserError("steps that recompute layers cannot be captured as graphs: leave one of the two out")
        self.settings = settings
        self._device = device
        self._test_environments = test_environments
        self.epoch = 0
        self.frames_per_step = environment.frames_per_step
        self.observation_spec = environment.observation_spec
        self.own_values = environment.own
        torch.manual_seed(derive(settings.seed, "initialisation"))
        self.agent = Agent(settings, environment.observation_spec, environment.action_spec).eval().to(device)
        self.replay = new_replay(settings, environment)
        self.collector = Collector(
            self.agent, environment, self.replay, settings.collection, settings.sequences.burn_in, settings.seed
        )
        stored = DeviceReplay(self.replay, device)
        self.tokens = ReplayTokens(self.agent.tokenizer, stored)
        self.components: dict[str, Component] = {
            "world_model": WorldModelComponent(self.agent, settings, self.replay, self.tokens, device),
            "controller": ControllerComponent(self.agent, settings, self.replay, self.tokens, device),
        }
        image = self.agent.tokenizer.image
        if image is not None:
            self.components["tokenizer"] = TokenizerComponent(image, settings, stored, perceptual, device)
        for module in self.agent.modules():
            if isinstance(module, RetNet):
                module.recompute = recompute
        if settings.compile == "default":
            compile_imagination(self.agent)
        if graphs:
            for component in self.components.values():
                component.capture()
        self.log = MetricLog()

    def run_epoch(self, progress: Progress) -> None:
        """Train the next epoch."""
        self.epoch += 1
        self.tokens.forget()  # the tokenizer trains before any other part reads them
        metrics: dict[str, float] = {}
        for part, steps in parts_of_epoch(self.settings, self.epoch).items():
            if part in self.components and not self.components[part].ready():
                continue
            random = randomness(self._device, self.settings.seed, part, self.epoch)
            metrics |= progress.follow(part, steps, self._work(part, steps, random))
        seconds = progress.end_epoch(self.epoch, self.collector.agent_steps, metrics)
        counters = {"epoch": self.epoch, "agent_steps": self.collector.agent_steps}
        self.log.add_epoch({**counters, **metrics, **seconds})

    def _work(self, part: str, steps: int, random: Randomness) -> Work[dict[str, float]]:
        """Do a part's steps of one epoch; return what they measured."""
        if part == "collect":
            yield from self.collector.collect(steps, random)
        elif part == "evaluate":
            temperature = self.settings.evaluation.temperature
            seed = int(random.numpy.integers(2**63))
            scores = yield from play_episodes(
                self.agent, self._test_environments, steps, temperature, seed, self._device
            )
            self.log.add_evaluation(self.epoch, self.collector.agent_steps, scores)
            return {"evaluation/return": float(scores.returns.mean())}
        else:
            self.components[part].begin_epoch(self.epoch, self.settings.epochs)
            return (yield from self.components[part].train(random, self.epoch))
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return all but the replay, as arrays and plain values, which stay as they are when training goes on."""
        return {
            "epoch": self.epoch,
            "agent": to_arrays(self.agent.state_dict()),
            "components": {name: component.state_dict() for name, component in self.components.items()},
            "collector": deepcopy(self.collector.state_dict()),  # observations and simulators may use memory again
            "log": self.log.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly; the replay must have been restored before."""
        self.epoch = state["epoch"]
        self.agent.load_state_dict(to_tensors(state["agent"]))
        for name, component in self.components.items():
            component.load_state_dict(state["components"][name])
        self.collector.load_state_dict(state["collector"])
        self.log.load_state_dict(state["log"])
