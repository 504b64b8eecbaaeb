"""Supervised training, and the loss that keeps brightening in the exposure curve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from relume.errors import UsageError
from relume.lab.data.paired import Batch
from relume.lab.losses.brightening import brightening
from relume.lab.methods import build_method
from relume.lab.methods.supervised import Supervised
from relume.lab.networks import build
from relume.lab.recipes.photo import photo

SMALL = {"widths": [16, 16], "depths": [1, 1], "condition": 8, "global_width": 4, "overview_size": 16}


def test_brightening_by_hand() -> None:
    random = np.random.default_rng(0)
    bright, target = random.random((2, 3, 36, 40)), random.random((2, 3, 33, 40))
    cells = [
        abs(
            (bright[:, :, y : min(y + 16, 33), x : x + 16] - target[:, :, y : y + 16, x : x + 16]).mean(
                (2, 3)
            )
        )
        for y in range(0, 33, 16)
        for x in range(0, 40, 16)
    ]
    value = brightening(torch.from_numpy(bright).float(), torch.from_numpy(target).float())
    assert value.item() == pytest.approx(np.mean(cells), rel=1e-4)


def test_brightening_teaches_the_gains_and_leaves_the_output_terms_as_they_are() -> None:
    torch.manual_seed(0)
    network = build("two-pass", SMALL)
    generator = torch.Generator().manual_seed(0)
    high = torch.rand(2, 3, 36, 36, generator=generator)
    batch = Batch(high * 0.1, high, high[..., :16, :16] * 0.1)
    plain, both = Supervised(network, {"mse": 1.0}), Supervised(network, {"mse": 1.0, "brightening": 0.5})
    torch.manual_seed(1)  # dropout
    expected = plain(batch)["mse"].item()
    torch.manual_seed(1)
    losses = both(batch)
    assert losses["mse"].item() == pytest.approx(expected, rel=1e-6)
    torch.manual_seed(1)
    bright = network.encode(*batch.inputs(network)).bright_BCHW
    torch.testing.assert_close(losses["brightening"], 0.5 * brightening(bright, high))
    losses["brightening"].backward()
    assert network.global_pass.log_gain[-1].weight.grad.abs().sum() > 0
    assert network.local_pass.head.weight.grad is None


def test_brightening_needs_an_exposure_curve() -> None:
    with pytest.raises(UsageError, match="no exposure curve"):
        Supervised(build("zero-dce"), {"mse": 1.0, "brightening": 0.5})


def test_a_step_that_has_been_warmed_up_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a GPU: what needs the host after the first step ends a recording there."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # tensors without data have none
    recipe = photo()
    network = build(recipe.network, recipe.network_options)
    losses = {**recipe.losses, "gt-mean": 1.0, "ms-ssim": 1.0}
    method = build_method(recipe.method, network, losses, recipe.method_options).to("meta")
    assert method.recordable

    def image(*sides: int) -> torch.Tensor:
        return torch.empty(2, *sides, device="meta")

    batch = Batch(image(3, 64, 64), image(3, 64, 64), image(3, 128, 96), image(4))

    def step() -> None:
        torch.stack(list(method(batch).values())).sum().backward()

    step()
    copied: list[Any] = []

    def watched(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def made(*arguments: Any, **options: Any) -> torch.Tensor:
            copied.append(arguments[-1])
            return make(*arguments, **options)

        return made

    for owner, name in ((torch, "asarray"), (torch, "tensor"), (torch.Tensor, "new_tensor")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    step()
    assert copied == []
