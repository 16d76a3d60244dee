"""The agent acting in real environments."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from m3.agent.actor_critic import LSTMState
from m3.agent.agent import Agent
from m3.agent.encoders import classes_to_actions
from m3.nn.distributions import DrawnUniforms
from m3.nn.host import download, upload
from m3.nn.precision import full_precision
from m3.seeding import Randomness


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
        """Return the state of ``count`` environments at the start of an episode."""
        actor, *_ = self._agent.actor_critic.initial_state(count)
        return actor

    @torch.no_grad()
    def burn_in(self, observations: Mapping[str, np.ndarray], actions: np.ndarray) -> LSTMState:
        """Return the state of one environment after its latest steps: observations (T, ...), actions (T, A)."""
        mask = torch.ones(1, len(actions), dtype=torch.bool, device=self._device)
        views = self._views(self._upload({name: o[None] for name, o in observations.items()}))
        with full_precision(self._device):
            return self._actor.burn_in(views, upload(actions[None], self._device), mask, self.initial_state(1))

    @torch.no_grad()
    def act(
        self, observations: Mapping[str, np.ndarray], state: LSTMState, random: Randomness
    ) -> tuple[np.ndarray, LSTMState]:
        """Choose actions (N, A) on observations (N, ...), and the state after them."""
        variables = self._agent.actor_critic.action_variables
        count = 2 * variables + 1 if self._epsilon else variables
        uniforms = torch.rand(len(state[0]), count, generator=random.torch, device=self._device)
        actions, state = self.choose(self._upload(observations), state, uniforms)
        return download(actions), state

    @torch.no_grad()
    def choose(self, observations: Mapping[str, Tensor], state: LSTMState, numbers: Tensor) -> tuple[Tensor, LSTMState]:
        """The same on the device, with the uniform numbers of all choices: one per variable, exploring 2 and 1 more."""
        policy = self._agent.actor_critic
        uniforms = DrawnUniforms(numbers)
        with full_precision(self._device):
            state = self._actor.observe(self._views(observations), state)
            logits = policy.actor(state[0])
            classes = policy.distribution(logits).sample(uniforms, self._temperature)
            if self._epsilon:
                uniform = policy.distribution(torch.zeros_like(logits)).sample(uniforms)
                classes = torch.where(numbers[:, -1:] < self._epsilon, uniform, classes)
            actions = classes_to_actions(classes, policy.actions)
            return actions, self._actor.act(actions, state)

    def _views(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tokenizer = self._agent.tokenizer
        return tokenizer.decode(tokenizer.encode(observations))

    def _upload(self, observations: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: upload(values, self._device) for name, values in observations.items()}
