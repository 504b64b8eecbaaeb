"""A look carried out: the local pass tile by tile, controls applied on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from relume.arrays import Floats, Pixels
from relume.colour import luma
from relume.errors import InputTooLarge
from relume.look.decide import decide
from relume.look.look import Look
from relume.look.model import Model
from relume.models import Card
from relume.options import Controls, Downsample
from relume.photo import Photo
from relume.photo.pixels import is_grey
from relume.steps.controls import Adjustment, Change, Room, TableOfRooms, adjust, room_for
from relume.steps.guided_filter import REACH, area_mean, fit, interleaved, transfer
from relume.steps.tiles import Tile, tiles
from relume.threads import available

WHOLE_LIMIT = 16_000_000
"""Pixels of the largest photo that a model takes which cannot be cut into tiles: some 3 GB of memory."""

_ROWS = 32
"""Rows of the reduced photo converted or finished at a time: few stay in the processor's cache and in memory
that need not be given back between two steps, and many keep threads from waiting for each other."""


def enhance_photo(
    photo: Photo,
    model: Model,
    *,
    controls: Controls,
    tile: int = 0,
    downsample: Downsample = 1,
    threads: int = 0,
) -> Photo:
    """Decide what a photo needs and carry it out; arguments as for `decide` and `render`.

    Args:
        threads: CPU threads of what surrounds the network, 0 for as many as the process may use.

    Raises:
        InputTooLarge: as `render`.
    """
    look = decide(photo, model, controls, downsample)
    with ThreadPoolExecutor(threads or available()) as pool:
        return render(photo, model, look, pool, tile=tile)


def render(photo: Photo, model: Model, look: Look, pool: Executor, *, tile: int = 0) -> Photo:
    """Carry out a look; size, depth and everything but the photo's colours stay, its frame with them.

    What is grey stays grey, whether a photo holds its one channel once or three times.

    Args:
        photo: what to enhance; its arrays are not changed.
        model: the model that the look was decided with.
        look: from `decide`; one that leaves the photo alone returns the photo itself.
        pool: its threads do what surrounds the network.
        tile: side of a tile in pixels of the local pass, 0 for the whole photo at once; changes memory, not
            the result. Models without a `halo` always take the whole photo.

    Raises:
        DataError: the look's frame does not fit the photo.
        InputTooLarge: the photo must be taken whole, and is too large for that.
    """
    if look.adjustment is None:
        return photo
    whole_HWC = np.empty_like(photo.rgb_HWC)
    look.frame.copy(photo.rgb_HWC, whole_HWC)
    pixels, result = look.frame.inside(photo.rgb_HWC), look.frame.inside(whole_HWC)
    finish = _Finish(look.adjustment, photo.grey or is_grey(pixels), result, _rooms(look.adjustment, pixels))
    step = 1 / np.iinfo(result.dtype).max
    for where in _parts(pixels, model.card, tile, look.factor):
        part = _Part(pixels, where, look.factor)
        canvas = model.canvas(part.shape, part.place)
        _in_strips(pool, where.rows.outer, partial(part.read, canvas.inside[0]))
        change = model.local_on(canvas, look.arrays, step)
        write = partial(part.write, change, finish)
        _in_strips(pool, where.rows.inner, write)
    return photo.with_pixels(whole_HWC)


def _in_strips(pool: Executor, rows: slice, work: Callable[[slice], None]) -> None:
    """Do the work for all rows, given in pixels of the reduced photo, some at a time and in parallel."""
    first, last = int(rows.start), int(rows.stop)
    strips = [slice(start, min(start + _ROWS, last)) for start in range(first, last, _ROWS)]
    for _ in pool.map(work, strips):
        pass  # raises what the work raised


def _rooms(adjustment: Adjustment, pixels_HWC: Pixels) -> Room | None:
    """What the highlight guard leaves to each value that pixels can have: a table spares most of its work."""
    if not adjustment.highlight_guard:
        return None
    values: Any = np.arange(np.iinfo(pixels_HWC.dtype).max + 1).astype(pixels_HWC.dtype)
    return room_for(_scaled(values), adjustment.highlight_guard)


@dataclass(frozen=True)
class _Finish:
    """What becomes of the network's result, in the whole photo.

    Attributes:
        adjustment: the controls, settled.
        grey: whether the photo is grey, and stays so.
        result_HWC: where the result goes.
        rooms: of each value that pixels can have.
    """

    adjustment: Adjustment
    grey: bool
    result_HWC: Pixels
    rooms: Room | None

    def write(self, change: Change, pixels_3HW: Pixels, result_HWC: Pixels) -> None:
        """Apply the controls to what the network did to these pixels, and store it in part of the result."""
        room = None
        if self.rooms is not None:
            room = TableOfRooms(self.rooms, pixels_3HW.max(axis=0, keepdims=True))
        after_3HW = adjust(change, self.adjustment, room)
        _from_network(_as_grey(after_3HW) if self.grey else after_3HW, result_HWC)


@dataclass(frozen=True)
class _Part:
    """A tile of a photo, in pixels of the photo reduced by `factor`."""

    pixels_HWC: Pixels
    tile: Tile
    factor: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that the local pass sees."""
        rows, columns = self.tile.rows.outer, self.tile.columns.outer
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def place(self) -> tuple[int, int, int, int]:
        """First row and column of what the local pass sees, and the reduced photo's rows and columns."""
        height, width = (-(-side // self.factor) for side in self.pixels_HWC.shape[:2])
        return self.tile.rows.outer.start, self.tile.columns.outer.start, height, width

    def read(self, image_3HW: Floats, rows: slice) -> None:
        """Fill rows of what the local pass sees; they count from the photo's top."""
        pixels = self.pixels_HWC[self._full(rows), self._full(self.tile.columns.outer)]
        image = _scaled(_planes(pixels)) if self.factor == 1 else area_mean(pixels, self.factor)
        image_3HW[:, _moved(rows, self.tile.rows.outer)] = image

    def write(self, change: Change, finish: _Finish, rows: slice) -> None:
        """Finish rows: back to full resolution, apply the controls, write them into the result."""
        here = np.s_[self._full(rows), self._full(self.tile.columns.inner)]
        kept = _moved(rows, self.tile.rows.outer), _moved(self.tile.columns.inner, self.tile.columns.outer)
        pixels_HWC, result_HWC = self.pixels_HWC[here], finish.result_HWC[here]
        if self.factor == 1:
            here_change = Change(*(pixels[:, *kept] for pixels in change))
            finish.write(here_change, _planes(pixels_HWC), result_HWC)
            return
        gain_C = finish.adjustment.gain_C
        model_5HW = fit(change, gain_C, *kept)
        for *every, there_5HW in interleaved(model_5HW, self.factor):
            pixels_3HW = _planes(pixels_HWC[*every])
            there = transfer(_scaled(pixels_3HW), there_5HW, gain_C)
            finish.write(there, pixels_3HW, result_HWC[*every])

    def _full(self, part: slice) -> slice:
        """The same part at full resolution; the last pixel may reach beyond the photo."""
        return slice(part.start * self.factor, part.stop * self.factor)


def _moved(part: slice, origin: slice) -> slice:
    """A part of `origin`, counted from its start."""
    return slice(part.start - origin.start, part.stop - origin.start)


def _parts(pixels_HWC: Pixels, card: Card, tile: int, factor: int) -> Iterator[Tile]:
    height, width = (-(-side // factor) for side in pixels_HWC.shape[:2])
    if card.halo is not None:
        reach = 0 if factor == 1 else -(-REACH // card.size_multiple) * card.size_multiple
        return tiles(height, width, tile, card.halo + reach, card.size_multiple)
    if height * width > WHOLE_LIMIT:
        raise InputTooLarge(
            f"model '{card.name}' takes whole photos of at most {WHOLE_LIMIT // 1_000_000} megapixels",
            "Make the photo smaller, or choose a model that works in tiles, such as the default.",
        )
    return tiles(height, width, 0, 0, card.size_multiple)


def _planes(pixels_HWC: Pixels) -> Pixels:
    """One plane a channel, each in a piece: what follows is several times as fast as with pixels apart."""
    height, width, channels = pixels_HWC.shape
    planes: Any = np.empty((channels, height, width), pixels_HWC.dtype)
    for channel, plane in enumerate(planes):
        plane[:] = pixels_HWC[..., channel]
    return planes


def _scaled(pixels_3HW: Pixels) -> Floats:
    """Integers over their whole range -> float32 in [0, 1]."""
    scaled_3HW = pixels_3HW.astype(np.float32)
    scaled_3HW *= np.float32(1 / np.iinfo(pixels_3HW.dtype).max)
    return scaled_3HW


def _from_network(image_3HW: Floats, pixels_HWC: Pixels) -> None:
    """float32 in [0, 1] -> integers over the whole range of `pixels_HWC`, rounded, into it."""
    scaled_3HW = image_3HW * np.float32(np.iinfo(pixels_HWC.dtype).max)
    scaled_3HW += np.float32(0.5)
    # The cast cuts off, so 0.5 makes it round; and it is faster in a piece.
    for channel, plane in enumerate(scaled_3HW.astype(pixels_HWC.dtype)):
        pixels_HWC[..., channel] = plane


def _as_grey(image_3HW: Floats) -> Floats:
    """A grey photo stays grey: the luma of the result, in all three channels."""
    luma_HW = luma(image_3HW)
    return np.broadcast_to(luma_HW, image_3HW.shape)
