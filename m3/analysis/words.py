"""What figures and tables say about their data: how many tasks and seeds, what is partial, what is missing."""

from collections.abc import Sequence
from typing import Any

from m3.analysis.aggregates import Aggregates
from m3.analysis.benchmarks import Benchmark

_MINUS = "\N{MINUS SIGN}"


def steps(number: float) -> str:
    """A number of steps: "750", "2.5 K", "100 K", "1 M"."""
    for unit, size in (("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def value(number: float) -> str:
    """A score in few characters, with about three significant digits: "0", "0.07", "1.65", "14.9", "149", "12.3K"."""
    size = abs(number)
    if size == 0:
        return "0"
    if size >= 10_000:
        return f"{number / 1000:.1f}K".replace("-", _MINUS)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{number:.{digits}f}".replace("-", _MINUS)


def score(number: float, like: float | None = None) -> str:
    """A score with digits by its size, or by that of another number: "0.25", "14.9", "149", "25,600"."""
    size = abs(number if like is None else like)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{number:,.{digits}f}".replace("-", _MINUS)


def duration(seconds: float) -> str:
    """A time in its best unit: "45 s", "12 min", "3.5 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.3g} h"


def tick(number: float, _: float | None = None) -> str:
    """A score on an axis: "0", "0.5", "500", "20K"; takes the position that matplotlib hands to formatters."""
    text = f"{number / 1000:g}K" if abs(number) >= 10_000 else f"{number:g}"
    return text.replace("-", _MINUS)


def normalized(benchmark: Benchmark, number: float) -> str:
    """A normalised score in few characters: "1.65", "6.59%"."""
    return f"{value(100 * number)}%" if benchmark.percent else value(number)


def count(number: int, word: str) -> str:
    """A number of things: "1 seed", "5 seeds"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def seeds(aggregates: Aggregates, method: str) -> str:
    """Seeds per task of a method: "5", or "1-5" where tasks differ."""
    row = aggregates.methods.set_index("method").loc[method]
    return f"{row.n_seeds}" if row.n_seeds == row.n_seeds_max else f"{row.n_seeds}-{row.n_seeds_max}"


def seeds_in_words(aggregates: Aggregates, method: str) -> str:
    """Seeds per task of a method: "1 seed", "5 seeds", "1-5 seeds"."""
    number = seeds(aggregates, method)
    return f"{number} seed{'' if number == '1' else 's'}"


def seeds_of_all(aggregates: Aggregates, methods: Sequence[str]) -> str:
    """Seeds of several methods: "5 seeds per game (EfficientZero: 1)"."""
    word = aggregates.info.task_word
    by_method = {method: seeds(aggregates, method) for method in methods}
    usual = max(by_method.values(), key=list(by_method.values()).count)
    others = [f"{method}: {number}" for method, number in by_method.items() if number != usual]
    exceptions = f" ({', '.join(others)})" if others else ""
    return f"{usual} seed{'' if usual == '1' else 's'} per {word}{exceptions}"


def tasks(aggregates: Aggregates) -> str:
    """The compared tasks: "26 games", or "1 of 26 games (Breakout)"."""
    return part_of_tasks(aggregates, aggregates.tasks)


def budget(benchmark: Benchmark) -> str:
    """The experience that training is allowed: "100 K agent steps (400 K frames)"; empty where there is no limit."""
    if benchmark.agent_steps is None or benchmark.simulation_steps is None:
        return ""
    text = f"{steps(benchmark.agent_steps)} agent steps"
    if benchmark.simulation_steps == benchmark.agent_steps:
        return text
    return f"{text} ({steps(benchmark.simulation_steps)} {benchmark.simulation_step}s)"


def extent(aggregates: Aggregates) -> str:
    """What was scored and when: "26 games, after 100 K agent steps (400 K frames)"."""
    allowed = budget(aggregates.info)
    return f"{tasks(aggregates)}, after {allowed}" if allowed else tasks(aggregates)


def part_of_tasks(aggregates: Aggregates, some: Sequence[str]) -> str:
    """Some tasks of the benchmark: "3 of 26 games (Alien, Amidar, Assault)", or all: "26 games"."""
    benchmark = aggregates.info
    if len(some) == aggregates.total_tasks:
        return benchmark.tasks(len(some))
    names = f" ({', '.join(some)})" if len(some) <= 4 else ""
    return f"{len(some)} of {benchmark.tasks(aggregates.total_tasks)}{names}"


def intervals(repetitions: int) -> str:
    """What an interval or a band is."""
    return f"95% stratified bootstrap intervals ({repetitions:,} resamples)"


def warnings(aggregates: Aggregates) -> list[str]:
    """What must stand on the face of a figure: a partial benchmark, own runs shorter than the benchmark's budget."""
    benchmark = aggregates.info
    found = []
    if len(aggregates.tasks) < aggregates.total_tasks:
        found.append(f"Partial benchmark: {tasks(aggregates)}")
    found += [
        f"{row.method}: {_trained(row)} of {steps(benchmark.agent_steps)} agent steps of training"
        for row in aggregates.methods.set_index("method", drop=False).loc[aggregates.own].itertuples()
        if benchmark.agent_steps and 0 < row.least_steps < benchmark.agent_steps
    ]
    return found


def _trained(method: Any) -> str:
    """The steps that a method's runs have trained: "24 K", or "10 K to 24 K"."""
    alike = method.least_steps == method.steps
    return steps(method.steps) if alike else f"{steps(method.least_steps)} to {steps(method.steps)}"


def not_ranked(aggregates: Aggregates) -> list[str]:
    """Which methods with all compared tasks stand apart from the ranking, as a sentence; empty where none does."""
    names = [aggregates.label(method) for method in aggregates.complete if method not in aggregates.ranked]
    allowed = budget(aggregates.info)
    if not names:
        return []
    return [f"Ranked is what has had {allowed}, under one protocol; apart, with what differs: {', '.join(names)}."]


def not_shown(aggregates: Aggregates) -> list[str]:
    """Which methods lack some of the compared tasks, as a sentence; empty where none does."""
    rows = aggregates.methods[~aggregates.methods.complete]
    if rows.empty:
        return []
    benchmark = aggregates.info
    parts = [f"{row.method} ({row.n_tasks} of {benchmark.tasks(len(aggregates.tasks))})" for row in rows.itertuples()]
    return [f"Not comparable, so not shown: {', '.join(parts)}."]
