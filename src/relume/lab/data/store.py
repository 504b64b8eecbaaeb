"""Images that live on the device as 8-bit pixels, and batches cut from them.

Crops are gathered by computed positions, so that turning and mirroring cost nothing. Area averages come from
tables of sums (Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984): four look-ups for each pixel
of a thumbnail, however large the region. All of it is integer arithmetic up to the last division, so that
every device gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from relume.arrays import EightBits
from relume.lab.data.draws import Sample, Window

Positions = npt.NDArray[np.int64]
Axes = tuple[Positions, Positions]

_LANES = 4
"""Numbers kept for each pixel: red, green, blue and nothing, which makes it one machine word."""

_LARGEST_CELL = 257
"""Sums of so many 8-bit values are told by their lowest 16 bits."""

_WORDS = {torch.uint8: torch.int32, torch.int16: torch.int64, torch.int32: torch.complex128}
"""The word that holds `_LANES` numbers of a type; no arithmetic is done with it."""


@dataclass(frozen=True)
class _Table:
    """Words of several images in one piece of memory: gathering a word is much faster than three numbers.

    Attributes:
        words: one for each pixel.
        lane: type of the `_LANES` numbers that a word holds.
        offsets: where each image begins.
        shapes: rows and columns of each.
    """

    words: Tensor
    lane: torch.dtype
    offsets: Positions
    shapes: Sequence[tuple[int, int]]

    def numbers(self, image: int) -> Tensor:
        """All of an image's numbers, to read and to write: H x W x `_LANES`."""
        words = self.words[self.offsets[image] : self.offsets[image + 1]]
        return words.view(self.lane).view(*self.shapes[image], _LANES)

    def axes(self, number: int, sample: Sample, rows: Positions, columns: Positions) -> Axes:
        """Where these rows and columns of an image are, turned as a sample; a pixel lies at their sum."""
        return _turned_axes(sample, self.offsets[number] + rows * self.shapes[number][1], columns)

    def gather(self, rows_BH: Tensor, columns_BW: Tensor) -> Tensor:
        """The numbers at the positions that `axes` gave: B x H x W x `_LANES`."""
        at_BHW = rows_BH[:, :, None] + columns_BW[:, None, :]
        return self.words.index_select(0, at_BHW.flatten()).view(self.lane).view(*at_BHW.shape, _LANES)


class Store:
    """Images on a device.

    Args:
        images: uint8, H x W x 3 each, of any sizes.
        averaged: numbers of the images that area averages are taken of.
        device: where they live.
    """

    def __init__(self, images: Sequence[EightBits], averaged: Iterable[int], device: torch.device) -> None:
        self.device = device
        self._pixels = _empty([image.shape[:2] for image in images], torch.uint8, device)
        for number, image in enumerate(images):
            pixels_HWC = torch.from_numpy(np.ascontiguousarray(image)).to(device)
            self._pixels.numbers(number)[..., :3] = pixels_HWC
        self._averaged = {image: number for number, image in enumerate(sorted(set(averaged)))}
        self._sums = self._summed(torch.int16)

    def _summed(self, lane: torch.dtype) -> _Table:
        """Sums of all pixels above and to the left; they may overflow, since only differences count."""
        shapes = [self._pixels.shapes[image] for image in self._averaged]
        table = _empty([(rows + 1, columns + 1) for rows, columns in shapes], lane, self.device)
        for image, number in self._averaged.items():
            sums_HW4 = self._pixels.numbers(image).cumsum(0, dtype=lane).cumsum(1, dtype=lane)
            table.numbers(number)[1:, 1:] = sums_HW4
        return table

    def image(self, number: int) -> EightBits:
        """An image as it was put in."""
        return self._pixels.numbers(number)[..., :3].cpu().numpy()

    def crops(self, numbers: Sequence[int], samples: Sequence[Sample], side: int) -> Tensor:
        """The samples' windows, turned: B x 3 x side x side, float32 in [0, 1]."""
        axes = [
            self._pixels.axes(number, sample, *(np.asarray(axis) for axis in sample.window))
            for number, sample in zip(numbers, samples, strict=True)
        ]
        return _planes(self._pixels.gather(*self._upload(axes))).div_(255)

    def averages(
        self,
        numbers: Sequence[int],
        samples: Sequence[Sample],
        windows: Sequence[Window],
        shape: tuple[int, int],
    ) -> Tensor:
        """Area averages of windows, turned as their samples: B x 3 x rows x columns, float32 in [0, 1].

        Cell i of n covers positions `floor(i N / n)` to `ceil((i + 1) N / n)`: adaptive average pooling.
        """
        firsts: list[Axes] = []
        lasts: list[Axes] = []
        sizes: list[Axes] = []
        for image, sample, window in zip(numbers, samples, windows, strict=True):
            cells = shape[::-1] if sample.turns % 2 else shape
            (tops, bottoms), (lefts, rights) = (
                _cells(axis, count) for axis, count in zip(window, cells, strict=True)
            )
            largest = (bottoms - tops).max() * (rights - lefts).max()
            if largest > _LARGEST_CELL and self._sums.lane == torch.int16:
                self._sums = self._summed(torch.int32)
            number = self._averaged[image]
            firsts.append(self._sums.axes(number, sample, tops, lefts))
            lasts.append(self._sums.axes(number, sample, bottoms, rights))
            sizes.append(_turned_axes(sample, bottoms - tops, rights - lefts))
        (top, left), (bottom, right) = self._upload(firsts), self._upload(lasts)
        heights_BS, widths_BT = (size.float() for size in self._upload(sizes))
        sums = self._sums.gather(bottom, right)
        sums.sub_(self._sums.gather(top, right)).sub_(self._sums.gather(bottom, left))
        sums.add_(self._sums.gather(top, left))
        if self._sums.lane == torch.int16:
            sums = sums.view(torch.uint16)
        return _planes(sums).div_(255 * heights_BS[:, None, :, None] * widths_BT[:, None, None, :])

    def _upload(self, axes: Sequence[Axes]) -> tuple[Tensor, Tensor]:
        """Values along rows and columns, one of each for each sample, on the device."""
        # Half as wide as NumPy's, where that suffices: positions are most of what a gather reads.
        wide = torch.int64 if max(len(self._pixels.words), len(self._sums.words)) >> 31 else torch.int32
        rows, columns = (torch.from_numpy(np.stack(axis)).to(wide) for axis in zip(*axes, strict=True))
        return to_device(rows, self.device), to_device(columns, self.device)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """A copy there, without waiting for it."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _empty(shapes: Sequence[tuple[int, ...]], lane: torch.dtype, device: torch.device) -> _Table:
    """A table of zeros for images of these sizes."""
    sizes = [(int(rows), int(columns)) for rows, columns in shapes]
    offsets = np.cumsum([0, *(rows * columns for rows, columns in sizes)], dtype=np.int64)
    return _Table(torch.zeros(int(offsets[-1]), dtype=_WORDS[lane], device=device), lane, offsets, sizes)


def _cells(axis: range, count: int) -> tuple[Positions, Positions]:
    """Where each of `count` cells of a run of positions begins and ends."""
    edges = np.arange(count + 1, dtype=np.int64) * len(axis)
    return axis.start + edges[:-1] // count, axis.start - (-edges[1:] // count)


def _turned_axes(sample: Sample, rows: Positions, columns: Positions) -> Axes:
    """Values along the rows and along the columns of an image, after the sample's turns and mirroring."""
    first, second = (columns, rows) if sample.turns % 2 else (rows, columns)
    backwards_first = sample.turns in (1, 2)
    backwards_second = (sample.turns in (2, 3)) != sample.mirrored
    return first[:: -1 if backwards_first else 1], second[:: -1 if backwards_second else 1]


def _planes(words_BHW4: Tensor) -> Tensor:
    """The three channels, apart: B x 3 x H x W, float32."""
    return words_BHW4[..., :3].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
