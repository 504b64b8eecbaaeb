"""The losses of Zero-DCE, which judge an enhanced image without a target.

Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020. Paper and
published training code differ in details; each function says which it follows. The published weights 1
(spatial), 10 (exposure), 5 (colour) and 200 (smoothness) belong to the code's scale, which is kept.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def spatial_consistency(low_BCHW: Tensor, enhanced_BCHW: Tensor, region: int = 4) -> Tensor:
    """`1/K sum_i sum_j ((Y_i - Y_j) - (I_i - I_j))^2`: differences between neighbouring regions stay.

    Scalar, 0 or more. Equation 4. Y and I are means of the enhanced and the dark image over all channels and
    K regions, j the up to four neighbours of region i. As in the code, differences keep their sign, where the
    paper compares their magnitudes: an edge must not turn round. Unlike in the code, regions at the border
    have no neighbour outside.

    Args:
        low_BCHW, enhanced_BCHW: images of one shape in [0, 1], at least `region` pixels per side.
        region: side of a region, in pixels.
    """
    change = F.avg_pool2d((enhanced_BCHW - low_BCHW).mean(1, keepdim=True), region)
    pairs = change.diff(dim=2).square().sum() + change.diff(dim=3).square().sum()
    return 2 * pairs / change.numel()  # both regions of a pair count it


def exposure_control(enhanced_BCHW: Tensor, level: float = 0.6, region: int = 16) -> Tensor:
    """`1/M sum_k (Y_k - E)^2`: the mean of every region is drawn to a well-exposed level; 0 or more.

    Equation 5, with the code's square in place of the paper's magnitude.

    Args:
        enhanced_BCHW: images in [0, 1], at least `region` pixels per side.
        level: E, a grey level in [0, 1].
        region: side of a region, in pixels.
    """
    return (F.avg_pool2d(enhanced_BCHW.mean(1, keepdim=True), region) - level).square().mean()


def colour_constancy(enhanced_BCHW: Tensor) -> Tensor:
    """Mean over images of `(R - G)^2 + (R - B)^2 + (G - B)^2` with R, G, B a channel's mean; in [0, 2].

    Equation 6, the grey-world assumption. The code takes `sqrt((R - G)^4 + ...)`, whose gradient is undefined
    for grey images; the two agree within a factor of sqrt(3).

    Args:
        enhanced_BCHW: RGB images in [0, 1].
    """
    means_BC = enhanced_BCHW.mean((2, 3))
    return (means_BC - means_BC.roll(1, dims=1)).square().sum(1).mean()


def illumination_smoothness(curves_BCHW: Tensor) -> Tensor:
    """`2 sum_c (mean (dx A_c)^2 + mean (dy A_c)^2)`, averaged over images: neighbours get like curves.

    Scalar, 0 or more. Equation 7 as in the code, with forward differences; the paper squares the sum of the
    two magnitudes and takes the mean over the iterations, not the sum.

    Args:
        curves_BCHW: curve parameters, one channel for each iteration and colour.
    """
    down, right = (curves_BCHW.diff(dim=dim).square().mean((0, 2, 3)).sum() for dim in (2, 3))
    return 2 * (down + right)
