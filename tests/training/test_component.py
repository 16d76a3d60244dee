"""The loop that trains any component."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from toy_runs import toy_agent, toy_settings

from m3.config.schema import Optimizer, Schedule
from m3.errors import UserError
from m3.runs.progress import finish
from m3.seeding import Randomness, randomness
from m3.training.component import Component, Computed, Drawn, decay_matrices_only

CPU = torch.device("cpu")


class Scripted(Component):
    """Four weights whose loss is their sum times a given number in every step."""

    def __init__(
        self,
        slopes: list[float],
        reported: torch.dtype = torch.float32,
        schedule: Literal["constant", "linear"] = "constant",
    ) -> None:
        module = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Dropout(0.5))
        steps = Schedule(start_after_epoch=0, steps_per_epoch=len(slopes), batch_size=1)
        optimizer = Optimizer(learning_rate=0.1, weight_decay=0.0, max_gradient_norm=3.0, schedule=schedule)
        super().__init__("scripted", module, steps, optimizer, "fp32", CPU)
        self.weight = module[0].weight
        self.slopes = iter(slopes)
        self.reported = reported
        self.gradients: list[Tensor] = []
        self.modes: list[bool] = []
        self.dropped: list[Tensor] = []

    def ready(self) -> bool:
        return True

    def draw(self, random: Randomness) -> Drawn:
        return Drawn(None)

    def compute(self, batch: None, form: str) -> Computed:
        if self.weight.grad is not None:
            self.gradients.append(self.weight.grad.clone())
        self.modes.append(self.module.training)
        self.dropped.append(self.module[1](torch.ones(50)))
        slope = next(self.slopes)
        return Computed(slope * self.weight.sum(), {"slope": torch.tensor(slope, dtype=self.reported)})

    def run(self, seed: int = 0) -> dict[str, float]:
        return finish(self.train(randomness(CPU, seed), epoch=3), "train", self.schedule.steps_per_epoch)


def test_metrics_are_means_over_the_epochs_steps() -> None:
    metrics = Scripted([1.0, 2.0, 6.0]).run()
    assert metrics["scripted/slope"] == 3
    assert metrics["scripted/gradient_norm"] == pytest.approx(2 * 3)
    assert set(metrics) == {"scripted/slope", "scripted/gradient_norm", "scripted/loss"}


def test_means_of_scalars_in_bf16_are_not_rounded_on_the_way() -> None:
    component = Scripted([0.3008] * 200, torch.bfloat16)
    assert component.run()["scripted/slope"] == pytest.approx(0.3008, rel=4e-3)


def test_the_optimiser_is_torchs_plain_adamw_with_clipped_gradients() -> None:
    slopes = [1.0, -4.0, 0.5, 2.0, 7.0, -1.0, 0.1, 3.0, -0.2, 1.0]
    component = Scripted(slopes)
    plain = nn.Parameter(component.weight.detach().clone())
    optimizer = torch.optim.AdamW([plain], lr=0.1, weight_decay=0.0, fused=False)
    component.run()
    for slope in slopes:
        norm = 2 * abs(slope)  # of four equal numbers
        plain.grad = torch.full((1, 4), slope * min(1.0, 3.0 / norm))
        optimizer.step()
    assert_close(component.weight, plain)


@pytest.mark.parametrize(("schedule", "steps"), [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.075, 0.025])])
@pytest.mark.parametrize("captured", [False, True])
def test_the_learning_rate_follows_its_schedule(
    schedule: Literal["constant", "linear"], steps: list[float], captured: bool
) -> None:
    """AdamW's first steps along a constant gradient are as long as the learning rate."""
    component = Scripted([1.0] * 20, schedule=schedule)
    if captured:
        component.capture()
    for epoch, step in zip((1, 2, 4), steps, strict=True):
        component.begin_epoch(epoch, epochs=4)
        before = component.weight.detach().clone()
        component.step(randomness(CPU, 0), epoch)
        assert_close(before - component.weight, torch.full((1, 4), step), rtol=1e-4, atol=0)


def test_gradients_are_fresh_in_every_step_and_clipped_together() -> None:
    component = Scripted([1.0, 4.0, 1.0, 1.0])
    component.run()
    small, clipped, after = component.gradients
    assert_close(small, torch.full((1, 4), 1.0))
    assert_close(clipped, torch.full((1, 4), 1.5))  # a norm of 8 becomes 3
    assert_close(after, small)


def test_the_module_is_in_training_mode_only_while_it_trains() -> None:
    component = Scripted([1.0, 1.0])
    component.module.eval()
    component.run()
    assert component.modes == [True, True]
    assert not component.module.training


def test_dropout_follows_from_the_randomness_of_the_epoch() -> None:
    drops = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(drops))  # whatever ran before
        component = Scripted([1.0])
        component.run(seed)
        drops.append(component.dropped[0])
    assert torch.equal(drops[0], drops[1])
    assert not torch.equal(drops[0], drops[2])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_component_and_epoch(value: float) -> None:
    with pytest.raises(UserError, match="scripted diverged in epoch 3"):
        Scripted([1.0, value, 1.0]).run()


@pytest.mark.parametrize("task", ["all_modalities", "vector"])
def test_the_world_model_decays_matrices_and_convolutions_only(task: str) -> None:
    """Found out by steps without any gradient: what decays shrinks, the rest stays."""
    model = toy_agent(task).world_model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(decay_matrices_only(model, 0.05), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    embeddings = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    assert {"sequence.placeholders.weight", "observation_embedding.tables.vector.tables.0.weight"} <= embeddings
    for name, parameter in model.named_parameters():
        is_matrix = name.endswith("weight") and "norm" not in name and parameter.dim() > 1 and name not in embeddings
        assert_close(parameter, before[name] * (1 - 0.1 * 0.05) if is_matrix else before[name], msg=name)


def test_optimisers_of_the_paper() -> None:
    settings = toy_settings("image")
    assert settings.tokenizer is not None
    found = [part.optimizer for part in (settings.tokenizer, settings.world_model, settings.controller)]
    values = [tuple(part.model_dump().values()) for part in found]
    assert values == [(1e-4, 0.01, 10, "constant"), (2e-4, 0.05, 3, "constant"), (2e-4, 0.01, 3, "constant")]
