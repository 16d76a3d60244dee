"""Settings of runs on the toy environments, small enough that an epoch takes a fraction of a second."""

from typing import Any

from m3.config.layers import merge
from m3.config.schema import RunSettings

TASKS_WITH_IMAGES = ("image", "all_modalities")


def toy_settings(task: str, **changes: Any) -> RunSettings:
    """A tiny run of a toy environment that trains every component from its third epoch on.

    Args:
        task: name of the toy environment.
        changes: more settings, nested as in ``RunSettings``; they win.
    """
    content: dict[str, Any] = {
        "benchmark": "toy",
        "variant": "tiny",
        "task": task,
        "seed": 0,
        "epochs": 4,
        "environment": {"family": "toy", "image_size": 8},
        "sequences": {"length": 4, "context_length": 2, "burn_in": 3},
        "collection": {"steps_per_epoch": 20, "epsilon": 0.1},
        "evaluation": {"every_epochs": 2, "episodes": 3, "environments": 2},
        "world_model": {
            "layers": 2,
            "heads": 2,
            "width": 16,
            "decay_scale_min": 2,
            "decay_scale_max": 4,
            "schedule": {"start_after_epoch": 1, "steps_per_epoch": 2, "batch_size": 4},
        },
        "controller": {
            "mlp": [16],
            "lstm_width": 16,
            "token_embedding_size": 4,
            "schedule": {"start_after_epoch": 2, "steps_per_epoch": 2, "batch_size": 4},
        },
    }
    if task in TASKS_WITH_IMAGES:
        content["tokenizer"] = {
            "channels": 8,
            "downsamples": 1,
            "code_size": 8,
            "vocabulary": 16,
            "perceptual": "none",
            "schedule": {"start_after_epoch": 0, "steps_per_epoch": 2, "batch_size": 4},
        }
    return RunSettings.model_validate(merge([content, changes]))
