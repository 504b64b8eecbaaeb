from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim

from relume.errors import DataError
from relume.evaluate import metrics

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def noise(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = generator.random((height, width, 3))
    return np.clip(0.6 * target + 0.2 * generator.random(target.shape), 0, 1), target


def scene(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ramps, stripes and edges, and a dark, noisy version of them."""
    y, x = np.mgrid[0:height, 0:width]
    target = np.stack(
        [x / max(width - 1, 1), 0.5 + 0.5 * np.sin(x * y / 37.0), ((x // 9 + y // 7) % 2).astype(float)],
        axis=2,
    )
    noisy = 0.3 * target + np.random.default_rng(seed).normal(0, 0.02, target.shape)
    return np.clip(noisy, 0, 1), target


def flat(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.full((height, width, 3), 0.2), np.full((height, width, 3), 0.8)


IMAGES = pytest.mark.parametrize("make", [noise, scene, flat])
SIZES = pytest.mark.parametrize("size", [(11, 11), (12, 37), (65, 30), (131, 83)])


@IMAGES
@SIZES
def test_ssim_equals_skimage(make, size) -> None:
    prediction, target = make(*size)
    expected = structural_similarity(prediction, target, channel_axis=2, data_range=1, **GAUSSIAN)
    assert metrics.ssim(prediction, target) == pytest.approx(expected, abs=1e-9)
    expected = structural_similarity(prediction, target, channel_axis=2, data_range=1)
    assert metrics.ssim(prediction, target, window="uniform7") == pytest.approx(expected, abs=1e-9)


@IMAGES
def test_psnr_equals_skimage_and_torchmetrics(make) -> None:
    prediction, target = make(70, 53)
    assert metrics.psnr(prediction, target) == pytest.approx(
        peak_signal_noise_ratio(target, prediction, data_range=1), abs=1e-9
    )
    tensors = [torch.from_numpy(image.transpose(2, 0, 1).copy())[None] for image in (prediction, target)]
    assert metrics.psnr(prediction, target) == pytest.approx(
        float(torch_psnr(*tensors, data_range=1.0)), abs=1e-5
    )


def test_ssim_equals_torchmetrics_inside_the_border() -> None:
    prediction, target = scene(131, 83)
    tensors = [torch.from_numpy(image.transpose(2, 0, 1).copy())[None] for image in (prediction, target)]
    # Its mean takes the reflected border in; ours and scikit-image's leave it out.
    _, ssim_map = torch_ssim(*tensors, data_range=1.0, return_full_image=True)
    assert metrics.ssim(prediction, target) == pytest.approx(
        float(ssim_map[..., 5:-5, 5:-5].mean()), abs=1e-6
    )


def test_float32_and_integers_give_the_same_scores() -> None:
    prediction, target = (np.rint(image * 255).astype(np.uint8) for image in scene(40, 33))
    for score in (metrics.psnr, metrics.ssim, metrics.psnr_gt_mean):
        expected = score(prediction / 255.0, target / 255.0)
        assert score(prediction, target) == pytest.approx(expected, abs=1e-9)
        assert score(prediction.astype(np.uint16) * 257, target) == pytest.approx(expected, abs=1e-9)
        float32 = (np.float32(prediction) / np.float32(255), np.float32(target) / np.float32(255))
        assert score(*float32) == pytest.approx(expected, abs=1e-5)


def test_identical_images() -> None:
    _, target = scene(20, 20)
    assert metrics.psnr(target, target) == metrics.PSNR_CAP == 100.0
    assert metrics.ssim(target, target) == pytest.approx(1.0, abs=1e-12)


def test_a_known_psnr() -> None:
    assert metrics.psnr(np.full((4, 5, 3), 0.4), np.full((4, 5, 3), 0.5)) == pytest.approx(20.0)


def test_gt_mean_restores_brightness() -> None:
    _, target = scene(30, 31)
    dark = target * 0.25
    np.testing.assert_allclose(metrics.gt_mean(dark, target), target, atol=1e-12)
    assert metrics.psnr(dark, target) < 15
    assert metrics.psnr_gt_mean(dark, target) == 100.0


def test_gt_mean_uses_rec601_luma_and_clips() -> None:
    generator = np.random.default_rng(3)
    prediction, target = generator.random((90, 20, 3)), np.sqrt(generator.random((90, 20, 3)))
    luma = np.array([0.299, 0.587, 0.114])
    scaled = np.clip(prediction * (target @ luma).mean() / (prediction @ luma).mean(), 0, 1)
    np.testing.assert_allclose(metrics.gt_mean(prediction, target), scaled, atol=1e-12)
    assert metrics.psnr_gt_mean(prediction, target) == pytest.approx(metrics.psnr(scaled, target), abs=1e-9)
    assert scaled.max() == 1.0
    assert metrics.mean_luma(target) != pytest.approx(rgb2gray(target).mean(), abs=1e-4)  # that is Rec. 709


def test_gt_mean_of_a_black_prediction_stays_black() -> None:
    black, target = np.zeros((5, 5, 3)), np.full((5, 5, 3), 0.5)
    assert not metrics.gt_mean(black, target).any()


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(11, 24), st.integers(11, 24), st.just(6))))
def test_scores_are_symmetric_and_bounded(stacked) -> None:
    a, b = stacked[..., :3], stacked[..., 3:]
    for window in ("gaussian", "uniform7"):
        similarity = metrics.ssim(a, b, window=window)
        assert -1.0 - 1e-9 <= similarity <= 1.0 + 1e-9
        assert similarity == pytest.approx(metrics.ssim(b, a, window=window), abs=1e-12)
    assert metrics.psnr(a, b) == metrics.psnr(b, a)
    assert 0.0 <= metrics.psnr(a, b) <= 100.0
    scaled = metrics.gt_mean(a, b)
    assert scaled.min() >= 0.0
    assert scaled.max() <= 1.0


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 0.3), st.floats(1.1, 3.0))
def test_more_noise_scores_lower(amount, factor) -> None:
    target = np.full((20, 20, 3), 0.5)
    noise_HWC = np.random.default_rng(0).uniform(-0.5, 0.5, target.shape)
    near, far = target + amount * noise_HWC, target + amount * factor * noise_HWC
    assert metrics.psnr(near, target) > metrics.psnr(far, target)
    assert metrics.ssim(near, target) > metrics.ssim(far, target)


@pytest.mark.parametrize("score", [metrics.psnr, metrics.ssim, metrics.gt_mean, metrics.psnr_gt_mean])
def test_other_sizes_are_refused(score) -> None:
    with pytest.raises(DataError, match=r"20x30 pixels.*21x30 pixels"):
        score(np.zeros((30, 20, 3)), np.zeros((30, 21, 3)))


def test_images_below_the_window_are_refused() -> None:
    small = np.zeros((10, 40, 3))
    with pytest.raises(DataError, match="11x11 window"):
        metrics.ssim(small, small)
    assert metrics.ssim(small, small, window="uniform7") == 1.0
    with pytest.raises(DataError, match="7x7 window"):
        metrics.ssim(small[:6], small[:6], window="uniform7")


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="not an H x W x C image"):
        metrics.psnr(np.zeros((5, 5)), np.zeros((5, 5)))
    with pytest.raises(DataError, match="have no range"):
        metrics.psnr(np.zeros((5, 5, 3), int), np.zeros((5, 5, 3), int))
    with pytest.raises(DataError, match="H x W x 3"):
        metrics.gt_mean(np.zeros((5, 5, 1)), np.zeros((5, 5, 1)))
    with pytest.raises(ValueError, match="uniform7"):
        metrics.ssim(np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), window="box")  # type: ignore[arg-type]
