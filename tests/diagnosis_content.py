"""A small diagnosis, by hand."""

from typing import Any

import numpy as np

NAN = np.nan


def diagnosis_content(benchmark: str, variant: str, task: str, seed: int) -> dict[str, Any]:
    """Four steps, of which the last ends the episode; two dreams of three steps."""
    return {
        **{"benchmark": benchmark, "variant": variant, "task": task, "seed": seed, "agent_steps": 100},
        "temperature": 0.5,
        "extent": {"episodes": 2, "steps": 500, "dreams": 2},
        "predictions": {
            "observation_loss": np.array([1, 2, 3, 4.0]) + seed,
            "observation_entropy": np.array([1, 1, 1, 1.0]),
            "reward": np.array([0, 0, 1, 1.0]),
            "predicted_reward": np.array([0.1, 0, 0.8, 1.1]),
            "ended": np.array([False, False, False, True]),
            "end_probability": np.array([0.001, 0.002, 0.003, 0.7]),
        },
        "dreams": {
            "wrong": np.array([[0.1, 0.3, NAN], [0.3, NAN, NAN]]),
            "unchanged": np.full((2, 3), 0.5),
        },
    }
