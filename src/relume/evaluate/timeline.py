"""Curves over time as a picture: how bright a clip is, before and after."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from relume.evaluate.lettering import line_height, line_mask

_WIDTH, _HEIGHT = 1000, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 60, 50
_COLOURS = ((70, 70, 78), (214, 120, 20), (30, 110, 180), (40, 140, 60))
_INK, _GRID, _CUT = (40, 40, 44), (224, 224, 228), (170, 170, 178)
_SIZE = 15
_MARKS = 5


def timeline_png(
    seconds: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    cuts: Sequence[float] = (),
    *,
    title: str = "",
) -> bytes:
    """Draw values in [0, 1] over time.

    Args:
        seconds: times, rising; at least one.
        curves: values at these times, by name.
        cuts: times to mark.
        title: above the picture.

    Returns:
        A PNG file.
    """
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    first, last = float(seconds[0]), max(float(seconds[-1]), float(seconds[0]) + 1e-3)

    def x(second: float) -> float:
        return _LEFT + (second - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value * (_HEIGHT - _TOP - _BOTTOM)

    for mark in np.linspace(0, 1, _MARKS):
        draw.line([(x(first), y(mark)), (x(last), y(mark))], fill=_GRID)
        _write(image, f"{mark:.2f}", 12, round(y(mark)) - line_height(_SIZE) // 2, _INK)
    for mark in np.linspace(first, last, _MARKS):
        _write(image, f"{mark:.1f} s", round(x(mark)) - 20, _HEIGHT - _BOTTOM + 10, _INK)
    for cut in cuts:
        draw.line([(x(cut), _TOP), (x(cut), _HEIGHT - _BOTTOM)], fill=_CUT, width=2)
    left = _LEFT
    for (name, values), colour in zip(curves.items(), _COLOURS, strict=False):
        points = [(x(second), y(value)) for second, value in zip(seconds, values, strict=True)]
        draw.line(points if len(points) > 1 else points * 2, fill=colour, width=3)
        left += _write(image, name, left, 32, colour) + 24
    _write(
        image, f"Mean brightness over time: {title}" if title else "Mean brightness over time", _LEFT, 6, _INK
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write(image: Image.Image, text: str, left: int, top: int, colour: tuple[int, int, int]) -> int:
    """Draw a line of text; its width."""
    mask = Image.fromarray(line_mask(text, _SIZE, max_width=_WIDTH - left))
    image.paste(colour, (left, top), mask)
    return mask.width
