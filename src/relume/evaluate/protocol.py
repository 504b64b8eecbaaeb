"""The protocol: what is compared, and how the numbers of single images become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from relume.arrays import Numbers
from relume.datasets.pairs import Pair
from relume.errors import DataError
from relume.evaluate import metrics
from relume.evaluate.perceptual import Perceptual

PROTOCOL = (
    "full resolution, 8-bit sRGB, nothing resized; mean of per-image values; "
    f"PSNR over RGB in dB, capped at {metrics.PSNR_CAP:g}; "
    "SSIM RGB, Gaussian 11x11, sigma 1.5; ssim_uniform7: 7x7 uniform window; "
    "psnr_gt_mean: prediction scaled to the target's mean Rec. 601 luma first"
)
"""One sentence that says what the numbers are; every report carries it."""

Predict: TypeAlias = Callable[[Pair], Numbers]
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class Scores:
    """Scores of one image, or their means.

    Attributes:
        psnr: decibels, at most 100; higher is better.
        ssim: Gaussian window, at most 1; higher is better.
        ssim_uniform7: 7 x 7 uniform window, at most 1; higher is better.
        psnr_gt_mean: decibels after the prediction got the target's mean luma.
        lpips: perceptual distance, lower is better; None where no backbone is installed.
    """

    psnr: float
    ssim: float
    ssim_uniform7: float
    psnr_gt_mean: float
    lpips: float | None = None

    def to_json(self) -> dict[str, float]:
        """The scores by name; a score that was not measured has no key."""
        values = {
            "psnr": self.psnr,
            "ssim": self.ssim,
            "ssim_uniform7": self.ssim_uniform7,
            "psnr_gt_mean": self.psnr_gt_mean,
            "lpips": self.lpips,
        }
        return {name: round(value, 6) for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Row:
    """One image of a report."""

    name: str
    scores: Scores


@dataclass(frozen=True)
class Report:
    """What one model scored on one set of pairs.

    Attributes:
        rows: one per pair, in the order of the pairs.
        params: parameters of the model; None where unknown.
        lpips_backbone: the network behind `lpips`, None where there is none.
    """

    rows: tuple[Row, ...]
    params: int | None = None
    lpips_backbone: str | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.rows)

    @property
    def mean(self) -> Scores:
        """Means of the per-image scores."""
        return mean_scores([row.scores for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes: means, `n`, `params`, `per_image`, `protocol`.

        `lpips` and `lpips_backbone` are absent without a backbone, `params` is null where unknown. Numbers
        are rounded to six decimals.
        """
        backbone = {"lpips_backbone": self.lpips_backbone} if self.lpips_backbone is not None else {}
        return {
            **self.mean.to_json(),
            **backbone,
            "n": self.n,
            "params": self.params,
            "protocol": PROTOCOL,
            "per_image": [{"name": row.name, **row.scores.to_json()} for row in self.rows],
        }


def score(
    prediction_HWC: Numbers,
    target_HWC: Numbers,
    *,
    perceptual: Perceptual | None = None,
    path: Path | None = None,
) -> Scores:
    """Score one prediction against its target.

    Both are brought to 8 bits first: floats are clipped to [0, 1] and rounded, 16 bits are rounded.

    >>> image = np.random.default_rng(0).random((16, 16, 3))
    >>> scores = score(image, image)
    >>> scores.psnr, round(scores.ssim, 6)
    (100.0, 1.0)

    Args:
        prediction_HWC: sRGB, H x W x 3; uint8, uint16, or floats in [0, 1].
        target_HWC: the same size.
        perceptual: measures LPIPS; None leaves it out.
        path: the file to name in an error.

    Raises:
        DataError: the sizes differ (neither is ever resized), a value is not a number, or the image is
            smaller than the 11 x 11 window of SSIM.
    """
    try:
        metrics.check_sizes(prediction_HWC, target_HWC)
        prediction, target = to_8_bits(prediction_HWC), to_8_bits(target_HWC)
        return Scores(
            psnr=metrics.psnr(prediction, target),
            ssim=metrics.ssim(prediction, target),
            ssim_uniform7=metrics.ssim(prediction, target, window="uniform7"),
            psnr_gt_mean=metrics.psnr_gt_mean(prediction, target),
            lpips=None if perceptual is None else perceptual.distance(prediction, target),
        )
    except DataError as error:
        raise DataError(error.reason, error.remedy, path=error.path or path) from error


def evaluate_pairs(
    pairs: Sequence[Pair],
    predict: Predict,
    *,
    params: int | None = None,
    perceptual: Perceptual | None = None,
    progress: Progress | None = None,
    read_target: Callable[[Path], Numbers] | None = None,
) -> Report:
    """Score a model on pairs.

    >>> from pathlib import Path
    >>> from relume import read_photo
    >>> from relume.evaluate import find_pairs
    >>> pairs = find_pairs(Path("low"), Path("high"))
    >>> report = evaluate_pairs(pairs, lambda pair: read_photo(pair.low).rgb_HWC)
    >>> report.n, report.mean.psnr < 20
    (2, True)

    Args:
        pairs: what to compare, see `find_pairs`.
        predict: makes the result for a pair, sRGB, H x W x 3, of the target's size. It reads `pair.low`
            itself.
        params: parameters of the model, for the report.
        perceptual: measures LPIPS; None leaves it out.
        progress: called with (done, total) after each image.
        read_target: reads a target, for formats that `relume.photo.read_photo` does not know.

    Raises:
        DataError: there is no pair, or a prediction has not the size of its target.
        RelumeError: a target cannot be read.
    """
    if not pairs:
        raise DataError("there is no pair to compare", "Name folders that hold images.")
    read = read_target or read_pixels
    rows: list[Row] = []
    for pair in pairs:
        scores = score(predict(pair), read(pair.high), perceptual=perceptual, path=pair.low)
        rows.append(Row(pair.name, scores))
        if progress is not None:
            progress(len(rows), len(pairs))
    return Report(tuple(rows), params, perceptual.backbone if perceptual is not None else None)


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Means of each score; `lpips` is None unless every image has one.

    Raises:
        DataError: there are no scores.
    """
    if not scores:
        raise DataError("there are no scores to average")
    distances = [each.lpips for each in scores if each.lpips is not None]
    return Scores(
        psnr=_mean([each.psnr for each in scores]),
        ssim=_mean([each.ssim for each in scores]),
        ssim_uniform7=_mean([each.ssim_uniform7 for each in scores]),
        psnr_gt_mean=_mean([each.psnr_gt_mean for each in scores]),
        lpips=_mean(distances) if len(distances) == len(scores) else None,
    )


def to_8_bits(pixels: Numbers) -> npt.NDArray[np.uint8]:
    """Pixels as 8 bits per channel: uint8 as it is, uint16 rounded, floats clipped to [0, 1] and rounded.

    Raises:
        DataError: a value is not a number, or the type has no range.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind != "f":
        raise DataError(f"pixels of type {pixels.dtype} have no range; uint8, uint16 or floats are needed")
    if np.isnan(pixels).any():
        raise DataError("the prediction holds values that are not numbers", "Check the model that made it.")
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def read_pixels(path: Path) -> Numbers:
    """A photo's sRGB pixels, H x W x 3, uint8 or uint16.

    Raises:
        RelumeError: the file cannot be read as a photo.
    """
    from relume.photo import read_photo  # needs libvips, which a machine that only trains may lack

    return read_photo(path).rgb_HWC
