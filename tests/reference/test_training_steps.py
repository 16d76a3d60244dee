"""Optimiser steps against the authors' code: equal as we train, and different with any of these faults put in."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from exercised import check_exercised
from torch import Tensor, nn

import m3.training.component
import m3.training.components
from m3.agent.actor_critic import ActorCritic, LSTMState, Trunk
from m3.agent.behavior import Trajectory, behavior_losses
from m3.config.schema import ControllerSettings
from m3.nn.distributions import IndependentCategoricals
from m3.nn.scaling import ReturnRange
from m3.reference.golden import verify_file
from m3.training.components import ControllerComponent
from m3.world_model.curiosity import Curiosity
from m3.world_model.imagination import Imagination

FOLDER = Path(__file__).parents[1] / "golden/training_step"
FILES = ("image_discrete", "vector_continuous", "mixed_discrete")

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("name", FILES)
def test_every_step_equals_the_authors(name: str) -> None:
    comparisons = verify_file(FOLDER / f"{name}.npz")
    assert len(comparisons) >= 20
    assert [c for c in comparisons if not c.met] == []


COVERED = (
    "m3.agent.actor_critic.Trunk.unroll",
    "m3.agent.actor_critic.Trunk.burn_in",
    "m3.world_model.imagination.Imagination.advance",
    "m3.world_model.imagination.Imagination.read",
    "m3.world_model.curiosity.Curiosity.step_disagreement",
    "m3.training.components.imagine",
    "m3.training.components.start_imagination",
    "m3.training.components.behavior_losses",
    "m3.training.components.world_model_losses",
    "m3.agent.behavior.alive_steps",
    "m3.nn.distributions.sample_categorical",
    "m3.world_model.imagination.sample_categorical",
    "m3.nn.distributions.IndependentCategoricals.log_prob",
    "m3.nn.distributions.IndependentCategoricals.entropy",
    "m3.nn.distributions.HLGaussHead.loss",
    "m3.nn.scaling.ReturnRange.update",
    "m3.training.component.Component.step",
    "m3.training.component.decay_matrices_only",
    "m3.training.replay_tokens.ReplayTokens.windows",
    "m3.data.replay.Replay.gather",
    "m3.data.samplers.PrioritizedSampler.update",
)


@pytest.mark.parametrize("function", COVERED)
@pytest.mark.parametrize("name", FILES)
def test_a_file_exercises_what_it_claims_to_cover(name: str, function: str, monkeypatch: Patch) -> None:
    check_exercised(FOLDER / f"{name}.npz", function, monkeypatch)


def with_adam(**changes: Any) -> Callable[[Patch], None]:
    """Make the optimisers with other arguments."""
    return lambda patch: patch.setattr(torch.optim, "AdamW", partial(torch.optim.AdamW, **changes))


def without_decay(patch: Patch) -> None:
    adam = torch.optim.AdamW

    def make(groups: Any, weight_decay: float, **arguments: Any) -> torch.optim.AdamW:
        plain = [p for g in groups for p in (g["params"] if isinstance(g, dict) else [g])]
        return adam(plain, weight_decay=0.0, **arguments)

    patch.setattr(torch.optim, "AdamW", make)


def with_decay_of_everything(patch: Patch) -> None:
    patch.setattr(m3.training.component, "decay_matrices_only", lambda module, _: module.parameters())


def without_clipping(patch: Patch) -> None:
    clip = nn.utils.clip_grad_norm_
    patch.setattr(nn.utils, "clip_grad_norm_", lambda parameters, _: clip(parameters, float("inf")))


def with_shifted_quarters(patch: Patch) -> None:
    loss = Curiosity.loss

    def shifted(
        self: Curiosity, outputs: Mapping[str, Tensor], tokens: Mapping[str, Tensor], weights: Tensor
    ) -> Tensor:
        quarter = len(weights) // 4
        rolled = [{name: t.roll(quarter, 0) for name, t in part.items()} for part in (outputs, tokens)]
        return loss(self, *rolled, weights.roll(quarter, 0))

    patch.setattr(Curiosity, "loss", shifted)


def with_burn_in_without_actions(patch: Patch) -> None:
    def burn_in(self: Trunk, views: Mapping[str, Tensor], actions: Tensor, mask: Tensor, state: LSTMState) -> LSTMState:
        for t in range(mask.shape[1]):
            h, c = self.observe({name: view[:, t] for name, view in views.items()}, state)
            state = h * mask[:, t, None], c * mask[:, t, None]
        return state

    patch.setattr(Trunk, "burn_in", burn_in)


def with_a_start_one_step_early(patch: Patch) -> None:
    """The world model's last block of context is the one before the observation that the actor acts on."""
    predict = Imagination.predict

    def early(self: Imagination, memory: Any, tokens: Mapping[str, Tensor], actions: Tensor) -> Any:
        if actions.shape[1] > 1:
            tokens = {name: t[:, :-1] for name, t in tokens.items()}
            actions = actions[:, :-1]
        return predict(self, memory, tokens, actions)

    patch.setattr(Imagination, "predict", early)


def with_sums_over_action_dimensions(patch: Patch) -> None:
    make = IndependentCategoricals.__init__
    patch.setattr(
        IndependentCategoricals, "__init__", lambda self, logits, sizes, _=None: make(self, logits, sizes, "sum")
    )


def with_running_statistics(patch: Patch) -> None:
    def forward(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )

    patch.setattr(nn.BatchNorm2d, "forward", forward)


def without_warm_up(patch: Patch) -> None:
    make = ControllerComponent.__init__

    def at_once(self: ControllerComponent, *arguments: Any) -> None:
        make(self, *arguments)
        self._first_actor_epoch = 0

    patch.setattr(ControllerComponent, "__init__", at_once)


def with_the_last_step_trained(patch: Patch) -> None:
    """Append a step that the losses leave out instead: the last real one then ends, and brings its own value."""
    ranges: dict[ReturnRange, ReturnRange] = {}

    def all_steps(policy: ActorCritic, trajectory: Trajectory, settings: ControllerSettings, own: ReturnRange) -> Any:
        def longer(part: Tensor, last: Tensor) -> Tensor:
            return torch.cat((part, last[:, None]), dim=1)

        last = policy.critic.mean(trajectory.values[:, -1]).detach()
        everything = Trajectory(
            log_probs=longer(trajectory.log_probs, last),
            entropies=longer(trajectory.entropies, last),
            values=longer(trajectory.values, trajectory.values[:, -1]),
            rewards=longer(trajectory.rewards, last / settings.extrinsic_weight),
            terminations=longer(trajectory.terminations, torch.ones_like(last, dtype=torch.bool)),
            disagreements=longer(trajectory.disagreements, torch.zeros_like(last)),
        )
        wider = ranges.setdefault(own, ReturnRange(trajectory.log_probs.numel()))
        return behavior_losses(policy, everything, settings, wider)

    patch.setattr(m3.training.components, "behavior_losses", all_steps)


FAULTS = {
    "another beta2": with_adam(betas=(0.9, 0.99)),
    "another epsilon": with_adam(eps=1e-6),
    "no decay": without_decay,
    "decay of everything": with_decay_of_everything,
    "no clipping": without_clipping,
    "ensemble quarters shifted": with_shifted_quarters,
    "burn-in without actions": with_burn_in_without_actions,
    "start one step early": with_a_start_one_step_early,
    "sum over action dimensions": with_sums_over_action_dimensions,
    "running statistics while training": with_running_statistics,
    "no warm-up": without_warm_up,
    "last step trained": with_the_last_step_trained,
}
CONCERNED = {
    "start one step early": ("image_discrete", "mixed_discrete"),
    "sum over action dimensions": ("vector_continuous",),
    "running statistics while training": ("image_discrete",),
    "no warm-up": ("vector_continuous",),
}
"""Files in which a fault can be seen; others are seen in all of them."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: Patch) -> None:
    FAULTS[fault](monkeypatch)
    for name in CONCERNED.get(fault, FILES):
        comparisons = verify_file(FOLDER / f"{name}.npz")
        assert not all(c.met for c in comparisons), name
