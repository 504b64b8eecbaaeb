"""Pictures of feature maps: the student's of a dark image beside its mirrored teacher's of the clean one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.errors import ModelError
from relume.evaluate.sheet import Cell, SheetRow
from relume.lab.data.paired import Batch, to_tensor
from relume.lab.losses.mirror import standardise
from relume.lab.methods import build_method
from relume.lab.methods.mirror import Mirror
from relume.lab.networks import build
from relume.lab.networks.two_pass import thumbnail
from relume.lab.run import load_recipe
from relume.lab.training.checkpoint import load_checkpoint

SIZE_RULE = 32
"""Sizes that every encoder-decoder takes are multiples of this."""

COLUMNS = ("input", "student, dark image", "teacher, clean image", "difference")
Image = npt.NDArray[np.uint8]


def load_mirror(run: Path) -> Mirror:
    """The mirror method of a run as its last checkpoint left it: student, teacher and projections.

    Raises:
        ModelError: the folder holds no run, no checkpoint, or a run of another method.
    """
    recipe = load_recipe(run)
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
def feature_rows(method: Mirror, name: str, low_HWC: Image, high_HWC: Image) -> list[SheetRow]:
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
        zip(method.student_maps(batch), method.teacher_maps(batch.high_BCHW), strict=True), start=1
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


@torch.inference_mode()
def image_shares(method: Mirror, low_images: Sequence[Image]) -> list[float]:
    """How much of the student's maps depends on the image, a scale, coarsest first: 0 nothing, 1 all.

    Variance over the images at each channel and position, as a share of the mean square of the maps,
    standardised as IAML does. Maps that ignore the image agree with any teacher: where this is near 0, a
    small mirror loss means nothing.

    Args:
        method: from `load_mirror`.
        low_images: two or more, H x W x 3 each; all are cut to the smallest of their sizes.
    """
    height, width = (
        min(image.shape[axis] for image in low_images) // SIZE_RULE * SIZE_RULE for axis in (0, 1)
    )
    cut = (image[:height, :width] for image in low_images)
    maps_by_image = [method.student_maps(_batch(method, image, image)) for image in cut]
    shares: list[float] = []
    for maps in zip(*maps_by_image, strict=True):
        level_BCHW = standardise(torch.cat(maps))
        changing = level_BCHW - level_BCHW.mean(0, keepdim=True)
        shares.append((changing.square().mean() / level_BCHW.square().mean()).item())
    return shares


def _batch(method: Mirror, low_HWC: Image, high_HWC: Image) -> Batch:
    low = to_tensor(low_HWC)
    return Batch(low, to_tensor(high_HWC), thumbnail(low, method.thumbnail_size))


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


def _picture(rgb_CHW: Tensor, shape: tuple[int, ...]) -> Image:
    """Enlarged to the image's size, each cell a square of one colour."""
    enlarged = F.interpolate(rgb_CHW[None], shape[:2], mode="nearest")[0]
    return (enlarged.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
