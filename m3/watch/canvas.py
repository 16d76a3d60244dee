"""A picture to paint on: text, pictures, bars and traces."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import m3.analysis

BACKGROUND = (18, 20, 24)
SURFACE = (32, 35, 42)
INK = (238, 238, 240)
QUIET = (160, 164, 172)
REAL = (120, 190, 255)
IMAGINED = (255, 146, 76)

MARK = (70, 74, 84)

_FONTS = Path(m3.analysis.__file__).parent / "fonts"
_LEAST_SPAN = 0.05
"""The least range of a trace's scale, so that noise around zero looks small."""
_LEAST_SHARE = 0.2
"""The least share of a trace's height, above or below zero, that has room for a number."""
_LEAST_ROW = 14
"""Pixels of a bar that has room for its number."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    def below(self, height: int) -> "Box":
        """Return what is left under a strip of this height."""
        return Box(self.x, self.y + height, self.width, self.height - height)


@lru_cache
def font(size: int, strong: bool = False) -> ImageFont.FreeTypeFont:
    """Load the typeface of the project's figures."""
    file = _FONTS / f"Roboto-{'Medium' if strong else 'Regular'}.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)  # the other one squeezes small sizes


def number(value: float) -> str:
    """Word a number for people: at most three decimals, and a real minus sign."""
    text = f"{value:,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "\N{MINUS SIGN}")


class Canvas:
    """An RGB picture of ``width`` x ``height`` pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width, height), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    def array(self) -> np.ndarray:
        """Return the picture, uint8 (height, width, 3)."""
        return np.asarray(self._image).copy()

    def text(
        self,
        x: int,
        y: int,
        text: str,
        size: int = 15,
        color: tuple[int, ...] = INK,
        anchor: str = "ls",
        strong: bool = False,
    ) -> int:
        """Write at a point, by default the left end of the baseline; return the text's width."""
        self._draw.text((x, y), text, fill=color, font=font(size, strong), anchor=anchor)
        return round(font(size, strong).getlength(text))

    def rectangle(self, box: Box, color: tuple[int, ...]) -> None:
        if box.width > 0 and box.height > 0:
            self._draw.rectangle((box.x, box.y, box.right - 1, box.bottom - 1), fill=color)

    def picture(self, box: Box, picture: np.ndarray) -> None:
        """Draw a picture as large as fits, in the middle of the box, with sharp pixels where it is enlarged."""
        height, width = picture.shape[:2]
        scale = min(box.width / width, box.height / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        whole = ceil(scale)  # all pixels of the same size, although the scale is no whole number
        larger = Image.fromarray(picture).resize((width * whole, height * whole), Image.Resampling.NEAREST)
        scaled = larger.resize(size, Image.Resampling.BOX)
        self._image.paste(scaled, (box.x + (box.width - size[0]) // 2, box.y + (box.height - size[1]) // 2))

    def strip(self, box: Box, shares: np.ndarray) -> None:
        """Draw a row of cells, brighter where the share of the largest is larger."""
        weights = shares / max(shares.max(), 1e-9)
        colors = np.array(SURFACE) + weights[:, None] * (np.array(IMAGINED) - np.array(SURFACE))
        row = Image.fromarray(colors.astype(np.uint8)[None])
        self._image.paste(row.resize((box.width, box.height), Image.Resampling.NEAREST), (box.x, box.y))

    def bars(self, box: Box, values: np.ndarray, color: tuple[int, ...]) -> None:
        """Draw a horizontal bar per value in [-1, 1], from the middle, top to bottom; numbered where there is room."""
        self.rectangle(box, SURFACE)
        middle = box.x + box.width // 2
        numbered = box.height >= _LEAST_ROW * len(values)
        reach = box.width // 2 - (24 if numbered else 4)
        edges = np.linspace(box.y, box.bottom, len(values) + 1).round().astype(int)
        for row, (value, top, bottom) in enumerate(zip(np.clip(values, -1, 1), edges[:-1], edges[1:], strict=True)):
            end = middle + round(float(value) * reach)
            gap = 1 if bottom - top > 2 else 0
            left, right = sorted((middle, end))
            self.rectangle(Box(left, int(top) + gap, max(right - left, 1), int(bottom - top) - gap), color)
            if numbered:
                self.text(box.x + 6, int(top + bottom) // 2, str(row), 11, QUIET, anchor="lm")
        self.rectangle(Box(middle, box.y, 1, box.height), QUIET)

    def trace(
        self,
        box: Box,
        lines: Sequence[tuple[Sequence[float | None], tuple[int, ...]]],
        marks: Sequence[bool],
        capacity: int,
    ) -> None:
        """Draw lines over time, the latest value at the right end; the scale fits them.

        Zero is marked, and the steps in ``marks``, which is as long as the lines.
        """
        self.rectangle(box, SURFACE)
        start = capacity - len(marks)
        columns = [box.x + (start + index) / (capacity - 1) * (box.width - 1) for index in range(len(marks))]
        known = [value for values, _ in lines for value in values if value is not None]
        low, high = min([0.0, *known]), max([0.0, *known])
        high = max(high, low + _LEAST_SPAN)
        inner = Box(box.x, box.y + 6, box.width, box.height - 12)

        def y(value: float) -> float:
            return inner.bottom - 1 - (value - low) / (high - low) * (inner.height - 1)

        self.rectangle(Box(box.x, round(y(0)), box.width, 1), MARK)
        for column, marked in zip(columns, marks, strict=True):
            if marked:
                self.rectangle(Box(round(column), box.y, 1, box.height), MARK)
        for values, color in lines:
            points = [(x, y(value)) for x, value in zip(columns, values, strict=True) if value is not None]
            if len(points) == 1:
                points *= 2
            if points:
                self._draw.line(points, fill=color, width=2, joint="curve")
        top, bottom = (box.x + 6, box.y + 14), (box.x + 6, box.bottom - 6)
        if high > _LEAST_SHARE * (high - low) and known:
            self.text(*top, number(high), 11, QUIET)
        if -low > _LEAST_SHARE * (high - low):
            self.text(*bottom, number(low), 11, QUIET)
