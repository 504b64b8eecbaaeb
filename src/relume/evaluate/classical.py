"""What people did before networks, as marks to measure against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.arrays import Doubles, Numbers
from relume.colour import LUMA_REC601
from relume.errors import MissingExtra, install
from relume.evaluate.metrics import as_unit

MIDDLE = 0.5
"""Mean luma that `gamma` aims at."""


def nothing(rgb_HWC: Doubles) -> Doubles:
    """The dark photo itself."""
    return rgb_HWC


def gamma(rgb_HWC: Doubles) -> Doubles:
    """`x^g`, with the g that brings the mean luma to `MIDDLE`; never darker."""
    low, high = 0.05, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        bright = float((rgb_HWC**middle @ np.array(LUMA_REC601)).mean())
        low, high = (middle, high) if bright > MIDDLE else (low, middle)
    return rgb_HWC**high


def clahe(rgb_HWC: Doubles) -> Doubles:
    """Contrast-limited adaptive histogram equalisation of CIELAB's lightness, scikit-image's defaults.

    Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        from skimage import color as untyped_color
        from skimage import exposure as untyped_exposure
    except ImportError as error:
        raise MissingExtra("CLAHE needs scikit-image", install("lab")) from error
    color: Any = untyped_color
    exposure: Any = untyped_exposure
    lab_HWC = color.rgb2lab(rgb_HWC)
    lab_HWC[..., 0] = 100 * exposure.equalize_adapthist(lab_HWC[..., 0] / 100)
    return np.clip(color.lab2rgb(lab_HWC), 0, 1)


CLASSICAL: Mapping[str, Callable[[Doubles], Doubles]] = {"input": nothing, "gamma": gamma, "clahe": clahe}
"""Every method by the name that commands take."""


def apply_classical(name: str, rgb_HWC: Numbers) -> npt.NDArray[np.uint8]:
    """One of `CLASSICAL`, rounded to 8 bits."""
    return np.rint(CLASSICAL[name](as_unit(rgb_HWC)) * 255).astype(np.uint8)
