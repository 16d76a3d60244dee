"""What a run measures in each epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from m3.training.evaluator import EpisodeStatistics


class MetricLog:
    """Rows of metrics per epoch, and the scores of the evaluations."""

    def __init__(self) -> None:
        self._epochs: list[dict[str, float]] = []
        self._evaluations: list[tuple[int, int, EpisodeStatistics]] = []

    def add_epoch(self, metrics: Mapping[str, float]) -> None:
        """Add one epoch's metrics by name; epochs may have different ones."""
        self._epochs.append(dict(metrics))

    def add_evaluation(self, epoch: int, agent_steps: int, scores: EpisodeStatistics) -> None:
        """Add what an evaluation after an epoch came to."""
        self._evaluations.append((epoch, agent_steps, scores))

    @property
    def newest(self) -> dict[str, float]:
        """The metrics of the last epoch."""
        return dict(self._epochs[-1])

    def newest_evaluation(self, epoch: int) -> EpisodeStatistics | None:
        """Return what the evaluation after ``epoch`` came to, if that is the newest."""
        return self._evaluations[-1][2] if self._evaluations and self._evaluations[-1][0] == epoch else None

    def columns(self) -> dict[str, np.ndarray]:
        """Return one array per metric, (epochs,), NaN where it was not measured; counters are integers."""
        names = sorted({name for row in self._epochs for name in row})
        columns = {name: np.array([row.get(name, np.nan) for row in self._epochs]) for name in names}
        return columns | {name: columns[name].astype(np.int64) for name in ("epoch", "agent_steps") if name in columns}

    def evaluations(self) -> dict[str, np.ndarray]:
        """Return epoch and agent_steps int64 (n,), returns float64 and lengths int64 (n, episodes)."""
        scores = [s for _, _, s in self._evaluations]
        episodes = len(scores[0].returns) if scores else 0
        return {
            "epoch": np.array([epoch for epoch, _, _ in self._evaluations], dtype=np.int64),
            "agent_steps": np.array([steps for _, steps, _ in self._evaluations], dtype=np.int64),
            "returns": np.array([s.returns for s in scores], dtype=np.float64).reshape(len(scores), episodes),
            "lengths": np.array([s.lengths for s in scores], dtype=np.int64).reshape(len(scores), episodes),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": list(self._epochs), "evaluations": self.evaluations()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epochs = list(state["epochs"])
        columns = state["evaluations"]
        self._evaluations = [
            (int(epoch), int(steps), EpisodeStatistics(returns, lengths))
            for epoch, steps, returns, lengths in zip(
                columns["epoch"], columns["agent_steps"], columns["returns"], columns["lengths"], strict=True
            )
        ]
