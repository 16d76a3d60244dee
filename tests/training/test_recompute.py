"""Layers that are computed again in the backward pass: less memory, the same bits."""

import pytest
import torch
from toy_runs import toy_settings, toy_trainer

from m3.checks.differences import differences
from m3.errors import UserError
from m3.nn import retnet
from m3.runs.progress import finish
from m3.seeding import randomness
from m3.training.state import to_arrays
from m3.training.trainer import Trainer

CPU = torch.device("cpu")


def trained(trainer: Trainer) -> dict:
    """The state after an epoch of the world model, dropout included."""
    finish(trainer.collector.collect(30, randomness(CPU, 0)), "collect", 30)
    component = trainer.components["world_model"]
    finish(component.train(randomness(CPU, 1), 3), "world_model", component.schedule.steps_per_epoch)
    return to_arrays(trainer.agent.state_dict()) | component.state_dict()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_bits_are_the_same(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = toy_settings("vector", precision=precision)
    assert settings.world_model.dropout > 0
    expected = trained(toy_trainer(settings))
    recomputing = toy_trainer(settings)
    network = recomputing.agent.world_model.sequence.network
    network.recompute = True
    calls = []
    checkpoint = retnet.checkpoint
    monkeypatch.setattr(retnet, "checkpoint", lambda *given, **how: calls.append(1) or checkpoint(*given, **how))
    assert list(differences(expected, trained(recomputing))) == []
    assert len(calls) == settings.world_model.layers * settings.world_model.schedule.steps_per_epoch


def test_what_is_recomputed_cannot_be_captured() -> None:
    trainer = toy_trainer(toy_settings("vector"))
    with pytest.raises(UserError, match="leave one of the two out"):
        Trainer(trainer.settings, *[None] * 3, CPU, graphs=True, recompute=True)  # type: ignore[arg-type]
