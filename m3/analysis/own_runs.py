"""Own runs: the scores.h5 and metrics.h5 of run folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m3.analysis.scores import AGENT_STEPS, CURVE_COLUMNS, METHOD_COLUMNS, RUN_COLUMNS, SCORE_COLUMNS, Scores, empty
from m3.errors import UserError
from m3.files.contents import read_metrics, read_scores

SOURCE = "own run"


def read_own(folders: Sequence[Path], benchmark: str, labels: Mapping[str, str]) -> Scores:
    """The scores of finished runs: mean return of the final evaluation, and the evaluations during training.

    Args:
        folders: run folders; each holds scores.h5 and metrics.h5.
        benchmark: the benchmark that all of them must be runs of.
        labels: name in figures, by variant, in the order of the figures; other variants follow as "{variant} (ours)".

    Raises:
        UserError: a file is missing or damaged, the run's two files disagree, or it is of another benchmark.
    """
    runs, curves = [], [empty(CURVE_COLUMNS)]
    for folder in folders:
        run, curve = _read_run(folder, benchmark)
        run["method"] = method_name(run["variant"], labels)
        runs.append(run)
        curves.append(curve.assign(method=run["method"], task=run["task"], seed=run["seed"]))
    table = pd.DataFrame(runs, columns=RUN_COLUMNS)
    order = list(dict.fromkeys([*labels, *table.variant]))
    table = table.sort_values("variant", key=lambda column: column.map(order.index), kind="stable", ignore_index=True)
    methods = table.drop_duplicates("variant").assign(step_unit=AGENT_STEPS)
    return Scores(
        methods=methods[METHOD_COLUMNS].reset_index(drop=True),
        scores=table.assign(steps=table.agent_steps, source=SOURCE)[SCORE_COLUMNS],
        curves=pd.concat([curve for curve in curves if not curve.empty] or curves, ignore_index=True)[CURVE_COLUMNS],
        runs=table,
    )


def method_name(variant: str, labels: Mapping[str, str]) -> str:
    """The name of a variant's own runs in figures."""
    return labels.get(variant, f"{variant} (ours)")


def _read_run(folder: Path, benchmark: str) -> tuple[dict[str, Any], pd.DataFrame]:
    scores, _ = read_scores(folder / "scores.h5")
    metrics, training = read_metrics(folder / "metrics.h5")
    for name in ("benchmark", "variant", "task", "seed"):
        if scores[name] != metrics[name]:
            raise UserError(f"{folder}: scores.h5 is of {name} {scores[name]}, metrics.h5 of {metrics[name]}")
    if scores["benchmark"] != benchmark:
        raise UserError(f"{folder}: a run of {scores['benchmark']}, where runs of {benchmark} are collected")
    returns = scores["returns"]
    run = {
        **{name: scores[name] for name in ("variant", "task", "seed", "agent_steps")},
        "score": float(returns.mean()),
        "score_sd": float(returns.std(ddof=1)) if len(returns) > 1 else np.nan,
        "episodes": len(returns),
        "wall_seconds": float(metrics["wall_seconds"]),
        "device": training["device"],
        **{name: training[name] for name in ("host", "created_by", "git_revision", "git_dirty", "config_hash")},
    }
    evaluations = metrics["evaluations"]
    means = [float(episodes.mean()) for episodes in evaluations["returns"]]
    return run, pd.DataFrame({"steps": evaluations["agent_steps"], "score": means})
