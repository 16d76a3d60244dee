"""The whole agent learns: tokens, dynamics, rewards and ends from experience, and acting from imagination alone."""

import pytest
from toy_runs import toy_settings, toy_trainer

from m3.runs.progress import RunProgress
from m3.training.trainer import Trainer

EPOCHS = 8
OPTIMIZER = {"learning_rate": 2e-3, "weight_decay": 0.01, "max_gradient_norm": 3.0}


@pytest.fixture(scope="module")
def trained() -> Trainer:
    """Names the cue it is shown, in test episodes of three steps; 1200 steps of experience, in about ten seconds."""
    settings = toy_settings(
        "terminating",
        epochs=EPOCHS,
        sequences={"length": 4, "context_length": 1, "burn_in": 2},
        collection={"steps_per_epoch": 150, "epsilon": 0.05},
        evaluation={"every_epochs": 1, "episodes": 32, "environments": 32},
        world_model={
            "width": 32,
            "dropout": 0.0,
            "optimizer": OPTIMIZER,
            "schedule": {"start_after_epoch": 1, "steps_per_epoch": 60, "batch_size": 16},
        },
        controller={
            "mlp": [32],
            "lstm_width": 32,
            "discount": 0.9,
            "entropy_weight": 0.03,
            "optimizer": OPTIMIZER,
            "schedule": {"start_after_epoch": 2, "steps_per_epoch": 60, "batch_size": 32},
        },
    )
    trainer = toy_trainer(settings)
    progress = RunProgress(settings)
    for _ in range(EPOCHS):
        trainer.run_epoch(progress)
    return trainer


def test_the_agent_beats_chance_clearly(trained: Trainer) -> None:
    """Chance is 0.75 and perfection 3; the mean of 32 episodes deviates from chance by 0.13."""
    returns = trained.log.evaluations()["returns"].mean(axis=1)
    assert returns[0] < 1.3
    assert returns[-2:].mean() > 1.7


def test_the_world_model_knows_what_can_be_known(trained: Trainer) -> None:
    """Observations follow from cue and action. The best loss of a reward is the entropy of its target, about 1.14;
    ends depend on an unseen counter: half of a fair coin's 0.69."""
    metrics = trained.log.columns()
    assert metrics["world_model/observation_loss"][1] > 1
    assert metrics["world_model/observation_loss"][-1] < 0.15
    assert metrics["world_model/reward_loss"][-1] < 1.3
    assert metrics["world_model/end_loss"][-1] < 0.55
    assert metrics["controller/disagreement"][-1] < metrics["controller/disagreement"][2] / 2
