"""How figures look: one typeface, one colour and marker per method everywhere, files with the same bytes every time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import matplotlib
import seaborn as sns
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

from m3.files.atomic import atomic_file

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
_SETTINGS: dict[str, Any] = {
    "font.family": "Roboto Subset",
    "font.size": _SIZE,
    "axes.titlesize": _SIZE,
    "axes.titleweight": "medium",
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": _SIZE,
    "axes.labelpad": 3,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.labelsize": _SIZE,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    **{f"{axis}tick.{which}.width": 0.6 for axis in "xy" for which in ("major", "minor")},
    **{f"{axis}tick.{which}.size": 2.5 for axis in "xy" for which in ("major", "minor")},
    **dict.fromkeys(("text.color", "axes.labelcolor"), INK),
    "lines.linewidth": 1.2,
    "lines.solid_capstyle": "butt",
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0.1,
    "pdf.fonttype": 42,  # TrueType outlines are embedded, and text stays text
    "text.hinting": "no_hinting",  # a text is as wide in pixels as on paper
    "figure.dpi": 200,
}
_PNG_METADATA: dict[str, Any] = {"Software": None}
_PDF_METADATA: dict[str, Any] = {"Creator": None, "Producer": None, "CreationDate": None}


Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every figure."""

    color: Color
    marker: str
    dashes: tuple[float, ...] = ()
    """Lengths of dashes and gaps; none: a solid line."""

    @property
    def line(self) -> LineStyleType:
        """The same as matplotlib's line style."""
        return (0, self.dashes) if self.dashes else "-"


_DASHES = ((4, 1.5), (), (5, 1.5, 1, 1.5), (1, 1.2), (8, 1.5))
_MARKERS = "s^DvXdPph<>"
_SAFE, _DARK = sns.color_palette("colorblind"), sns.color_palette("dark")
_COLORS = [*(_SAFE[i] for i in (0, 2, 4, 9, 5)), *(_DARK[i] for i in (4, 9, 6, 8, 2)), _SAFE[7], _DARK[0]]
_M3 = Look(to_rgb("#D55E00"), "o")
_PUBLISHED = (
    *(
        "EfficientZero",
        "M3 (independent reproduction)",
        "EASimulus",
        "BBF",
        "EADream",
        "DIAMOND",
        "REM",
        "HarmonyDream",
    ),
    *(
        "STORM",
        "Delta-IRIS",
        "IRIS",
        "TWM",
        "DreamerV3",
        "SimPLe",
        "Simulus-A",
        "DreamerV3 (2024)",
        "OC-STORM",
        "FOCUS",
    ),
    *(
        "SPR",
        "CURL",
        "DrQ(eps)",
        "MuZero",
        "STORM (2026)",
        "PPO (2024)",
        "DreamerV3 (2023, run by HarmonyDream authors)",
    ),
    *("TD-MPC2", "DR.Q", "MR.Q", "SimbaV2 (UTD 2)", "DC-MPC", "TD-MPC", "DreamerV3 (run by TD-MPC2 authors)", "SAC"),
    *("D4PG", "DMPO", "MPO", "DDPG", "PPO", "SimBa (half budget)", "XQC", "MR.Q (sticky actions)"),
    *("PPO-RNN", "PPO-RND", "E3B", "PPO-GTrXL"),
)
"""Published methods in such an order that those of a benchmark look different."""
_OWN_COLORS = tuple(map(to_rgb, ("#000000", "#AA3377", "#228833", "#4477AA", "#997700", "#66CCEE")))


def look(method: str, own: Sequence[str]) -> Look:
    """The look of a method.

    Args:
        method: its name.
        own: the own methods, in order.
    """
    if method in own:
        number = own.index(method)
        return Look(_OWN_COLORS[number % len(_OWN_COLORS)], "os^DvPXd"[number % 8], ((), *_DASHES)[number % 6])
    if method == "M3":
        return _M3
    # an unknown method's look does not depend on which others there are
    number = _PUBLISHED.index(method) if method in _PUBLISHED else crc32(method.encode())
    return Look(_COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])


def tint(color: Color, strength: float = 0.4) -> Color:
    """A colour mixed with white: opaque, so that what lies behind it does not shine through."""
    red, green, blue = color
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
        sns.set_theme("paper", "ticks", rc=_SETTINGS)
        yield


def save(figure: Figure, folder: Path, name: str, caption: str) -> None:
    """Write ``{name}.pdf`` and ``{name}.png``, the same bytes for the same figure, and its caption, ``{name}.md``."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # the panels have their places, which need not be found again for each file
    for kind, metadata in (("pdf", _PDF_METADATA), ("png", _PNG_METADATA)):
        with atomic_file(folder / f"{name}.{kind}") as file:
            figure.savefig(file, format=kind, metadata=metadata)
    with atomic_file(folder / f"{name}.md") as file:
        file.write(caption.encode())


@cache
def _register_fonts() -> None:
    for path in sorted(_FONTS.glob("*.ttf")):
        font_manager.fontManager.addfont(path)
