"""What each component trains on, and what it changes."""

import math
from functools import partial
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from toy_runs import FSQ, toy_settings, toy_trainer

import m3.agent.behavior
import m3.training.components
from m3.agent.behavior import Trajectory
from m3.errors import UserError
from m3.runs.progress import finish
from m3.seeding import Randomness, randomness
from m3.training.component import WHOLE
from m3.training.components import WorldModelComponent
from m3.training.trainer import Trainer
from m3.world_model.imagination import Imagination
from m3.world_model.losses import WorldModelBatch, world_model_losses


def new_random(seed: int = 0) -> Randomness:
    return randomness(torch.device("cpu"), seed)


def collected(task: str, steps: int = 60, **changes: Any) -> Trainer:
    trainer = toy_trainer(toy_settings(task, **changes))
    finish(trainer.collector.collect(steps, new_random()), "collect", steps)
    return trainer


def train(trainer: Trainer, component: str, epoch: int = 3) -> dict[str, float]:
    part = trainer.components[component]
    return finish(part.train(new_random(epoch), epoch), component, part.schedule.steps_per_epoch)


class HostReads(TorchDispatchMode):
    """Operations that need a tensor's values on the host: on a GPU, each makes the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        masks = [
            index.dtype == torch.bool
            for argument in args[1:2]
            if "index" in name and isinstance(argument, (list, tuple))
            for index in argument
            if isinstance(index, Tensor)
        ]
        if any(masks) or any(part in name for part in ("_local_scalar_dense", "nonzero", "masked_select", "unique")):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def parameters_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.agent.named_parameters()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def loss_of_window(trainer: Trainer, window: int) -> float:
    """The priority signal of one window, from its rows in the replay."""
    length, context = 4, 2
    batch = trainer.replay.gather(np.array([window] * 4), before=0, length=length)
    losses = world_model_losses(
        trainer.agent.world_model,
        WorldModelBatch(
            trainer.agent.tokenizer.encode({name: torch.from_numpy(o) for name, o in batch.observations.items()}),
            *(torch.from_numpy(a) for a in (batch.actions, batch.rewards, batch.terminated, batch.mask)),
        ),
        trainer.agent.tokenizer.codebooks,
        context,
    )
    return losses.per_window[0].item()


@pytest.mark.parametrize("task", ["terminating", "image"])
def test_priorities_land_on_the_very_windows_of_the_batch(task: str) -> None:
    trainer = collected(task, world_model={"dropout": 0.0})
    component = trainer.components["world_model"]
    assert isinstance(component, WorldModelComponent)
    for step in range(3):
        drawn = component.draw(new_random(step))
        losses = component.compute(drawn.batch, WHOLE).per_window
        assert drawn.read_back is not None
        drawn.read_back(losses.numpy())
    weights = component.sampler.state_dict()["weights"]
    windows = trainer.replay.window_ids(np.arange(trainer.replay.first_window, trainer.replay.next_window))
    seen = weights != math.exp(10)
    assert 4 <= seen.sum() <= 12
    for window, weight in zip(windows[seen], weights[seen], strict=True):
        assert math.log(weight) == pytest.approx(loss_of_window(trainer, window), rel=1e-3)


def test_a_window_whose_loss_is_not_finite_stops_the_run() -> None:
    trainer = collected("terminating")
    with torch.no_grad():
        trainer.agent.world_model.reward_head.hidden[0].weight.fill_(math.nan)
    with pytest.raises(UserError, match="world_model diverged in epoch 3"):
        train(trainer, "world_model")


@pytest.mark.parametrize("component", ["tokenizer", "world_model", "controller"])
def test_a_component_changes_nothing_but_itself(component: str) -> None:
    trainer = collected("all_modalities")
    own = {"controller": "actor_critic"}.get(component, component)
    before, rows = parameters_of(trainer), trainer.replay.rows_since(0)
    train(trainer, component)
    after = parameters_of(trainer)
    assert {name.partition(".")[0] for name in changed(before, after)} == {own}
    for name, column in trainer.replay.rows_since(0).columns.items():
        np.testing.assert_array_equal(column, rows.columns[name])


@pytest.mark.parametrize("separate", [False, True], ids=["shared", "separate"])
def test_during_the_warm_up_only_the_critic_learns(separate: bool) -> None:
    """The controller starts after epoch 2, so with a warm-up of 2 the actor trains from epoch 4 on."""
    trainer = collected("vector", controller={"critic_warmup_epochs": 2, "separate_networks": separate})
    before = parameters_of(trainer)
    train(trainer, "controller", epoch=3)
    warmed_up = parameters_of(trainer)
    parts = {name.split(".")[1] for name in changed(before, warmed_up)}
    assert parts == ({"critic", "critic_trunk"} if separate else {"critic", "actor_trunk"})
    train(trainer, "controller", epoch=4)
    assert any(name.startswith("actor_critic.actor.") for name in changed(warmed_up, parameters_of(trainer)))


@pytest.mark.parametrize(
    ("task", "changes"), [("all_modalities", {}), ("terminating", {}), ("vector", {}), ("image", FSQ)]
)
def test_no_step_waits_for_the_device(task: str, changes: dict[str, Any]) -> None:
    """Dropout apart, which is another one on the CPU."""
    trainer = collected(task, world_model={"dropout": 0.0}, **changes)
    for component in trainer.components.values():
        with HostReads() as reads:
            component.step(new_random(), epoch=4)
        assert reads.seen == [], component.name


def test_host_reads_are_noticed() -> None:
    values = torch.arange(3.0)
    for read in (lambda: values.sum().item(), lambda: values[values > 1], lambda: bool(values[0] > 0)):
        with HostReads() as reads:
            read()
        assert reads.seen


def test_a_component_that_is_stopped_halfway_is_left_in_evaluation_mode() -> None:
    component = collected("terminating").components["world_model"]
    work = component.train(new_random(), epoch=3)
    next(work)
    assert component.module.training
    work.close()
    assert not component.module.training


def test_curiosity_without_weight_is_not_asked_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a controller that asks for disagreements, and multiplies them by 0."""
    learnt = []
    for curious in (False, True):
        trainer = collected("vector", controller={"intrinsic_weight": 0.0})
        ensemble = trainer.agent.world_model.curiosity
        assert ensemble is not None
        spy = Mock(wraps=ensemble.step_disagreement)
        monkeypatch.setattr(ensemble, "step_disagreement", spy)
        if curious:
            forced = partial(Imagination, curious=True)
            monkeypatch.setattr("m3.training.components.Imagination", lambda *args, new=forced: new(*args[:3]))
        trainer.components["controller"].step(new_random(), epoch=4)
        learnt.append(parameters_of(trainer))
        assert spy.called == curious
    assert changed(*learnt) == set()


def test_nothing_trains_on_a_replay_that_is_too_small() -> None:
    trainer = collected("image", steps=3)
    assert not any(component.ready() for component in trainer.components.values())
    finish(trainer.collector.collect(20, new_random()), "collect", 20)
    assert all(component.ready() for component in trainer.components.values())


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.3, 2)])
def test_the_prioritised_share_of_a_batch_goes_to_the_worst_windows(share: float, expected: int) -> None:
    """One of many windows counts 300 times the others: it is in every batch that draws by priority."""
    trainer = collected("terminating", steps=200, replay={"prioritized_share": share, "initial_loss": 0.0})
    component = trainer.components["world_model"]
    assert isinstance(component, WorldModelComponent)
    worst = trainer.replay.window_ids(np.array([7, 30]))
    component.sampler.update(worst, np.array([100.0, 100.0]))
    drawn = [component.sampler.sample(4, np.random.default_rng(seed)) for seed in range(50)]
    hits = np.mean([np.isin(worst, ids).sum() for ids in drawn])
    assert hits == 2 if expected else hits < 0.5


@pytest.mark.parametrize(("task", "sees_ends"), [("terminating", True), ("truncating", False)])
def test_the_end_head_learns_of_terminations_but_not_of_truncations(task: str, sees_ends: bool) -> None:
    """A head that is certain that nothing ever ends is wrong in one of the two tasks, which differ in nothing else."""
    trainer = collected(task)
    with torch.no_grad():
        trainer.agent.world_model.end_head[-1].weight.zero_()
        trainer.agent.world_model.end_head[-1].bias.copy_(torch.tensor([20.0, -20.0]))
    losses = [train(trainer, "world_model", epoch)["world_model/end_loss"] for epoch in range(5)]
    assert (max(losses) > 1) == sees_ends


def test_only_the_world_model_spares_some_parameters_the_weight_decay() -> None:
    decays = {
        name: {group["weight_decay"] for group in component.state_dict()["optimizer"]["param_groups"]}
        for name, component in collected("image").components.items()
    }
    assert decays == {"tokenizer": {0.01}, "world_model": {0.05, 0.0}, "controller": {0.01}}


def test_metrics_of_every_component_are_finite() -> None:
    trainer = collected("all_modalities")
    metrics = {}
    for component in trainer.components:
        metrics |= train(trainer, component)
    assert all(map(math.isfinite, metrics.values()))
    for name in ("tokenizer/loss", "world_model/end_loss", "world_model/curiosity_loss", "controller/entropy"):
        assert name in metrics


@pytest.mark.parametrize(
    "changes",
    [
        {"world_model": {"curiosity": False}, "controller": {"intrinsic_weight": 0.0}},
        {"replay": {"prioritized_share": 0.0}},
        {"regression": "symlog_mse"},
        {"continuous_actions": "projection"},
    ],
    ids=["no curiosity", "uniform replay", "regression", "projected actions"],
)
def test_ablations_train(changes: dict[str, Any]) -> None:
    trainer = collected("vector", **changes)
    before = parameters_of(trainer)
    assert all(map(math.isfinite, (train(trainer, "world_model") | train(trainer, "controller")).values()))
    assert changed(before, parameters_of(trainer)) == set(before)


def test_the_controller_imagines_as_far_as_windows_reach_beyond_their_context() -> None:
    """Four windows of 4 - 2 + 1 steps are in a batch; all but each last step have a return to learn from."""
    trainer = collected("terminating")
    train(trainer, "controller")
    history = trainer.components["controller"].state_dict()["return_range"]["history"]
    assert np.isfinite(history).any(axis=1).sum() == 2
    assert history.shape == (500, 4 * 2)


def test_the_controller_burns_in_on_the_steps_before_its_windows() -> None:
    values = []
    for burn_in in (0, 3):
        trainer = collected("terminating", sequences={"burn_in": burn_in})
        values.append(train(trainer, "controller")["controller/value"])
    assert values[0] != values[1]


def with_curiosity_until_epoch_3() -> Trainer:
    return collected(
        "vector",
        collection={"last_epoch": 3},
        controller={"curiosity_while_collecting_only": True, "extrinsic_weight": 5.0},
    )


def test_the_ensemble_stays_as_it_is_once_collecting_has_stopped() -> None:
    trainer = with_curiosity_until_epoch_3()
    before = parameters_of(trainer)
    train(trainer, "world_model", epoch=3)
    curious = parameters_of(trainer)
    scalars = train(trainer, "world_model", epoch=4)
    after = parameters_of(trainer)
    assert any("curiosity" in name for name in changed(before, curious))
    assert not [name for name in changed(curious, after) if "curiosity" in name]
    assert any(name.startswith("world_model.sequence.") for name in changed(curious, after))
    assert scalars["world_model/curiosity_loss"] == 0
    parts = ("observation_loss", "reward_loss", "end_loss")
    assert scalars["world_model/loss"] == pytest.approx(sum(scalars[f"world_model/{part}"] for part in parts))


def test_imagined_rewards_are_the_weighted_predicted_ones_once_collecting_has_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = with_curiosity_until_epoch_3()
    assert train(trainer, "controller", epoch=3)["controller/disagreement"] > 0
    seen: list[Tensor] = []
    lambda_returns, losses = m3.agent.behavior.lambda_returns, m3.training.components.behavior_losses

    def noted_returns(rewards: Tensor, *others: Any) -> Tensor:
        seen.append(rewards)
        return lambda_returns(rewards, *others)

    def noted_losses(policy: Any, trajectory: Trajectory, *others: Any) -> Any:
        seen.append(5 * trajectory.rewards)
        return losses(policy, trajectory, *others)

    monkeypatch.setattr(m3.agent.behavior, "lambda_returns", noted_returns)
    monkeypatch.setattr(m3.training.components, "behavior_losses", noted_losses)
    assert train(trainer, "controller", epoch=4)["controller/disagreement"] == 0
    assert len(seen) == 4
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])


def test_curiosity_goes_on_where_nothing_else_is_asked_for() -> None:
    trainer = collected("vector", collection={"last_epoch": 3})
    assert train(trainer, "world_model", epoch=4)["world_model/curiosity_loss"] > 0
    assert train(trainer, "controller", epoch=4)["controller/disagreement"] > 0
