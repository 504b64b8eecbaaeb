"""Zero-DCE's losses, and training by them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.errors import UsageError
from relume.lab.data.paired import Batch
from relume.lab.losses.zero_reference import (
    colour_constancy,
    exposure_control,
    illumination_smoothness,
    spatial_consistency,
)
from relume.lab.methods import METHODS
from relume.lab.methods.zero_reference import TERMS, ZeroReference
from relume.lab.networks import build
from relume.lab.recipe import Optimizer, Phase, Recipe
from relume.lab.recipes import get_recipe
from relume.lab.training.loop import Trainer, train

WEIGHTS = {"spatial": 1.0, "exposure": 10.0, "colour": 5.0, "smoothness": 200.0}


def random_images(channels: int = 3, height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).random((2, channels, height, width))


def batch(size: int = 32) -> Batch:
    """Dark images of a bluish cast; the target is unusable, for it must not be looked at."""
    low = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 0.2
    low[:, 2] *= 1.5
    return Batch(low, torch.full_like(low, math.nan), torch.full((2, 3, 1, 1), math.nan))


def method(**options: float) -> ZeroReference:
    torch.manual_seed(0)
    return ZeroReference(build("zero-dce", {"width": 8}), WEIGHTS, **options)


def test_spatial_consistency_by_hand() -> None:
    low = random_images()
    enhanced = np.sqrt(low) * np.array([0.9, 1.0, 0.8])[:, None, None]
    i, y = (image.mean(1).reshape(2, 8, 4, 12, 4).mean((2, 4)) for image in (low, enhanced))
    total = 0.0
    for n, row, column in np.ndindex(i.shape):
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < 8 and 0 <= c < 12:
                total += ((y[n, row, column] - y[n, r, c]) - (i[n, row, column] - i[n, r, c])) ** 2
    loss = spatial_consistency(torch.from_numpy(low), torch.from_numpy(enhanced))
    assert loss.item() == pytest.approx(total / i.size)


def test_a_uniform_shift_of_brightness_is_spatially_consistent() -> None:
    low = torch.from_numpy(random_images() / 2)
    assert spatial_consistency(low, low + 0.3).item() == pytest.approx(0, abs=1e-12)
    assert spatial_consistency(low, 0.8 - low).item() > 0


def test_exposure_control_by_hand() -> None:
    enhanced = random_images()
    means = enhanced.mean(1).reshape(2, 2, 16, 3, 16).mean((2, 4))
    loss = exposure_control(torch.from_numpy(enhanced))
    assert loss.item() == pytest.approx(((means - 0.6) ** 2).mean())
    assert exposure_control(torch.full((1, 3, 16, 16), 0.4), level=0.4).item() == pytest.approx(0, abs=1e-12)


def test_colour_constancy_by_hand() -> None:
    enhanced = random_images() * np.array([0.5, 1.0, 0.8])[:, None, None]
    r, g, b = enhanced.mean((2, 3)).T
    expected = ((r - g) ** 2 + (r - b) ** 2 + (g - b) ** 2).mean()
    assert colour_constancy(torch.from_numpy(enhanced)).item() == pytest.approx(expected)


def test_illumination_smoothness_by_hand() -> None:
    curves = random_images(channels=24)
    down, right = np.diff(curves, axis=2) ** 2, np.diff(curves, axis=3) ** 2
    expected = 2 * (down.sum() / (31 * 48) + right.sum() / (32 * 47)) / 2
    assert illumination_smoothness(torch.from_numpy(curves)).item() == pytest.approx(expected)


@pytest.mark.parametrize("grey", [0.0, 0.5, 0.6, 1.0])
def test_gradients_are_finite_for_grey_images(grey: float) -> None:
    low, enhanced = torch.full((1, 3, 32, 32), 0.1), torch.full((1, 3, 32, 32), grey, requires_grad=True)
    loss = spatial_consistency(low, enhanced) + exposure_control(enhanced) + colour_constancy(enhanced)
    (loss + illumination_smoothness(enhanced)).backward()
    assert enhanced.grad is not None
    assert torch.isfinite(enhanced.grad).all()


def test_the_method_weighs_the_four_terms_and_ignores_the_target() -> None:
    training = method()
    losses = training(batch())
    assert tuple(losses) == TERMS
    low = batch().low_BCHW
    with torch.no_grad():
        curves, enhanced = training.network.curves(low), training.network(low)
    expected = {
        "spatial": spatial_consistency(low, enhanced),
        "exposure": 10 * exposure_control(enhanced, 0.6),
        "colour": 5 * colour_constancy(enhanced),
        "smoothness": 200 * illumination_smoothness(curves),
    }
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name])


def test_the_terms_are_exact_under_mixed_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        losses = method()(batch())
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())


def test_the_exposure_level_is_an_option() -> None:
    low = batch().low_BCHW
    training = method(exposure_level=0.3, exposure_region=8)
    expected = 10 * exposure_control(training.network(low), 0.3, 8)
    torch.testing.assert_close(training(batch())["exposure"], expected)


def test_steps_move_the_network_towards_the_exposure() -> None:
    training = method()
    low = batch().low_BCHW
    before = training.network(low).mean().item()
    parameters = [parameter.clone() for parameter in training.parameters()]
    optimizer = torch.optim.Adam(training.parameters(), lr=1e-3)
    totals: list[float] = []
    for _ in range(12):
        total = torch.stack(list(training(batch()).values())).sum()
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert all(not torch.equal(was, now) for was, now in zip(parameters, training.parameters(), strict=True))
    assert totals[-1] < totals[0]
    assert before < training.network(low).mean().item() < 0.6


def test_other_networks_and_terms_are_refused() -> None:
    with pytest.raises(UsageError, match="estimates no curves"):
        ZeroReference(build("iaml-autoencoder", {"widths": [8, 8, 8, 8, 8], "head": 8}), WEIGHTS)
    with pytest.raises(UsageError, match=r"no zero-reference loss is called \['ssim'\]"):
        ZeroReference(build("zero-dce"), {"ssim": 1.0})


def test_the_recipe_builds_the_published_training() -> None:
    recipe = get_recipe("zero-dce")
    trainer = Trainer(recipe, torch.device("cpu"))
    assert isinstance(trainer.method, METHODS["zero-reference"])
    assert trainer.method.weights == WEIGHTS
    assert trainer.learner.rate_at(0) == trainer.learner.rate_at(recipe.steps) == 1e-4


def test_a_run_trains_and_writes_its_weights(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(
        tiny_recipe,
        network="zero-dce",
        network_options={"width": 8},
        method="zero-reference",
        losses=WEIGHTS,
        phases=(Phase(2, 32, 2),),
        optimizer=Optimizer(lr=1e-3, warmup=0, clip=0.1),
    )
    assert train(recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True).is_file()
