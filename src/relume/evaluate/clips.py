"""Measures of clips: flicker, how well pictures follow motion, and fidelity to a bright original.

Brightness is the mean Rec. 601 luma of stored values; flicker and change are in per cent of it, the warping
error in per cent of the whole range.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.arrays import Doubles, Floats, Numbers
from relume.colour import LUMA_REC601
from relume.errors import DataError, MissingExtra
from relume.evaluate.metrics import as_unit, psnr, ssim
from relume.steps.thumbnail import thumbnail
from relume.video.smooth import SIDE, is_cut

GRID = 8
"""Rows and columns of the blocks whose means are followed."""

_HALF_SECOND = 0.5 + 1e-6
_DARKEST = 1 / 510
"""Half a step of 8 bits, in place of brightness below."""

_OCCLUDED = 1.0
"""Pixels by which flow forward and back may miss its origin; farther off, something was hidden."""

_LEAST_SIDE = 16
"""Pixels below which there is no optical flow."""


@dataclass(frozen=True)
class ClipScores:
    """What was measured of a clip.

    Attributes:
        frames: pictures that were compared.
        flicker: standard deviation over time of the brightness by that of the reference, so that the scene's
            own change is taken out, from a line through the second around: slower change is no flicker.
        block_flicker: the same of 8 x 8 blocks, as root mean square over them.
        change: standard deviation over time of the brightness itself.
        reference_change: that of the reference.
        warping: root mean square difference between each picture and the one before it, moved along the
            optical flow, where nothing was hidden; None without OpenCV.
        psnr, ssim: means over the pictures; None without a bright original.
    """

    frames: int
    flicker: float
    block_flicker: float
    change: float
    reference_change: float
    warping: float | None
    psnr: float | None
    ssim: float | None

    def to_json(self) -> dict[str, Any]:
        """The scores, rounded as they are printed."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


class _Course:
    """Logarithms of mean brightness over time: of the whole picture and of its blocks."""

    def __init__(self) -> None:
        self._blocks: list[Doubles] = []

    def add(self, luma_HW: Floats) -> None:
        self._blocks.append(_block_means(luma_HW))

    @property
    def whole(self) -> Doubles:
        """By picture."""
        return np.log(np.maximum(np.stack(self._blocks).mean((1, 2)), _DARKEST))

    @property
    def blocks(self) -> Doubles:
        """Pictures x blocks."""
        return np.log(np.maximum(np.stack(self._blocks), _DARKEST)).reshape(len(self._blocks), -1)


def measure_clip(
    pictures: Iterable[tuple[float, Numbers, Numbers]], *, has_target: bool, flow: bool = True
) -> ClipScores:
    """Measure a clip against a reference, picture by picture; no more than two are held at a time.

    Where the reference is cut, nothing is compared across.

    Args:
        pictures: time in seconds, result and reference, H x W x 3 of one size, in order of time.
        has_target: whether the reference is a bright original rather than the dark input.
        flow: measure the warping error, which takes most of the time.

    Raises:
        DataError: no pictures, or sizes that differ.
        MissingExtra: `flow` without OpenCV.
    """
    times: list[float] = []
    result, reference = _Course(), _Course()
    fidelity: list[tuple[float, float]] = []
    warping = _Warping() if flow else None
    cuts = _Cuts()
    for number, (seconds, picture_HWC, other_HWC) in enumerate(pictures):
        times.append(seconds)
        _check_size(number, picture_HWC, other_HWC)
        luma_HW, other_HW = _luma(picture_HWC), _luma(other_HWC)
        result.add(luma_HW)
        reference.add(other_HW)
        is_new = cuts.add(number, other_HWC)
        if has_target:
            fidelity.append((psnr(picture_HWC, other_HWC), ssim(picture_HWC, other_HWC)))
        if warping is not None:
            warping.add(luma_HW, other_HW, follows=not is_new)
    if not times:
        raise DataError("there are no pictures to compare", "Check the clips.")
    scenes = _scenes(len(times), cuts.numbers)
    psnrs, ssims = zip(*fidelity, strict=True) if fidelity else (None, None)
    return ClipScores(
        frames=len(times),
        flicker=flicker(result.whole - reference.whole, np.array(times), scenes),
        block_flicker=flicker(result.blocks - reference.blocks, np.array(times), scenes),
        change=_change(result.whole, scenes),
        reference_change=_change(reference.whole, scenes),
        warping=None if warping is None else warping.error,
        psnr=None if psnrs is None else float(np.mean(psnrs)),
        ssim=None if ssims is None else float(np.mean(ssims)),
    )


def _check_size(number: int, picture_HWC: Numbers, other_HWC: Numbers) -> None:
    if picture_HWC.shape != other_HWC.shape:
        (height, width, _), (other_height, other_width, _) = picture_HWC.shape, other_HWC.shape
        raise DataError(
            f"picture {number} of the result is {width}x{height} pixels, "
            f"that of the reference {other_width}x{other_height}",
            "Compare clips of one size.",
        )


class _Cuts:
    """Where new scenes begin."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._last: Doubles | None = None

    def add(self, number: int, rgb_HWC: Numbers) -> bool:
        """Take the next picture; whether it begins a new scene."""
        unit_3HW = np.moveaxis(as_unit(rgb_HWC), -1, 0).astype(np.float32)
        small = np.asarray(thumbnail(unit_3HW, (SIDE, SIDE)), np.float64)
        last, self._last = self._last, small
        if last is None or not is_cut(last, small):
            return False
        self.numbers.append(number)
        return True


def flicker(ratios: Doubles, times: Doubles, scenes: Sequence[slice]) -> float:
    """Root mean square deviation from a straight line through the second around, in per cent.

    Args:
        ratios: logarithms of brightness by that of the reference, by picture, and by block if there are any.
        times: in seconds.
        scenes: parts without a cut.
    """
    deviations = [
        ratios[number] - _expected(ratios[scene], times[scene] - times[number])
        for scene in scenes
        for number in range(scene.start, scene.stop)
    ]
    return 100 * float(np.sqrt(np.mean(np.square(deviations))))


def _expected(ratios: Doubles, apart: Doubles) -> Any:
    """What a straight line through the values within half a second has at time 0."""
    near = np.abs(apart) <= _HALF_SECOND
    times, values = apart[near], ratios[near]
    mean, spread = times.mean(), float(np.square(times - times.mean()).sum())
    slope = np.tensordot(times - mean, values, 1) / spread if len(times) > 2 else 0.0
    return values.mean(0) - slope * mean


def _change(levels: Doubles, scenes: Sequence[slice]) -> float:
    """Standard deviation over time within scenes, in per cent."""
    deviations = np.concatenate([levels[scene] - levels[scene].mean() for scene in scenes])
    return 100 * float(np.sqrt(np.mean(deviations**2)))


def _scenes(count: int, cuts: Sequence[int]) -> list[slice]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < count}), count]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _luma(rgb_HWC: Numbers) -> Floats:
    return (as_unit(rgb_HWC) @ np.array(LUMA_REC601)).astype(np.float32)


def _block_means(luma_HW: Floats) -> Doubles:
    rows, columns = map(_parts, luma_HW.shape)
    return np.array([[luma_HW[row, column].mean() for column in columns] for row in rows])


def _parts(side: int) -> list[slice]:
    parts: Any = np.array_split(np.arange(side), min(GRID, side))
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]


class _Warping:
    """Follows motion through the reference, and compares the result along it.

    Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018; with dense inverse search for the flow
    (Kroeger et al., ECCV 2016) in place of a network.

    Raises:
        MissingExtra: OpenCV is not installed.
    """

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra(
                "optical flow needs OpenCV", "Run: pip install opencv-python-headless"
            ) from error
        self._cv2: Any = cv2  # whose types lack the flow
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._last: tuple[Floats, npt.NDArray[np.uint8]] | None = None
        self._sum, self._count = 0.0, 0

    @property
    def error(self) -> float | None:
        """In per cent of the whole range; None where nothing could be compared."""
        return 100 * math.sqrt(self._sum / self._count) if self._count else None

    def add(self, result_HW: Floats, reference_HW: Floats, *, follows: bool) -> None:
        """Take the next picture; `follows` says that it is of the scene of the last one."""
        guide_HW = _stretched(reference_HW)
        last, self._last = self._last, (result_HW, guide_HW)
        if last is None or not follows or min(result_HW.shape) < _LEAST_SIDE:
            return
        before_HW, before_guide_HW = last
        back = self._flow.calc(guide_HW, before_guide_HW, None)
        forth = self._flow.calc(before_guide_HW, guide_HW, None)
        y, x = np.mgrid[0 : result_HW.shape[0], 0 : result_HW.shape[1]].astype(np.float32)
        to_x, to_y = x + back[..., 0], y + back[..., 1]
        warped_HW, returned = (self._moved(image, to_x, to_y) for image in (before_HW, forth))
        missed = np.hypot(back[..., 0] + returned[..., 0], back[..., 1] + returned[..., 1])
        height, width = result_HW.shape
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        seen = inside & (missed < _OCCLUDED)
        self._sum += float(((result_HW - warped_HW)[seen].astype(np.float64) ** 2).sum())
        self._count += int(seen.sum())

    def _moved(self, image: Any, to_x: Floats, to_y: Floats) -> Any:
        return self._cv2.remap(image, to_x, to_y, self._cv2.INTER_LINEAR)


def _stretched(luma_HW: Floats) -> npt.NDArray[np.uint8]:
    """8 bits over the picture's own range, so that flow is found in the dark, too."""
    low, high = np.percentile(luma_HW, (1, 99))
    return np.clip((luma_HW - low) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8)
