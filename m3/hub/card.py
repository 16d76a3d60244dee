"""The card of an agent: what it is, what it scores, how it learnt, how to use it."""

import json
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from m3.config.identity import canonical, config_hash
from m3.config.schema import RunSettings
from m3.files.names import ANY_SETTINGS
from m3.hub.places import Place

CURVE = "curve.png"
_REPETITIONS = 10_000


def card(place: Place, settings: RunSettings, scores: dict[str, Any], metrics: dict[str, Any], licence: str) -> str:
    """Write the card of a run as Markdown, with the metadata that the Hub reads.

    Args:
        place: the folder in which the run will be.
        settings: of the run.
        scores, metrics: content of the run's files.
        licence: of the weights, by the Hub's names for licences.
    """
    mean, low, high = mean_with_interval(scores["returns"])
    episodes = len(scores["returns"])
    return f"""\
---
library_name: m3
license: {licence}
pipeline_tag: reinforcement-learning
tags: [reinforcement-learning, world-model, m3]
model-index:
- name: {json.dumps(place.repository)}
  results:
  - task: {{type: reinforcement-learning, name: reinforcement-learning}}
    dataset: {{type: {json.dumps(settings.benchmark)}, name: {json.dumps(settings.task)}}}
    metrics: [{{type: mean_reward, name: mean return, value: {mean:.6g}}}]
---

# {settings.task}: an agent of M3

A world-model agent of variant `{settings.variant}` for the task `{settings.task}` of `{settings.benchmark}`,
seed {settings.seed}, trained for {scores["agent_steps"]:,} agent steps ({scores["frames_per_step"]} frames each).

## Score

Mean return **{mean:.4g}**, 95% interval [{low:.4g}, {high:.4g}] (bootstrap over the {episodes} episodes after training,
of this one seed), from {scores["returns"].min():.4g} to {scores["returns"].max():.4g}.

## How it learnt

![Returns of the evaluations during training]({CURVE})

{_table(metrics["evaluations"])}

{_use(place, episodes)}

## Settings

Hash {config_hash(settings)}; also in `{ANY_SETTINGS}`.

```yaml
{canonical(settings)}```
"""


def _use(place: Place, episodes: int) -> str:
    return f"""\
## Use it

    import m3

    agent = m3.load("{place}")
    environment = agent.make_environment()
    observation = environment.reset(seed=0)
    agent.reset(seed=0)
    action = agent.act(observation)

or, with all commands:

    m3 pull {place} RUN
    m3 watch RUN --dream --output dream.mp4
    m3 evaluate --run RUN --episodes {episodes}"""


def curve(metrics: dict[str, Any]) -> Figure:
    """Draw the mean return of each evaluation during training, with its 95% interval."""
    evaluations = metrics["evaluations"]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    if len(evaluations["agent_steps"]):
        rows = np.array([mean_with_interval(returns) for returns in evaluations["returns"]])
        axes.fill_between(evaluations["agent_steps"], rows[:, 1], rows[:, 2], alpha=0.25, linewidth=0)
        axes.plot(evaluations["agent_steps"], rows[:, 0], marker="o", markersize=3)
    axes.set_xlabel("agent steps")
    axes.set_ylabel("return")
    return figure


def mean_with_interval(returns: np.ndarray) -> tuple[float, float, float]:
    """Return the mean, and the ends of its 95% percentile bootstrap interval over episodes."""
    draws = np.random.default_rng(0).choice(returns, (_REPETITIONS, len(returns))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(returns.mean()), float(low), float(high)


def _table(evaluations: dict[str, Any]) -> str:
    rows = ["| agent steps | mean return | 95% interval |", "| ---: | ---: | --- |"]
    for steps, returns in zip(evaluations["agent_steps"], evaluations["returns"], strict=True):
        mean, low, high = mean_with_interval(returns)
        rows.append(f"| {steps:,} | {mean:.4g} | [{low:.4g}, {high:.4g}] |")
    return "\n".join(rows)
