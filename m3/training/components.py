"""The three trained parts of the agent: how each draws its batches and computes its loss."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.agent.behavior import Trajectory, behavior_losses, imagine, start_imagination
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.data.samplers import PrioritizedSampler, Sampler, UniformSampler
from m3.errors import DivergedError
from m3.nn.distributions import Uniforms
from m3.nn.scaling import ReturnRange
from m3.seeding import Randomness
from m3.tokenizers.image_vqvae import ImageTokenizer, Perceptual
from m3.training.component import Component, Computed
from m3.training.devices import upload
from m3.training.replay_tokens import ReplayTokens
from m3.training.state import to_arrays, to_tensors
from m3.world_model.imagination import Imagination
from m3.world_model.losses import WorldModelBatch, world_model_losses


class TokenizerComponent(Component):
    """Trains the image tokenizer on single frames."""

    def __init__(
        self,
        image: ImageTokenizer,
        settings: RunSettings,
        replay: Replay,
        perceptual: Perceptual | None,
        device: torch.device,
    ) -> None:
        assert settings.tokenizer is not None
        part = settings.tokenizer
        super().__init__("tokenizer", image, part.schedule, part.optimizer, settings.precision, device)
        self._image = image
        self._replay = replay
        self._perceptual = perceptual

    def ready(self) -> bool:
        return self._replay.num_rows >= self.schedule.batch_size

    def compute(self, random: Randomness, epoch: int) -> Computed:
        rows = self._replay.sample_rows(self.schedule.batch_size, random.numpy)
        frames = upload(self._replay.observations_at(rows)["image"], self._device)
        losses = self._image.losses(frames, self._perceptual)
        return Computed(sum(losses, start=torch.zeros((), device=self._device)), losses._asdict())


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
        self._sequences = settings.sequences
        self._replay = replay
        self._tokens = tokens
        share = settings.replay.prioritized_share
        self.sampler: Sampler = PrioritizedSampler(replay, share, settings.replay.initial_loss)

    def ready(self) -> bool:
        return self._replay.num_windows >= self.schedule.batch_size

    def compute(self, random: Randomness, epoch: int) -> Computed:
        ids = self.sampler.sample(self.schedule.batch_size, random.numpy)
        batch, tokens = self._tokens.windows(ids, before=0, length=self._sequences.length)
        losses = world_model_losses(
            self._agent.world_model,
            WorldModelBatch(
                tokens=tokens,
                actions=upload(batch.actions, self._device),
                rewards=upload(batch.rewards, self._device),
                terminated=upload(batch.terminated, self._device),
                mask=upload(batch.mask, self._device),
            ),
            self._agent.tokenizer.codebooks,
            self._sequences.context_length,
        )
        scalars = {
            "observation_loss": losses.observations,
            "reward_loss": losses.rewards,
            "end_loss": losses.ends,
            "curiosity_loss": losses.curiosity,
        }
        return Computed(losses.total, scalars, lambda: self._update_priorities(batch.ids, losses.per_window, epoch))

    def _update_priorities(self, ids: np.ndarray, losses: Tensor, epoch: int) -> None:
        per_window = losses.cpu().numpy()
        if not np.isfinite(per_window).all():
            raise DivergedError(f"the {self.name} diverged in epoch {epoch}: the loss of a window is not finite")
        self.sampler.update(ids, per_window)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.sampler.load_state_dict(state["sampler"])


class ControllerComponent(Component):
    """Trains actor and critic in imagination, from real context."""

    def __init__(
        self, agent: Agent, settings: RunSettings, replay: Replay, tokens: ReplayTokens, device: torch.device
    ) -> None:
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

    def compute(self, random: Randomness, epoch: int) -> Computed:
        ids = self.sampler.sample(self.schedule.batch_size, random.numpy)
        trajectory = self.rollout(ids, Uniforms(random.torch))
        losses = behavior_losses(self._agent.actor_critic, trajectory, self._settings, self._return_range)
        actor_losses = {"actor_loss": losses.actor, "entropy_loss": -self._settings.entropy_weight * losses.entropy}
        if epoch < self._first_actor_epoch:
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

    def rollout(self, ids: np.ndarray, uniforms: Uniforms) -> Trajectory:
        """Imagine what follows the windows ``ids`` (B,) of the replay."""
        context_length = self._sequences.context_length
        batch, tokens = self._tokens.windows(ids, before=self._sequences.burn_in, length=context_length)
        agent = self._agent
        curious = self._settings.intrinsic_weight > 0
        imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, uniforms, curious)
        state, start = start_imagination(
            agent.actor_critic,
            imagination,
            agent.tokenizer,
            tokens,
            upload(batch.actions, self._device),
            upload(batch.mask, self._device),
            context_length,
        )
        return imagine(agent.actor_critic, state, imagination, start, agent.tokenizer, self._horizon, uniforms)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"return_range": to_arrays(self._return_range.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._return_range.load_state_dict(to_tensors(state["return_range"]))
