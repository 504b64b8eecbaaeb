"""Zero-reference training: dark photos alone, judged by the losses of Zero-DCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch
from relume.lab.losses.zero_reference import (
    colour_constancy,
    exposure_control,
    illumination_smoothness,
    spatial_consistency,
)
from relume.lab.methods.base import Method
from relume.lab.options import Positive, Share

TERMS = ("spatial", "exposure", "colour", "smoothness")


class CurveNetwork(Protocol):
    """What zero-reference training asks of a network."""

    def curves(self, x_BCHW: Tensor) -> Tensor: ...
    def apply_curves(self, x_BCHW: Tensor, curves_BCHW: Tensor) -> Tensor: ...


class ZeroReference(Method):
    """Zero-DCE's training, for every network that brightens by curves; the batch's target is never looked at.

    Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020.

    Args:
        network: offers `curves` and `apply_curves`.
        losses: weight of each of `TERMS`; published are spatial 1, exposure 10, colour 5, smoothness 200.
        exposure_level: the grey level in [0, 1] that regions are drawn to.
        exposure_region: side of these regions, in pixels.

    Raises:
        UsageError: the network has no curves, or a name is none of `TERMS`.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        exposure_level: Share = 0.6,
        exposure_region: Positive = 16,
    ) -> None:
        super().__init__()
        if not capabilities(network).curves:
            raise UsageError("the network estimates no curves", "Choose zero-dce, or another method.")
        unknown = set(losses) - set(TERMS)
        if unknown:
            raise UsageError(
                f"no zero-reference loss is called {sorted(unknown)}", f"Choose from: {', '.join(TERMS)}."
            )
        self.network = network
        self.weights = dict(losses)
        self.exposure_level, self.exposure_region = exposure_level, exposure_region

    def check_crop(self, side: int) -> None:
        """Refuse crops that have no region of the exposure control."""
        if side < self.exposure_region:
            raise UsageError(
                f"crops of {side} pixels are smaller than a region of the exposure control",
                f"Set phases.N.crop to {self.exposure_region} or more, or method_options.exposure_region.",
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term, computed in float32; what is minimised is their sum."""
        network, low_BCHW = cast(CurveNetwork, self.network), batch.low_BCHW
        curves_BCHW = network.curves(low_BCHW)
        with torch.autocast(low_BCHW.device.type, enabled=False):
            curves_BCHW = curves_BCHW.float()
            enhanced_BCHW = network.apply_curves(low_BCHW, curves_BCHW)
            terms = {
                "spatial": spatial_consistency(low_BCHW, enhanced_BCHW),
                "exposure": exposure_control(enhanced_BCHW, self.exposure_level, self.exposure_region),
                "colour": colour_constancy(enhanced_BCHW),
                "smoothness": illumination_smoothness(curves_BCHW),
            }
        return {name: weight * terms[name] for name, weight in self.weights.items()}
