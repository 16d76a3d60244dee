"""Tables of a benchmark: scores of every task, aggregates, provenance of own runs."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from m3.analysis import words
from m3.analysis.aggregates import Aggregates, to_csv
from m3.analysis.metrics import METRICS, Metric
from m3.analysis.rendering import Cell, Mark, Table, to_html, to_latex, to_markdown
from m3.analysis.scores import ScoreTable
from m3.files.names import ANY_SETTINGS

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""


def files(name: str, aggregates: Aggregates, table: ScoreTable) -> dict[str, str]:
    """The contents of one table's files by suffix: tex, md, html and csv.

    Args:
        name: one of ``catalog.table_names``.
        aggregates: the statistics.
        table: the scores that they come from.
    """
    if name == "table_scores":
        shown, csv = scores_table(aggregates, table), scores_csv(aggregates)
    elif name == "table_aggregates":
        shown, csv = aggregates_table(aggregates), to_csv(aggregates)
    else:
        shown, csv = runs_table(table), runs_csv(table)
    return {"tex": to_latex(shown), "md": to_markdown(shown), "html": to_html(shown), "csv": csv}


def scores_table(aggregates: Aggregates, table: ScoreTable) -> Table:
    """Mean and standard deviation of every method on every compared task; below, the aggregates."""
    benchmark = aggregates.info
    methods = aggregates.methods.method[aggregates.methods.n_tasks > 0].tolist()
    references = table.tasks.set_index("task")
    cells = aggregates.cells.set_index(["method", "task"])
    usual = aggregates.methods.set_index("method").n_seeds_max
    fair = set(aggregates.methods.method[aggregates.methods.fair])
    low, high = references.low_means.iloc[0], references.high_means.iloc[0]
    rows = []
    for task in aggregates.tasks:
        found = [cells.loc[(method, task)] if (method, task) in cells.index else None for method in methods]
        row = marked(
            [_score_cell(cell, usual[method]) for method, cell in zip(methods, found, strict=True)],
            among=[method in fair for method in methods],
        )
        bounds = [Cell(words.score(references.loc[task, column])) for column in ("low", "high")]
        rows.append([Cell(task), *bounds, *row])
    notes = [
        f"{words.extent(aggregates)}. Mean over seeds, with the standard deviation; one seed has none. "
        "The best and the second best mean of a row are marked.",
        f"Below: aggregates of normalised scores, {benchmark.scale.strip('()')}. A method that lacks some of the "
        f"{benchmark.task_word}s has no aggregates here.",
    ]
    return Table(
        title=f"{benchmark.label}: scores of every {benchmark.task_word}",
        notes=[*_warnings(aggregates), *notes],
        header=[benchmark.task_word.capitalize(), low.capitalize(), high.capitalize(), *map(aggregates.label, methods)],
        sections=[rows, _aggregate_rows(aggregates, methods), _extent_rows(aggregates, methods)],
    )


def aggregates_table(aggregates: Aggregates) -> Table:
    """Every metric of every method with its interval, and the probability of improvement."""
    benchmark = aggregates.info
    metrics = [metric for metric in METRICS.values() if metric.name in set(aggregates.metrics.metric)]
    methods = aggregates.methods[aggregates.methods.n_tasks > 0]
    columns = [
        [Cell(label) for label in methods.label],
        [Cell(words.seeds(aggregates, method)) for method in methods.method],
        [Cell(f"{count} of {aggregates.total_tasks}") for count in methods.n_tasks],
        *(_metric_column(aggregates, metric) for metric in metrics),
        _improvement_column(aggregates, methods.method),
    ]
    return Table(
        title=f"{benchmark.label}: aggregates",
        notes=[
            *_warnings(aggregates),
            f"{words.extent(aggregates)}. {benchmark.normalized_score} {benchmark.scale}. In brackets: "
            f"{words.intervals(aggregates.repetitions)}; none for one seed.",
            f"P({aggregates.reference} better): probability that a run of {aggregates.reference} scores higher on the "
            f"same {benchmark.task_word}, over the {benchmark.task_word}s that both have.",
        ],
        header=[
            *("Method", f"Seeds per {benchmark.task_word}", f"{benchmark.task_word.capitalize()}s"),
            *(metric.label for metric in metrics),
            f"P({aggregates.reference} better)",
        ],
        sections=[list(zip(*columns, strict=True))],
    )


def runs_table(table: ScoreTable) -> Table:
    """Where the scores of own runs come from: one row per run."""
    benchmark = table.info
    rows = []
    for run in table.runs.itertuples():
        revision = run.git_revision[:10] + (" (modified)" if run.git_dirty else "")
        texts = [
            *(run.variant, run.task, str(run.seed)),
            Cell(words.score(run.score), _spread(run.score_sd, like=run.score)),
            *(str(run.episodes), f"{run.agent_steps:,}", _duration(run.wall_seconds), run.device, run.host),
            *(run.created_by, revision, run.config_hash[:8]),
        ]
        rows.append([Cell(run.method), *(text if isinstance(text, Cell) else Cell(text) for text in texts)])
    return Table(
        title=f"{benchmark.label}: own runs",
        notes=[
            "Score: mean over the episodes of the final evaluation, with their standard deviation. Settings: the first "
            f"digits of the hash of the run's settings; its {ANY_SETTINGS} has the same."
        ],
        header=[
            *("Method", "Variant", benchmark.task_word.capitalize(), "Seed", "Score", "Episodes", "Agent steps"),
            *("Training time", "Device", "Host", "Software", "Revision", "Settings"),
        ],
        sections=[rows],
    )


def scores_csv(aggregates: Aggregates) -> str:
    """The cells as CSV, one row per method and task."""
    cells = aggregates.cells.rename(columns={"sd": "standard_deviation", "normalized": "normalized_mean"})
    return _csv(cells.assign(benchmark=aggregates.benchmark)[["benchmark", *cells.columns]])


def runs_csv(table: ScoreTable) -> str:
    """The own runs as CSV."""
    return _csv(table.runs.assign(benchmark=table.benchmark)[["benchmark", *table.runs.columns]])


def marked(cells: Sequence[Cell], lower_is_better: bool = False, among: Sequence[bool] | None = None) -> list[Cell]:
    """The cells with the best and the second best marked; equal as printed is equally good. No number, no mark.

    Args:
        cells: of one row or column.
        lower_is_better: which are the best.
        among: which cells take part; none: all.
    """
    values = [
        _parsed(cell.text) if takes_part else None
        for cell, takes_part in zip(cells, among or [True] * len(cells), strict=True)
    ]
    ranking = sorted({value for value in values if value is not None}, reverse=not lower_is_better)
    marks: dict[float | None, Mark] = dict(zip(ranking, (Mark.BEST, Mark.SECOND), strict=False))
    return [Cell(cell.text, cell.small, marks.get(value, Mark.NONE)) for cell, value in zip(cells, values, strict=True)]


def _score_cell(cell: pd.Series | None, usual_seeds: int) -> Cell:
    if cell is None:
        return Cell(NOTHING)
    seeds = "" if cell.n_seeds == usual_seeds else f" ({words.count(int(cell.n_seeds), 'seed')})"
    return Cell(words.score(cell["mean"]), (_spread(cell.sd, like=cell["mean"]) + seeds).strip())


def _spread(deviation: float, like: float) -> str:
    return "" if np.isnan(deviation) else f"\N{PLUS-MINUS SIGN} {words.score(deviation, like)}"


def _aggregate_rows(aggregates: Aggregates, methods: Sequence[str]) -> list[list[Cell]]:
    rows, ranked = [], [method in aggregates.ranked for method in methods]
    for metric in METRICS.values():
        found = aggregates.metric(metric.name)
        if found.empty:
            continue
        texts = {method: metric.text(aggregates.info, found.estimate[method]) for method in aggregates.complete}
        cells = [Cell(texts.get(method, NOTHING)) for method in methods]
        rows.append([Cell(metric.label), Cell(""), Cell(""), *marked(cells, metric.lower_is_better, ranked)])
    return rows


def _extent_rows(aggregates: Aggregates, methods: Sequence[str]) -> list[list[Cell]]:
    word = aggregates.info.task_word
    counts = aggregates.methods.set_index("method").n_tasks
    tasks = [Cell(f"{counts[method]} of {aggregates.total_tasks}") for method in methods]
    seeds = [Cell(words.seeds(aggregates, method)) for method in methods]
    blank = [Cell(""), Cell("")]
    return [[Cell(f"Seeds per {word}"), *blank, *seeds], [Cell(f"{word.capitalize()}s"), *blank, *tasks]]


def _metric_column(aggregates: Aggregates, metric: Metric) -> list[Cell]:
    """One metric of all methods with intervals; marks only among the ranked methods."""
    rows = aggregates.metric(metric.name)
    cells = []
    for row in rows.itertuples():
        value, low, high = (metric.text(aggregates.info, number) for number in (row.estimate, row.low, row.high))
        cells.append(Cell(value, "" if np.isnan(row.low) else f"[{low}, {high}]"))
    return marked(cells, metric.lower_is_better, [method in aggregates.ranked for method in rows.index])


def _improvement_column(aggregates: Aggregates, methods: Iterable[str]) -> list[Cell]:
    rows = aggregates.improvement.set_index("method")
    cells = []
    for method in methods:
        if method not in rows.index:
            cells.append(Cell(NOTHING))
            continue
        row = rows.loc[method]
        interval = "" if np.isnan(row.low) else f"[{row.low:.2f}, {row.high:.2f}]"
        cells.append(Cell(f"{row.estimate:.2f}", interval))
    return cells


def _parsed(text: str) -> float | None:
    """The number that ``words.score`` or ``Metric.text`` printed; none for a cell without one."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").removesuffix("%")
    try:
        return float(plain)
    except ValueError:
        return None


def _duration(seconds: float) -> str:
    """A time in hours, minutes and seconds: "1:05:09"."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _warnings(aggregates: Aggregates) -> list[str]:
    without = aggregates.methods.method[aggregates.methods.n_tasks == 0]
    warnings = [*words.warnings(aggregates), *(f"{method} has no scores here" for method in without)]
    said = [" ".join(f"{warning}." for warning in warnings)] if warnings else []
    return said + words.not_ranked(aggregates)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.6f", lineterminator="\n")
