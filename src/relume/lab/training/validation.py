"""Full-resolution scores of a network on held-out pairs, by the evaluation protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from relume.evaluate.metrics import psnr, psnr_gt_mean, ssim
from relume.lab.data.paired import LoadedPair, to_tensor

SCORES = ("psnr", "psnr_gt_mean", "ssim")
"""What validation measures of each image."""


@torch.inference_mode()
def enhance_array(
    network: nn.Module, low_HWC: npt.NDArray[np.uint8], device: torch.device
) -> npt.NDArray[np.uint8]:
    """One image through a network in evaluation mode, rounded to 8 bits."""
    output = network(to_tensor(low_HWC).to(device)).clamp(0, 1)
    return (output[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()


def validate(network: nn.Module, pairs: Sequence[LoadedPair], device: torch.device) -> dict[str, float]:
    """Mean PSNR and GT-mean PSNR in dB, and SSIM (Gaussian window), over whole images.

    Where pairs come from several sources, the means of each follow, as `psnr_NAME` and so on.
    """
    rows = []
    for pair in pairs:
        enhanced = enhance_array(network, pair.low_HWC, device)
        target = pair.high_HWC
        rows.append((psnr(enhanced, target), psnr_gt_mean(enhanced, target), ssim(enhanced, target)))
    scores: dict[str, float] = dict(zip(SCORES, np.mean(rows, axis=0).tolist(), strict=True))
    for source in dict.fromkeys(pair.source.name for pair in pairs if pair.source):
        own = [
            row for row, pair in zip(rows, pairs, strict=True) if pair.source and pair.source.name == source
        ]
        means = np.mean(own, axis=0).tolist()
        scores |= {f"{name}_{source}": mean for name, mean in zip(SCORES, means, strict=True)}
    return scores
