"""Pictures with text whose content is known: pages, signs and shop fronts, drawn here with Pillow's own font.

Nothing but the seed decides them, so that everyone measures on the same pictures whatever fonts a machine
has; a different Pillow may draw letters a little differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from relume.errors import MissingExtra
from relume.evaluate.tasks.protocol import Item

Colour = tuple[int, int, int]

SIZE = (384, 512)
"""Rows and columns of a sign or a front, in pixels; a page has fewer."""

_VOCABULARY = (
    "above after again all along and another around at autumn away back bank because bell below between "
    "bread bridge bright by came candle carried church city clear clock closed coast coffee cold corner "
    "dark day door down early east evening every far few field first five floor for found from garden "
    "gate gave glass good green hall hand heard high hill home hour house inn into its kept kitchen lamp "
    "late left letter light little long market may mill moon morning most night north noon now of old on "
    "once open other our over page paper past people place quiet rain read river road roof room round sea "
    "seven ship side silver small south square station stone street summer table ten that the their there "
    "three time to tower town train under until upon valley village wall was water way we went west when "
    "while white wind window winter with wood year yellow "
)
_WORDS = _VOCABULARY.split()
_SIGNS = (
    "EXIT", "PLATFORM", "PARKING", "LIBRARY", "MUSEUM", "HARBOUR", "NO ENTRY", "CAUTION", "ONE WAY", "FERRY",
    "TICKETS", "MAIN STREET", "WET FLOOR", "KEEP LEFT", "SCHOOL", "AIRPORT", "FIRE DOOR", "CITY CENTRE",
)  # fmt: skip
_SHOPS = (
    "BAKERY", "BOOKS & MAPS", "FLOWERS", "PHARMACY", "CAFE VERDE", "HARDWARE", "TAILOR", "GREENGROCER",
    "OLD CLOCKS", "BICYCLES", "CHEESE", "TOYS", "RECORDS", "LOCKSMITH", "TEA HOUSE", "OPTICIAN",
)  # fmt: skip
_BOARDS: Sequence[tuple[Colour, Colour]] = (
    ((24, 70, 150), (245, 245, 245)),
    ((20, 110, 60), (245, 245, 245)),
    ((180, 30, 36), (250, 246, 240)),
    ((244, 200, 40), (25, 25, 25)),
    ((240, 240, 236), (30, 34, 40)),
)
"""Ground and letters of a board."""


@dataclass
class _Canvas:
    """A picture that is being drawn, and the lines of text on it."""

    image: Image.Image
    lines: list[str] = field(default_factory=list[str])
    boxes: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    def write(self, text: str, left: float, top: float, size: float, colour: Colour) -> float:
        """Write a line of text; returns where the next one may begin."""
        font = _font(size)
        self.pen.text((left, top), text, fill=colour, font=font)
        self.lines.append(text)
        self.boxes.append(self.pen.textbbox((left, top), text, font=font))
        return top + size * 1.5


def rendered(count: int) -> list[Item]:
    """Pages, signs and shop fronts in turn; `truth` is a text, `boxes` those of its lines.

    Raises:
        MissingExtra: Pillow cannot draw letters.
    """
    kinds = list(_KINDS.items())
    return [_item(number, *kinds[number % len(kinds)])[0] for number in range(count)]


def rendered_boxes(count: int) -> list[Item]:
    """The same pictures, with the boxes of their lines as truth."""
    kinds = list(_KINDS.items())
    return [_item(number, *kinds[number % len(kinds)])[1] for number in range(count)]


def _item(number: int, kind: str, draw: Callable[[np.random.Generator], _Canvas]) -> tuple[Item, Item]:
    canvas = draw(np.random.default_rng(number))
    name, pixels = f"{kind}{number}", np.asarray(canvas.image)
    boxes = np.array(canvas.boxes, np.float64)
    return Item(name, pixels, "\n".join(canvas.lines)), Item(name, pixels, boxes)


def _page(random: np.random.Generator) -> _Canvas:
    """Small print, black to grey, on paper that is brighter on one side."""
    rows, columns = 240, 384
    canvas = _Canvas(_ground(rows, columns, (238, 234, 224), random, grain=2.0, shade=0.25))
    size, ink = float(random.uniform(9, 15)), int(random.integers(28, 130))
    top = 12.0
    while top < rows - 1.5 * size:
        line = ""
        while True:
            longer = f"{line} {random.choice(_WORDS)}".strip()
            if _font(size).getlength(longer) > columns - 28:
                break
            line = longer
        top = canvas.write(line, 14, top, size, (ink, ink, ink))
    return canvas


def _sign(random: np.random.Generator) -> _Canvas:
    """A board with large letters on a rough wall."""
    rows, columns = SIZE
    canvas = _Canvas(_ground(rows, columns, (150, 140, 128), random, grain=14.0, shade=0.4))
    ground, letters = _BOARDS[int(random.integers(len(_BOARDS)))]
    canvas.pen.rounded_rectangle((40, 60, columns - 40, rows - 60), 14, ground, letters, 4)
    top = 84.0
    for text, size in zip(random.choice(_SIGNS, 3, replace=False).tolist(), (46, 30, 16), strict=True):
        size = min(size, size * (columns - 120) / _font(size).getlength(text))
        canvas.write(text, 64, top, size, letters)
        top += 74
    return canvas


def _front(random: np.random.Generator) -> _Canvas:
    """A shop: name above a window of dark glass, hours on a card."""
    rows, columns = SIZE
    canvas = _Canvas(_ground(rows, columns, (132, 84, 66), random, grain=10.0, shade=0.4))
    for row in range(0, rows, 16):
        canvas.pen.line((0, row, columns, row), (104, 70, 58), 2)
    ground, letters = _BOARDS[int(random.integers(len(_BOARDS)))]
    canvas.pen.rectangle((20, 24, columns - 20, 104), ground)
    name = str(random.choice(_SHOPS))
    size = min(48.0, 48.0 * (columns - 90) / _font(48).getlength(name))
    canvas.write(name, 40, 38, size, letters)
    canvas.pen.rectangle((40, 124, columns - 40, rows - 10), (40, 48, 56))
    canvas.pen.polygon([(60, 124), (180, 124), (90, rows - 10), (40, rows - 10), (40, 160)], (58, 68, 78))
    canvas.pen.rectangle((250, 160, columns - 60, rows - 40), (236, 232, 220))
    top = 172.0
    opens, closes = int(random.integers(7, 11)), int(random.integers(16, 21))
    for text in ("OPENING HOURS", f"Mon - Fri {opens} - {closes}", f"Sat {opens + 1} - 14", "Sunday closed"):
        top = canvas.write(text, 262, top, 13, (70, 66, 70))
    return canvas


_KINDS: Mapping[str, Callable[[np.random.Generator], _Canvas]] = {
    "page": _page,
    "sign": _sign,
    "front": _front,
}


def _ground(
    rows: int, columns: int, colour: Colour, random: np.random.Generator, *, grain: float, shade: float
) -> Image.Image:
    """A surface of one colour with grain, brighter towards one side."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    light = 1 - shade * (1 + np.cos(angle) * x + np.sin(angle) * y) / 3
    rough = random.normal(0, grain, (rows, columns, 1))
    pixels: npt.NDArray[np.float64] = np.array(colour) * light[..., None] + rough
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise MissingExtra("Pillow cannot draw letters here (it has no FreeType)", "Install its own wheel.")
    return font
