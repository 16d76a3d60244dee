"""The card of an agent: what it is, what it scores, how it learnt, how to use it."""

import json
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from m3.analysis.bootstrap import Draws, Estimate, estimate
from m3.config.experiment import Statistics
from m3.config.identity import canonical, config_hash
from m3.config.schema import RunSettings
from m3.files.names import ANY_SETTINGS, DIAGNOSIS
from m3.files.run_folder import resolved_name
from m3.hub.places import is_address, parse

CURVE = "curve.png"


class Card:
    """The card of one run.

    Args:
        where: the run's address on the Hub, or its folder.
        settings: of the run.
        scores, metrics: content of the run's files.
        origin: attributes of the scores: with which code and on what they were made.
        licence: of the weights, by the Hub's names for licences.
    """

    def __init__(
        self,
        where: str,
        settings: RunSettings,
        scores: dict[str, Any],
        metrics: dict[str, Any],
        origin: dict[str, Any],
        licence: str,
    ) -> None:
        self._where = where
        self._settings = settings
        self._scores = scores
        self._origin = origin
        self._licence = licence
        self._steps: np.ndarray = metrics["evaluations"]["agent_steps"]
        self._evaluations = means_with_intervals(metrics["evaluations"]["returns"])

    def text(self) -> str:
        """Write the card as Markdown, with the metadata that the Hub reads."""
        settings, scores, returns = self._settings, self._scores, self._scores["returns"]
        score = means_with_intervals(returns[None])
        return f"""\
---
library_name: m3
license: {self._licence}
pipeline_tag: reinforcement-learning
tags: [reinforcement-learning, world-model, m3]
model-index:
- name: {json.dumps(parse(self._where).repository if is_address(self._where) else PurePath(self._where).name)}
  results:
  - task: {{type: reinforcement-learning, name: reinforcement-learning}}
    dataset: {{type: {json.dumps(settings.benchmark)}, name: {json.dumps(settings.task)}}}
    metrics: [{{type: mean_reward, name: mean return, value: {score.value[0]:.6g}}}]
---

# {settings.task}: an agent of M3

A world-model agent of variant `{settings.variant}` for the task `{settings.task}` of `{settings.benchmark}`.
It was trained for {scores["agent_steps"]:,} agent steps with seed {settings.seed} and training version \
{settings.training_version}.

## Score

Mean return **{score.value[0]:.4g}**, 95% interval {_interval(score, 0)} (bootstrap over the {len(returns)} episodes
after training, of this one seed); episodes return from {returns.min():.4g} to {returns.max():.4g}.
{self._made()}

## How it learnt

![Returns of the evaluations during training]({CURVE})

{self._table()}

{self._use()}

## Settings

Hash {config_hash(settings)}; also in `{ANY_SETTINGS}`.

```yaml
{canonical(settings)}```
"""

    def curve(self) -> Figure:
        """Draw the mean return of each evaluation during training, with its 95% interval."""
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(self._steps, self._evaluations.low, self._evaluations.high, alpha=0.25, linewidth=0)
        axes.plot(self._steps, self._evaluations.value, marker="o", markersize=3)
        axes.set_xlabel("agent steps")
        axes.set_ylabel("return")
        return figure

    def _made(self) -> str:
        origin = self._origin
        return f"Measured by {origin['created_by']} (git revision {origin['git_revision'][:12]}) on {origin['device']}."

    def _use(self) -> str:
        file = resolved_name(self._settings)
        return f"""\
## Use it

    import m3

    agent = m3.load("{self._where}")
    environment = agent.make_environment()
    observation = environment.reset(seed=0)
    agent.reset(seed=0)
    action = agent.act(observation)

or, with the commands:

    m3 watch {self._where} --dream --output dream.mp4
    m3 evaluate {self._where} --episodes {len(self._scores["returns"])} --output again.h5
    m3 diagnose --run {self._where} --output {DIAGNOSIS}

To train it again, with the file of its settings:

    m3 train --config {file if is_address(self._where) else f"{self._where}/{file}"} --run RUN"""

    def _table(self) -> str:
        rows = ["| agent steps | mean return | 95% interval |", "| ---: | ---: | --- |"]
        for row, steps in enumerate(self._steps):
            rows.append(f"| {steps:,} | {self._evaluations.value[row]:.4g} | {_interval(self._evaluations, row)} |")
        return "\n".join(rows)


def means_with_intervals(returns: np.ndarray) -> Estimate:
    """Estimate the mean of each row of episodes.

    Args:
        returns: float64 (rows, episodes).
    """
    if not len(returns):
        return Estimate(*np.empty((3, 0)))
    draws = Draws(Statistics().repetitions, 0, ("card",))
    return estimate([returns.T], lambda drawn: drawn[0].mean(axis=0), draws)


def _interval(found: Estimate, row: int) -> str:
    return "none" if np.isnan(found.low[row]) else f"[{found.low[row]:.4g}, {found.high[row]:.4g}]"
