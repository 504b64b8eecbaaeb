"""Feature maps in pictures and figures: the student's of a dark image, its teacher's of the clean one."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.arrays import EightBits
from relume.errors import ModelError
from relume.evaluate.sheet import Cell, SheetRow
from relume.lab.data.paired import Batch, load_pairs, to_tensor, training_and_validation
from relume.lab.losses.mirror import standardise
from relume.lab.methods import build_method
from relume.lab.methods.mirror import Mirror
from relume.lab.networks import build
from relume.lab.run import Run
from relume.lab.training.checkpoint import load_checkpoint

SIZE_RULE = 32
"""Sizes that every encoder-decoder takes are multiples of this."""

IMAGES = 16
"""How many images statistics look at, at most: their maps take 100 MB each."""

BATCH = 8
"""Images of a pass, as in training: statistics of a batch depend on it."""

COLUMNS = ("input", "student, dark image", "teacher, clean image", "difference")


def load_mirror(run: Path) -> Mirror:
    """The mirror method of a run as its last checkpoint left it: student, teacher and projections.

    Raises:
        ModelError: the folder holds no run, no checkpoint, or a run of another method.
    """
    recipe = Run(run).recipe()
    network = build(recipe.network, recipe.network_options)
    method = build_method(recipe.method, network, recipe.losses, recipe.method_options)
    if not isinstance(method, Mirror):
        raise ModelError(
            f"was trained by the method '{recipe.method}', which has no mirrored teacher",
            "Name a run of the method 'mirror'.",
            path=run,
        )
    method.load_state_dict(load_checkpoint(run)["method"])
    return method.eval()


@torch.inference_mode()
def feature_rows(method: Mirror, name: str, low_HWC: EightBits, high_HWC: EightBits) -> list[SheetRow]:
    """A row a scale, coarsest first: input, student's map, teacher's map, and their distance.

    Maps are standardised as the loss does, or a channel where it does so over a batch; three principal
    components of the teacher's channels become red, green and blue in both pictures, so that equal colours
    are equal features. In the difference black is alike, and white a mean distance of two standard deviations
    or more. Images are cut at the right and below to multiples of 32.

    Args:
        method: from `load_mirror`.
        name: what to call the image.
        low_HWC, high_HWC: a pair.
    """
    height, width = (size // SIZE_RULE * SIZE_RULE for size in low_HWC.shape[:2])
    low_HWC, high_HWC = low_HWC[:height, :width], high_HWC[:height, :width]
    batch = _batch(method, low_HWC, high_HWC)
    # One image has nothing left when its mean over a batch is taken away.
    over = "channel" if method.standardise_over == "batch" else method.standardise_over
    rows: list[SheetRow] = []
    for scale, (student, teacher) in enumerate(
        zip(method.student_maps(batch), method.teacher_maps(batch), strict=True), start=1
    ):
        ours, theirs = (standardise(maps, over)[0] for maps in (student, teacher))
        colours = _principal_colours(theirs)
        distance = (ours - theirs).abs().mean(0, keepdim=True).expand(3, -1, -1) / 2
        pictures = [_picture(image, low_HWC.shape) for image in (colours(ours), colours(theirs), distance)]
        mean = (ours - theirs).abs().mean().item()
        height, width = ours.shape[-2:]
        title = f"{name}, scale {scale}: {width} x {height} cells, mean distance {mean:.3f}"
        rows.append(SheetRow(title, (Cell(low_HWC), *map(Cell, pictures))))
    return rows


@dataclass(frozen=True)
class MapStatistics:
    """What one of the decoder's maps shows of the images; 0 nothing, 1 all of it.

    Attributes:
        cells: width and height of the map.
        raw_share: how much of the student's map, as the decoder uses it, depends on the image: variance over
            images at each channel and position, as a share of the mean square.
        share: the same of its projection, standardised as IAML does; None where the map is not aligned. Maps
            that ignore the image agree with any teacher: where this is near 0, a small mirror loss means
            nothing.
        own, other: mean correlation of the student's map of a dark image, and the teacher's of the same image
            clean, and of other images. A target whose `own` is hardly above `other` says nothing of the
            image.
        images: over how many images.
    """

    cells: tuple[int, int]
    raw_share: float
    share: float | None
    own: float
    other: float
    images: int


@torch.inference_mode()
def map_statistics(method: Mirror, pairs: Sequence[tuple[EightBits, EightBits]]) -> list[MapStatistics]:
    """Statistics of every map of the decoder, coarsest first.

    Args:
        method: from `load_mirror`.
        pairs: two or more of a dark and a clean image, H x W x 3 each; all are cut to the smallest of their
            sizes, and of more than `IMAGES` so many are taken, evenly over all.
    """
    chosen = [pairs[round(place)] for place in np.linspace(0, len(pairs) - 1, min(IMAGES, len(pairs)))]
    height, width = (min(low.shape[axis] for low, _ in chosen) // SIZE_RULE * SIZE_RULE for axis in (0, 1))
    cut = [(low[:height, :width], high[:height, :width]) for low, high in chosen]
    batches = [
        _joined([_batch(method, *pair) for pair in cut[at : at + BATCH]]) for at in range(0, len(cut), BATCH)
    ]
    dark, clean = (
        [torch.cat(level) for level in zip(*(maps(batch) for batch in batches), strict=True)]
        for maps in (method.raw_student_maps, method.raw_teacher_maps)
    )
    projections = [None] * method.first_map + list(method.projections)
    projections += [None] * (len(dark) - len(projections))
    return [_statistics(*level) for level in zip(dark, clean, projections, strict=True)]


def _statistics(dark_BCHW: Tensor, clean_BCHW: Tensor, projection: Any) -> MapStatistics:
    count, _, height, width = dark_BCHW.shape
    ours, theirs = (F.normalize(_centred(maps.flatten(1), 1), dim=1) for maps in (dark_BCHW, clean_BCHW))
    correlations = ours @ theirs.T
    own, total = correlations.trace().item() / count, correlations.sum().item()
    other = (total - count * own) / (count * (count - 1))
    share = None if projection is None else _image_share(standardise(projection(dark_BCHW).float()))
    return MapStatistics((width, height), _image_share(dark_BCHW), share, own, other, count)


def _image_share(maps_BCHW: Tensor) -> float:
    return (_centred(maps_BCHW, 0).square().mean() / maps_BCHW.square().mean()).item()


def _centred(values: Tensor, axis: int) -> Tensor:
    return values - values.mean(axis, keepdim=True)


def statistics_of_run(run: Path, root: Path) -> list[MapStatistics]:
    """Statistics of a run of the mirror method, over its held-out images.

    Args:
        run: folder of a run.
        root: data root.

    Raises:
        ModelError: as for `load_mirror`.
        DataError: data is missing.
    """
    held_out = load_pairs(training_and_validation(root, Run(run).recipe().data)[1])
    return map_statistics(load_mirror(run), [(pair.low_HWC, pair.high_HWC) for pair in held_out])


COLUMNS_OF_STATISTICS = (
    "cell", "seed", "map", "width", "height", "raw_share", "log10_raw_share",
    "share", "log10_share", "own", "other", "images",
)  # fmt: skip


def statistics_csv(runs: Mapping[tuple[str, int], Sequence[MapStatistics]]) -> str:
    """A line for each map of each run, by cell and seed; shares span decades, so logarithms stand beside."""
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS_OF_STATISTICS, lineterminator="\n")
    writer.writeheader()
    for (cell, seed), maps in runs.items():
        for number, one in enumerate(maps):
            writer.writerow({"cell": cell, "seed": seed, "map": number, **_columns(one)})
    return text.getvalue()


def _columns(one: MapStatistics) -> dict[str, object]:
    """What a line says of a map; nothing for the projection of one that is not aligned."""
    values = {"raw_share": one.raw_share, "share": one.share, "own": one.own, "other": one.other}
    for name in ("raw_share", "share"):
        value = values[name]
        values[f"log10_{name}"] = math.log10(max(value, 1e-12)) if value is not None else None
    written = {name: "" if value is None else f"{value:.6g}" for name, value in values.items()}
    return {"width": one.cells[0], "height": one.cells[1], **written, "images": one.images}


def _batch(method: Mirror, low_HWC: EightBits, high_HWC: EightBits) -> Batch:
    return Batch(to_tensor(low_HWC), to_tensor(high_HWC))


def _joined(batches: Sequence[Batch]) -> Batch:
    images = ((batch.low_BCHW, batch.high_BCHW) for batch in batches)
    low_BCHW, high_BCHW = (torch.cat(one) for one in zip(*images, strict=True))
    return Batch(low_BCHW, high_BCHW)


def _principal_colours(reference_CHW: Tensor) -> Any:
    """A function from maps to RGB, by the reference's first three principal components."""
    flat = reference_CHW.flatten(1)
    mean = flat.mean(1, keepdim=True)
    basis = torch.linalg.eigh((flat - mean) @ (flat - mean).T).eigenvectors[:, -3:].flip(1)
    spread = (basis.T @ (flat - mean)).square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)

    def colours(maps_CHW: Tensor) -> Tensor:
        components = basis.T @ (maps_CHW.flatten(1) - mean) / spread
        return (components / 5 + 0.5).clamp(0, 1).unflatten(1, maps_CHW.shape[1:])

    return colours


def _picture(rgb_CHW: Tensor, shape: tuple[int, ...]) -> EightBits:
    """Enlarged to the image's size, each cell a square of one colour."""
    enlarged = F.interpolate(rgb_CHW[None], shape[:2], mode="nearest")[0]
    return (enlarged.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
