import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from score_cases import Results, write_run

from m3.analysis import tables
from m3.analysis.rendering import Cell, Mark, Table, latex_parts, to_html, to_latex, to_markdown


def marks(*texts: str, lower_is_better: bool = False) -> list[str]:
    return [cell.mark.value for cell in tables.marked([Cell(text) for text in texts], lower_is_better)]


def test_best_and_second_best_are_marked() -> None:
    assert marks("1.5", "12,000", "\N{MINUS SIGN}3", "900") == ["", "best", "", "second"]
    assert marks("0.4", "0.3", "0.5", lower_is_better=True) == ["second", "best", ""]


def test_equal_as_printed_is_equally_good() -> None:
    assert marks("2.0", "1.0", "2.0", "1.0", "0.5") == ["best", "second", "best", "second", ""]


def test_a_cell_without_a_number_has_no_mark() -> None:
    assert marks(tables.NOTHING, "1.0", "") == ["", "best", ""]


def row(table: Table, name: str) -> dict[str, Cell]:
    cells = next(cells for section in table.sections for cells in section if cells[0].text == name)
    return dict(zip(table.header, cells, strict=True))


def test_scores_of_published_methods(published: dict[str, Results]) -> None:
    scores, aggregates = published["atari100k"]
    table = tables.scores_table(aggregates, scores)
    assert len(table.sections[0]) == 26
    breakout = row(table, "Breakout")
    assert breakout["M3"] == Cell("149", "± 7")
    assert breakout["EfficientZero"] == Cell("414", "", Mark.BEST)  # one seed: no spread
    assert breakout["Simulus-A"] == Cell("331", "± 46")
    assert (breakout["Random play"].text, breakout["Human play"].text) == ("1.70", "30.5")
    assert row(table, "Alien")["Simulus-A"] == Cell(tables.NOTHING)
    assert row(table, "IQM")["M3"] == Cell("0.990")
    assert row(table, "IQM")["BBF"] == Cell("1.032", "", Mark.SECOND)
    assert row(table, "IQM")["Simulus-A"] == Cell(tables.NOTHING)
    assert row(table, "Optimality gap")["BBF"].mark is Mark.BEST
    assert row(table, "Games")["Simulus-A"].text == "1 of 26"
    assert row(table, "Seeds per game")["EfficientZero"].text == "1"


def test_craftax_is_reported_raw_and_in_percent(published: dict[str, Results]) -> None:
    scores, aggregates = published["craftax1m"]
    table = tables.scores_table(aggregates, scores)
    assert row(table, "Mean")["M3"] == Cell("6.59%", "", Mark.SECOND)
    assert row(table, "Mean return")["M3"] == Cell("14.9", "", Mark.SECOND)
    assert row(table, "Mean return")["EASimulus"] == Cell("16.4", "", Mark.BEST)


def test_aggregates_with_intervals(published: dict[str, Results]) -> None:
    _, aggregates = published["atari100k"]
    table = tables.aggregates_table(aggregates)
    m3, other = row(table, "M3"), row(table, "Simulus-A")
    assert m3["IQM"].small.startswith("[0.8")
    assert (m3["Games"].text, m3["P(M3 better)"].text) == ("26 of 26", tables.NOTHING)
    assert row(table, "EfficientZero")["IQM"] == Cell("1.047", "", Mark.BEST)
    assert other["Games"].text == "1 of 26"
    assert other["Mean"].mark is Mark.NONE  # of another set of games


def test_a_partial_benchmark_says_so(quickstart: Results) -> None:
    scores, aggregates = quickstart
    for table in (tables.scores_table(aggregates, scores), tables.aggregates_table(aggregates)):
        assert table.notes[0].startswith("Partial benchmark: 1 of 26 games (Breakout). M3 tiny: 300 of 100 K agent")
    assert [cells[0].text for cells in tables.scores_table(aggregates, scores).sections[0]] == ["Breakout"]


def test_missing_seeds_are_counted_in_their_cell(tmp_path: Path, with_runs: Callable[..., Results]) -> None:
    several = [write_run(tmp_path, task="Pong", seed=seed, returns=(float(seed),)) for seed in range(3)]
    runs = [*several, write_run(tmp_path)]
    scores, aggregates = with_runs(runs, {"tiny": "M3 tiny"})
    table = tables.scores_table(aggregates, scores)
    name = "M3 tiny (300 steps)"
    assert row(table, "Pong")[name].small == "± 1.00"
    assert row(table, "Breakout")[name].small == "(1 seed)"
    assert row(table, "Seeds per game")[name].text == "1-3"


def test_marks_are_for_equal_budgets_alone(published: dict[str, Results]) -> None:
    scores, aggregates = published["dmc500k"]
    table = tables.scores_table(aggregates, scores)
    apart = [name for name in table.header if name.endswith(" K simulation steps)")]
    assert len(apart) == 6
    assert {row(table, task)[name].mark for task in aggregates.tasks for name in apart} == {Mark.NONE}
    assert "apart, with what differs: D4PG (500 K simulation steps)" in table.notes[0]


def test_provenance_of_runs(quickstart: Results) -> None:
    run = row(tables.runs_table(quickstart[0]), "M3 tiny")
    shown = [run[name].text for name in ("Variant", "Seed", "Score", "Episodes", "Training time", "Device", "Settings")]
    assert shown == ["tiny", "0", "2.00", "3", "0:01:30", "Test CPU", "01234567"]


@pytest.mark.parametrize("name", ["table_scores", "table_aggregates", "table_runs"])
def test_csv_has_every_number(quickstart: Results, name: str) -> None:
    scores, aggregates = quickstart
    files = tables.files(name, aggregates, scores)
    assert set(files) == {"tex", "md", "html", "csv"}
    rows = list(csv.DictReader(io.StringIO(files["csv"])))
    assert {line["benchmark"] for line in rows} == {"atari100k"}
    assert "M3 tiny" in {line["method"] for line in rows}


TABLE = Table(
    title="Scores of A & B",
    notes=["50% of <all>"],
    header=["Task", "A_1"],
    sections=[[[Cell("x|y"), Cell("\N{MINUS SIGN}2", "± 1", Mark.BEST)]], [[Cell("Mean"), Cell("1", "", Mark.SECOND)]]],
)


def test_latex() -> None:
    lines = to_latex(TABLE).splitlines()
    assert lines[-9:] == [
        "\\toprule",
        "Task & A\\_1 \\\\",
        "\\midrule\\endhead",
        "x|y & \\textbf{$-$2} {\\scriptsize $\\pm$ 1} \\\\",
        "\\midrule",
        "Mean & \\underline{1} \\\\",
        "\\bottomrule",
        "\\end{longtable}",
        "}",
    ]
    assert all(line.startswith("%") for line in lines[:3])


def test_a_wide_latex_table_is_split_into_parts_that_fit_a_line(published: dict[str, Results]) -> None:
    scores, aggregates = published["dmc500k"]
    table = tables.scores_table(aggregates, scores)
    parts = latex_parts(table)
    assert len(table.header) > 15
    assert [column for part in parts for column in part if column] == list(range(1, len(table.header)))
    assert all(part[0] == 0 and len(part) <= 10 for part in parts)
    text = to_latex(table)
    assert text.count("\\begin{longtable}") == text.count("\\end{longtable}") == len(parts)
    rows = sum(map(len, table.sections))
    assert sum(line.endswith("\\\\") for line in text.splitlines()) == len(parts) * (rows + 1)
    assert "\\shortstack[r]{DreamerV3 (run \\\\ by TD-MPC2 \\\\ authors)}" in text


def test_markdown() -> None:
    assert to_markdown(TABLE).splitlines()[-5:] == [
        "| Task | A_1 |",
        "| :-- | --: |",
        "| x\\|y | **\N{MINUS SIGN}2** ± 1 |",
        "|  |  |",
        "| Mean | *1* |",
    ]


def test_html_is_escaped() -> None:
    page = to_html(TABLE)
    assert "<h1>Scores of A &amp; B</h1>" in page
    assert "<p>50% of &lt;all&gt;</p>" in page
    assert '<td><span class="best">\N{MINUS SIGN}2</span> <small>± 1</small></td>' in page
