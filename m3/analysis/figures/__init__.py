"""The figures of a benchmark: functions from statistics to a finished figure."""

from matplotlib.figure import Figure

from m3.analysis.aggregates import Aggregates
from m3.analysis.figures import ablations, curves, intervals, own_cost, own_curves, profiles, tasks
from m3.analysis.scores import ScoreTable

_OF_AGGREGATES = {
    "aggregates": intervals.aggregates_figure,
    "iqm": intervals.iqm_figure,
    "profiles": profiles.profiles_figure,
    "improvement": intervals.improvement_figure,
    "curves": curves.curves_figure,
    "task_curves": curves.task_curves_figure,
    "ablations": ablations.ablations_figure,
}
_OF_SCORES = {
    "tasks": tasks.tasks_figure,
    "own_curves": own_curves.own_curves_figure,
    "own_cost": own_cost.own_cost_figure,
}


def draw(name: str, aggregates: Aggregates, table: ScoreTable) -> Figure:
    """The figure of that name, one of ``catalog.figure_names``."""
    if name in _OF_AGGREGATES:
        return _OF_AGGREGATES[name](aggregates)
    return _OF_SCORES[name](aggregates, table)
