"""The figures of a benchmark: functions from scores and statistics to a finished figure."""

from collections.abc import Callable

from matplotlib.figure import Figure

from m3.analysis.aggregates import Aggregates
from m3.analysis.figures import ablations, curves, intervals, levels, own_curves, profiles, tasks
from m3.analysis.scores import ScoreTable

_FIGURES: dict[str, Callable[[Aggregates, ScoreTable], Figure]] = {
    "aggregates": intervals.aggregates_figure,
    "iqm": intervals.iqm_figure,
    "profiles": profiles.profiles_figure,
    "improvement": intervals.improvement_figure,
    "tasks": tasks.tasks_figure,
    "heatmap": tasks.heatmap_figure,
    "levels": levels.levels_figure,
    "curves": curves.curves_figure,
    "task_curves": curves.task_curves_figure,
    "own_curves": own_curves.own_curves_figure,
    "ablations": ablations.ablations_figure,
}


def draw(name: str, aggregates: Aggregates, table: ScoreTable) -> Figure:
    """The figure of that name, one of ``catalog.figure_names``."""
    return _FIGURES[name](aggregates, table)
