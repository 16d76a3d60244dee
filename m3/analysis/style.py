"""How figures look: one typeface, one colour and marker per method everywhere, files with the same bytes every time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import matplotlib
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType, RcKeyType

WIDE = 6.75
"""Inches: the text width of a two-column paper."""
NARROW = 3.3
"""Inches: one column."""

INK = "#222222"
QUIET = "#6B6B6B"
FAINT = "#D9D9D9"
ALERT = "#B3261E"

_SIZE = 7.0
_FONTS = Path(__file__).parent / "fonts"
_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "Roboto Subset",
    "font.size": _SIZE,
    "axes.titlesize": _SIZE,
    "axes.titleweight": "medium",
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": _SIZE,
    "axes.labelpad": 3,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.solid_capstyle": "butt",
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "pdf.fonttype": 42,  # TrueType outlines are embedded, and text stays text
    "text.hinting": "no_hinting",  # a text is as wide in pixels as on paper
    "figure.dpi": 200,
    "path.simplify": True,
}
_PNG_METADATA: dict[str, Any] = {"Software": None}
_PDF_METADATA: dict[str, Any] = {"Creator": None, "Producer": None, "CreationDate": None}


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every figure."""

    color: str
    marker: str
    line: LineStyleType = "-"


_DASH: LineStyleType = (0, (4, 1.5))
_DOT: LineStyleType = (0, (1, 1.2))
_DASH_DOT: LineStyleType = (0, (5, 1.5, 1, 1.5))
_DASH_DOT_DOT: LineStyleType = (0, (4, 1, 1, 1, 1, 1))
_LONG_DASH: LineStyleType = (0, (8, 1.5))

M3_COLOR = "#D55E00"
_PUBLISHED = {
    "M3": Look(M3_COLOR, "o"),
    "Simulus-A": Look("#8C510A", "P", _DASH),
    "REM": Look("#CC79A7", "D", _DASH_DOT),
    "IRIS": Look("#0072B2", "s", _DASH),
    "Delta-IRIS": Look("#56B4E9", "^", "-"),
    "DIAMOND": Look("#009E73", "v", "-"),
    "STORM": Look("#999933", "X", _DOT),
    "TWM": Look("#44AA99", "<", _DASH_DOT),
    "SimPLe": Look("#88739A", "h", _DOT),
    "EfficientZero": Look("#332288", "p", _DASH),
    "DreamerV3": Look("#117733", "s", _LONG_DASH),
    "DreamerV3 (2024)": Look("#6FA287", "d", _DASH),
    "PPO (2024)": Look("#8A8A8A", ">", _DOT),
    "TD-MPC2": Look("#332288", "^", "-"),
    "TD-MPC": Look("#7E6FC4", "v", _DASH),
    "SAC": Look("#8C510A", "X", _DASH_DOT),
    "PPO": Look("#6B6B6B", ">", _DOT),
    "D4PG": Look("#0072B2", "D", _DASH_DOT_DOT),
    "DDPG": Look("#56B4E9", "d", _DASH),
    "DMPO": Look("#882255", "p", _DASH_DOT),
    "MPO": Look("#CC79A7", "h", _DOT),
    "PPO-RNN": Look("#0072B2", "s", _DASH),
    "PPO-RND": Look("#009E73", "^", _DASH_DOT),
    "E3B": Look("#88739A", "v", _DOT),
}
_OWN = (
    Look("#000000", "o", "-"),
    Look("#AA3377", "s", _DASH),
    Look("#228833", "^", _DASH_DOT),
    Look("#4477AA", "D", _DOT),
    Look("#997700", "v", _LONG_DASH),
    Look("#66CCEE", "P", _DASH_DOT_DOT),
)
_OTHER = ("#4E79A7", "#A0785A", "#59A14F", "#B07AA1", "#7A8B99", "#A39A1F")


def look(method: str, own: Sequence[str]) -> Look:
    """The look of a method.

    Args:
        method: its name.
        own: the methods with own runs, in order.
    """
    if method in own:
        return _OWN[own.index(method) % len(_OWN)]
    if method in _PUBLISHED:
        return _PUBLISHED[method]
    number = crc32(method.encode())  # does not depend on which other methods there are
    return Look(_OTHER[number % len(_OTHER)], "os^vDdph<>"[number % 10], (_DASH, _DOT, _DASH_DOT)[number % 3])


def tint(color: str, strength: float = 0.4) -> tuple[float, float, float]:
    """A colour mixed with white: opaque, so that what lies behind it does not shine through."""
    red, green, blue = to_rgb(color)
    return (1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue))


def emphasized(method: str, own: Sequence[str]) -> bool:
    """Whether a method's name is set in a stronger weight: M3, published and own."""
    return method == "M3" or method in own


@contextmanager
def style() -> Iterator[None]:
    """Within the block, figures are drawn and saved in this style."""
    _register_fonts()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc changes nothing
        matplotlib.rcParams.update(_SETTINGS)
        yield


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``{name}.pdf`` and ``{name}.png``, the same bytes for the same figure."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.pdf", metadata=_PDF_METADATA)
    figure.savefig(folder / f"{name}.png", metadata=_PNG_METADATA)


@cache
def _register_fonts() -> None:
    for path in sorted(_FONTS.glob("*.ttf")):
        font_manager.fontManager.addfont(path)
