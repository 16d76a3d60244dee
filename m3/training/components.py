"""The three trained parts of the agent: how each draws its batches and computes its loss."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.agent.behavior import Trajectory, behavior_losses, imagine, start_imagination
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.data.samplers import PrioritizedSampler, Sampler, UniformSampler
from m3.nn.distributions import DrawnUniforms, Uniforms
from m3.nn.scaling import ReturnRange
from m3.seeding import Randomness
from m3.tokenizers.base import ImageTokenizer, Perceptual
from m3.training.component import WHOLE, Component, Computed, Drawn, Form
from m3.training.device_replay import DeviceReplay
from m3.training.replay_tokens import ReplayTokens
from m3.training.schedule import is_curious
from m3.training.state import to_arrays, to_tensors
from m3.world_model.imagination import Imagination
from m3.world_model.losses import WorldModelBatch, world_model_losses


class TokenizerComponent(Component):
    """Trains the image tokenizer on single frames."""

    def __init__(
        self,
        image: ImageTokenizer,
        settings: RunSettings,
        stored: DeviceReplay,
        perceptual: Perceptual | None,
        device: torch.device,
    ) -> None:
        assert settings.tokenizer is not None
        part = settings.tokenizer
        super().__init__("tokenizer", image, part.schedule, part.optimizer, settings.precision, device)
        self._image = image
        self._stored = stored
        self._perceptual = perceptual

    def ready(self) -> bool:
        return self._stored.replay.num_rows >= self.schedule.batch_size

    def draw(self, random: Randomness) -> Drawn:
        rows = self._stored.replay.sample_rows(self.schedule.batch_size, random.numpy)
        return Drawn(self._stored.observations_at(rows, "image"))

    def compute(self, batch: Tensor, form: Form) -> Computed:
        """From frames, uint8 (B, 3n, H, W)."""
        losses = self._image.losses(batch, self._perceptual)
        return Computed(sum(losses.values(), start=torch.zeros((), device=self._device)), losses)


class WorldModelComponent(Component):
    """Trains the world model and its ensemble on windows, partly by priority."""

    def __init__(
        self, agent: Agent, settings: RunSettings, replay: Replay, tokens: ReplayTokens, device: torch.device
    ) -> None:
        part = settings.world_model
        super().__init__(
            "world_model", agent.world_model, part.schedule, part.optimizer, settings.precision, device, decay_all=False
        )
        self._agent = agent
        self._settings = settings
        self._sequences = settings.sequences
        self._replay = replay
        self._tokens = tokens
        share = settings.replay.prioritized_share
        self.sampler: Sampler = PrioritizedSampler(replay, share, settings.replay.initial_loss)

    def ready(self) -> bool:
        return self._replay.num_windows >= self.schedule.batch_size

    def draw(self, random: Randomness) -> Drawn:
        ids = self.sampler.sample(self.schedule.batch_size, random.numpy)
        windows, tokens = self._tokens.windows(ids, before=0, length=self._sequences.length)
        batch = WorldModelBatch(
            tokens=tokens,
            actions=windows.actions,
            rewards=windows.rewards,
            terminated=windows.terminated,
            mask=windows.mask,
        )
        return Drawn(batch, lambda losses: self.sampler.update(ids, losses))

    def form(self, epoch: int) -> Form:
        return WHOLE if is_curious(self._settings, epoch) else WHOLE | {"curiosity"}

    def compute(self, batch: WorldModelBatch, form: Form) -> Computed:
        codebooks, context_length = self._agent.tokenizer.codebooks, self._sequences.context_length
        curious = "curiosity" not in form
        losses = world_model_losses(self._agent.world_model, batch, codebooks, context_length, curious)
        scalars = {
            "observation_loss": losses.observations,
            "reward_loss": losses.rewards,
            "end_loss": losses.terminations,
            "curiosity_loss": losses.curiosity,
        }
        return Computed(losses.total, scalars, losses.per_window)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.sampler.load_state_dict(state["sampler"])


class ControllerBatch(NamedTuple):
    """Windows of burn-in and context, padded on the left, and the numbers behind all that is sampled after them.

    tokens: int64 (B, T, K_m, C_m) per modality. actions: (B, T, A). mask: bool (B, T). uniforms: (B, N).
    """

    tokens: Mapping[str, Tensor]
    actions: Tensor
    mask: Tensor
    uniforms: Tensor


class ControllerComponent(Component):
    """Trains actor and critic in imagination, from real context."""

    def __init__(
        self, agent: Agent, settings: RunSettings, replay: Replay, tokens: ReplayTokens, device: torch.device
    ) -> None:
        self._run = settings
        self._settings = settings.controller
        part = settings.controller
        super().__init__("controller", agent.actor_critic, part.schedule, part.optimizer, settings.precision, device)
        self._agent = agent
        self._sequences = settings.sequences
        self._replay = replay
        self._tokens = tokens
        self.sampler: Sampler = UniformSampler(replay)
        self._horizon = self._sequences.length - self._sequences.context_length + 1
        self._return_range = ReturnRange(self.schedule.batch_size * (self._horizon - 1)).to(device)
        self._first_actor_epoch = self.schedule.start_after_epoch + self._settings.critic_warmup_epochs

    def ready(self) -> bool:
        return self._replay.num_windows >= self.schedule.batch_size

    def form(self, epoch: int) -> Form:
        actor = WHOLE if epoch >= self._first_actor_epoch else WHOLE | {"actor"}
        return actor if is_curious(self._run, epoch) else actor | {"curiosity"}

    def draw(self, random: Randomness) -> Drawn:
        ids = self.sampler.sample(self.schedule.batch_size, random.numpy)
        sequences = self._sequences
        windows, tokens = self._tokens.windows(ids, before=sequences.burn_in, length=sequences.context_length)
        specs = self._agent.world_model.specs.values()
        imagined = sum(spec.count * len(spec.vocabularies) for spec in specs) + 1
        numbers = self._horizon * self._agent.actor_critic.action_variables + (self._horizon - 1) * imagined
        uniforms = torch.rand(len(ids), numbers, generator=random.torch, device=self._device)
        return Drawn(ControllerBatch(tokens, windows.actions, windows.mask, uniforms))

    def compute(self, batch: ControllerBatch, form: Form) -> Computed:
        trajectory = self.rollout(batch, DrawnUniforms(batch.uniforms), "curiosity" not in form)
        losses = behavior_losses(self._agent.actor_critic, trajectory, self._settings, self._return_range)
        actor_losses = {"actor_loss": losses.actor, "entropy_loss": -self._settings.entropy_weight * losses.entropy}
        if "actor" in form:
            actor_losses = {name: torch.zeros_like(loss) for name, loss in actor_losses.items()}
        scalars = {
            **actor_losses,
            "critic_loss": losses.critic,
            "entropy": losses.entropy,
            "imagined_return": losses.returns,
            "value": losses.values,
            "imagined_reward": losses.rewards,
            "disagreement": losses.disagreement,
            "return_scale": losses.scale,
        }
        return Computed(sum(actor_losses.values(), start=losses.critic), scalars)

    def rollout(self, batch: ControllerBatch, uniforms: Uniforms, curious: bool = True) -> Trajectory:
        """Imagine what follows a batch's windows; without curiosity, no disagreement is computed and all of it is 0."""
        agent = self._agent
        curious = curious and self._settings.intrinsic_weight > 0
        imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, uniforms, curious)
        state, start = start_imagination(
            agent.actor_critic,
            imagination,
            agent.tokenizer,
            batch.tokens,
            batch.actions,
            batch.mask,
            self._sequences.context_length,
        )
        return imagine(agent.actor_critic, state, imagination, start, agent.tokenizer, self._horizon, uniforms)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"return_range": to_arrays(self._return_range.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._return_range.load_state_dict(to_tensors(state["return_range"]))
