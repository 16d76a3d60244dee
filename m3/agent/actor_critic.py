"""Actor and critic: state in, state out (M3 section 3.3)."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from m3.agent.encoders import ActionEncoder, ObservationEncoder
from m3.config.schema import ControllerSettings
from m3.nn.actions import ACTION_BINS
from m3.nn.distributions import IndependentCategoricals, ScalarHead, value_head
from m3.nn.lstm import LSTM, LSTMState
from m3.nn.precision import full_precision
from m3.specs import ActionSpec, DiscreteActions
from m3.tokenizers.base import TokenSpec, ViewSpec

PolicyState = tuple[LSTMState, ...]
"""State of every trunk: one where actor and critic share it, else the actor's and the critic's."""


class Trunk(nn.Module):
    """Encoders, MLP and LSTM; an environment step is two LSTM steps, the observation's and the action's."""

    def __init__(
        self,
        settings: ControllerSettings,
        views: Mapping[str, ViewSpec],
        tokens: Mapping[str, TokenSpec],
        actions: ActionSpec,
    ) -> None:
        super().__init__()
        self.observation_encoder = ObservationEncoder(views, tokens, settings.token_embedding_size, settings.mlp)
        self.action_encoder = ActionEncoder(actions, settings.mlp[-1])
        self.lstm = LSTM(settings.mlp[-1], settings.lstm_width)

    def observe(self, views: Mapping[str, Tensor], state: LSTMState) -> LSTMState:
        """Read an observation (B, *shape per modality)."""
        return self._step(self.observation_encoder(views), state)

    def act(self, actions: Tensor, state: LSTMState) -> LSTMState:
        """Observe which action (B, A) was executed."""
        return self._step(self.action_encoder(actions), state)

    def unroll(self, views: Mapping[str, Tensor], actions: Tensor, state: LSTMState) -> Tensor:
        """Return the hidden states (B, T, width) after each of T observations, with an action after each but the last.

        The same as T times ``observe`` and ``act``, in few large operations.

        Args:
            views: (B, T, *shape) per modality.
            actions: (B, T - 1, A).
            state: before the first observation.
        """
        observed, acted = self._encode(views, actions)
        pairs = torch.stack((observed[:, :-1], acted), dim=2).flatten(1, 2)
        inputs = torch.cat((pairs, observed[:, -1:]), dim=1)
        with full_precision(inputs.device):
            return self.lstm.unroll(inputs.float(), state)[0][:, ::2]

    def burn_in(self, views: Mapping[str, Tensor], actions: Tensor, mask: Tensor, state: LSTMState) -> LSTMState:
        """Return the state after steps (B, T, ...); those where ``mask`` (B, T) is false leave zeros."""
        observed, acted = self._encode(views, actions)
        inputs = torch.stack((observed, acted), dim=2).flatten(1, 2)
        with full_precision(inputs.device):
            return self.lstm.unroll(inputs.float(), state, kept=mask.repeat_interleave(2, dim=1))[1]

    def _encode(self, views: Mapping[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the LSTM's inputs from steps (B, T, ...): of observations and of actions, (B, T, mlp[-1]) each."""
        flat = {name: view.flatten(0, 1) for name, view in views.items()}
        observed = self.observation_encoder(flat).unflatten(0, (len(actions), -1))
        return observed, self.action_encoder(actions.flatten(0, 1)).unflatten(0, actions.shape[:2])

    def _step(self, inputs: Tensor, state: LSTMState) -> LSTMState:
        """Take one LSTM step, in float32: inputs (B, mlp[-1])."""
        with full_precision(inputs.device):
            return self.lstm.step(inputs.float(), state)


class PolicyOutput(NamedTuple):
    """What is read after an observation: ``logits`` of the action's classes, ``value`` as the value head's output."""

    logits: Tensor
    value: Tensor


class ActorCritic(nn.Module):
    """The controller's networks.

    Args:
        settings: sizes.
        views, tokens: what the policy sees, per modality.
        actions: the action space.
        regression: "classification" or "symlog_mse".
    """

    def __init__(
        self,
        settings: ControllerSettings,
        views: Mapping[str, ViewSpec],
        tokens: Mapping[str, TokenSpec],
        actions: ActionSpec,
        regression: str,
    ) -> None:
        super().__init__()
        self.actions = actions
        self._sizes = actions.sizes if isinstance(actions, DiscreteActions) else (ACTION_BINS,) * actions.dimensions
        self._reduction: Literal["sum", "mean"] = "sum" if isinstance(actions, DiscreteActions) else "mean"
        self._width = settings.lstm_width
        self.actor_trunk = Trunk(settings, views, tokens, actions)
        self.critic_trunk = Trunk(settings, views, tokens, actions) if settings.separate_networks else None
        self.actor = nn.Linear(settings.lstm_width, sum(self._sizes))
        self.critic: ScalarHead = value_head(settings.lstm_width, regression)

    @property
    def action_variables(self) -> int:
        """How many variables an action is sampled of."""
        return len(self._sizes)

    @property
    def _trunks(self) -> tuple[Trunk, ...]:
        return (self.actor_trunk,) if self.critic_trunk is None else (self.actor_trunk, self.critic_trunk)

    def initial_state(self, batch: int) -> PolicyState:
        """Return zeros."""
        zeros = self.actor.weight.new_zeros(batch, self._width)
        return ((zeros, zeros),) * len(self._trunks)

    def observe(self, views: Mapping[str, Tensor], state: PolicyState) -> tuple[PolicyOutput, PolicyState]:
        """Read an observation (B, *shape per modality): action logits and value, and the state after it."""
        state = tuple(trunk.observe(views, part) for trunk, part in zip(self._trunks, state, strict=True))
        return PolicyOutput(self.actor(state[0][0]), self.critic(state[-1][0])), state

    def act(self, actions: Tensor, state: PolicyState) -> PolicyState:
        """Tell the LSTM which action (B, A) was executed."""
        return tuple(trunk.act(actions, part) for trunk, part in zip(self._trunks, state, strict=True))

    def unroll(self, views: Mapping[str, Tensor], actions: Tensor, state: PolicyState) -> PolicyOutput:
        """Read T observations and hear the action after each but the last.

        Args:
            views: (B, T, *shape) per modality.
            actions: (B, T - 1, A).
            state: before the first observation.

        Returns:
            What is read after each observation, (B, T, ...).
        """
        hidden = [trunk.unroll(views, actions, part) for trunk, part in zip(self._trunks, state, strict=True)]
        return PolicyOutput(self.actor(hidden[0]), self.critic(hidden[-1]))

    def distribution(self, logits: Tensor) -> IndependentCategoricals:
        """Return the distribution over the classes of each action dimension; means over dimensions where continuous."""
        return IndependentCategoricals(logits, self._sizes, self._reduction)

    @torch.no_grad()
    def burn_in(self, views: Mapping[str, Tensor], actions: Tensor, mask: Tensor) -> PolicyState:
        """Return the state after observing and acting through steps, as in the environment; without gradient.

        Args:
            views: (B, T, *shape) per modality.
            actions: (B, T, A).
            mask: bool (B, T); steps before an episode's first are false and leave the zero state.
        """
        initial = self.initial_state(len(mask))
        return tuple(
            trunk.burn_in(views, actions, mask, part) for trunk, part in zip(self._trunks, initial, strict=True)
        )
