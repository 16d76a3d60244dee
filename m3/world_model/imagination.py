"""The world model as an environment: it samples what follows each action."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from m3.nn.distributions import Uniforms, sample_categorical, sample_columns
from m3.world_model.sequence import Memory
from m3.world_model.world_model import WorldModel


@dataclass(frozen=True)
class ImaginedState:
    """Where imagination stands: the memory before ``tokens``' blocks, of which the last still lacks its action.

    tokens: int64 (B, t, K_m, C_m) per modality. actions: (B, t - 1, A), those already taken.
    """

    memory: Memory
    tokens: Mapping[str, Tensor]
    actions: Tensor

    @property
    def observation(self) -> dict[str, Tensor]:
        """The tokens to act on, (B, K_m, C_m)."""
        return {name: t[:, -1] for name, t in self.tokens.items()}


class ImaginedStep(NamedTuple):
    """What follows an action: predicted mean reward (B,), sampled end bool (B,), disagreement of the next step (B,)."""

    reward: Tensor
    terminated: Tensor
    disagreement: Tensor


class Imagination:
    """Rolls the world model forward on its own samples.

    Args:
        model: the world model, in evaluation mode.
        codebooks: code vectors of the tokenizer.
        uniforms: behind the sampled tokens and terminations.
        curious: whether disagreements are wanted; if not, or if the model has no ensemble, they are 0.
    """

    def __init__(
        self,
        model: WorldModel,
        codebooks: Mapping[str, Tensor],
        uniforms: Uniforms,
        curious: bool = True,
    ) -> None:
        self._model = model
        self._curiosity = model.curiosity if curious else None
        self._codebooks = codebooks
        self.uniforms = uniforms

    def start(self, tokens: Mapping[str, Tensor], actions: Tensor) -> ImaginedState:
        """Begin after real context.

        Args:
            tokens: of the context steps, int64 (B, t, K_m, C_m), t >= 1.
            actions: those between them, (B, t - 1, A).
        """
        return ImaginedState(self._model.empty_memory(), tokens, actions)

    def step(self, state: ImaginedState, action: Tensor) -> tuple[ImaginedStep, ImaginedState]:
        """Take ``action`` (B, A): sample all K next tokens in parallel and the end, predict the reward. No gradient."""
        with torch.no_grad():  # not as a decorator, with which the compiler cannot call methods of new objects
            actions = torch.cat((state.actions, action[:, None]), dim=1)
            outputs, memory = self.predict(state.memory, state.tokens, actions)
            parts = self._model.split(outputs)
            tokens = {
                name: sample_columns(logits, self._model.specs[name].vocabularies, self.uniforms)[:, None]
                for name, logits in self._model.observation_logits(parts).items()
            }
            last = outputs[:, -1]
            step = ImaginedStep(
                reward=self._model.reward_head.scalar.mean(self._model.reward_head(last)),
                terminated=sample_categorical(self._model.end_head(last), self.uniforms).bool(),
                disagreement=self._curiosity.step_disagreement(parts) if self._curiosity else last.new_zeros(len(last)),
            )
            return step, ImaginedState(memory, tokens, actions[:, :0])

    def predict(self, memory: Memory, tokens: Mapping[str, Tensor], actions: Tensor) -> tuple[Tensor, Memory]:
        """Feed whole blocks; prediction outputs (B, K, E) of the step after them, and the memory."""
        blocks = self._model.embed(tokens, actions, self._codebooks)
        return self._model.extend(blocks, memory)
