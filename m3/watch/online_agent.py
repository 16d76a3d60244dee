"""An agent's policy and world model side by side, step by step."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.agent.encoders import classes_to_actions
from m3.config.schema import Sequences
from m3.nn.distributions import Uniforms
from m3.runs.loading import LoadedAgent
from m3.specs import Observation
from m3.world_model.imagination import Imagination, ImaginedState

Tokens = Mapping[str, Tensor]
"""The tokens of one step: modality -> int64 (1, K, C)."""


def to_tokens(agent: Agent, observation: Observation) -> Tokens:
    """Encode one raw observation."""
    device = agent.actor_critic.actor.weight.device
    return agent.tokenizer.encode(
        {name: torch.from_numpy(array).to(device)[None] for name, array in observation.items()}
    )


@torch.no_grad()
def to_observation(agent: Agent, tokens: Tokens) -> Observation:
    """Decode the tokens of one step to a raw observation: what is left of it after the tokenizer."""
    return {name: value[0].cpu().numpy() for name, value in agent.tokenizer.reconstruct(tokens).items()}


@dataclass(frozen=True)
class Forecast:
    """What the world model expects after an action."""

    reward: float
    terminated: bool
    """Sampled."""
    disagreement: float
    """How much the ensemble disagrees about the next observation."""
    tokens: Tokens
    """A sampled next observation."""


class Forecaster:
    """A world model that follows a stream of steps, real or its own.

    In training it predicts from at most ``sequences.length`` - 1 blocks. When its memory holds as many, it is made anew
    from the latest steps, so that a stream may be of any length.
    """

    def __init__(self, agent: Agent, sequences: Sequences, generator: torch.Generator) -> None:
        self._imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms(generator))
        self._most_blocks = sequences.length - 1
        kept = min(max(sequences.context_length, sequences.length // 2), self._most_blocks - 1)
        self._recent: deque[tuple[Tokens, Tensor]] = deque(maxlen=kept)
        self._blocks = 0

    def begin(self, tokens: Tokens, actions: Tensor) -> None:
        """Forget everything; ``tokens`` is the first observation, ``actions`` (1, A) any action, for its shape."""
        self._recent.clear()
        self._blocks = 0
        self._state = self._imagination.start(_stack([tokens]), actions[:, None][:, :0])

    def step(self, action: Tensor) -> Forecast:
        """Predict what follows ``action`` (1, A) on the current observation. The sampled one becomes current."""
        current = self._state.observation
        if self._blocks == self._most_blocks:
            self._refresh(current, action)
        expected, self._state = self._imagination.step(self._state, action)
        self._recent.append((current, action))
        self._blocks += 1
        reward, end, disagreement = (float(part[0]) for part in expected)
        return Forecast(reward, bool(end), disagreement, self._state.observation)

    def correct(self, tokens: Tokens) -> None:
        """Make what really followed current, in place of what was sampled."""
        self._state = ImaginedState(self._state.memory, _stack([tokens]), self._state.actions)

    def follow(self, other: "Forecaster") -> None:
        """Continue from where another forecaster is."""
        self._state, self._recent, self._blocks = other._state, other._recent.copy(), other._blocks

    def _refresh(self, current: Tokens, any_action: Tensor) -> None:
        if not self._recent:
            self.begin(current, any_action)
            return
        tokens = [step for step, _ in self._recent] + [current]
        actions = torch.stack([action for _, action in self._recent], dim=1)
        self._state = self._imagination.start(_stack(tokens), actions)
        self._blocks = len(self._recent)


def _stack(steps: list[Tokens]) -> dict[str, Tensor]:
    return {name: torch.stack([step[name] for step in steps], dim=1) for name in steps[0]}


@dataclass(frozen=True)
class Decision:
    """What the policy makes of an observation."""

    tokens: Tokens
    probabilities: list[np.ndarray]
    """The probabilities of each action dimension's classes."""
    value: float
    action: np.ndarray
    """The action that it would take, (A,)."""


class OnlineAgent:
    """An agent's policy and world model on one stream of observations and actions.

    Args:
        loaded: the agent.
        generator: of all random choices.
        temperature: of the policy.
    """

    def __init__(self, loaded: LoadedAgent, generator: torch.Generator, temperature: float) -> None:
        self.agent = loaded.networks
        self._generator = generator
        self._temperature = temperature
        self.forecaster = Forecaster(self.agent, loaded.settings.sequences, generator)
        self._no_action = torch.zeros(1, *loaded.action_spec.shape, device=loaded.device)
        self._no_action = self._no_action.to(getattr(torch, loaded.action_spec.dtype))
        self.begin()

    def begin(self) -> None:
        """Forget the episode."""
        self._state = self.agent.actor_critic.initial_state(1)
        self._following = False

    @torch.no_grad()
    def observe(self, tokens: Tokens) -> Decision:
        """Take in the current observation."""
        if self._following:
            self.forecaster.correct(tokens)
        else:
            self.forecaster.begin(tokens, self._no_action)
            self._following = True
        policy = self.agent.actor_critic
        output, self._state = policy.observe(self.agent.tokenizer.decode(tokens), self._state)
        # the most likely action where the temperature is 0
        distribution = policy.distribution(output.logits / (self._temperature or 1e-6))
        classes = distribution.sample(Uniforms(self._generator))
        return Decision(
            tokens,
            [part[0].cpu().numpy() for part in distribution.probabilities],
            float(policy.critic.mean(output.value)[0]),
            classes_to_actions(classes, policy.actions)[0].cpu().numpy(),
        )

    @torch.no_grad()
    def act(self, action: np.ndarray) -> Forecast:
        """Tell policy and world model what is done, (A,); return what the world model expects of it."""
        batch = torch.from_numpy(action).to(self._no_action.device)[None]
        self._state = self.agent.actor_critic.act(batch, self._state)
        return self.forecaster.step(batch)
