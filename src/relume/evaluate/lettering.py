"""Lines of text as masks, for captions in pictures."""

from __future__ import annotations

import html
from contextlib import suppress
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

from relume.photo import vips

Mask: TypeAlias = npt.NDArray[np.uint8]


def line_mask(text: str, size: int, *, bold: bool = False, max_width: int | None = None) -> Mask:
    """One line of text as opacity, 0 to 255, in a box whose height depends on the size alone.

    Pango draws the text where it works and finds a font, and so covers every script the machine has a font
    for. On a machine without fonts, Pillow's built-in font draws it, which knows the letters of
    English only; a Pillow without FreeType leaves the line empty.

    Args:
        text: the line; it is shortened with an ellipsis if it is too wide.
        size: size of the font in pixels.
        bold: heavier letters, where the font has them.
        max_width: pixels the line may take; None for any.

    Returns:
        uint8, `line_height(size)` x the width of the text, at least 1.
    """
    text = printable(text)
    mask = _draw(text, size, bold)
    while max_width is not None and mask.shape[1] > max_width and text:
        keep = min(len(text) - 1, int(len(text) * max_width / mask.shape[1]))
        text = text[:keep]
        mask = _draw(text.rstrip() + "…", size, bold)
    return mask if max_width is None else mask[:, :max_width]


def printable(text: str) -> str:
    """The text in one line, with a question mark for each byte of a file name that is not a character."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def line_height(size: int) -> int:
    """Height of the box of a line, in pixels."""
    return round(size * 1.4)


def _draw(text: str, size: int, bold: bool) -> Mask:
    if not text.strip():
        return np.zeros((line_height(size), 1), np.uint8)
    return _draw_pango(text, size, bold) if _pango_has_fonts() else _draw_pillow(text, size)


def _draw_pango(text: str, size: int, bold: bool) -> Mask:
    # At 72 dots an inch a point is a pixel. The text is markup, so a name's own < and & must not be.
    escaped, font = html.escape(text, quote=False), f"sans {'bold ' if bold else ''}{size}"
    with vips.calls():
        image: Any = vips.Image.text(escaped, font=font, dpi=72)
        left, top = int(image.get("xoffset")), int(image.get("yoffset"))
        return _boxed(image.extract_band(0).numpy(), left, top, size)


def _draw_pillow(text: str, size: int) -> Mask:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return np.zeros((line_height(size), 1), np.uint8)
    left, top, _, _ = font.getbbox(text)
    mask = font.getmask(text)
    ink = np.asarray(mask, dtype=np.uint8).reshape(mask.size[1], mask.size[0])
    return _boxed(ink, int(left), int(top), size)


def _boxed(ink: Mask, left: int, top: int, size: int) -> Mask:
    """The ink at its offset in the box of the line; what reaches beyond the box is cut off."""
    left, top, height = max(left, 0), max(top, 0), line_height(size)
    box = np.zeros((height, left + ink.shape[1]), np.uint8)
    visible = ink[: max(height - top, 0)]
    box[top : top + visible.shape[0], left:] = visible
    return box


@cache
def _pango_has_fonts() -> bool:
    """Whether Pango draws letters: without a font it draws boxes, and those are all of one width."""
    with suppress(vips.Failed), vips.calls():
        narrow, wide = (vips.Image.text(letter * 4, font="sans 20", dpi=72).width for letter in "iW")
        return narrow < wide
    return False
