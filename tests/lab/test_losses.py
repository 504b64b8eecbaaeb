"""Loss terms against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from relume.errors import UsageError
from relume.lab.losses import charbonnier, ssim, ssim_loss, weighted_losses
from relume.lab.losses.gt_mean import gt_mean_loss
from relume.lab.losses.luma_chroma import luma_chroma_loss


def images(height: int = 31, width: int = 43) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64)
    second = (first + 0.2 * torch.rand(first.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    return first, second


def test_charbonnier_by_hand() -> None:
    first, second = images()
    expected = np.sqrt((first.numpy() - second.numpy()) ** 2 + 1e-6).mean()
    assert charbonnier(first, second).item() == pytest.approx(expected)


def test_ssim_agrees_with_scikit_image() -> None:
    first, second = images()
    expected = [
        structural_similarity(
            a.permute(1, 2, 0).numpy(),
            b.permute(1, 2, 0).numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2,
            data_range=1,
        )
        for a, b in zip(first, second, strict=True)
    ]
    assert ssim(first, second).item() == pytest.approx(np.mean(expected), abs=1e-9)


def test_equal_images_have_no_loss_but_charbonniers_floor() -> None:
    first, _ = images()
    assert ssim_loss(first, first).item() == pytest.approx(0, abs=1e-12)
    assert charbonnier(first, first).item() == pytest.approx(1e-3)


def test_gradient_of_ssim_agrees_with_finite_differences() -> None:
    first, second = (image[:1, :1, :13, :12].clone() for image in images())
    assert torch.autograd.gradcheck(lambda x: ssim(x, second), first.requires_grad_())


def test_weights_scale_each_term() -> None:
    first, second = (image.float() for image in images())
    terms = weighted_losses({"charbonnier": 2.0, "ssim": 0.5}, first, second)
    assert terms["charbonnier"].item() == pytest.approx(2 * charbonnier(first, second).item())
    assert terms["ssim"].item() == pytest.approx(0.5 * ssim_loss(first, second).item())


def test_terms_are_exact_under_mixed_precision() -> None:
    first, second = (image.float() for image in images())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = weighted_losses({"ssim": 1.0}, first, second)
    torch.testing.assert_close(mixed["ssim"], ssim_loss(first, second))


def test_gt_mean_by_hand() -> None:
    target = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
    alike, darker = target + 0.0, target / 4
    assert gt_mean_loss(alike, target).item() == pytest.approx(1e-3)
    # Means that far apart leave nothing to the plain loss, and scaled the two images are equal.
    assert gt_mean_loss(darker, target).item() == pytest.approx(1e-3, abs=1e-4)
    near = target * 1.1
    distance = (0.04**2 / (4 * (0.044**2 + 0.04**2))) + 0.5 * np.log(
        (0.044**2 + 0.04**2) / (2 * 0.044 * 0.04)
    )
    plain = np.exp(-distance)
    expected = plain * np.sqrt(0.04**2 + 1e-6) + (1 - plain) * 1e-3
    assert gt_mean_loss(near, target).item() == pytest.approx(expected)


def test_a_cast_counts_by_its_chroma_alone_and_exposure_by_its_luma_alone() -> None:
    target = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
    cast = torch.tensor([0.114, 0.0, -0.299], dtype=torch.float64)[:, None, None]  # of luma 0
    parts = np.sqrt(np.square([0.114, 0.0, 0.299]) + 1e-6).mean()
    assert luma_chroma_loss(target + cast, target).item() == pytest.approx(1e-3 + parts)
    assert luma_chroma_loss(target + 0.1, target).item() == pytest.approx(np.sqrt(0.01 + 1e-6) + 1e-3)


def test_unknown_terms_are_refused() -> None:
    first, second = images()
    with pytest.raises(UsageError, match="no loss is called"):
        weighted_losses({"beauty": 1.0}, first, second)
