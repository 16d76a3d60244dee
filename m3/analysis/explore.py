"""A page to explore scores: sort, filter and compare them in a browser. One HTML file, which needs no network.

It is made with bokeh, whose tables and plots share their data and its filters, and which brings its own scripts along.
"""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from bokeh.embed import json_item
from bokeh.layouts import column, row
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataTable,
    FactorRange,
    GlyphRenderer,
    IndexFilter,
    LayoutDOM,
    Legend,
    LegendItem,
    MultiChoice,
    NumberFormatter,
    NumeralTickFormatter,
    Select,
    TableColumn,
    TabPanel,
    Tabs,
)
from bokeh.plotting import figure
from bokeh.resources import Resources
from matplotlib.colors import to_hex

from m3.analysis.aggregates import Aggregates
from m3.analysis.scores import ScoreTable
from m3.analysis.style import look

TITLE = "Scores of M3 and other agents"
_ALL = "All: IQM of normalised scores"
"""The choice of curves that is not a task."""
_LABELS = {
    **{"method": "Method", "task": "Task", "seed": "Seed", "steps": "Steps", "score": "Score"},
    **{"normalized": "Normalised score", "tasks": "Tasks", "runs": "Runs"},
}
_FORMATS = {"score": "0,0.[000]", "normalized": "0,0.[000]", "steps": "0,0"}
_WIDE_COLUMNS = {"method": 220, "task": 130, "normalized": 130}
_LEFT, _RIGHT = 420, 760
"""Widths in pixels."""
_UPDATE = Path(__file__).with_name("explore.js")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1em; color: #222; }} p {{ max-width: 70em; }}</style>
{scripts}
</head>
<body>
<h1>{title}</h1>
<p>Choose methods and tasks; nothing chosen means all. Click on the head of a column to sort, on a name beside the
curves to switch a curve off or on. Bars: mean over the chosen tasks of the mean normalised score; circles: runs. A
method that lacks some of the chosen tasks is averaged over the others and comes last: the column "Tasks" counts them.
Curves: mean over seeds, with a band from the lowest to the highest seed; over all tasks the interquartile mean, with
its 95% bootstrap interval. Not every method has curves.</p>
<div id="page"></div>
<script>
Bokeh.embed.embed_item({item}).then(() => {{
    for (const name of {names}) Bokeh.documents[0].get_model_by_name(name).properties.value.change.emit();
}});
</script>
</body>
</html>
"""


def explore_page(benchmarks: Sequence[tuple[ScoreTable, Aggregates]]) -> str:
    """The page, with one tab per benchmark: the scores of the compared tasks and all learning curves."""
    tabs = [TabPanel(title=pair[1].info.label, child=_benchmark(*pair)) for pair in benchmarks]
    names = [aggregates.benchmark for _, aggregates in benchmarks]
    scripts = Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"]).render()
    item = _renumbered(json_item(Tabs(tabs=tabs), "page"))
    return _PAGE.format(title=html.escape(TITLE), scripts=scripts, item=_script(item), names=_script(names))


def _renumbered(item: Any) -> Any:
    """What bokeh made, with its objects counted from 1: it counts all those that the process ever made."""
    numbers: dict[str, str] = {}

    def renumber(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: name(inner) if key in ("id", "root_id") else renumber(inner) for key, inner in value.items()}
        return [renumber(inner) for inner in value] if isinstance(value, list | tuple) else value

    def name(old: str) -> str:
        return numbers.setdefault(old, f"p{len(numbers) + 1}")

    return renumber(item)


def _script(value: object) -> str:
    """A value as JavaScript that cannot end its script element."""
    return json.dumps(value).replace("<", "\\u003c")


def _benchmark(table: ScoreTable, aggregates: Aggregates) -> LayoutDOM:
    names = [method for method in aggregates.methods.method if method in set(aggregates.cells.method)]
    colors = {method: to_hex(look(method, aggregates.own).color) for method in names}
    curves = _curves(aggregates)
    methods = MultiChoice(
        title="Methods", options=_options(names), width=_LEFT, tags=[colors], name=aggregates.benchmark
    )
    tasks = MultiChoice(title="Tasks", options=_options(aggregates.tasks), width=_LEFT)
    panels = list(dict.fromkeys(curves.task))
    curve = Select(title="Learning curves of", options=panels, value=next(iter(panels), ""), width=_LEFT)
    scores, shown = ColumnDataSource(_scores(table, aggregates, names)), IndexFilter(indices=[])
    view = CDSView(filter=shown)
    summary = ColumnDataSource({name: [] for name in ("method", "color", "normalized", "tasks", "runs")})
    bars = _bars(aggregates, scores, view, summary)
    plot, lines, bands = _lines(aggregates, [name for name in names if name in set(curves.method)], colors)
    update = CustomJS(
        args={
            **{"methods": methods, "tasks": tasks, "curve": curve, "curves": ColumnDataSource(curves)},
            **{"scores": scores, "shown": shown, "summary": summary, "range": bars.y_range},
            **{"lines": lines, "bands": bands},
        },
        code=_UPDATE.read_text(),
    )
    for widget in (methods, tasks, curve):
        widget.js_on_change("value", update)
    left = column(methods, tasks, _table(summary, ["method", "normalized", "tasks", "runs"], _LEFT))
    right = column(bars, curve, plot) if lines else bars
    runs = _table(scores, ["method", "task", "seed", "steps", "score", "normalized"], _LEFT + _RIGHT, view)
    return column(row(left, right), runs)


def _options(names: Sequence[str]) -> list[tuple[str, str]]:
    """Values and what is shown for them, which bokeh takes for HTML."""
    return [(name, html.escape(name)) for name in names]


def _scores(table: ScoreTable, aggregates: Aggregates, methods: Sequence[str]) -> pd.DataFrame:
    """The runs on the compared tasks, best method first."""
    scores = table.scores[table.scores.task.isin(aggregates.tasks)]
    scores = scores.assign(normalized=table.normalize(scores.task, scores.score))
    scores = scores.sort_values("method", key=lambda column: column.map(methods.index), kind="stable")
    colors = scores.method.map(lambda method: to_hex(look(method, aggregates.own).color))
    return scores.assign(color=colors)[["color", *_LABELS][:7]].reset_index(drop=True)


def _curves(aggregates: Aggregates) -> pd.DataFrame:
    """All curves: method, task, steps, value, low, high."""
    names = {"mean": "value", "estimate": "value", "lowest": "low", "highest": "high"}
    frames = [aggregates.curves.assign(task=_ALL), aggregates.task_curves]
    if len(aggregates.tasks) == 1:
        frames = frames[1:]
    frames = [frame.rename(columns=names) for frame in frames if not frame.empty]
    columns = ["method", "task", "steps", "value", "low", "high"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _table(source: ColumnDataSource, names: Sequence[str], width: int, view: CDSView | None = None) -> DataTable:
    columns = [
        TableColumn(
            field=name,
            title=_LABELS[name],
            width=_WIDE_COLUMNS.get(name, 70),
            **({"formatter": NumberFormatter(format=_FORMATS[name])} if name in _FORMATS else {}),
        )
        for name in names
    ]
    more = {"view": view} if view else {}
    return DataTable(source=source, columns=columns, width=width, height=420, index_position=None, **more)


def _bars(aggregates: Aggregates, scores: ColumnDataSource, view: CDSView, summary: ColumnDataSource) -> figure:
    """A bar per method, best at the top, with its runs."""
    bars = figure(
        width=_RIGHT,
        height=440,
        y_range=FactorRange(),
        x_axis_label=f"{aggregates.info.normalized_score} {aggregates.info.scale}",
        tools="pan,wheel_zoom,box_zoom,reset,hover,save",
        tooltips=[("method", "@method"), (_LABELS["normalized"], "@normalized")],
    )
    bars.hbar(y="method", right="normalized", height=0.7, color="color", alpha=0.35, source=summary)
    bars.scatter("normalized", "method", color="color", size=5, alpha=0.6, source=scores, view=view)
    return bars


def _lines(
    aggregates: Aggregates, methods: Sequence[str], colors: Mapping[str, str]
) -> tuple[figure, dict[str, GlyphRenderer], dict[str, GlyphRenderer]]:
    """A plot with a line and a band per method, which are empty until a task is chosen."""
    plot = figure(
        width=_RIGHT,
        height=max(320, 60 + 24 * len(methods)),
        x_axis_label=aggregates.info.step_axis,
        y_axis_label="Score (over all tasks: normalised)",
        tools="pan,wheel_zoom,box_zoom,reset,save",
    )
    lines, bands, items = {}, {}, []
    for method in methods:
        source = ColumnDataSource({name: [] for name in ("steps", "value", "low", "high")})
        bands[method] = plot.varea("steps", "low", "high", color=colors[method], alpha=0.15, source=source)
        lines[method] = plot.line("steps", "value", color=colors[method], width=2, source=source)
        items.append(LegendItem(label={"value": method}, renderers=[lines[method], bands[method]]))
    plot.add_layout(Legend(items=items, click_policy="hide"), "right")
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    return plot, lines, bands
