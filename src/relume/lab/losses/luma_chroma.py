"""Distance in luma and in chroma apart."""

from __future__ import annotations

from torch import Tensor

from relume.colour import luma_of
from relume.lab.losses.charbonnier import charbonnier


def luma_chroma_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Charbonnier loss of luma, and that of what each channel has beyond it; scalar, above 0.

    A wrong exposure changes all channels alike. With luma apart a wrong colour counts for itself, however far
    off the brightness is.

    Args:
        prediction_BCHW, target_BCHW: images in [0, 1].
    """
    predicted, wanted = luma_of(prediction_BCHW), luma_of(target_BCHW)
    return charbonnier(predicted, wanted) + charbonnier(prediction_BCHW - predicted, target_BCHW - wanted)
