"""A page: a figure with a heading that says what it shows, laid out in inches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from m3.analysis.style import ALERT, INK, QUIET

_EDGE = 0.06
_LINE = 0.135
_TITLE = 0.19
_KEY = 0.19
_NOTE_SIZE = 6.5


PANEL_TITLE = 0.2
"""Height of the title above axes, in inches."""


@dataclass(frozen=True)
class Grid:
    """Panels of equal size in rows, all sizes in inches."""

    columns: int
    rows: int
    left: float
    """Space left of the panels, for the labels of the first column."""
    bottom: float
    """Space below the panels."""
    panel_height: float
    column_gap: float
    row_gap: float

    @classmethod
    def balanced(cls, panels: int, most_columns: int, **sizes: float) -> "Grid":
        """A grid with as few rows as possible, and no more columns than these rows need."""
        rows = -(-panels // most_columns)
        return cls(columns=-(-panels // rows), rows=rows, **sizes)

    @property
    def height(self) -> float:
        """Of the whole grid, with titles and the space below."""
        return self.bottom + self.rows * self.panel_height + (self.rows - 1) * self.row_gap + PANEL_TITLE

    def axes(self, sheet: "Page", index: int) -> Axes:
        """The axes of a panel; panels are counted along the rows, from the top left."""
        row, column = divmod(index, self.columns)
        width = (sheet.width - self.left) / self.columns
        bottom = self.bottom + (self.rows - 1 - row) * (self.panel_height + self.row_gap)
        return sheet.axes(self.left + column * width, bottom, width - self.column_gap, self.panel_height)

    def is_first_column(self, index: int) -> bool:
        """Whether a panel is at the left end of its row."""
        return index % self.columns == 0


@dataclass(frozen=True)
class Page:
    """A figure of which the area below the heading and above the footnotes is still free."""

    figure: Figure
    width: float
    height: float
    """Of the whole figure, in inches."""
    bottom: float
    """Height of the footnotes."""

    def axes(self, left: float, bottom: float, width: float, height: float, sharey: Axes | None = None) -> Axes:
        """Axes at a place of the free area, in inches from its lower left corner."""
        box = (
            left / self.width,
            (self.bottom + bottom) / self.height,
            width / self.width,
            height / self.height,
        )
        return self.figure.add_axes(box, sharey=sharey)


def page(
    width: float,
    height: float,
    title: str,
    notes: str,
    warnings: Sequence[str],
    footnotes: Sequence[str] = (),
    key: Sequence[Artist] = (),
) -> Page:
    """A page with a free area of ``width`` x ``height`` inches.

    Args:
        width, height: size of the free area; the heading adds to the height.
        title: one line.
        notes: what is compared, how often it was run, how uncertain it is. Wrapped.
        warnings: what must not be overlooked; wrapped, in the colour of alerts.
        footnotes: below the free area; wrapped.
        key: handles of a legend in one line below the notes.
    """
    warning = " ".join(f"{text}." for text in warnings)
    heading = [(line, ALERT, "medium") for line in _wrapped(warning, width - 2 * _EDGE, "medium")]
    heading += [(line, QUIET, "normal") for line in _wrapped(notes, width - 2 * _EDGE, "normal")]
    below = [line for text in footnotes for line in _wrapped(text, width - 2 * _EDGE, "normal")]
    text_height = _EDGE + _TITLE + len(heading) * _LINE
    top = text_height + (_KEY if key else 0) + 0.04
    bottom = _EDGE + len(below) * _LINE if below else 0.0
    full = top + height + bottom
    figure = Figure(figsize=(width, full))
    figure.text(_EDGE / width, 1 - _EDGE / full, title, size=8.5, weight="medium", color=INK, va="top")
    for index, (line, color, weight) in enumerate(heading):
        y = full - _EDGE - _TITLE - index * _LINE
        figure.text(_EDGE / width, y / full, line, size=_NOTE_SIZE, color=color, weight=weight, va="top")
    for index, line in enumerate(below):
        y = bottom - index * _LINE
        figure.text(_EDGE / width, y / full, line, size=_NOTE_SIZE, color=QUIET, va="top")
    if key:
        figure.legend(
            handles=list(key),
            loc="upper left",
            bbox_to_anchor=(_EDGE / width, 1 - text_height / full),
            ncols=len(key),
            handlelength=1.8,
            handletextpad=0.5,
            columnspacing=1.4,
            borderaxespad=0,
            borderpad=0.1,
        )
    return Page(figure, width, full, bottom)


def _wrapped(text: str, width: float, weight: str) -> list[str]:
    """Lines of a text in the size of notes, each at most ``width`` inches wide."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, _NOTE_SIZE, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def text_width(text: str, size: float, weight: str) -> float:
    """Inches that a line takes."""
    font = FontProperties(size=size, weight=weight)
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return points / 72


def axis_label(sheet: Page, text: str, left: float, right: float) -> None:
    """One label below several axes, between two places in inches."""
    x, y = (left + right) / 2 / sheet.width, (sheet.bottom + 0.07) / sheet.height
    sheet.figure.text(x, y, text, size=7, color=INK, ha="center", va="bottom")


def write(
    axes: Axes,
    text: str,
    place: tuple[float, float],
    offset: tuple[float, float] = (3, 0),
    *,
    side: Literal["left", "center", "right"] = "left",
    left_edge: bool = False,
    size: float = 6,
    weight: str = "normal",
    color: str = INK,
    halo: bool = False,
) -> None:
    """Text near a place of the axes.

    Args:
        axes: where.
        text: one line.
        place: x and y in the units of the data.
        offset: from the place, in points.
        side: the side of the text that is at the place.
        left_edge: x counts from the left edge of the axes instead, in widths of the axes.
        size, weight, color: of the text.
        halo: put the text on a white ground.
    """
    axes.annotate(
        text,
        place,
        xycoords=("axes fraction", "data") if left_edge else "data",
        xytext=offset,
        textcoords="offset points",
        ha=side,
        va="center_baseline",
        size=size,
        weight=weight,
        color=color,
        bbox={"facecolor": "white", "linewidth": 0, "pad": 0.3} if halo else None,
    )
