"""Full-resolution scores of a network on held-out pairs, by the evaluation protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from relume.evaluate.metrics import psnr, psnr_gt_mean, ssim
from relume.lab.data.paired import LoadedPair, to_tensor
from relume.lab.training.schedule import LOSS

SCORES = ("psnr", "psnr_gt_mean", "ssim")
"""What validation measures of each image."""


@torch.inference_mode()
def enhance_array(
    network: nn.Module, low_HWC: npt.NDArray[np.uint8], device: torch.device
) -> npt.NDArray[np.uint8]:
    """One image through a network in evaluation mode, rounded to 8 bits."""
    return _to_8_bits(_enhanced(network, low_HWC, device))


def _enhanced(network: nn.Module, low_HWC: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    return network(to_tensor(low_HWC).to(device)).clamp(0, 1)


def _to_8_bits(image_BCHW: Tensor) -> npt.NDArray[np.uint8]:
    return (image_BCHW[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()


@torch.inference_mode()
def validate(
    network: nn.Module,
    pairs: Sequence[LoadedPair],
    device: torch.device,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Mean PSNR and GT-mean PSNR in dB, and SSIM (Gaussian window), over whole images; and a mean loss.

    Where pairs come from several sources, the means of each follow, as `psnr_NAME` and so on.

    Args:
        network: in evaluation mode.
        pairs: at least one.
        device: where it computes.
        loss: of output and target, both in [0, 1]; its mean is called `loss`.
    """
    rows: list[tuple[float, ...]] = []
    losses: list[Tensor] = []
    for pair in pairs:
        output, target = _enhanced(network, pair.low_HWC, device), pair.high_HWC
        if loss is not None:
            losses.append(loss(output, to_tensor(target).to(device)))
        enhanced = _to_8_bits(output)
        rows.append((psnr(enhanced, target), psnr_gt_mean(enhanced, target), ssim(enhanced, target)))
    scores: dict[str, float] = dict(zip(SCORES, np.mean(rows, axis=0).tolist(), strict=True))
    if losses:
        scores[LOSS] = torch.stack(losses).mean().item()
    for source in dict.fromkeys(pair.source.name for pair in pairs if pair.source):
        own = [
            row for row, pair in zip(rows, pairs, strict=True) if pair.source and pair.source.name == source
        ]
        means = np.mean(own, axis=0).tolist()
        scores |= {f"{name}_{source}": mean for name, mean in zip(SCORES, means, strict=True)}
    return scores
