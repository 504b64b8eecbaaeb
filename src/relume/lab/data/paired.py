"""Pairs of a dark and a well-lit image, in memory, and seeded training batches from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import DataError
from relume.evaluate.pairs import Pair, find_pairs
from relume.evaluate.protocol import to_8_bits
from relume.lab.data.splits import read_split
from relume.lab.training.recipe import Data, Phase
from relume.photo import read_photo

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadedPair:
    """One pair as uint8 arrays of the same H x W x 3.

    Attributes:
        half_BCHW: the dark image at half size, float32 in [0, 1]: thumbnails of regions are taken from it,
            four times faster than from whole pixels.
    """

    name: str
    low_HWC: npt.NDArray[np.uint8]
    high_HWC: npt.NDArray[np.uint8]
    half_BCHW: Tensor


@dataclass(frozen=True)
class Batch:
    """What a training method sees: images in [0, 1].

    Attributes:
        low_BCHW, high_BCHW: matching crops.
        thumbnail_BCSS: area average of the dark region around each crop, to `S` pixels a side.
        names: of the images that the crops are from.
    """

    low_BCHW: Tensor
    high_BCHW: Tensor
    thumbnail_BCSS: Tensor
    names: tuple[str, ...] = ()

    def inputs(self, network: nn.Module) -> tuple[Tensor, ...]:
        """What a network takes: the dark crop, and its thumbnail where the network has a `thumbnail_size`."""
        return (
            (self.low_BCHW, self.thumbnail_BCSS) if hasattr(network, "thumbnail_size") else (self.low_BCHW,)
        )

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.low_BCHW.to(device), self.high_BCHW.to(device), self.thumbnail_BCSS.to(device), self.names
        )


def read_8_bits(path: Path) -> npt.NDArray[np.uint8]:
    """A photo's sRGB pixels, H x W x 3, brought to 8 bits."""
    return to_8_bits(read_photo(path).rgb_HWC)


def load_pair(pair: Pair) -> LoadedPair:
    """Read both images of a pair.

    Raises:
        DataError: their sizes differ.
    """
    low, high = (read_8_bits(path) for path in (pair.low, pair.high))
    if low.shape != high.shape:
        raise DataError(
            f"its shape is {low.shape}, but that of its partner {pair.high} is {high.shape}",
            "Pairs must show the same pixels.",
            path=pair.low,
        )
    return LoadedPair(pair.name, low, high, F.avg_pool2d(to_tensor(low), 2, ceil_mode=True))


def load_pairs(pairs: Sequence[Pair], progress: Progress | None = None) -> list[LoadedPair]:
    """Read all pairs into memory; 485 pairs of 600 x 400 take 700 MB."""
    loaded: list[LoadedPair] = []
    for index, pair in enumerate(pairs, start=1):
        loaded.append(load_pair(pair))
        if progress:
            progress(index, len(pairs))
    return loaded


def training_and_validation(root: Path, data: Data) -> tuple[list[Pair], list[Pair]]:
    """The pairs to train on and the held-out ones, by the recipe's split.

    With `subset="all"` the held-out pairs are trained on too, and validating on them only shows progress.

    Raises:
        DataError: the folder or a pair named by the split is missing.
    """
    folder = root / data.pairs
    pairs = {pair.name: pair for pair in find_pairs(folder / "low", folder / "high")}
    held_out = read_split(data.split)
    validation = [pairs[name] for name in held_out if name in pairs]
    if not validation:
        raise DataError(f"holds no image of the split '{data.split}'", "Check the data root.", path=folder)
    training = [pair for name, pair in pairs.items() if data.subset == "all" or name not in set(held_out)]
    if data.limit:
        training, validation = training[: data.limit], validation[: data.limit]
    return training, validation


def to_tensor(image_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 H x W x 3 -> float32 1 x 3 x H x W in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)[None].float() / 255


class PairedCrops:
    """Random crops of pairs; batch `index` depends on the seed and `index` alone, so a run resumes exactly.

    A crop lies inside a random *context*, a region of its image; the thumbnail shows the context. Flips and
    quarter turns act on the crop, the thumbnail is only mirrored, since photographs have an upright.

    Args:
        pairs: loaded images.
        data: the recipe's part (context, exposure jitter).
        seed: seed of the run.
        thumbnail_size: side of the thumbnail.
    """

    def __init__(self, pairs: Sequence[LoadedPair], data: Data, seed: int, thumbnail_size: int) -> None:
        self.pairs = pairs
        self.data = data
        self.seed = seed
        self.thumbnail_size = thumbnail_size

    def batch(self, index: int, phase: Phase) -> Batch:
        """The batch with that number, at the phase's crop and batch size.

        Raises:
            DataError: an image is smaller than the crop.
        """
        random = np.random.default_rng((self.seed, index))
        chosen = random.choice(len(self.pairs), phase.batch, replace=phase.batch > len(self.pairs))
        samples = [self._sample(self.pairs[position], phase.crop, random) for position in chosen]
        low, high, small = (torch.cat(images) for images in zip(*samples, strict=True))
        return Batch(low, high, small, tuple(self.pairs[position].name for position in chosen))

    def _sample(
        self, pair: LoadedPair, crop: int, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        height, width = pair.low_HWC.shape[:2]
        if min(height, width) < crop:
            raise DataError(
                f"image '{pair.name}' is {width}x{height}, smaller than the crop of {crop}",
                "Lower the crop size of the recipe's phases.",
            )
        share = random.uniform(self.data.context, 1)
        rows = _interval(range(height), max(crop, round(share * height)), random)
        columns = _interval(range(width), max(crop, round(share * width)), random)
        context = pair.half_BCHW[
            ..., rows.start // 2 : -(-rows.stop // 2), columns.start // 2 : -(-columns.stop // 2)
        ]
        inner_rows, inner_columns = _interval(rows, crop, random), _interval(columns, crop, random)
        window = np.s_[inner_rows.start : inner_rows.stop, inner_columns.start : inner_columns.stop]
        if self.data.framing == "resize":
            low, high = (F.adaptive_avg_pool2d(to_tensor(x), crop) for x in (pair.low_HWC, pair.high_HWC))
        else:
            low, high = to_tensor(pair.low_HWC[window]), to_tensor(pair.high_HWC[window])
        factor = (1 + self.data.exposure_jitter) ** random.uniform(-1, 1)
        small = F.adaptive_avg_pool2d(context, self.thumbnail_size)
        turns, mirrored, mirrored_small = random.integers(4), random.random() < 0.5, random.random() < 0.5
        turns = int(turns) if self.data.quarter_turns else 0
        low, high = (_turned(image, turns, bool(mirrored)) for image in (low, high))
        small = small.flip(-1) if mirrored_small else small
        if self.data.colour_jitter:
            colours = (1 + self.data.colour_jitter) ** torch.from_numpy(
                random.uniform(-1, 1, (3, 1, 1))
            ).float()
            low, small, high = low * colours, small * colours, (high * colours).clamp(max=1)
        return (low * factor).clamp(max=1), high, (small * factor).clamp(max=1)


def _interval(within: range, size: int, random: np.random.Generator) -> range:
    """A random run of `size` positions inside another."""
    start = within.start + int(random.integers(len(within) - size + 1))
    return range(start, start + size)


def _turned(image_BCHW: Tensor, turns: int, mirrored: bool) -> Tensor:
    image_BCHW = torch.rot90(image_BCHW, turns, (-2, -1))
    return image_BCHW.flip(-1) if mirrored else image_BCHW
