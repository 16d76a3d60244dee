"""The world model as an environment: it samples what follows each action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from m3.nn.distributions import JoinedUniforms, Uniforms, sample_categorical, sample_columns
from m3.world_model.sequence import Memory
from m3.world_model.world_model import WorldModel

_LOGITS_AT_ONCE = 2**25
"""Of the ensemble: 128 MiB."""


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


class Imagined(NamedTuple):
    """All that tells what followed an action: prediction outputs (B, K, E), and the number behind the end."""

    outputs: Tensor
    end: Uniforms


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
        imagined, state = self.advance(state, action)
        return ImaginedStep(*(part[:, 0] for part in self.read([imagined]))), state

    def advance(self, state: ImaginedState, action: Tensor) -> tuple[Imagined, ImaginedState]:
        """Take ``action`` (B, A): sample all K next tokens. What else followed is read later, of many steps at once."""
        with torch.no_grad():  # not as a decorator, with which the compiler cannot call methods of new objects
            latest = action[:, None]
            actions = torch.cat((state.actions, latest), dim=1) if state.actions.shape[1] else latest
            outputs, memory = self.predict(state.memory, state.tokens, actions)
            parts = {name: part.contiguous() for name, part in self._model.split(outputs).items()}
            tokens = {
                name: sample_columns(logits, self._model.specs[name].vocabularies, self.uniforms)[:, None]
                for name, logits in self._model.observation_logits(parts).items()
            }
            end = self.uniforms.reserve(len(outputs), outputs.device)
            return Imagined(outputs, end), ImaginedState(memory, tokens, actions[:, :0])

    def read(self, imagined: Sequence[Imagined]) -> ImaginedStep:
        """Predict rewards, sample ends and compute disagreements of S steps: (B, S) each. No gradient."""
        with torch.no_grad():
            last = torch.stack([step.outputs[:, -1] for step in imagined], dim=1)
            ends = JoinedUniforms([step.end for step in imagined])
            return ImaginedStep(
                reward=self._model.reward_head.scalar.mean(self._model.reward_head(last)),
                terminated=sample_categorical(self._model.end_head(last), ends).bool(),
                disagreement=self._disagreements([step.outputs for step in imagined]),
            )

    def _disagreements(self, outputs: Sequence[Tensor]) -> Tensor:
        """Of S steps, (B, S), from outputs (B, K, E): as many steps at once as keep the ensemble's logits small."""
        if self._curiosity is None:
            return outputs[0].new_zeros(len(outputs[0]), len(outputs))
        at_once = max(1, _LOGITS_AT_ONCE // (len(outputs[0]) * self._curiosity.logits_per_step))
        groups = [torch.stack(list(outputs[i : i + at_once]), dim=1) for i in range(0, len(outputs), at_once)]
        found = [self._curiosity.step_disagreement(self._model.split(group)) for group in groups]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def predict(self, memory: Memory, tokens: Mapping[str, Tensor], actions: Tensor) -> tuple[Tensor, Memory]:
        """Feed whole blocks; prediction outputs (B, K, E) of the step after them, and the memory."""
        blocks = self._model.embed(tokens, actions, self._codebooks)
        return self._model.extend(blocks, memory)
