"""The frame of a photo: bars and borders of one colour around it, which are no part of the picture.

Letterboxes, pillarboxes, passe-partouts: they say nothing of how bright the picture is, and stay as they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from relume.arrays import Numbers, Pixels
from relume.errors import DataError
from relume.photo import Photo

_EVEN = 1
"""How far pixels of a frame may leave its colour, in levels of 8 bits: compression rounds so."""

_JUMP = 4
"""How far, at least, they leave it where the picture begins."""

_SOME, _MOST = 0.2, 0.5
"""Shares of a line that do so: some always; most where nothing else tells that this is a frame."""

_PARTS, _ANY = 4, 0.04
"""Parts of a line, in each of which such a share does: what is round begins in the middle."""

_BEGUN = 0.3
"""Share of the deviation a few lines on from which on a line is the picture's, and no echo of its edge."""

_ALIKE = 2
"""Lines by which sides that count as wide as each other may differ."""

_SOON = 16
"""Lines of a frame that may be uneven at its inner edge: JPEG's squares spread the picture over so many."""

_THINNEST = 2
"""Lines of each side of a frame at least."""

_LEAST = 4
"""What is left is at least one part in so many of each side."""

_DEEPEST = 3
"""Frames within one another at most: a white border around a black line, and one more."""

_DARKEST, _LIGHTEST = 2, 253
"""Levels of frames that may go on inside: what is black or white stays so with and without a frame."""

_SAMPLE = 64
"""Rows and columns at most that tell whether there is a picture at all."""

_LINES = 64
"""Lines looked at together at most."""


class Frame(NamedTuple):
    """How many rows and columns of a photo its frame takes; none by default.

    Attributes:
        top, bottom: rows.
        left, right: columns.
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def inside(self, pixels_HWC: Pixels) -> Pixels:
        """The picture alone, as a part of the same memory."""
        return pixels_HWC[self._rows, self.left : -self.right or None]

    def _sides(self, pixels_HWC: Pixels) -> tuple[Pixels, ...]:
        """Top, bottom, left and right, which are all that is not inside."""
        beside = pixels_HWC[self._rows]
        height, width = pixels_HWC.shape[:2]
        whole = pixels_HWC[: self.top], pixels_HWC[height - self.bottom :]
        return *whole, beside[:, : self.left], beside[:, width - self.right :]

    def copy(self, pixels_HWC: Pixels, result_HWC: Pixels) -> None:
        """Copy all that is not inside.

        Raises:
            DataError: nothing would be inside.
        """
        height, width = pixels_HWC.shape[:2]
        if self.top + self.bottom >= height or self.left + self.right >= width:
            raise DataError(
                f"the look is of a photo with a frame of {self}, too wide for {width} x {height} pixels",
                "Render the photo that the look was decided for.",
            )
        for before, after in zip(self._sides(pixels_HWC), self._sides(result_HWC), strict=True):
            after[:] = before

    def __str__(self) -> str:
        return " + ".join(f"{lines} px {side}" for side, lines in self._asdict().items() if lines)

    @property
    def _rows(self) -> slice:
        return slice(self.top, -self.bottom or None)

    def around(self, inner: Frame) -> Frame:
        """This frame and one that the picture inside has."""
        return Frame(*(one + other for one, other in zip(self, inner, strict=True)))


NO_FRAME = Frame()


def frame_of(photo: Photo) -> Frame:
    """The frame of a photo; one that is transparent somewhere has its edge there, and none."""
    alpha_HW = photo.alpha_HW
    if alpha_HW is not None and alpha_HW.min() < np.iinfo(alpha_HW.dtype).max:
        return NO_FRAME
    return find_frame(photo.rgb_HWC)


def find_frame(pixels_HWC: Pixels) -> Frame:
    """The frame around pixels.

    A frame lies on two opposite sides, or on all four, in one colour, and ends where the picture begins at
    once along most of a line. A night sky that is black at the top, a dark room, a gradient or a white wall
    are none: what they show begins here and there, and rises slowly. Nor is the ground of a page, which goes
    on between what stands on it.

    Args:
        pixels_HWC: uint8 or uint16 over their whole range.
    """
    found = NO_FRAME
    for _ in range(_DEEPEST):
        inner = _frame(found.inside(pixels_HWC))
        if not any(inner):
            break
        found = found.around(inner)
    return found


def _frame(pixels_HWC: Pixels) -> Frame:
    """The outermost frame."""
    found = _frame_with(pixels_HWC, _runs(pixels_HWC))
    if not any(found):
        return found
    colour_C = _colour(pixels_HWC[:1] if found.top else pixels_HWC[:, :1])
    inside_HWC = found.inside(pixels_HWC)
    return NO_FRAME if _is_plain(inside_HWC) or _goes_on(inside_HWC, colour_C) else found


def _goes_on(pixels_HWC: Pixels, colour_C: Numbers) -> bool:
    """Whether a frame is the ground of a page: whole rows or columns inside are of its colour, too."""
    levels = colour_C // (np.iinfo(pixels_HWC.dtype).max // 255)
    if (levels <= _DARKEST).all() or (levels >= _LIGHTEST).all():
        return False
    return any(_are_even(lines, colour_C).any() for lines in (pixels_HWC, pixels_HWC.swapaxes(0, 1)))


def _frame_with(pixels_HWC: Pixels, rows: tuple[int, int]) -> Frame:
    """The frame whose top and bottom are these rows, or none; sides are judged between the others."""
    between_WHC = Frame(*rows).inside(pixels_HWC).swapaxes(0, 1)
    columns = _pair(between_WHC, _runs(between_WHC))
    kept = _pair(Frame(0, 0, *columns).inside(pixels_HWC), rows)
    if any(rows) and not any(kept):
        return _frame_with(pixels_HWC, (0, 0))
    return Frame(*kept, *columns)


def _is_plain(pixels_HWC: Pixels) -> bool:
    """Whether all rows, or all columns, are of one colour each, as those of a gradient are; from a sample."""
    height, width = pixels_HWC.shape[:2]
    some = pixels_HWC[:: -(-height // _SAMPLE), :: -(-width // _SAMPLE)]
    return any(_near(lines, lines[:, :1], _EVEN).all() for lines in (some, some.swapaxes(0, 1)))


def _runs(lines_NLC: Pixels) -> tuple[int, int]:
    """Lines of one colour at both ends, or none."""
    colour_C = _colour(lines_NLC[:1])
    first = _run(lines_NLC, colour_C)
    last = _run(lines_NLC[::-1], colour_C) if first else 0
    return (first, last) if last and _LEAST * (len(lines_NLC) - first - last) >= len(lines_NLC) else (0, 0)


def _run(lines_NLC: Pixels, colour_C: Numbers) -> int:
    """Lines of a colour at the beginning; 0 where there are too few or too many."""
    most = len(lines_NLC) - len(lines_NLC) // _LEAST
    count = 0
    while count < most:
        is_even = _are_even(lines_NLC[count : count + min(max(count, _THINNEST), _LINES)], colour_C)
        if not is_even.all():
            count += int(is_even.argmin())
            return count if count >= _THINNEST else 0
        count += len(is_even)
    return 0


def _are_even(lines_NLC: Pixels, colour_C: Numbers) -> Numbers:
    """Which lines are of a colour."""
    # In the order of memory, and in one piece for all channels: many times as fast.
    if lines_NLC.strides[0] < 0:
        return _are_even(lines_NLC[::-1], colour_C)[::-1]
    is_turned = lines_NLC.strides[1] > lines_NLC.strides[0]
    rows = lines_NLC.swapaxes(0, 1) if is_turned else lines_NLC
    near: Any = _near(rows.reshape(len(rows), -1), np.tile(colour_C, rows.shape[1]), _EVEN)
    return near.all(axis=0).reshape(-1, colour_C.size).all(axis=1) if is_turned else near.all(axis=1)


def _pair(lines_NLC: Pixels, runs: tuple[int, int]) -> tuple[int, int]:
    """Lines of a frame at both ends, or none.

    Args:
        runs: how many are of its colour.
    """
    if not any(runs):
        return 0, 0
    colour_C = _colour(lines_NLC[:1])
    first, last = _end(lines_NLC, runs[0], colour_C), _end(lines_NLC[::-1], runs[1], colour_C)
    if first is None or last is None:
        return 0, 0
    is_alike = abs(first.lines - last.lines) <= _ALIKE and (first.is_wide or last.is_wide)
    is_sharp = all(end.is_wide and end.is_sharp for end in (first, last))
    return (first.lines, last.lines) if is_alike or is_sharp else (0, 0)


class _End(NamedTuple):
    """What may be one side of a frame.

    Attributes:
        lines: how many it takes.
        is_wide: whether the picture begins all along its edge.
        is_sharp: whether it does so in most places.
    """

    lines: int
    is_wide: bool
    is_sharp: bool


def _end(lines_NLC: Pixels, count: int, colour_C: Numbers) -> _End | None:
    """What lines of a colour at the beginning are, unless they fade into others."""
    after = lines_NLC[count : count + min(count, _SOON)]
    away = np.abs(after - colour_C.astype(np.float32)).mean(axis=(1, 2))
    begins = int((away >= _BEGUN * away.max()).argmax())
    differs: Any = (~_near(after[begins:], colour_C, _JUMP - 1)).any(axis=-1)
    if differs[0].mean() < _SOME:
        return None
    parts = np.array_split(differs, _PARTS, axis=1)
    is_wide = all(part.sum() >= _ANY * part.size for part in parts)
    return _End(count + begins, is_wide, bool(differs.mean(axis=1).max() >= _MOST))


def _colour(lines_NLC: Pixels) -> Numbers:
    return np.median(lines_NLC, axis=(0, 1)).astype(lines_NLC.dtype)


def _near(lines: Pixels, colour_C: Numbers, levels: int) -> Numbers:
    """Which values are within some levels of a colour's."""
    top = int(np.iinfo(lines.dtype).max)
    reach = levels * (top // 255)
    low_C: Any = np.clip(colour_C.astype(int) - reach, 0, top).astype(lines.dtype)
    wide_C: Any = np.clip(colour_C.astype(int) + reach, 0, top).astype(lines.dtype) - low_C
    # What is below becomes large: one comparison for both ends.
    return lines - low_C <= wide_C
