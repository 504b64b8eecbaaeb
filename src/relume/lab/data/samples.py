"""Rows of a sheet that shows what training sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from relume.datasets.pairs import Pair
from relume.evaluate.sheet import Cell, SheetRow
from relume.lab.data.paired import PairedCrops, load_pairs, training_and_validation
from relume.lab.data.sources import SourcedPair
from relume.lab.recipe import Data, Phase

COLUMNS = ("input", "input, brightened", "target")


def sample_rows(root: Path, data: Data, *, count: int, seed: int, crop: int) -> Iterator[SheetRow]:
    """A batch of training samples, one a row, called after source, image and what was drawn.

    Only a few images of each source are read.

    Raises:
        DataError: data is missing, or an image is smaller than the crop.
    """
    random = np.random.default_rng(seed)
    chosen = _some_of_each(training_and_validation(root, data)[0], count, random)
    batch = PairedCrops(load_pairs(chosen), data, seed).batch(0, Phase(1, crop, count))
    images = zip(batch.names, batch.degradations, batch.low_BCHW, batch.high_BCHW, strict=True)
    for name, how, low, high in images:
        brightened = (low * (high.mean() / low.mean().clamp(min=1e-3))).clamp(max=1)
        label = f"{name}: {how.summary()}" if how else name
        yield SheetRow(label, tuple(Cell(_pixels(image)) for image in (low, brightened, high)))


def _some_of_each(pairs: list[Pair], count: int, random: np.random.Generator) -> list[Pair]:
    by_source: dict[object, list[Pair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source if isinstance(pair, SourcedPair) else None, []).append(pair)
    return [
        group[position]
        for group in by_source.values()
        for position in random.permutation(len(group))[:count].tolist()
    ]


def _pixels(image_CHW: Tensor) -> npt.NDArray[np.uint8]:
    return (image_CHW.permute(1, 2, 0) * 255).round().byte().numpy()
