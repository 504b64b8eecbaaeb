"""Pairs of a dark and a well-lit image, in memory, and seeded training batches from them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.datasets.pairs import Pair, list_pairs
from relume.datasets.splits import held_out
from relume.errors import DataError
from relume.evaluate.protocol import to_8_bits
from relume.lab.darkness import Degradation, draw
from relume.lab.data.sources import SourcedPair, mixed_sources
from relume.lab.data.synthesis import Area, degrade, degrade_thumbnails
from relume.lab.recipe import Data, Phase, Source
from relume.photo import read_photo


@dataclass(frozen=True)
class LoadedPair:
    """One pair as uint8 arrays of the same H x W x 3.

    Attributes:
        half_BCHW: the dark image at half size, float32 in [0, 1]: thumbnails of regions are taken from it,
            four times faster than from whole pixels.
        source: where it comes from, if the recipe mixes sources. For training, the dark image of one to be
            darkened is the clean one.
    """

    name: str
    low_HWC: npt.NDArray[np.uint8]
    high_HWC: npt.NDArray[np.uint8]
    half_BCHW: Tensor
    source: Source | None = None


@dataclass(frozen=True)
class Batch:
    """What a training method sees: images in [0, 1].

    Attributes:
        low_BCHW, high_BCHW: matching crops.
        thumbnail_BCSS: area average of the dark region around each crop, to `S` pixels a side.
        names: of the images that the crops are from.
        degradations: what made each of them dark, None for photographed ones.
    """

    low_BCHW: Tensor
    high_BCHW: Tensor
    thumbnail_BCSS: Tensor
    names: tuple[str, ...] = ()
    degradations: tuple[Degradation | None, ...] = ()

    def inputs(self, network: nn.Module) -> tuple[Tensor, ...]:
        """What a network takes: the dark crop, and its thumbnail where the network has a `thumbnail_size`."""
        size = getattr(network, "thumbnail_size", None)
        if size is None:
            return (self.low_BCHW,)
        larger = self.thumbnail_BCSS.shape[-1] > size
        small = F.adaptive_avg_pool2d(self.thumbnail_BCSS, size) if larger else self.thumbnail_BCSS
        return self.low_BCHW, small

    def to(self, device: torch.device) -> Batch:
        low, high, small = (x.to(device) for x in (self.low_BCHW, self.high_BCHW, self.thumbnail_BCSS))
        return Batch(low, high, small, self.names, self.degradations)


def read_8_bits(path: Path) -> npt.NDArray[np.uint8]:
    """A photo's sRGB pixels, H x W x 3, brought to 8 bits."""
    return to_8_bits(read_photo(path).rgb_HWC)


class _Files:
    """Frames by path, each read once: a well-lit frame may serve several sources."""

    def __init__(self) -> None:
        self.pixels = cache(read_8_bits)
        self.half = cache(lambda path: _half(self.pixels(path)))


def load_pair(pair: Pair, files: _Files | None = None) -> LoadedPair:
    """Read both images of a pair; a held-out one to be darkened is darkened here, always in the same way.

    Raises:
        DataError: their sizes differ.
    """
    files = files or _Files()
    low, high = (files.pixels(path) for path in (pair.low, pair.high))
    if low.shape != high.shape:
        raise DataError(
            f"its shape is {low.shape}, but that of its partner {pair.high} is {high.shape}",
            "Pairs must show the same pixels.",
            path=pair.low,
        )
    source = pair.source if isinstance(pair, SourcedPair) else None
    if isinstance(pair, SourcedPair) and pair.held_out and pair.source.kind == "darkened":
        random = np.random.default_rng(zlib.crc32(pair.name.encode()))
        darkened = degrade(to_tensor(high), [draw(pair.source.darkness, random)])
        low, high = ((side[0].permute(1, 2, 0) * 255).round().byte().numpy() for side in darkened)
        return LoadedPair(pair.name, low, high, _half(low), source)
    return LoadedPair(pair.name, low, high, files.half(pair.low), source)


def load_pairs(pairs: Sequence[Pair]) -> list[LoadedPair]:
    """Read all pairs into memory, but for those below their source's `least_mean`.

    485 pairs of 600 x 400 take 1 GB.

    Raises:
        DataError: the two images of a pair differ in size.
    """
    files = _Files()
    loaded: list[LoadedPair] = []
    for pair in pairs:
        one = load_pair(pair, files)
        least = one.source.least_mean if one.source else 0.0
        if not least or one.high_HWC.mean() >= 255 * least:
            loaded.append(one)
    return loaded


def training_and_validation(root: Path, data: Data) -> tuple[list[Pair], list[Pair]]:
    """The pairs to train on and the held-out ones, by the recipe's split.

    With `subset="all"` the held-out pairs are trained on too, and validating on them only shows progress.

    Raises:
        DataError: the folder is missing, or none of the pairs that the split holds out is there, or none of
            the others; held-out ones that are not there are passed over.
    """
    if data.sources:
        return mixed_sources(root, data)
    folder = root / data.pairs
    pairs = list_pairs(folder)
    validation = held_out(pairs, data.split)
    if not validation:
        raise DataError(f"holds no image of the split '{data.split}'", "Check the data root.", path=folder)
    training = pairs if data.subset == "all" else [pair for pair in pairs if pair not in validation]
    if not training:
        raise DataError(
            f"the split '{data.split}' leaves nothing to train on", "Check the data root.", path=folder
        )
    if data.limit:
        training, validation = training[: data.limit], validation[: data.limit]
    return training, validation


def load_training_and_validation(root: Path, data: Data) -> tuple[list[LoadedPair], list[LoadedPair]]:
    """What `training_and_validation` names, read into memory.

    Raises:
        DataError: as there, or none of a source's frames has its `least_mean`.
    """
    training, validation = (load_pairs(pairs) for pairs in training_and_validation(root, data))
    for source in data.sources:
        for pairs, purpose in ((training, "train"), (validation, "validate")):
            if not any(pair.source == source for pair in pairs):
                raise DataError(
                    f"source '{source.name}' has no frame to {purpose} on of a mean of {source.least_mean}",
                    "Lower its least_mean, or take the source out.",
                    path=root / source.path,
                )
    return training, validation


def to_tensor(image_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 H x W x 3 -> float32 1 x 3 x H x W in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)[None].float() / 255


def _half(image_HWC: npt.NDArray[np.uint8]) -> Tensor:
    return F.avg_pool2d(to_tensor(image_HWC), 2, ceil_mode=True)


class PairedCrops:
    """Random crops of pairs; batch `index` depends on the seed and `index` alone, so a run resumes exactly.

    With mixed sources, each sample's source is drawn by its share first, then an image of it.

    A crop lies inside a random *context*, a region of its image; the thumbnail shows the context. Of whole
    images (`framing="resize"`) both show everything. Flips and quarter turns act on the crop, the thumbnail
    is only mirrored, since photographs have an upright.

    Args:
        pairs: loaded images.
        data: the recipe's part (context, exposure jitter).
        seed: seed of the run.
        thumbnail_size: side of the thumbnail.

    Raises:
        DataError: there are no pairs.
    """

    def __init__(self, pairs: Sequence[LoadedPair], data: Data, seed: int, thumbnail_size: int) -> None:
        if not pairs:
            raise DataError("no pair is left to train on", "Lower the least_mean of the recipe's sources.")
        self.pairs = pairs
        self.data = data
        self.seed = seed
        self.thumbnail_size = thumbnail_size
        self.members: dict[Source, list[int]] = {}
        for position, pair in enumerate(pairs):
            if pair.source is not None:
                self.members.setdefault(pair.source, []).append(position)

    def batch(self, index: int, phase: Phase) -> Batch:
        """The batch with that number, at the phase's crop and batch size.

        Raises:
            DataError: an image is smaller than the crop.
        """
        random = np.random.default_rng((self.seed, index))
        chosen = self._chosen(phase.batch, random)
        *images, degradations = zip(
            *(self._sample(self.pairs[position], phase.crop, random) for position in chosen), strict=True
        )
        low, high, small = (torch.cat(image) for image in images)
        names = tuple(self.pairs[position].name for position in chosen)
        return Batch(low, high, small, names, tuple(degradations))

    def _chosen(self, count: int, random: np.random.Generator) -> list[int]:
        """Positions of a batch's pairs."""
        if not self.members:
            return random.choice(len(self.pairs), count, replace=count > len(self.pairs)).tolist()
        shares = np.array([source.share for source in self.members])
        groups = list(self.members.values())
        drawn = random.choice(len(groups), count, p=shares / shares.sum())
        return [groups[group][random.integers(len(groups[group]))] for group in drawn]

    def _sample(
        self, pair: LoadedPair, crop: int, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Degradation | None]:
        """Dark crop, well-lit crop and thumbnail, 1 x 3 each, and what darkened them."""
        kind = pair.source.kind if pair.source else "pairs"
        context, window = self._places(pair, crop, random)
        low, high, small = self._cut(pair, crop, context, window)
        factor = (1 + self.data.exposure_jitter) ** random.uniform(-1, 1)
        how = None
        if pair.source is not None and kind == "darkened":
            how = draw(pair.source.darkness, random)
            around = [context.area(pair)]
            low, high = degrade(low, [how], [window.area(pair)], (small, around))
            small = degrade_thumbnails(small, [how], around)
        turns, mirrored, mirrored_small = random.integers(4), random.random() < 0.5, random.random() < 0.5
        turns = int(turns) if self.data.quarter_turns else 0
        low, high = (_turned(image, turns, bool(mirrored)) for image in (low, high))
        small = small.flip(-1) if mirrored_small else small
        if kind != "pairs":
            return low, high, small, how
        if self.data.colour_jitter:
            jitter = torch.from_numpy(random.uniform(-1, 1, (3, 1, 1)))
            colours = ((1 + self.data.colour_jitter) ** jitter).float()
            low, small, high = low * colours, small * colours, (high * colours).clamp(max=1)
        return (low * factor).clamp(max=1), high, (small * factor).clamp(max=1), None

    def _places(self, pair: LoadedPair, crop: int, random: np.random.Generator) -> tuple[_Window, _Window]:
        """A random context, and the place of a crop inside it; both the whole image where that is resized.

        As much is drawn either way.
        """
        height, width = pair.low_HWC.shape[:2]
        if min(height, width) < crop:
            raise DataError(
                f"image '{pair.name}' is {width}x{height}, smaller than the crop of {crop}",
                "Lower the crop size of the recipe's phases.",
            )
        share = random.uniform(self.data.context, 1)
        rows = _interval(range(height), max(crop, round(share * height)), random)
        columns = _interval(range(width), max(crop, round(share * width)), random)
        inner_rows, inner_columns = _interval(rows, crop, random), _interval(columns, crop, random)
        if self.data.framing == "resize":
            whole = _Window(range(height), range(width))
            return whole, whole
        return _Window(rows, columns), _Window(inner_rows, inner_columns)

    def _cut(
        self, pair: LoadedPair, crop: int, context: _Window, window: _Window
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both crops, or the whole images shrunk to their size, and the thumbnail."""
        images = (pair.low_HWC, pair.high_HWC)
        if self.data.framing == "resize":
            low, high = (F.adaptive_avg_pool2d(to_tensor(image), crop) for image in images)
        else:
            low, high = (to_tensor(image[window.slices()]) for image in images)
        around = pair.half_BCHW[..., *context.slices(2)]
        return low, high, F.adaptive_avg_pool2d(around, self.thumbnail_size)


class _Window(NamedTuple):
    """Rows and columns of an image."""

    rows: range
    columns: range

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Where they are in the image shrunk by `scale`; whatever they touch counts."""
        rows, columns = (slice(run.start // scale, -(-run.stop // scale)) for run in self)
        return rows, columns

    def area(self, pair: LoadedPair) -> Area:
        """The share of the image that they cover."""
        height, width = pair.low_HWC.shape[:2]
        return Area.of(self.rows, self.columns, height, width)


def _interval(within: range, size: int, random: np.random.Generator) -> range:
    """A random run of `size` positions inside another."""
    start = within.start + int(random.integers(len(within) - size + 1))
    return range(start, start + size)


def _turned(image_BCHW: Tensor, turns: int, mirrored: bool) -> Tensor:
    image_BCHW = torch.rot90(image_BCHW, turns, (-2, -1))
    return image_BCHW.flip(-1) if mirrored else image_BCHW
