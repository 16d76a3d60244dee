"""Diagnoses of own runs: the files of run folders, summed up by method and task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m3.analysis import words
from m3.analysis.rendering import Cell, Table, to_html, to_latex, to_markdown
from m3.analysis.sources import method_name
from m3.errors import UserError
from m3.files.contents import read_diagnosis, read_returns
from m3.files.names import DIAGNOSIS, SCORES

END_BINS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 0.9, 1.0)
"""Bounds of the probabilities of an end that are looked at together: ends are rare."""
REWARD_BINS = 8
"""Predicted rewards are looked at in as many parts, equally wide."""
STEPS_IN_TABLE = (1, 4, 8)


@dataclass(frozen=True)
class Diagnoses:
    """What the runs of a benchmark show; methods and tasks in the order in which they were given.

    runs: method, task, seed, agent_steps, score, observation_loss, observation_entropy, reward_error, reward_spread,
        ends, end_if_ended, end_if_not; one row per run.
    dreams: method, task, seed, step, wrong, unchanged; one row per run and dreamt step.
    rewards, ends: method, task, predicted, real, count; one row per group of steps with similar predictions, of all
        seeds together.
    """

    benchmark: str
    label: str
    extent: str
    """What was looked at, and after how much training: for figures."""
    runs: pd.DataFrame
    dreams: pd.DataFrame
    rewards: pd.DataFrame
    ends: pd.DataFrame

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(self.runs.method))

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(self.runs.task))


def read_diagnoses(folders: Sequence[Path], labels: Mapping[str, str], benchmark_label: str = "") -> Diagnoses:
    """Sum up the diagnoses of runs of one benchmark.

    Args:
        folders: run folders; each holds a diagnosis and scores.
        labels: name in figures, by variant, in the order of the figures; other variants follow as "{variant} (ours)".
        benchmark_label: the benchmark's name in figures; none: its short name.

    Raises:
        UserError: a file is missing or damaged, or they are of several benchmarks or of different extent.
    """
    contents = [_read_run(folder) for folder in folders]
    benchmarks = sorted({content["benchmark"] for content in contents})
    if len(benchmarks) != 1:
        raise UserError(f"diagnoses of one benchmark are drawn together, got {', '.join(benchmarks) or 'none'}")
    if any(content["extent"] != contents[0]["extent"] for content in contents):
        raise UserError("diagnoses of different extent are not drawn together: give all the same options of `diagnose`")
    order = list(dict.fromkeys([*labels, *(content["variant"] for content in contents)]))
    contents.sort(key=lambda content: order.index(content["variant"]))
    for content in contents:
        content["method"] = method_name(content["variant"], labels)
    return Diagnoses(
        benchmark=benchmarks[0],
        label=benchmark_label or benchmarks[0],
        extent=_extent(contents),
        runs=pd.DataFrame([_of_run(content) for content in contents]),
        dreams=pd.concat([_dreams_of_run(content) for content in contents], ignore_index=True),
        rewards=_calibration(contents, "predicted_reward", "reward", _equal_parts),
        ends=_calibration(contents, "end_probability", "ended", lambda _: np.array(END_BINS)),
    )


def _read_run(folder: Path) -> dict[str, Any]:
    content, training = read_diagnosis(folder / DIAGNOSIS)
    returns, of_scores = read_returns(folder / SCORES)
    if training["config_hash"] != of_scores["config_hash"]:
        raise UserError(f"{folder}: {DIAGNOSIS} and {SCORES} are of different settings: make the older one again")
    return content | {"score": returns.mean()}


def _extent(contents: Sequence[Mapping[str, Any]]) -> str:
    extent, trained = contents[0]["extent"], [content["agent_steps"] for content in contents]
    steps = dict.fromkeys(map(words.steps, (min(trained), max(trained))))
    return (
        f"The first {extent['steps']} steps of {words.count(extent['episodes'], 'new episode')} of each agent, after "
        f"{' to '.join(steps)} agent steps of training"
    )


def _names(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in ("method", "task", "seed")}


def _of_run(content: Mapping[str, Any]) -> dict[str, Any]:
    found = content["predictions"]
    reward, ended = found["reward"], found["ended"]
    return {
        **_names(content),
        "agent_steps": content["agent_steps"],
        "score": content["score"],
        "observation_loss": found["observation_loss"].mean(),
        "observation_entropy": found["observation_entropy"].mean(),
        "reward_error": np.abs(found["predicted_reward"] - reward).mean(),
        "reward_spread": np.abs(reward - reward.mean()).mean(),
        "ends": int(ended.sum()),
        "end_if_ended": found["end_probability"][ended].mean() if ended.any() else np.nan,
        "end_if_not": found["end_probability"][~ended].mean() if not ended.all() else np.nan,
    }


def _dreams_of_run(content: Mapping[str, Any]) -> pd.DataFrame:
    dreams = content["dreams"]
    columns = {name: _mean_by_step(dreams[name]) for name in ("wrong", "unchanged")}
    frame = pd.DataFrame(columns).rename_axis("step").reset_index()
    return frame.assign(step=frame.step + 1, **_names(content)).dropna(subset="wrong")


def _mean_by_step(values: np.ndarray) -> np.ndarray:
    """The mean of (dreams, steps) over dreams; NaN where none goes so far."""
    counts = (~np.isnan(values)).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _equal_parts(predicted: np.ndarray) -> np.ndarray:
    return np.linspace(predicted.min(), predicted.max(), REWARD_BINS + 1)


def _calibration(contents: Iterable[Mapping[str, Any]], predicted: str, real: str, bounds: Any) -> pd.DataFrame:
    """Means of predictions and of what happened, in groups of steps with similar predictions."""
    steps = pd.concat(
        [
            pd.DataFrame(
                {"predicted": c["predictions"][predicted], "real": c["predictions"][real].astype(float)}
            ).assign(method=c["method"], task=c["task"])
            for c in contents
        ],
        ignore_index=True,
    )
    rows = []
    for (method, task), part in steps.groupby(["method", "task"], sort=False):
        groups = np.searchsorted(bounds(part.predicted.to_numpy())[1:-1], part.predicted, side="right")
        means = part.groupby(groups)[["predicted", "real"]].mean()
        rows.append(means.assign(method=method, task=task, count=part.groupby(groups).size()))
    return pd.concat(rows, ignore_index=True)


def table_files(diagnoses: Diagnoses) -> dict[str, str]:
    """The contents of the table's files by suffix: tex, md, html and, with one row per run, csv."""
    table = diagnosis_table(diagnoses)
    csv = diagnoses.runs.assign(benchmark=diagnoses.benchmark).to_csv(
        index=False, float_format="%.6f", lineterminator="\n"
    )
    return {"tex": to_latex(table), "md": to_markdown(table), "html": to_html(table), "csv": csv}


def diagnosis_table(diagnoses: Diagnoses) -> Table:
    """One row per method and task, means over seeds."""
    rows = []
    steps = [step for step in STEPS_IN_TABLE if step <= diagnoses.dreams.step.max()]
    for (method, task), runs in diagnoses.runs.groupby(["method", "task"], sort=False):
        dreams = diagnoses.dreams[(diagnoses.dreams.method == method) & (diagnoses.dreams.task == task)]
        of_step = dreams.groupby("step")[["wrong", "unchanged"]].mean()
        spread = runs.reward_spread.mean()
        rows.append(
            [
                *(Cell(str(method)), Cell(str(task)), Cell(str(len(runs))), Cell(words.value(runs.score.mean()))),
                *(Cell(f"{runs.observation_loss.mean():.3f}"), Cell(f"{runs.observation_entropy.mean():.3f}")),
                Cell(words.value(runs.reward_error.mean()), f"of {words.value(spread)}"),
                _ends_cell(runs),
                *(_dream_cell(of_step.loc[step]) if step in of_step.index else Cell("") for step in steps),
            ]
        )
    return Table(
        title=f"{diagnoses.label}: how well world models predict",
        notes=[
            f"{diagnoses.extent}; means over seeds. Score: of the final evaluation. Observation loss: cross-entropy "
            "per token, in nats; entropy: that of the predictions, which the loss of a calibrated model equals. Reward "
            "error: mean absolute error, of that of always predicting the mean. Ends: mean probability of an end where "
            "the episode was terminated, of that elsewhere. Dreams: share of wrong tokens after so many dreamt steps "
            "(of vectors: off by more than a bin), of that if nothing ever changed."
        ],
        header=[
            *("Method", "Task", "Seeds", "Score", "Observation loss", "Entropy", "Reward error", "Ends"),
            *(f"Dreams, step {step}" for step in steps),
        ],
        sections=[rows],
    )


def _ends_cell(runs: pd.DataFrame) -> Cell:
    if not runs.ends.sum():
        return Cell("none")
    return Cell(f"{runs.end_if_ended.mean():.1%}", f"of {runs.end_if_not.mean():.2%}")


def _dream_cell(step: pd.Series) -> Cell:
    return Cell(f"{step.wrong:.1%}", f"of {step.unchanged:.1%}")
