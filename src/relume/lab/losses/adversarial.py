"""Adversarial losses on a discriminator's logits, of any shape: one per patch, or one per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.errors import UsageError


def bce_discriminator(real: Tensor, fake: Tensor, real_label: float = 0.9) -> Tensor:
    """`-E[log D(S)] - E[log(1 - D(S_hat))]`, D the sigmoid of the logits; scalar above 0.

    "Compact Clarity", equation 3.14. One-sided label smoothing puts `y log D + (1 - y) log(1 - D)` with
    y = `real_label` in place of `log D(S)`: Salimans et al., "Improved Techniques for Training GANs", NeurIPS
    2016.

    Args:
        real, fake: logits for target images and for the generator's, the latter computed from detached
            images.
        real_label: what the discriminator shall answer to real images; 1 is no smoothing.
    """
    on_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, real_label))
    return on_real + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))


def bce_generator(fake: Tensor) -> Tensor:
    """`-E[log D(S_hat)]`, the non-saturating loss of Goodfellow et al., 2014; labels are not smoothed."""
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def lsgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """`0.5 E[(D(S) - 1)^2] + 0.5 E[D(S_hat)^2]`, D the logits themselves; scalar, 0 or more.

    "Compact Clarity", equation 3.15; Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017.
    """
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def lsgan_generator(fake: Tensor) -> Tensor:
    """`E[(D(S_hat) - 1)^2]`; "Compact Clarity", section 3.5.1, without the factor 0.5 of Mao et al."""
    return (fake - 1).square().mean()


class Adversarial(NamedTuple):
    """A pair of objectives.

    Attributes:
        generator: takes the logits for generated images.
        discriminator: takes the logits for real and for generated images.
    """

    generator: Callable[[Tensor], Tensor]
    discriminator: Callable[[Tensor, Tensor], Tensor]


ADVERSARIAL: Mapping[str, Adversarial] = {
    "bce": Adversarial(bce_generator, bce_discriminator),
    "lsgan": Adversarial(lsgan_generator, lsgan_discriminator),
}
"""Every pair of adversarial objectives by the name that recipes use."""


def get_adversarial(name: str) -> Adversarial:
    """A pair of objectives by name.

    Raises:
        UsageError: none of that name.
    """
    if name not in ADVERSARIAL:
        raise UsageError(
            f"no adversarial loss is called '{name}'", f"Choose from: {', '.join(sorted(ADVERSARIAL))}."
        )
    return ADVERSARIAL[name]
