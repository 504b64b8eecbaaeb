"""What a photo needs: the global pass, and the controls settled on a preview."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.arrays import Floats
from relume.look.frame import NO_FRAME, frame_of
from relume.look.look import Look
from relume.look.model import Model
from relume.options import Controls, Downsample
from relume.photo import Photo
from relume.steps.controls import asked, needs_preview, settle, strength_for
from relume.steps.thumbnail import overview_shape, thumbnail

PREVIEW = 160
"""Longer side of the thumbnail that a model of one graph is judged by, in pixels; others bring their own."""

AUTOMATIC = 2
"""The factor that `auto` takes for large photos."""

LARGE = 8_000_000
"""Pixels from which on a photo counts as large: its detail and noise are taken to span several pixels."""


def decide(
    photo: Photo, model: Model, controls: Controls, downsample: Downsample = 1, *, framed: bool = True
) -> Look:
    """Find out what a photo needs; a frame around it has no say in that, as if there were none.

    Args:
        photo: what to judge; its arrays are not changed.
        model: the model that will render it.
        controls: what the result is to look like.
        downsample: see `EnhanceOptions`.
        framed: whether to look for a frame; see `relume.look.frame`.

    Returns:
        A look that leaves the photo alone where the strength is 0, given or found, and where the photo is
        wholly black.
    """
    if controls.strength == 0:
        return Look()
    frame = frame_of(photo) if framed else NO_FRAME
    if not any(frame):
        return _decide(photo, model, controls, downsample)
    inside = Photo(frame.inside(photo.rgb_HWC), grey=photo.grey)  # what has a frame is opaque
    look = _decide(inside, model, controls, downsample)
    return look if look.adjustment is None else replace(look, frame=frame)


def _decide(photo: Photo, model: Model, controls: Controls, downsample: Downsample) -> Look:
    overview = _overview(photo, model)
    strength = float(strength_for(controls, overview[0]))
    if strength == 0 or not overview.any():
        return Look()
    arrays = model.overview(overview)
    factor = automatic_factor(photo) if downsample == "auto" else downsample
    if factor == 1 and not needs_preview(controls):
        return Look(arrays, asked(controls, strength), factor)
    adjustment = settle(controls, model.local(overview, arrays), strength)
    return Look(arrays, adjustment, factor) if adjustment.strength > 0 else Look()


def automatic_factor(photo: Photo) -> int:
    """What `auto` stands for."""
    height, width, _ = photo.rgb_HWC.shape
    return AUTOMATIC if height * width >= LARGE else 1


def _overview(photo: Photo, model: Model) -> Floats:
    """The thumbnail of the whole photo, 1 x 3 x rows x columns."""
    height, width, _ = photo.rgb_HWC.shape
    shape = overview_shape(height, width, model.card.thumbnail_size or PREVIEW)
    small_3ST = thumbnail(np.moveaxis(photo.rgb_HWC, -1, 0), shape, photo.alpha_HW)
    return np.ascontiguousarray(small_3ST[None])
