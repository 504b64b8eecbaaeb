"""The traced steps that the page ships do what the steps do: stale ones fail here."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from relume.options import Controls
from relume.site import PAGE
from relume.steps.controls import Adjustment, Change, adjust, settle
from relume.steps.guided_filter import area_mean, fit, interleaved, transfer
from relume.steps.thumbnail import overview_shape, thumbnail

AGAIN = "a step computes something else now: relume lab graphs -o src/relume/page/graphs"


def run(name: str, **inputs: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession((PAGE / "graphs" / f"{name}.onnx").read_bytes())
    return session.run(None, {each: np.asarray(value) for each, value in inputs.items()})


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 120, (height, width, 4), dtype=np.uint8)


def change(height: int, width: int, seed: int = 0) -> Change:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 0.3, (3, height, width)).astype(np.float32)
    before[:, ::3, ::3] += np.float32([0.6, 0.4, 0.1])[:, None, None]  # lights, which are guarded
    after = np.clip(3 * before + rng.normal(0, 0.02, before.shape), 0, 1).astype(np.float32)
    after[:, ::6] *= 0.4
    return Change(before, after, (0.3 * before[:1]).astype(np.float32))


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("size", [(50, 70), (9, 200)])
def test_thumbnails_are_exact(size: tuple[int, int], opaque: bool) -> None:
    photo_HW4, (rows, columns) = pixels(*size), overview_shape(*size, 128)
    photo_HW4[:7, :9, 3] = 0
    sums, weights = [], []
    for row in range(rows):
        part = slice(row * size[0] // rows, -(-(row + 1) * size[0] // rows))
        one = run("cells", pixels=photo_HW4[part], opaque=np.float32(opaque), cells=np.arange(columns))
        sums.append(one[0])
        weights.append(one[1])
    (found,) = run("overview", sums=np.stack(sums, 1), weights=np.stack(weights))
    alpha = None if opaque else photo_HW4[..., 3]
    wanted = thumbnail(np.moveaxis(photo_HW4[..., :3], -1, 0), (rows, columns), alpha)
    np.testing.assert_array_equal(found[0], wanted, err_msg=AGAIN)


@pytest.mark.parametrize(
    "controls",
    [
        Controls(),
        Controls(denoise=0.3, highlight_guard=0, colour_guard=0),
        Controls(exposure=0.4),
        Controls(exposure=0.3, strength=0.5, colour_guard=1, denoise=0),
        Controls(strength=0.7, colour_guard=0.2),
        Controls(strength=1.0, colour_guard=0),
    ],
    ids=str,
)
def test_controls_settle_as_they_do(controls: Controls) -> None:
    settles_alike(change(40, 56), controls)


@pytest.mark.parametrize(("stars", "share"), [(0, 1), (14, 0.506), (40, 0)])
def test_skies_of_stars_settle_as_they_do(stars: int, share: float) -> None:
    before = np.full((3, 40, 56), 6 / 255, np.float32)
    places = np.random.default_rng(1).permutation(6 * 8)[:stars]
    before[:, 6 * (places // 8) + 3, 6 * (places % 8) + 3] = 0.1
    night = Change(before, np.clip(10 * before, 0, 1), np.zeros_like(before[:1]))
    assert settles_alike(night, Controls()) == pytest.approx(share, abs=0.01)


def settles_alike(seen: Change, controls: Controls) -> float:
    """Whether the graph finds what `settle` does; the strength."""
    wanted = settle(controls, seen)
    share, gain, correction = run(
        "settle",
        before=seen.before[None],
        after=seen.after[None],
        local_gain=seen.local_gain[None],
        denoise=np.float32(controls.denoise),
        highlight_guard=np.float32(controls.highlight_guard),
        colour_guard=np.float32(controls.colour_guard),
        strength=np.float32(-1 if controls.strength == "auto" else controls.strength),
        exposure=np.float32(-1 if controls.exposure is None else controls.exposure),
    )
    np.testing.assert_allclose(share, wanted.strength, rtol=1e-5, err_msg=AGAIN)
    np.testing.assert_allclose(gain, wanted.gain_C, rtol=1e-4, err_msg=AGAIN)
    own = np.ones(3) if wanted.correction_C is None else wanted.correction_C
    np.testing.assert_allclose(correction, own, rtol=1e-3, err_msg=AGAIN)
    return float(share)


ADJUSTMENT = Adjustment(0.9, 0.6, 0.8, np.array([3.0, 2.5, 2.0]), np.array([0.9, 1.0, 1.2]))


def settled(grey: bool) -> dict[str, Any]:
    return {
        "gain": ADJUSTMENT.gain_C,
        "correction": ADJUSTMENT.correction_C,
        "strength": np.float64(ADJUSTMENT.strength),
        "denoise": np.float32(ADJUSTMENT.denoise),
        "highlight_guard": np.float32(ADJUSTMENT.highlight_guard),
        "grey": np.float32(grey),
    }


def named(seen: Change) -> dict[str, np.ndarray]:
    return {"image": seen.before[None], "enhanced": seen.after[None], "local_gain": seen.local_gain[None]}


@pytest.mark.parametrize("factor", [1, 2])
def test_tiles_are_seen_as_they_are(factor: int) -> None:
    photo_HW4 = pixels(12 * factor, 18 * factor)
    rows, columns = np.clip(np.arange(-4, 14), 0, 11), np.arange(3, 18)
    (found,) = run(f"prepare.{factor}", pixels=photo_HW4, rows=rows, columns=columns)
    wanted = area_mean(photo_HW4[..., :3], factor)[:, rows][:, :, columns]
    np.testing.assert_allclose(found[0], wanted, atol=1e-7, err_msg=AGAIN)


def test_pixels_are_finished_as_they_are() -> None:
    seen, photo_HW4 = change(30, 40), pixels(20, 21)
    rows, columns = np.arange(4, 24), np.arange(9, 30)
    inputs = {"pixels": photo_HW4, **named(seen), "seen_rows": rows, "seen_columns": columns}
    (found,) = run("finish.1", **inputs, **settled(grey=False))
    part = Change(*(each[:, 4:24, 9:30].copy() for each in seen))
    close(found[..., :3], adjust(part, ADJUSTMENT))
    np.testing.assert_array_equal(found[..., 3], photo_HW4[..., 3])
    (grey,) = run("finish.1", **inputs, **settled(grey=True))
    assert (grey[..., 0] == grey[..., 1]).all()


def close(found_HWC: np.ndarray, wanted_3HW: np.ndarray) -> None:
    """Equal up to one level where a value lies between two."""
    difference = np.abs(found_HWC - 255 * np.moveaxis(wanted_3HW, 0, -1))
    assert difference.max() < 0.51, AGAIN


def test_reduced_photos_are_finished_as_they_are() -> None:
    seen, photo_HW4 = change(30, 40), pixels(40, 42)
    here = slice(0, 20), slice(9, 30)  # at the photo's upper end, and away from its sides
    inputs = {"rows": np.arange(0, 22), "columns": np.arange(2, 25)}
    inputs |= {"seen_rows": np.arange(0, 22), "seen_columns": np.arange(7, 32)}
    (found,) = run("finish.2", pixels=photo_HW4, **named(seen), **inputs, **settled(grey=False))
    assert found.shape == photo_HW4.shape
    for *every, there in interleaved(fit(seen, ADJUSTMENT.gain_C, *here), 2):
        before = area_mean(photo_HW4[*every, :3], 1)
        wanted = adjust(transfer(before, there, ADJUSTMENT.gain_C), ADJUSTMENT)
        close(found[*every, :3], wanted)
