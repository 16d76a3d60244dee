"""Tables as LaTeX, Markdown and HTML."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Mark(Enum):
    """What a cell stands out for."""

    NONE = ""
    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True)
class Cell:
    """One cell: its text, and what follows in smaller print."""

    text: str
    small: str = ""
    mark: Mark = Mark.NONE


@dataclass(frozen=True)
class Table:
    """A table, whatever it is rendered to. The first column is text, all others are numbers."""

    title: str
    notes: Sequence[str]
    """How to read it; one sentence or more each."""
    header: Sequence[str]
    sections: Sequence[Sequence[Sequence[Cell]]] = field(default_factory=list)
    """Groups of rows, with a rule between groups."""


def to_latex(table: Table) -> str:
    """Tables for the packages booktabs and longtable, in parts of as many columns as a line of 6.5 inches holds.

    Every part begins with the first column; longer ones than a page go on on the next one.
    """
    lines = [
        "% Needs \\usepackage{booktabs,longtable}.",
        "% Bold: best; underlined: second best.",
        *(f"% {line}" for line in (table.title, *table.notes)),
        "{\\footnotesize",
    ]
    for columns in latex_parts(table):
        lines.append(f"\\begin{{longtable}}{{l{'r' * (len(columns) - 1)}}}")
        lines += [
            "\\toprule",
            _latex_row([_latex_head(table.header[column]) for column in columns]),
            "\\midrule\\endhead",
        ]
        for number, section in enumerate(table.sections):
            lines += ["\\midrule"] if number else []
            lines += [_latex_row([_latex_cell(row[column]) for column in columns]) for row in section]
        lines += ["\\bottomrule", "\\end{longtable}"]
    return "\n".join([*lines, "}", ""])


def latex_parts(table: Table) -> list[list[int]]:
    """The columns of each part of a LaTeX table, the first column in all of them."""
    widths = [_latex_width(table, column) for column in range(len(table.header))]
    parts = [[0]]
    for column in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[other] for other in parts[-1]) + widths[column] > _LATEX_LINE:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _latex_width(table: Table, column: int) -> float:
    """Characters that a column takes of a line, with the space beside it."""
    cells = [row[column] for section in table.sections for row in section]
    head = max(map(len, textwrap.wrap(table.header[column], _LATEX_HEAD)), default=0)
    return max([head, *(len(cell.text) + (1 + 0.9 * len(cell.small) if cell.small else 0) for cell in cells)]) + 3


def to_markdown(table: Table) -> str:
    """A pipe table; bold: best, italic: second best."""
    columns = len(table.header)
    lines = [f"**{table.title}**", "", *(f"{note}  " for note in table.notes), ""]
    lines += [_markdown_row(table.header), _markdown_row([":--", *["--:"] * (columns - 1)])]
    for number, section in enumerate(table.sections):
        if number:
            lines.append(_markdown_row([""] * columns))
        lines += [_markdown_row([_markdown_cell(cell) for cell in row]) for row in section]
    return "\n".join([*lines, ""])


def to_html(table: Table) -> str:
    """A page of its own, which needs no other file; bold: best, underlined: second best."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in table.header)
    bodies = "".join(f"<tbody>{''.join(map(_html_row, section))}</tbody>\n" for section in table.sections)
    notes = "".join(f"<p>{html.escape(note)}</p>\n" for note in table.notes)
    return _PAGE.format(title=html.escape(table.title), notes=notes, head=head, bodies=bodies)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 13px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 1em; }}
h1 {{ font-size: 16px; margin: 0 0 .3em; }}
p {{ color: #666; margin: 0 0 .2em; max-width: 70em; }}
table {{ border-collapse: separate; border-spacing: 0; margin-top: 1em; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2em .7em; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; position: sticky; left: 0; background: #fff; }}
thead th {{ border-bottom: 1.5px solid #222; font-weight: 600; position: sticky; top: 0; background: #fff; }}
tbody + tbody tr:first-child td {{ border-top: 1px solid #999; }}
td small {{ color: #777; }}
.best {{ font-weight: 700; }}
.second {{ text-decoration: underline; }}
</style>
</head>
<body>
<h1>{title}</h1>
{notes}<table>
<thead><tr>{head}</tr></thead>
{bodies}</table>
</body>
</html>
"""
_LATEX_LINE = 110
"""Characters of \\footnotesize that always fit into a line of 6.5 inches."""
_LATEX_HEAD = 14
"""Characters of a line of a column's head."""
_LATEX = {
    "\\": "\\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": "$\\pm$",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_head(text: str) -> str:
    lines = " \\\\ ".join(_latex(line) for line in textwrap.wrap(text, _LATEX_HEAD))
    return f"\\shortstack[r]{{{lines}}}" if len(text) > _LATEX_HEAD else lines


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    if cell.mark is not Mark.NONE:
        text = f"\\textbf{{{text}}}" if cell.mark is Mark.BEST else f"\\underline{{{text}}}"
    return text + (f" {{\\scriptsize {_latex(cell.small)}}}" if cell.small else "")


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    around = {Mark.BEST: "**", Mark.SECOND: "*", Mark.NONE: ""}[cell.mark]
    text = f"{around}{cell.text.replace('|', chr(92) + '|')}{around}"
    return f"{text} {cell.small}" if cell.small else text


def _html_row(row: Sequence[Cell]) -> str:
    return f"<tr>{''.join(map(_html_cell, row))}</tr>"


def _html_cell(cell: Cell) -> str:
    text = html.escape(cell.text)
    if cell.mark is not Mark.NONE:
        text = f'<span class="{cell.mark.value}">{text}</span>'
    if cell.small:
        text += f" <small>{html.escape(cell.small)}</small>"
    return f"<td>{text}</td>"
