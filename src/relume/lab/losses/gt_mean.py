"""GT-mean loss: what is left of a distance once brightness is put right."""

from __future__ import annotations

import torch
from torch import Tensor

from relume.colour import luma_of
from relume.lab.losses.charbonnier import charbonnier


def gt_mean_loss(prediction_BCHW: Tensor, target_BCHW: Tensor, doubt: float = 0.1) -> Tensor:
    """Charbonnier loss, and that of the prediction scaled to the target's mean luma, as the means agree.

    How bright a target is has often little to do with its input. Where the means differ much, the gradient
    of a plain loss is all about brightness; the scaled one lets detail and colour be learnt undisturbed. The
    weight of the plain one is the Bhattacharyya coefficient of two normal distributions round both means, of
    the relative standard deviation `doubt`; the other has what is left.

    Liao et al., "GT-Mean Loss: A Simple Yet Effective Solution for Brightness Mismatch in Low-Light Image
    Enhancement", ICCV 2025. Weights are taken without gradient.

    Args:
        prediction_BCHW, target_BCHW: images in [0, 1].
        doubt: standard deviation of a mean's estimate, as a share of it.
    """
    means = [luma_of(image).mean((1, 2, 3)) for image in (prediction_BCHW, target_BCHW)]
    predicted_B, wanted_B = (mean.detach().clamp_min(1e-3) for mean in means)
    variances = (doubt * predicted_B) ** 2, (doubt * wanted_B) ** 2
    total = variances[0] + variances[1]
    distance = (predicted_B - wanted_B) ** 2 / (4 * total)
    distance = distance + 0.5 * torch.log(total / (2 * doubt**2 * predicted_B * wanted_B))
    plain_B = torch.exp(-distance)
    scaled = prediction_BCHW * (wanted_B / predicted_B)[:, None, None, None]
    losses = [
        share * charbonnier(one, target)
        for share, image in ((plain_B, prediction_BCHW), (1 - plain_B, scaled))
        for share, one, target in zip(share, image, target_BCHW, strict=True)
    ]
    return torch.stack(losses).sum() / len(prediction_BCHW)
