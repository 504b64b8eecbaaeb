"""Full-resolution scores of a network on held-out pairs, by the evaluation protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from relume.lab.data.paired import LoadedPair, to_tensor
from relume.lab.training.schedule import LOSS
from relume.lab.training.scores import psnr, psnr_gt_mean, ssim

SCORES = ("psnr", "psnr_gt_mean", "ssim")
"""What validation measures of each image."""


PIXELS = 3_000_000
"""How many of them go through a network at once on a GPU; a CPU takes image by image."""


@torch.inference_mode()
def enhance_array(
    network: nn.Module, low_HWC: npt.NDArray[np.uint8], device: torch.device
) -> npt.NDArray[np.uint8]:
    """One image through a network in evaluation mode, rounded to 8 bits."""
    output = network(to_tensor(low_HWC).to(device)).clamp(0, 1)
    return (output[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()


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
    rows = torch.empty(len(pairs), len(SCORES) + (loss is not None), device=device)
    for members in _groups(pairs, device):
        low, high = (
            torch.cat([to_tensor(image) for image in side]).to(device)
            for side in zip(
                *((pairs[index].low_HWC, pairs[index].high_HWC) for index in members), strict=True
            )
        )
        output = network(low).clamp(0, 1)
        rounded = (output * 255).round() / 255
        measured = [psnr(rounded, high), psnr_gt_mean(rounded, high), ssim(rounded, high)]
        if loss is not None:
            measured.append(
                torch.stack([loss(one[None], other[None]) for one, other in zip(output, high, strict=True)])
            )
        rows[members] = torch.stack(measured, 1)
    values = rows.cpu().double()
    scores: dict[str, float] = dict(zip((*SCORES, LOSS), values.mean(0).tolist(), strict=False))
    for source in dict.fromkeys(pair.source.name for pair in pairs if pair.source):
        own = [index for index, pair in enumerate(pairs) if pair.source and pair.source.name == source]
        means = values[own].mean(0).tolist()
        scores |= {f"{name}_{source}": mean for name, mean in zip(SCORES, means, strict=False)}
    return scores


def _groups(pairs: Sequence[LoadedPair], device: torch.device) -> list[list[int]]:
    """Positions of pairs of one size, as many as go through a network at once."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, pair in enumerate(pairs):
        by_size.setdefault(pair.low_HWC.shape, []).append(index)
    groups: list[list[int]] = []
    for (height, width, *_), members in by_size.items():
        count = 1 if device.type == "cpu" else max(1, PIXELS // (height * width))
        groups += [members[start : start + count] for start in range(0, len(members), count)]
    return groups
