from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from score_cases import PUBLISHED, Results, table_of, write_run

from m3.analysis import catalog, words
from m3.analysis.aggregation import aggregate
from m3.analysis.captions import caption
from m3.analysis.figures import draw
from m3.analysis.figures.curves import spread
from m3.analysis.joint import joint_figure
from m3.analysis.style import look, save, style


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with style():
        yield


def figures(results: Results) -> dict[str, Figure]:
    """All figures that there are."""
    table, aggregates = results
    names = catalog.figure_names(table.benchmark, len(table.trained), table.has_published)
    return {name: draw(name, aggregates, table) for name in names}


def drawn_texts(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, with its place in pixels."""
    texts: dict[int, Text] = {}
    original = Text.draw
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: texts.update({id(text): text}) or original(text, renderer))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    renderer = canvas.get_renderer()
    shown = [text for text in texts.values() if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in shown]


def words_on(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> str:
    return "\n".join(text for text, _ in drawn_texts(figure, monkeypatch))


def assert_legible(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is cut by the edge of the figure or lies over another one."""
    texts = drawn_texts(figure, monkeypatch)
    assert texts
    for text, box in texts:
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < figure.bbox.width + 1 and box.y1 < figure.bbox.height + 1
        assert inside, f"{text!r} is cut"
    corners = np.array([[box.x0, box.y0, box.x1, box.y1] for _, box in texts])
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    common = np.minimum(corners[:, None, 2:], corners[None, :, 2:]) - low
    for one, other in zip(*np.nonzero((common[..., 0] >= 1) & (common[..., 1] >= 2.5)), strict=True):
        assert one == other, f"{texts[one][0]!r} lies over {texts[other][0]!r}"


def axes_with(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


@pytest.mark.parametrize("benchmark", ["atari100k", "dmc500k", "craftax1m"])
def test_figures_of_published_scores_are_legible(
    published: dict[str, Results], benchmark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for figure in figures(published[benchmark]).values():
        assert_legible(figure, monkeypatch)


@pytest.mark.parametrize("count", [2, 12, pytest.param(25, marks=pytest.mark.slow)])
def test_any_number_of_methods_is_legible(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = read_methods("atari100k")
    assert len(names) > 25
    table = table_of("atari100k", methods=names[:count])
    results = table, aggregate(table, repetitions=20, seed=0, band_repetitions=10)
    for figure in figures(results).values():
        assert_legible(figure, monkeypatch)


def read_methods(benchmark: str) -> list[str]:
    """All published methods of a benchmark that have scores of all of its tasks."""
    frame = pd.read_csv(PUBLISHED / "methods.csv")
    return [name for name in frame.method[frame.benchmark == benchmark] if name != "Simulus-A"]


@pytest.mark.parametrize("name", [entry.name for entry in catalog.JOINT_FIGURES])
def test_figures_of_several_benchmarks_are_legible(
    published: dict[str, Results], quickstart: Results, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for several in (list(published.values()), [published["atari100k"]], [quickstart, published["craftax1m"]]):
        figure, _ = joint_figure(name, several)
        assert_legible(figure, monkeypatch)


def test_training_times_are_published_ones_and_those_of_own_runs(
    published: dict[str, Results], quickstart: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure, _ = joint_figure("training_time", [quickstart, published["craftax1m"]])
    shown = words_on(figure, monkeypatch)
    assert {"12 h", "29 h", "94 h", "2 min"} <= set(shown.split("\n"))
    assert "Atari 100K: M3 tiny\nTest CPU (2 runs, 3 min)" in shown
    assert "Craftax 1M: M3\nV100 (published)" in shown


def test_figures_of_own_runs_are_legible(
    quickstart: Results, ablated: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    for figure in [*figures(quickstart).values(), *figures(ablated).values()]:
        assert_legible(figure, monkeypatch)


def test_figures_of_a_partial_benchmark_say_so(quickstart: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures(quickstart)
    assert set(made) == set(catalog.figure_names("atari100k", own_variants=1))
    for name, figure in made.items():
        text = words_on(figure, monkeypatch).replace("\n", " ")
        assert "Partial benchmark: 1 of 26 games (Breakout)." in text, name
        assert "M3 tiny: 300 of 100 K agent steps of training." in text, name


def test_captions_name_what_is_missing_or_stands_apart(published: dict[str, Results]) -> None:
    table, aggregates = published["atari100k"]
    for name in ("aggregates", "iqm", "profiles"):
        text = caption(name, aggregates, table)
        assert "Not comparable, so not shown: Simulus-A (1 of 26 games)." in text
        assert "5 seeds per game (EfficientZero: 1, BBF: 52-60)" in text
    assert "Simulus-A (5 seeds): Breakout 331." in caption("tasks", aggregates, table)
    table, aggregates = published["dmc500k"]
    assert "apart, with what differs: D4PG (500 K simulation steps)" in caption("iqm", aggregates, table)
    assert "Only final scores, a point: M3, " in caption("curves", aggregates, table)


def test_every_figure_has_a_caption(quickstart: Results, ablated: Results) -> None:
    for table, aggregates in (quickstart, ablated):
        for name in catalog.figure_names(table.benchmark, len(table.trained), table.has_published):
            assert caption(name, aggregates, table).startswith("**Atari 100K: ")


def test_captions_escape_what_could_be_markup(tmp_path: Path, with_runs: Callable[..., Results]) -> None:
    table, aggregates = with_runs([write_run(tmp_path)], {"tiny": "{{x}} *bold* <b>_"}, others=False)
    assert r"\{\{x\}\} \*bold\* \<b\>\_: 300 of 100 K" in caption("iqm", aggregates, table)


def test_a_method_with_some_tasks_says_how_many(published: dict[str, Results], monkeypatch: pytest.MonkeyPatch) -> None:
    table, aggregates = published["atari100k"]
    assert "1 of 26 games only" in words_on(draw("improvement", aggregates, table), monkeypatch)


def test_games_are_split_at_human_level(published: dict[str, Results], monkeypatch: pytest.MonkeyPatch) -> None:
    table, aggregates = published["atari100k"]
    figure = draw("levels", aggregates, table)
    above, below, counts = figure.axes
    assert above.get_title(loc="left") == "M3 at or above human level: 13"
    assert {label.get_text() for label in above.get_yticklabels()} > {"Boxing", "Freeway"}
    assert {label.get_text() for label in below.get_yticklabels()} > {"UpNDown", "PrivateEye"}
    assert dict(zip(aggregates.complete, (text.get_text() for text in counts.texts), strict=False))["M3"] == "13"


def test_the_heat_map_has_the_means(published: dict[str, Results]) -> None:
    table, aggregates = published["atari100k"]
    axes = draw("heatmap", aggregates, table).axes[0]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    numbers = [text.get_text() for text in axes.texts]
    assert numbers[rows.index("Boxing") * len(columns) + columns.index("M3")] == "7.79"


def test_the_axis_of_profiles_says_that_it_changes_scale(
    published: dict[str, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "linear up to 1" in words_on(draw("profiles", *reversed(published["atari100k"])), monkeypatch)
    assert "linear" not in words_on(draw("profiles", *reversed(published["dmc500k"])), monkeypatch)


def test_axes_say_where_scores_are_normalised(ablated: Results) -> None:
    panels = draw("own_curves", *reversed(ablated)).axes
    labels = [axes.get_ylabel() for axes in panels]
    assert labels == ["Human-normalised score", "Score", "", ""]


def test_seeds_stand_beside_the_methods(published: dict[str, Results], monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw("iqm", published["dmc500k"][1], published["dmc500k"][0])
    texts = drawn_texts(figure, monkeypatch)
    row = dict(texts)["TD-MPC2"].y0
    beside = sorted((box.x0, text) for text, box in texts if abs(box.y0 - row) < 9)
    assert [text for _, text in beside] == ["TD-MPC2", "3", "0.94"]


def test_bars_have_the_height_of_the_estimates(published: dict[str, Results]) -> None:
    table, aggregates = published["atari100k"]
    axes = draw("iqm", aggregates, table).axes[0]
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths == pytest.approx(aggregates.metric("iqm").estimate[aggregates.complete].tolist())


def test_own_curves_show_evaluations_and_references(quickstart: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    table, aggregates = quickstart
    figure = draw("own_curves", aggregates, table)
    axes = axes_with(figure, "Breakout")
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    np.testing.assert_array_equal(curve.get_xydata(), [[100, 0.5], [200, 1.0], [300, 2.0]])
    text = words_on(figure, monkeypatch)
    assert "far above: human play 30.5\nfar above: M3 (published) 149" in text
    assert "random play" in text


def test_random_play_is_told_apart_where_it_is_measured_and_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path, variant="random", steps=(1,), evaluations=())
    table = table_of("atari100k", [run], {"random": "random play"}, published=False)
    figure = draw("own_curves", aggregate(table, repetitions=100, seed=0, band_repetitions=20), table)
    texts = words_on(figure, monkeypatch).split("\n")
    assert texts.count("random play") == texts.count("random play (reference)") == 1


def test_own_curves_show_the_published_curve_where_its_steps_are_the_same(tmp_path: Path) -> None:
    tasks = {"cartpole-swingup": (10_000, 20_000, 30_000), "reacher-easy": (5_000, 10_000, 15_000)}
    runs = [write_run(tmp_path, "cpu_dmc", "m3", task, steps=steps) for task, steps in tasks.items()]
    table = table_of("cpu_dmc", runs)
    figure = draw("own_curves", aggregate(table, repetitions=100, seed=0, band_repetitions=20), table)
    drawn = [line.get_xydata() for line in axes_with(figure, "cartpole-swingup").lines]
    published = next(points for points in drawn if len(points) == 12)
    np.testing.assert_array_equal(published[[0, -1]], [[2_500, 34.28], [30_000, 148.13]])
    ends = [markers.get_offsets()[0, 0] for markers in axes_with(figure, "reacher-easy").collections[-1:]]
    assert ends == [15_000]


def test_ablations_show_pairs_and_what_is_missing(ablated: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw("ablations", ablated[1], ablated[0])
    text = words_on(figure, monkeypatch)
    assert "No regression as\nclassification, 2 games" in text
    assert "No task in common with Full agent: Apart." in text
    changes = figure.axes[1].collections[0].get_offsets()[:, 0]
    assert sorted(changes) == pytest.approx([-3 / 35.3, -3 / 6899.9])  # Pong, Alien


def test_one_method_alone(tmp_path: Path, with_runs: Callable[..., Results], monkeypatch: pytest.MonkeyPatch) -> None:
    made = figures(with_runs([write_run(tmp_path)], {}, others=False))
    assert "There is no other method to compare with." in words_on(made["improvement"], monkeypatch)
    for figure in made.values():
        assert_legible(figure, monkeypatch)


def test_a_method_looks_the_same_everywhere(quickstart: Results) -> None:
    own = quickstart[1].own
    assert look("M3", own) == look("M3", []) != look("M3 tiny", own)
    assert look("Someone's agent", own) == look("Someone's agent", [])


def test_files_have_the_same_bytes_every_time_and_embedded_fonts(quickstart: Results, tmp_path: Path) -> None:
    table, aggregates = quickstart
    for folder in ("first", "second"):
        save(draw("iqm", aggregates, table), tmp_path / folder, "iqm", "caption")
    for suffix in catalog.FIGURE_SUFFIXES:
        first, second = ((tmp_path / folder / f"iqm.{suffix}").read_bytes() for folder in ("first", "second"))
        assert first == second
    pdf = (tmp_path / "first/iqm.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf


def test_labels_spread_as_little_as_needed() -> None:
    assert spread(np.array([50.0, 30.0, 10.0]), gap=9, height=100).tolist() == [50, 30, 10]
    assert spread(np.array([50.0, 49.0, 10.0]), gap=9, height=100).tolist() == [54, 45, 10]
    places = spread(np.array([50.0, 50.0, 45.0]), gap=9, height=100)
    assert places.tolist() == pytest.approx([57.333, 48.333, 39.333], abs=1e-3)


def test_labels_stay_within_the_height() -> None:
    assert spread(np.array([50.0, 50.0, 45.0]), gap=9, height=50).tolist() == [50, 41, 32]
    assert spread(np.array([5.0, 2.0, 1.0]), gap=9, height=50).tolist() == [18, 9, 0]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.0663, "0.066"),
        (0.99, "0.99"),
        (14.9, "14.9"),
        (149.2, "149"),
        (-5, "\N{MINUS SIGN}5.00"),
        (25558, "25.6K"),
    ],
)
def test_values_in_words(number: float, text: str) -> None:
    assert words.value(number) == text


def test_steps_in_words() -> None:
    assert [words.steps(number) for number in (300, 1_200, 100_000, 1_000_000)] == ["300", "1.2 K", "100 K", "1 M"]
