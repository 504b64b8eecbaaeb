"""Pairs of a dark and a well-lit image, in memory, and seeded training batches from them."""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from relume.datasets.pairs import Pair
from relume.datasets.splits import held_out
from relume.errors import DataError
from relume.lab.darkness import draw
from relume.lab.data.batch import Batch
from relume.lab.data.colours import jitter_colours
from relume.lab.data.draws import NO_JITTER, Draws, Plan, Sample, Subject, Window
from relume.lab.data.nights import made
from relume.lab.data.packed import Roots, as_roots, is_packed, read_packed
from relume.lab.data.sources import SourcedPair, listed, mixed_sources
from relume.lab.data.store import Store, to_device
from relume.lab.data.synthesis import Area, degrade, degrade_thumbnails
from relume.lab.recipe import Data, Phase, Source

Shape = tuple[int, int]
Images = tuple[Tensor, ...]
"""Dark images, targets and, where there are any, thumbnails."""


@dataclass(frozen=True)
class LoadedPair:
    """One pair as uint8 arrays of the same H x W x 3.

    Attributes:
        source: where it comes from, if the recipe mixes sources. For training, the dark image of one to be
            darkened is the clean one.
    """

    name: str
    low_HWC: npt.NDArray[np.uint8]
    high_HWC: npt.NDArray[np.uint8]
    source: Source | None = None


LoadedPairs = tuple[list[LoadedPair], list[LoadedPair]]
"""Those to train on and those held out."""


def evenly(pairs: Sequence[LoadedPair], most: int) -> list[LoadedPair]:
    """At most so many of them, evenly spread; all where `most` is 0."""
    return list(pairs[:: -(-len(pairs) // (most or len(pairs)))]) if pairs else []


def read_8_bits(path: Path, longest: int = 0) -> npt.NDArray[np.uint8]:
    """A photo's sRGB pixels, H x W x 3, brought to 8 bits and, if larger, to a long side of `longest`."""
    if is_packed(path):
        image_HWC = read_packed(path)
    else:
        from relume.evaluate.protocol import to_8_bits
        from relume.photo import read_photo  # needs libvips, which a machine that only trains may lack

        image_HWC = to_8_bits(read_photo(path).rgb_HWC)
    return shrunk(image_HWC, longest)


def shrunk(image_HWC: npt.NDArray[np.uint8], longest: int) -> npt.NDArray[np.uint8]:
    """The image with a long side of `longest`; itself if it is no larger, or `longest` is 0."""
    height, width = image_HWC.shape[:2]
    size = scale_to(width, height, longest)
    if size == (width, height):
        return image_HWC
    return np.array(Image.fromarray(image_HWC).resize(size, Image.Resampling.LANCZOS))


def scale_to(width: int, height: int, longest: int) -> Shape:
    """Width and height of what `shrunk` returns."""
    scale = longest / max(height, width) if longest else 1.0
    return (width, height) if scale >= 1 else (max(1, round(width * scale)), max(1, round(height * scale)))


class _Files:
    """Frames by path, each read once: a well-lit frame may serve several sources."""

    def __init__(self) -> None:
        self._read: dict[_Frame, npt.NDArray[np.uint8]] = {}

    def of(self, pair: Pair, source: Source | None) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Both sides of a pair."""
        low, high = _frames(pair, source)
        for frame in (low, high):
            if frame not in self._read:
                self._read[frame] = _pixels(frame)
        return self._read[low], self._read[high]

    def read_ahead(self, pairs: Sequence[Pair]) -> None:
        """Decode what lies in packs and make what is made, in as many processes as PyTorch has threads."""
        wanted = [
            frame
            for frame in dict.fromkeys(
                frame
                for pair in pairs
                for frame in _frames(pair, pair.source if isinstance(pair, SourcedPair) else None)
            )
            if frame.is_made or is_packed(frame.path)
        ]
        if not wanted:
            return
        if "fork" in multiprocessing.get_all_start_methods():
            # Decoders of JPEG XL hold Python's lock, and so does what makes pictures.
            forked = multiprocessing.get_context("fork")
            pool: Executor = ProcessPoolExecutor(torch.get_num_threads(), mp_context=forked)
        else:
            pool = ThreadPoolExecutor(torch.get_num_threads())
        with pool:
            self._read |= zip(wanted, pool.map(_pixels, wanted, chunksize=4), strict=True)


class _Frame(NamedTuple):
    """An image to be read, or made by formula."""

    path: Path
    longest: int
    is_made: bool


def _frames(pair: Pair, source: Source | None) -> tuple[_Frame, _Frame]:
    how = (source.longest, source.is_made) if source else (0, False)
    return _Frame(pair.low, *how), _Frame(pair.high, *how)


def _pixels(frame: _Frame) -> npt.NDArray[np.uint8]:
    if frame.is_made:
        return made(frame.path.parent.name, int(frame.path.name))
    return read_8_bits(frame.path, frame.longest)


def load_pair(pair: Pair, files: _Files | None = None) -> LoadedPair:
    """Read both images of a pair; a held-out one to be darkened is darkened here, always in the same way.

    Raises:
        DataError: their sizes differ.
    """
    files = files or _Files()
    source = pair.source if isinstance(pair, SourcedPair) else None
    low, high = files.of(pair, source)
    if low.shape != high.shape:
        raise DataError(
            f"its shape is {low.shape}, but that of its partner {pair.high} is {high.shape}",
            "Pairs must show the same pixels.",
            path=pair.low,
        )
    if isinstance(pair, SourcedPair) and pair.held_out and pair.source.is_darkened:
        random = np.random.default_rng(zlib.crc32(pair.name.encode()))
        darkened = degrade(to_tensor(high), [draw(pair.source.darkness, random)])
        low, high = ((side[0].permute(1, 2, 0) * 255).round().byte().numpy() for side in darkened)
        return LoadedPair(pair.name, low, high, source)
    return LoadedPair(pair.name, low, high, source)


def load_pairs(pairs: Sequence[Pair]) -> list[LoadedPair]:
    """Read all pairs into memory, but for those below their source's `least_mean`.

    485 pairs of 600 x 400 take 1 GB.

    Raises:
        DataError: the two images of a pair differ in size.
    """
    files = _Files()
    files.read_ahead(pairs)
    loaded: list[LoadedPair] = []
    for pair in pairs:
        one = load_pair(pair, files)
        least = one.source.least_mean if one.source else 0.0
        if not least or one.high_HWC.mean() >= 255 * least:
            loaded.append(one)
    return loaded


def training_and_validation(roots: Roots, data: Data) -> tuple[list[Pair], list[Pair]]:
    """The pairs to train on and the held-out ones, by the recipe's split.

    With `subset="all"` the held-out pairs are trained on too, and validating on them only shows progress.

    Raises:
        DataError: the folder is missing, or none of the pairs that the split holds out is there, or none of
            the others; held-out ones that are not there are passed over.
    """
    if data.sources:
        return mixed_sources(roots, data)
    folder = as_roots(roots)[0] / data.pairs
    pairs, _ = listed(roots, data.pairs)
    validation = held_out(pairs, data.split)
    if not validation:
        raise DataError(f"holds no image of the split '{data.split}'", "Check the data root.", path=folder)
    names = {pair.name for pair in validation}
    training = pairs if data.subset == "all" else [pair for pair in pairs if pair.name not in names]
    if not training:
        raise DataError(
            f"the split '{data.split}' leaves nothing to train on", "Check the data root.", path=folder
        )
    if data.limit:
        training, validation = training[: data.limit], validation[: data.limit]
    return training, validation


def load_training_and_validation(roots: Roots, data: Data) -> LoadedPairs:
    """What `training_and_validation` names, read into memory.

    Raises:
        DataError: as there, or none of a source's frames has its `least_mean`.
    """
    training, validation = (load_pairs(pairs) for pairs in training_and_validation(roots, data))
    check_sources(roots, data, [each.source for each in training], [each.source for each in validation])
    return training, validation


def check_sources(
    roots: Roots, data: Data, training: Sequence[Source | None], validation: Sequence[Source | None]
) -> None:
    """Refuse sources of which nothing is left.

    Args:
        training, validation: the source of each pair that is trained on, and validated on.

    Raises:
        DataError: none of a source's frames has its `least_mean`.
    """
    for source in data.sources:
        is_left = any(each is source for each in training)
        is_scored = any(each is not None and each.name == source.name for each in validation)
        if not (is_left and is_scored):
            purpose = "validate" if is_left else "train"
            raise DataError(
                f"source '{source.name}' has no frame to {purpose} on of a mean of {source.least_mean}",
                "Lower its least_mean, or take the source out.",
                path=as_roots(roots)[0] / source.path,
            )


def to_tensor(image_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 H x W x 3 -> float32 1 x 3 x H x W in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)[None].float() / 255


class PairedCrops:
    """Random crops of pairs, cut on a device.

    Batch `index` depends on the seed and `index` alone, so a run resumes exactly. Draws say what it
    consists of, the store cuts it; both parts can be used by themselves.

    Args:
        pairs: loaded images; they are copied to the device.
        data: the recipe's part.
        seed: seed of the run.
        overview_size: long side of the thumbnails; 0 for none.
        rank, ranks: of this process among those that train together, and how many they are: it gets its share
            of each batch.
        device: where the images live and batches are made.

    Raises:
        DataError: there are no pairs.
    """

    def __init__(
        self,
        pairs: Sequence[LoadedPair],
        data: Data,
        seed: int,
        overview_size: int = 0,
        *,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.subjects = [Subject(pair.name, pair.source, *pair.low_HWC.shape[:2]) for pair in pairs]
        self.draws = Draws(self.subjects, data, seed, overview_size, rank, ranks)
        self._lay(dict(enumerate(pairs)))

    def _lay(self, pairs: Mapping[int, LoadedPair]) -> None:
        """Put the images of pairs, by their positions, where batches are cut from."""
        images: dict[int, npt.NDArray[np.uint8]] = {}
        numbers: dict[int, int] = {}
        for image in (image for pair in pairs.values() for image in (pair.low_HWC, pair.high_HWC)):
            images[numbers.setdefault(id(image), len(numbers))] = image
        self._lows = {position: numbers[id(pair.low_HWC)] for position, pair in pairs.items()}
        self._highs = {position: numbers[id(pair.high_HWC)] for position, pair in pairs.items()}
        resized = self.draws.data.framing == "resize"
        averaged = [*self._lows.values()] if self.draws.overview_size or resized else []
        if resized:
            averaged += self._highs.values()
        self.store = Store(list(images.values()), averaged, self.device)

    def dark_image(self, position: int) -> npt.NDArray[np.uint8]:
        """The whole dark image of a pair, H x W x 3; the clean one where it is to be darkened."""
        return self.store.image(self._lows[position])

    def batch(self, index: int, phase: Phase) -> Batch:
        """The batch with that number, at the phase's crop and batch size.

        Raises:
            DataError: an image is smaller than the crop.
        """
        return self.cut(self.draws.plan(index, phase))

    def cut(self, plan: Plan) -> Batch:
        """The pixels of a plan."""
        samples = plan.samples
        # Thumbnails of one size are darkened together, upright: sensors have rows.
        groups: dict[tuple[bool, bool], list[int]] = {}
        for index, sample in enumerate(samples):
            darkened = sample.degradation is not None
            groups.setdefault((darkened, darkened and sample.turns % 2 == 1), []).append(index)
        cut: dict[int, Images] = {}
        for (darkened, odd), members in groups.items():
            shape = (plan.overview[1], plan.overview[0]) if plan.overview and odd else plan.overview
            of = self._darkened if darkened else self._photographed
            images = of([samples[index] for index in members], plan, shape)
            if len(groups) == 1 and not darkened:
                return self._batch(plan, images)
            cut |= dict(zip(members, zip(*images, strict=True), strict=True))
        parts = zip(*(cut[index] for index in range(len(samples))), strict=True)
        return self._batch(plan, tuple(torch.stack(part) for part in parts))

    def _batch(self, plan: Plan, images: Images) -> Batch:
        """A batch of the dark images, the targets and, where the plan has them, the thumbnails."""
        samples, window = plan.samples, None
        if plan.overview:
            shares = [sample.turned(sample.window.shares(sample.region)) for sample in samples]
            window = to_device(torch.tensor(shares, dtype=torch.float32), self.device)
        low, high, *small = images
        names = tuple(self.subjects[sample.position].name for sample in samples)
        return Batch(
            low,
            high,
            small[0] if small else None,
            window,
            names,
            tuple(sample.degradation for sample in samples),
        )

    def _gathered(self, numbers: Sequence[int], samples: Sequence[Sample], plan: Plan) -> Tensor:
        """One side's windows, cut out or shrunk."""
        if not plan.resized:
            return self.store.crops(numbers, samples, plan.crop)
        return self.store.averages(
            numbers, samples, [each.window for each in samples], (plan.crop, plan.crop)
        )

    def _photographed(self, samples: Sequence[Sample], plan: Plan, shape: Shape | None) -> Images:
        """Dark images, targets and thumbnails of samples that are dark already, or stay as they are."""
        lows, highs = ([side[sample.position] for sample in samples] for side in (self._lows, self._highs))
        images = [self._gathered(side, samples, plan) for side in (lows, highs)]
        if shape:
            images.append(self.store.averages(lows, samples, [each.region for each in samples], shape))
        if any(sample.jittered for sample in samples):
            factors = torch.tensor([(sample.low_factors, sample.high_factors) for sample in samples])
            of_low, of_high = to_device(factors, self.device)[..., None, None].unbind(1)
            for side, of_side in zip(images, (of_low, of_high, of_low), strict=False):
                side.mul_(of_side).clamp_(max=1)
        if any(sample.colours != NO_JITTER for sample in samples):
            factors_B4 = to_device(torch.tensor([sample.colours for sample in samples]), self.device)
            images = [jitter_colours(side, factors_B4) for side in images]
        return tuple(images)

    def _darkened(self, samples: Sequence[Sample], plan: Plan, shape: Shape | None) -> Images:
        """The same of clean samples, to be darkened; thumbnails have this shape before they turn."""
        numbers = [self._highs[sample.position] for sample in samples]
        upright = [replace(sample, turns=0, mirrored=False) for sample in samples]
        hows = [sample.degradation for sample in samples if sample.degradation is not None]
        clean = self._gathered(numbers, upright, plan)
        around = None
        if shape:
            wide = self.store.averages(numbers, upright, [each.region for each in samples], shape)
            around = (wide, [_area(each, each.region) for each in samples])
        images = [*degrade(clean, hows, [_area(each, each.window) for each in samples], around)]
        if around:
            images.append(degrade_thumbnails(around[0], hows, around[1]))
        return tuple(
            torch.stack([_turned(image, sample) for image, sample in zip(side, samples, strict=True)])
            for side in images
        )


def _turned(image_CHW: Tensor, sample: Sample) -> Tensor:
    image_CHW = torch.rot90(image_CHW, sample.turns, (-2, -1))
    return image_CHW.flip(-1) if sample.mirrored else image_CHW


def _area(sample: Sample, window: Window) -> Area:
    return Area.of(*window, len(sample.whole.rows), len(sample.whole.columns))
