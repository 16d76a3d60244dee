"""Captions of figures: what they show and how to read them, in text that is valid Markdown and reStructuredText."""

import re
from collections.abc import Callable, Sequence

from m3.analysis import catalog, words
from m3.analysis.aggregates import Aggregates
from m3.analysis.diagnosis import Diagnoses
from m3.analysis.figures.ablations import without_tasks
from m3.analysis.figures.overview import shown_methods as overview_methods
from m3.analysis.figures.tasks import shown_methods
from m3.analysis.scores import ScoreTable

_MARKUP = re.compile(r"([\\*_`|<>\[\]{}])")
"""What could be taken for markup, or by Snakemake for a template."""


def caption(name: str, aggregates: Aggregates, table: ScoreTable) -> str:
    """The caption of a figure of a benchmark, one of ``catalog.figure_names``."""
    title = next(entry.title for entry in catalog.FIGURES if entry.name == name)
    return _paragraphs(f"{aggregates.info.label}: {title}", _TEXTS[name](aggregates, table))


def _paragraphs(title: str, sentences: Sequence[str]) -> str:
    """A caption: its title, then sentences; an empty one begins a new paragraph."""
    text = " ".join(sentence or "\n\n" for sentence in sentences)
    body = "\n\n".join(part.strip() for part in _escaped(text).split("\n\n") if part.strip())
    return f"**{_escaped(title)}.** {body}\n"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _data(aggregates: Aggregates, methods: Sequence[str] = ()) -> list[str]:
    """What was scored, how often, and what is left out or stands apart."""
    found = [f"{words.extent(aggregates)}; {words.seeds_of_all(aggregates, methods or aggregates.complete)}."]
    found += words.not_ranked(aggregates) + words.not_shown(aggregates)
    return ["", *found, *(f"{warning}." for warning in words.warnings(aggregates))]


def _scale(aggregates: Aggregates) -> str:
    return f"{aggregates.info.normalized_score} {aggregates.info.scale}".strip()


def _intervals(aggregates: Aggregates) -> str:
    methods = aggregates.methods[aggregates.methods.complete]
    single = methods.method[methods.n_seeds_max == 1].tolist()
    none = f"; none for {', '.join(single)} (1 seed)" if single else ""
    return f"{words.intervals(aggregates.repetitions)} over runs{none}"


def _aggregates(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    one = f"Of one {aggregates.info.task_word}, mean and median are the same." if len(aggregates.tasks) == 1 else ""
    return [
        f"Mean and median over {aggregates.info.task_word}s of the mean score of a {aggregates.info.task_word}, "
        "interquartile mean (IQM: mean of the middle half of all runs), and optimality gap (by how much runs stay "
        f"below a score of 1, on average), as rliable computes them. {_scale(aggregates)}. Ticks and numbers: "
        f"estimates; bars: {_intervals(aggregates)}. The few {aggregates.info.task_word}s with the highest scores "
        "dominate the mean, and the median ignores half of them; IQM and optimality gap say more. Methods are in order "
        "of their IQM.",
        *([one] if one else []),
        *_data(aggregates),
    ]


def _iqm(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    points = " Circles: runs." if len(aggregates.tasks) == 1 else ""
    return [
        f"Mean of the middle half of all runs. {_scale(aggregates)}. Whiskers: {_intervals(aggregates)}.{points}",
        *_data(aggregates),
    ]


def _profiles(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    return [
        "For every threshold, the share of a method's runs that score above it. A curve above another one everywhere "
        "is better at every level; where two cross, one method has more runs that reach the lower thresholds, the "
        f"other more that reach the higher ones. Each panel shows one method (dashed) beside {aggregates.reference} "
        f"(solid), with {words.intervals(aggregates.band_repetitions)} as bands. In brackets: seeds. Above 1, the axis "
        "of thresholds is logarithmic.",
        *_data(aggregates),
    ]


def _improvement(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    reference, word = aggregates.reference, aggregates.info.task_word
    return [
        f"How probable it is that a run of {reference} scores higher than one of the other method on the same {word}, "
        f"averaged over {word}s; a tie counts one half (Mann-Whitney U). It says how often one method is better, not "
        f"by how much. Ticks: estimates; bars: {words.intervals(aggregates.repetitions)}, with the runs of both "
        "methods drawn. An interval on one side of 0.5 is evidence of a difference. A method that has some of the "
        f"{word}s only is compared on these.",
        *_data(aggregates),
    ]


def _tasks(aggregates: Aggregates, table: ScoreTable) -> list[str]:
    human = " Dashed line: human play." if (table.tasks.high_means == "human play").all() else ""
    rest = [method for method in aggregates.methods.method if method not in shown_methods(aggregates)]
    return [
        "Bars and numbers: mean raw score over seeds. Points: runs; where there are more than ten of them, a line from "
        f"the lowest to the highest.{human} {aggregates.info.task_word.capitalize()}s of one scale share their axis.",
        *(_scores_in_words(aggregates, method) for method in rest),
        *_data(aggregates, shown_methods(aggregates)),
    ]


def _scores_in_words(aggregates: Aggregates, method: str) -> str:
    cells = aggregates.cells[aggregates.cells.method == method]
    if cells.empty:
        return f"{method}: no scores here."
    scores = ", ".join(f"{cell.task} {words.value(cell.mean)}" for cell in cells.itertuples())
    return f"{method} ({words.seeds_in_words(aggregates, method)}): {scores}."


def _heatmap(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    return [
        f"Mean score over seeds. {_scale(aggregates)}. An empty cell has no score. Where the bar of colours ends in an "
        "arrow, higher scores have the colour of its end.",
        *_data(aggregates, shown_methods(aggregates)),
    ]


def _levels(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    return [
        "A mean over all games hides that agents are far better than humans at some and far worse at others. Left and "
        "middle: the games on which the mean of the named method reaches human level (dashed line), and the others, "
        "each on its own linear scale. Right: on how many games each method's mean reaches human level; bars: "
        f"{_intervals(aggregates)}.",
        *_data(aggregates),
    ]


def _curves(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    points = [method for method in aggregates.complete if method not in set(aggregates.curves.method)]
    return [
        f"Interquartile mean over all runs against steps. {_scale(aggregates)}. Bands: "
        f"{words.intervals(aggregates.band_repetitions)}, with whole curves drawn. Numbers: values at the end of each "
        "curve. A run's value at a step is its last logged point at or before it; a curve goes from where all runs of "
        "its method have been logged to where the first of them ends.",
        *([f"Only final scores, a point: {', '.join(points)}."] if points else []),
        *_data(aggregates),
    ]


def _task_curves(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    return [
        "Mean raw score over seeds against steps. In colour: the methods with the highest interquartile mean, and own "
        "ones; in grey: all others with curves. Large points: final scores of methods without curves, with a bar from "
        "the lowest to the highest seed. Curves are as they were logged: those of single training episodes look "
        "rougher than averages of evaluations.",
        *_data(aggregates),
    ]


def _own_curves(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    several = (
        f" First panel: interquartile mean of normalised scores, with {words.intervals(aggregates.band_repetitions)}."
        if len(aggregates.tasks) > 1
        else ""
    )
    return [
        "Lines: evaluations during training, mean over seeds; bands: from the lowest to the highest seed. Large points "
        f"with whiskers: the same of the final evaluation, which gives a run its score.{several} References far above "
        "the curves are written out instead of drawn.",
        *_data(aggregates, aggregates.own),
    ]


def _ablations(aggregates: Aggregates, _: ScoreTable) -> list[str]:
    word = aggregates.info.task_word
    return [
        f"Each variant beside {aggregates.trained[0]}, on the {word}s that both have. Left: interquartile mean, bars: "
        f"{words.intervals(aggregates.repetitions)}. Right: change of the mean score, one circle per {word}; left of 0 "
        "the variant is worse. Intervals that overlap do not show that a part has no effect: look at the circles too.",
        *(f"{text}." for text in without_tasks(aggregates)),
        *_data(aggregates, aggregates.trained),
    ]


_TEXTS: dict[str, Callable[[Aggregates, ScoreTable], list[str]]] = {
    "aggregates": _aggregates,
    "iqm": _iqm,
    "profiles": _profiles,
    "improvement": _improvement,
    "tasks": _tasks,
    "heatmap": _heatmap,
    "levels": _levels,
    "curves": _curves,
    "task_curves": _task_curves,
    "own_curves": _own_curves,
    "ablations": _ablations,
}


def overview_caption(benchmarks: Sequence[Aggregates]) -> str:
    """The caption of the figure of several benchmarks."""
    repetitions = ", ".join(dict.fromkeys(f"{aggregates.repetitions:,}" for aggregates in benchmarks))
    found = [
        "Interquartile mean (IQM) of normalised scores over all runs and tasks of a benchmark: the mean of the middle "
        f"half of the runs. Whiskers: 95% stratified bootstrap intervals over runs ({repetitions} resamples); methods "
        "with one seed have none. Left of the bars: seeds per task. Only methods with all tasks and the benchmark's "
        "budget and protocol are shown; the figures of each benchmark have the others too.",
    ]
    for aggregates in benchmarks:
        seeds = words.seeds_of_all(aggregates, overview_methods(aggregates))
        found += ["", f"{aggregates.info.label}: {words.extent(aggregates)}; {_scale(aggregates)}; {seeds}."]
    return _paragraphs("M3 and other agents on every benchmark", found)


def training_time_caption(tables: Sequence[ScoreTable]) -> str:
    """The caption of the figure of training times."""
    own = sum(len(table.runs) for table in tables)
    text = (
        f"Points: the {words.count(own, 'own run')} of the shown benchmarks, with all attempts of a run and its "
        "evaluations during training; ticks and numbers: medians; in brackets: the number of runs and the time of all "
        "of them together, each on one device. "
        if own
        else ""
    )
    published = "Published: the time of one training of M3 as its paper is quoted, and the speed that follows from it."
    return _paragraphs("How long training takes", [text + published])


def diagnosis_caption(diagnoses: Diagnoses) -> str:
    """The caption of the figure of how well world models predict."""
    seeds = diagnoses.runs.groupby(["method", "task"]).size()
    numbers = "" if seeds.min() == seeds.max() else f"{seeds.min()} to "
    return _paragraphs(
        f"{diagnoses.label}: How well world models predict",
        [
            f"{diagnoses.extent}, {numbers}{words.count(seeds.max(), 'seed')} per method, with the rewards and ends of "
            "training. Dreams: share of tokens that are wrong when the world model is left to itself with the actions "
            "that were really taken (of vectors: off by more than one bin of the quantiser), by dreamt step; lines are "
            "means over seeds, bands go from the lowest to the highest; dotted: a dream in which nothing ever changes. "
            "Loss and score: for each seed, the entropy of the predictions (tick) and their cross-entropy with what "
            "came (marker), per token of the next observation; a long line is a model that is too sure of itself. "
            "Rewards and ends: what happened on average where about as much was predicted, all seeds together; on the "
            "grey line they come as predicted.",
        ],
    )
