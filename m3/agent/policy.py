"""The agent acting in real environments."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from m3.agent.actor_critic import LSTMState
from m3.agent.agent import Agent
from m3.agent.encoders import classes_to_actions
from m3.nn.distributions import Uniforms
from m3.nn.precision import full_precision
from m3.seeding import Randomness


def select(state: LSTMState, kept: np.ndarray) -> LSTMState:
    """The state of some of the environments: ``kept`` is a boolean or index array over them."""
    h, c = state
    index = torch.as_tensor(kept, device=h.device)
    return h[index], c[index]


class Policy:
    """Chooses actions for N environments side by side; the recurrent state goes in and comes out.

    Args:
        agent: in evaluation mode.
        temperature: of the actor's distribution; 0 takes the most likely action.
        epsilon: probability of a uniformly random action instead. The recurrent state hears of the executed one.
    """

    def __init__(self, agent: Agent, temperature: float, epsilon: float = 0.0) -> None:
        self._agent = agent
        self._temperature = temperature
        self._epsilon = epsilon
        self._actor = agent.actor_critic.actor_trunk

    @property
    def _device(self) -> torch.device:
        return next(self._agent.actor_critic.parameters()).device

    def initial_state(self, count: int) -> LSTMState:
        """The state of ``count`` environments at the start of an episode."""
        actor, *_ = self._agent.actor_critic.initial_state(count)
        return actor

    @torch.no_grad()
    def burn_in(self, observations: Mapping[str, np.ndarray], actions: np.ndarray) -> LSTMState:
        """The state of one environment after its latest steps: observations (T, ...) and the actions (T, A) on them."""
        mask = torch.ones(1, len(actions), dtype=torch.bool, device=self._device)
        views = self._views({name: o[None] for name, o in observations.items()})
        with full_precision(self._device):
            return self._actor.burn_in(views, self._tensor(actions[None]), mask, self.initial_state(1))

    @torch.no_grad()
    def act(
        self, observations: Mapping[str, np.ndarray], state: LSTMState, random: Randomness
    ) -> tuple[np.ndarray, LSTMState]:
        """Choose actions (N, A) on observations (N, ...), and the state after them."""
        policy = self._agent.actor_critic
        views = self._views(observations)
        with full_precision(self._device):
            state = self._actor.observe(views, state)
            logits = policy.actor(state[0])
            uniforms = Uniforms(random.torch)
            classes = policy.distribution(logits).sample(uniforms, self._temperature)
            if self._epsilon:
                uniform = policy.distribution(torch.zeros_like(logits)).sample(uniforms)
                explore = torch.rand(len(classes), 1, generator=random.torch, device=classes.device) < self._epsilon
                classes = torch.where(explore, uniform, classes)
            actions = classes_to_actions(classes, policy.actions)
            return actions.cpu().numpy(), self._actor.act(actions, state)

    def _views(self, observations: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        tokenizer = self._agent.tokenizer
        return tokenizer.decode(tokenizer.encode({name: self._tensor(o) for name, o in observations.items()}))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)
