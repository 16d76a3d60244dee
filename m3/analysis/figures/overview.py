"""The benchmarks at a glance: one panel per benchmark."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import ROW, draw_bars, label_methods, names_width
from m3.analysis.figures.page import page
from m3.analysis.style import WIDE

_ABREAST = 3
"""Panels in a row."""


def overview_figure(benchmarks: Sequence[Aggregates]) -> Figure:
    """Interquartile mean of every method on every benchmark, with intervals."""
    lines = [benchmarks[i : i + _ABREAST] for i in range(0, len(benchmarks), _ABREAST)]
    heights = [max(len(aggregates.complete) for aggregates in line) * ROW + 0.66 for line in lines]
    repetitions = ", ".join(dict.fromkeys(f"{aggregates.repetitions:,}" for aggregates in benchmarks))
    sheet = page(
        WIDE,
        sum(heights),
        "M3 and other agents: interquartile mean (IQM)",
        f"Bars and numbers: IQM of normalised scores; longer is better. Whiskers: 95% stratified bootstrap intervals "
        f"({repetitions} resamples); methods with one seed have none.",
        [f"{a.info.label}: {text}" for a in benchmarks for text in words.warnings(a)],
        [_footnote(aggregates) for aggregates in benchmarks],
    )
    width = WIDE / len(lines[0])
    top = sum(heights)
    for line, line_height in zip(lines, heights, strict=True):
        for column, aggregates in enumerate(line):
            benchmark, methods = aggregates.info, aggregates.complete
            names, height = names_width(map(aggregates.label, methods)), len(methods) * ROW
            axes = sheet.axes(column * width + names, top - 0.24 - height, width - names - 0.1, height)
            draw_bars(axes, aggregates.metric("iqm").loc[methods], aggregates)
            label_methods(axes, methods, aggregates)
            axes.set_title(f"{benchmark.label}: {words.tasks(aggregates)}")
            axes.set_xlabel(benchmark.normalized_score)
        top -= line_height
    return sheet.figure


def _footnote(aggregates: Aggregates) -> str:
    benchmark = aggregates.info
    scale = benchmark.scale.strip("()")
    return f"{benchmark.label}: {words.extent(aggregates)}; {scale}. {' '.join(words.not_shown(aggregates))}"
