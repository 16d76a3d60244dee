"""Every figure and table of the suite, and when it is made. Imports nothing heavy, because a Snakefile reads it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One figure or table of a benchmark."""

    name: str
    """Name of its files, without suffix, and of its caption in workflow/report."""
    title: str
    own_variants: int = 0
    """How many variants with own runs it needs at least."""
    benchmarks: frozenset[str] | None = None
    """The benchmarks whose published scores it shows; none: any benchmark."""


_WITH_CURVES = frozenset({"atari100k", "dmc500k", "craftax1m"})

FIGURES = (
    Entry("aggregates", "Mean, median, IQM, optimality gap"),
    Entry("iqm", "Interquartile mean"),
    Entry("profiles", "Performance profiles"),
    Entry("improvement", "Probability of improvement"),
    Entry("tasks", "Scores of every task"),
    Entry("heatmap", "Normalised scores of every task"),
    Entry("levels", "Games at and below human level", benchmarks=frozenset({"atari100k"})),
    Entry("curves", "Learning curves", benchmarks=_WITH_CURVES),
    Entry("task_curves", "Learning curves of every task", benchmarks=_WITH_CURVES - {"craftax1m"}),
    Entry("own_curves", "Learning curves of own runs", own_variants=1),
    Entry("ablations", "Ablations", own_variants=2),
)
TABLES = (
    Entry("table_scores", "Scores of every task and aggregates"),
    Entry("table_aggregates", "Aggregates with intervals"),
    Entry("table_runs", "Provenance of own runs", own_variants=1),
)
OVERVIEW = Entry("overview", "The benchmarks at a glance")
TRAINING_TIME = Entry("training_time", "How long training takes")
JOINT_FIGURES = (OVERVIEW, TRAINING_TIME)
"""Figures that show several benchmarks together."""
EXPLORE = Entry("explore", "Page to explore all scores")
"""Shows several benchmarks together, too: one HTML file."""
DIAGNOSIS = (
    Entry("diagnosis", "How well world models predict"),
    Entry("table_diagnosis", "How well world models predict"),
)
"""A figure and a table, of trained agents and not of scores."""

FIGURE_SUFFIXES = ("pdf", "png", "md")
"""The last one is the caption."""
TABLE_SUFFIXES = ("tex", "md", "csv", "html")


def figures(benchmark: str, own_variants: int, published: bool = True) -> list[Entry]:
    """The figures that exist for a benchmark.

    Args:
        benchmark: its name.
        own_variants: number of variants of which own runs are among the scores.
        published: whether published scores are among the scores.
    """
    return [entry for entry in FIGURES if _exists(entry, benchmark, own_variants, published)]


def tables(own_variants: int) -> list[Entry]:
    """The tables that exist for a benchmark with that many variants of own runs."""
    return [entry for entry in TABLES if own_variants >= entry.own_variants]


def figure_names(benchmark: str, own_variants: int, published: bool = True) -> list[str]:
    """Names of ``figures``."""
    return [entry.name for entry in figures(benchmark, own_variants, published)]


def table_names(own_variants: int) -> list[str]:
    """Names of ``tables``."""
    return [entry.name for entry in tables(own_variants)]


def _exists(entry: Entry, benchmark: str, own_variants: int, published: bool) -> bool:
    has_data = entry.benchmarks is None or (published and benchmark in entry.benchmarks)
    return has_data and own_variants >= entry.own_variants
