"""Figures and pages of several benchmarks together: the overview, training times, and the page to explore scores."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from m3.analysis import catalog
from m3.analysis.aggregates import Aggregates
from m3.analysis.captions import overview_caption, training_time_caption
from m3.analysis.figures.overview import overview_figure
from m3.analysis.figures.times import training_time_figure
from m3.analysis.scores import ScoreTable


def joint_figure(name: str, benchmarks: Sequence[tuple[ScoreTable, Aggregates]]) -> tuple[Figure, str]:
    """A figure of several benchmarks, one of ``catalog.JOINT_FIGURES``, and its caption."""
    if name == catalog.OVERVIEW.name:
        statistics = [aggregates for _, aggregates in benchmarks]
        return overview_figure(statistics), overview_caption(statistics)
    tables = [table for table, _ in benchmarks]
    return training_time_figure(tables), training_time_caption(tables)
