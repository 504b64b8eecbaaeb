"""A photo of pixels that a decoder beside libvips gives as one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.photo import colour, vips
from relume.photo.formats import Readable
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import split


def as_photo(
    pixels: npt.NDArray[Any],
    about: Metadata,
    form: Readable,
    failed: Callable[[str], BaseException],
    *,
    dropped: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Photo:
    """The photo of a file that relume does not write.

    Args:
        pixels: H x W x C, upright, over the whole range of 8 or 16 bits.
        about: metadata of upright pixels.
        failed: the error to raise where colours cannot be read, see `vips.calls`.
        dropped, notes: what is said of reading so far.
    """
    with vips.calls(failed):
        plan = colour.plan(vips.wrap(pixels), about)
        rgb, alpha, grey = split(colour.applied(plan.change, pixels))
    lost = (*dropped, *plan.lost)
    depth = 8 if pixels.dtype == np.uint8 and rgb.dtype == np.uint16 else 0
    said = (*lost, *notes, *plan.notes)
    return Photo(rgb, alpha, grey, plan.about, form.written, said, dropped=lost, depth=depth)
