"""The steps are one source: PyTorch computes what NumPy does, and traces them into programs for any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from relume.colour import luma, to_linear, to_srgb
from relume.options import Controls
from relume.steps.controls import Adjustment, Change, adjust, settle
from relume.steps.curve import exposure_curve
from relume.steps.grid import tone
from relume.steps.guided_filter import area_mean, fit, interleaved, transfer
from relume.steps.thumbnail import thumbnail

torch = pytest.importorskip("torch")

GAIN_C = np.array([4.0, 5.0, 6.0])
Steps = Callable[..., Any]


def image(height: int = 40, width: int = 52, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.02, 0.5, (3, height, width)).astype(np.float32)


def gained(before: Any, gain_C: Any) -> Any:
    return exposure_curve(before, gain_C[:, None, None])


def changed(before: Any, after: Any) -> Change:
    """A change whose local gain is something simple."""
    return Change(before, after, before[:1] - 0.2)


def toned(before: Any, gain_C: Any, grid: Any) -> Any:
    place = before[0, 0, :4] * 0 + 40
    return list(tone(before, gain_C, grid, place))


def adjusted(before: Any, after: Any, gain_C: Any) -> Any:
    return adjust(changed(before, after), Adjustment(0.9, 0.7, 0.8, gain_C, 1 / gain_C))


def filtered(before: Any, after: Any, gain_C: Any) -> Any:
    rows, columns = slice(0, before.shape[1]), slice(0, before.shape[2])
    model = fit(changed(before, after), gain_C, rows, columns)
    return [transfer(before, values, gain_C).after for _, _, values in interleaved(model, 2)]


def small(before: Any) -> Any:
    return thumbnail(before, (16, 12))


def reduced(pixels_HWC: Any) -> Any:
    return area_mean(pixels_HWC, 2)


def settled(controls: Controls) -> Steps:
    def settle_by(before: Any, after: Any) -> Any:
        found = settle(controls, changed(before, after))
        return [found.strength, found.gain_C, found.correction_C]

    return settle_by


BEFORE, AFTER = image(), gained(image(), GAIN_C)
STEPS: dict[str, tuple[Steps, tuple[np.ndarray, ...]]] = {
    "curve": (gained, (BEFORE, GAIN_C)),
    "thumbnail": (small, (BEFORE,)),
    "area mean": (reduced, (np.ascontiguousarray(BEFORE.transpose(1, 2, 0)),)),
    "guided filter": (filtered, (BEFORE, AFTER, GAIN_C)),
    "adjust": (adjusted, (BEFORE, AFTER, GAIN_C)),
    "settle, automatic": (settled(Controls()), (BEFORE, AFTER)),
    "settle, exposure": (settled(Controls(exposure=0.3)), (BEFORE, AFTER)),
    "settle, by number": (settled(Controls(strength=0.5)), (BEFORE, AFTER)),
    "luma": (luma, (BEFORE,)),
    "to linear": (to_linear, (BEFORE,)),
    "to sRGB": (to_srgb, (BEFORE,)),
}


def flat(results: Any) -> list[np.ndarray]:
    return [np.asarray(each) for each in (results if isinstance(results, list | tuple) else [results])]


@pytest.mark.parametrize("name", STEPS)
def test_torch_computes_what_numpy_does(name: str) -> None:
    step, inputs = STEPS[name]
    ours, theirs = flat(step(*inputs)), flat(step(*map(torch.from_numpy, inputs)))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", STEPS)
def test_a_traced_step_serves_any_size(name: str) -> None:
    step, inputs = STEPS[name]

    class Module(torch.nn.Module):
        def forward(self, *arrays: Any) -> Any:
            return step(*arrays)

    tensors = tuple(map(torch.from_numpy, inputs))
    axes = (0, 1) if name == "area mean" else (1, 2)
    sizes = tuple(
        dict.fromkeys(axes, torch.export.Dim.DYNAMIC) if each.ndim == 3 else None for each in tensors
    )
    program = torch.export.export(Module(), tensors, dynamic_shapes=(sizes,)).module()
    before = image(54, 38, seed=1)
    other = {3: before, 1: GAIN_C}
    again = tuple(
        (before.transpose(1, 2, 0) if name == "area mean" else gained(before, GAIN_C) if index else before)
        if each.ndim == 3
        else other[1]
        for index, each in enumerate(inputs)
    )
    wanted = flat(step(*again))
    found = flat(program(*(torch.from_numpy(np.ascontiguousarray(each)) for each in again)))
    for one, two in zip(wanted, found, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-6)


def test_integers_and_floats_have_the_same_thumbnail() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (3, 41, 77), dtype=np.uint16)
    by_sums = thumbnail(pixels, (9, 90))
    by_product = thumbnail(pixels / np.float64(65535), (9, 90))
    np.testing.assert_allclose(by_sums, by_product, rtol=1e-6)


def test_the_curve_takes_gains_of_any_shape_and_type() -> None:
    """Also those of the image's own shape, whose memory it uses for what it computes."""
    gain = np.full_like(BEFORE, 4)
    wanted = BEFORE * 4 / (BEFORE * 3 + 1)
    for given in (gain, gain[:1], gain[:, :1, :1], gain[0, 0, 0], gain.astype(np.float64)):
        found = exposure_curve(BEFORE, given)
        assert (found.shape, found.dtype) == (BEFORE.shape, BEFORE.dtype)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert (gain == 4).all()
